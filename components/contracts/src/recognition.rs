//! Recognition: what the vision adapter is asked and what it answers.

use serde::{Deserialize, Serialize};

/// On `analysis.recognition.request`: look at this photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecognitionRequest {
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to; the answer repeats it.
    pub correlation_id: String,
    /// The upload it belongs to; the answer repeats it.
    pub upload_id: String,
    /// Which photo was confirmed, `sha256:<64 hex>`: its URL may have been written to again since.
    /// Not given: whatever lies there is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// On `tu.recognition.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecognitionCompleted {
    /// Who recognised it.
    pub provider: Provider,
    /// What was recognised.
    pub aggregate: MachineAggregate,
    /// As asked.
    pub correlation_id: String,
    /// As asked.
    pub upload_id: String,
    /// As asked.
    pub object_key: String,
}

/// What was recognised, as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecognitionPayload {
    /// Who recognised it.
    pub provider: Provider,
    /// What was recognised.
    pub aggregate: MachineAggregate,
}

/// On `recognition.failed`: the photo could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecognitionFailed {
    /// Why, for people.
    pub reason: String,
    /// As asked.
    pub correlation_id: String,
    /// As asked.
    pub upload_id: String,
    /// As asked.
    pub object_key: String,
}

/// Who recognised a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// The version of what was asked.
    pub api_version: Option<String>,
    /// What it was asked to look for.
    #[serde(default)]
    pub featureset: Vec<String>,
    /// The most findings it was asked for.
    pub max_results: Option<u32>,
}

/// A machine, as far as it was recognised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineAggregate {
    /// Who made it: `Volvo`.
    pub brand: Option<String>,
    /// What it is: `excavator`. The adapter of old sent it as `machineType`.
    #[serde(alias = "machineType")]
    pub r#type: Option<String>,
    /// Which it is: `EC220E`.
    pub model: Option<String>,
    /// What to call it: `Volvo EC220E`.
    pub name: Option<String>,
    /// 0 to 1: how sure brand and model are.
    pub confidence: f64,
    /// Whether `confidence` is at least 0.5.
    pub is_confident: bool,
    /// 0 to 1: how sure the type is.
    pub type_confidence: Option<f64>,
    /// By what evidence the type is known.
    pub type_source: Option<String>,
    /// Its weight, with the unit.
    #[serde(default)]
    pub weight: Option<String>,
    /// When it was built.
    #[serde(default)]
    pub year: Option<u32>,
    /// What is mounted on it.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// What all of this rests on, strongest first.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// One thing that speaks for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Where it comes from: `fleet-tag`, `exif`, `livery`.
    pub kind: String,
    /// What it says, in one line.
    pub text: String,
}
