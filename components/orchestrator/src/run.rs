//! Runs as they are kept: one analysis of one photo, with the state and times of its steps.

use std::collections::BTreeMap;

use monopod_sdk::ports::{Buckets, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trackunit_contracts::StepState;

/// The bucket; its keys are the uploads' ids.
const RUNS: &str = "runs";

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Names it.
    pub upload_id: String,
    /// Where the photo lies.
    pub object_key: String,
    /// The action that began it.
    pub correlation_id: String,
    /// Which photo it is about, `sha256:<64 hex>`, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Who began it (`User::id`); none: the platform.
    pub owner: Option<String>,
    /// Where it is.
    pub state: State,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The steps entered so far; the last is the present one.
    pub steps: Vec<Record>,
    /// What the steps found, by their names.
    pub results: BTreeMap<String, Value>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Under way.
    Analysing,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The step's name.
    pub name: String,
    /// What it does.
    pub state: StepState,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
}

impl Run {
    /// The run of an upload.
    pub fn find(ports: &impl Buckets, upload_id: &str) -> Result<Option<Self>, Error> {
        if upload_id.is_empty() {
            return Err(Error::Invalid("the upload's id is empty".into()));
        }
        ports.get_json(RUNS, upload_id)
    }

    /// Keeps it.
    pub fn keep(&self, ports: &impl Buckets) -> Result<(), Error> {
        ports.set_json(RUNS, &self.upload_id, self)
    }

    /// Whether it waits for the answer of this step.
    pub fn awaits(&self, step: &str) -> bool {
        let present = self.steps.last();
        self.state == State::Analysing
            && present.is_some_and(|present| present.name == step && present.state == StepState::Started)
    }

    /// Whether it has entered this step.
    pub fn entered(&self, step: &str) -> bool {
        self.steps.iter().any(|record| record.name == step)
    }
}
