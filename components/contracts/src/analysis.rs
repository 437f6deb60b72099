//! Analyses: what the orchestrator tells subscribers, and is told.

use serde::{Deserialize, Serialize};

use crate::recognition::RecognitionPayload;

/// On `analysis.commands`: analyse a photo that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRequest {
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// Names the analysis as an upload's id does; a new one for each request.
    pub upload_id: String,
    /// Which photo is meant, `sha256:<64 hex>`: what lies there later may be another. Not given:
    /// whatever lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// On `analysis.started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStarted {
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// The upload it belongs to.
    pub upload_id: String,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It was commanded.
    Started,
    /// It answered.
    Completed,
    /// It answered that it could not, or did not answer in time.
    Failed,
}

/// On `analysis.progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisProgress {
    /// The step's name.
    pub step: String,
    /// What it does.
    pub state: StepState,
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// The upload it belongs to.
    pub upload_id: String,
}

/// On `analysis.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisCompleted {
    /// True.
    pub success: bool,
    /// What was recognised.
    pub recognition_payload: RecognitionPayload,
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// The upload it belongs to.
    pub upload_id: String,
}

/// On `analysis.failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisFailed {
    /// False.
    pub success: bool,
    /// Why, for people.
    pub reason: String,
    /// In which step.
    pub step: String,
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// The upload it belongs to.
    pub upload_id: String,
}
