//! The steps of an analysis, in order. A step is a command, the event that answers it, and its
//! `*.failed` twin; to add one is to add a row.

use std::time::Duration;

use monopod_sdk::ports::{Failure, Message};
use serde::Deserialize;
use serde_json::Value;
use trackunit_contracts::{RecognitionCompleted, RecognitionPayload, RecognitionRequest, topics};

use crate::run::Run;

/// A step.
#[derive(Debug)]
pub struct Step {
    /// As clients see it.
    pub name: &'static str,
    /// The topic of its command.
    pub command: &'static str,
    /// The topic of its answer.
    pub completed: &'static str,
    /// The topic of its other answer.
    pub failed: &'static str,
    /// The setting of how long it may take.
    pub timeout: &'static str,
    /// How long it may take if the setting is not given.
    pub default_timeout: Duration,
    /// The command's payload.
    pub ask: fn(&Run) -> Result<Value, Failure>,
    /// The run and the result of an answer.
    pub read: fn(&Message) -> Result<(String, Value), Failure>,
}

/// All steps.
pub const STEPS: &[Step] = &[Step {
    name: RECOGNITION,
    command: topics::RECOGNITION_REQUEST,
    completed: topics::RECOGNITION_COMPLETED,
    failed: topics::RECOGNITION_FAILED,
    timeout: "recognition-timeout",
    default_timeout: Duration::from_secs(60),
    ask: ask_recognition,
    read: read_recognition,
}];

/// The step that recognises the machine; its result is what clients are told.
pub const RECOGNITION: &str = "recognition";

fn ask_recognition(run: &Run) -> Result<Value, Failure> {
    json(&RecognitionRequest {
        object_key: run.object_key.clone(),
        correlation_id: run.correlation_id.clone(),
        upload_id: run.upload_id.clone(),
        checksum: run.checksum.clone(),
    })
}

fn read_recognition(message: &Message) -> Result<(String, Value), Failure> {
    let RecognitionCompleted { provider, aggregate, upload_id, .. } = message.json()?;
    Ok((upload_id, json(&RecognitionPayload { provider, aggregate })?))
}

/// The run and the reason of a `*.failed` event; they are alike for all steps.
pub fn read_failure(message: &Message) -> Result<(String, String), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failed {
        upload_id: String,
        reason: String,
    }
    let Failed { upload_id, reason } = message.json()?;
    Ok((upload_id, reason))
}

fn json(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::Reject(format!("cannot be written as JSON: {error}")))
}
