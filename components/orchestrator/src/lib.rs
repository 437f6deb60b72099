//! The orchestrator: drives the analysis of each photo through the steps of a table, by command,
//! and ends it exactly once, in `analysis.completed` or `analysis.failed`.
//!
//! It is the only consumer of `tu.images.uploaded`. It is a plain state machine: every message
//! and every timer finds the run in a bucket, moves it on, and is committed with what it
//! published; nothing is kept in memory. Messages may come twice, late or too early.
//! It must not look at photos itself, nor wait for anybody.

mod early;
#[cfg(target_arch = "wasm32")]
mod guest;
mod machine;
mod run;
mod steps;
mod view;

use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{
    Buckets, Clock, Failure, Identity, Message, Principal, Publisher, Settings, Timer, Timers,
};
use serde::{Deserialize, Serialize};
use trackunit_contracts::{AnalysisRequest, ImageUploaded, topics};

use crate::machine::{Answer, Begin};
use crate::steps::STEPS;

/// Everything this component touches.
pub trait Ports: Buckets + Clock + Identity + Publisher + Settings + Timers {}
impl<P: Buckets + Clock + Identity + Publisher + Settings + Timers> Ports for P {}

/// A timer of ours that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "due")]
pub(crate) enum Due {
    /// A step has not answered.
    Deadline {
        /// The run.
        upload_id: String,
        /// The step.
        step: String,
        /// How long it had.
        millis: u64,
    },
    /// An early answer was not asked for in time.
    Early {
        /// The run that there never was.
        upload_id: String,
        /// The step.
        step: String,
    },
}

/// Handles a message.
pub fn handle(ports: &impl Ports, message: &Message) -> Result<(), Failure> {
    match message.topic.as_str() {
        topics::IMAGES_UPLOADED => {
            let ImageUploaded { upload_id, object_key, checksum, .. } = message.json()?;
            let correlation_id = message.correlation_id.clone();
            machine::begin(ports, Begin { upload_id, object_key, correlation_id, checksum: Some(checksum) })
        }
        topics::ANALYSIS_COMMANDS => {
            let AnalysisRequest { upload_id, object_key, checksum, .. } = message.json()?;
            let correlation_id = message.correlation_id.clone();
            machine::begin(ports, Begin { upload_id, object_key, correlation_id, checksum })
        }
        topic => {
            let answering = |answer: &str| answer == topic;
            for step in STEPS {
                if answering(step.completed) {
                    let (upload_id, result) = (step.read)(message)?;
                    return machine::answered(ports, step, &upload_id, Answer::Completed { result });
                }
                if answering(step.failed) {
                    let (upload_id, reason) = steps::read_failure(message)?;
                    return machine::answered(ports, step, &upload_id, Answer::Failed { reason });
                }
            }
            Err(Failure::Reject(format!("topic `{topic}` is none of the orchestrator's")))
        }
    }
}

/// Handles a timer.
pub fn fire(ports: &impl Ports, timer: &Timer) -> Result<(), Failure> {
    let due = serde_json::from_slice(&timer.payload)
        .map_err(|error| Failure::Reject(format!("timer `{}` cannot be read: {error}", timer.name)))?;
    match due {
        Due::Deadline { upload_id, step, millis } => machine::late(ports, &upload_id, &step, millis),
        Due::Early { upload_id, step } => early::forget(ports, &upload_id, &step),
    }
}

/// Answers a request. Called by `ingestion`, on behalf of the user who asks.
pub fn answer(ports: &(impl Buckets + Identity), request: Request) -> Result<Response, Problem> {
    let Principal::User(caller) = ports.caller() else { return Err(Problem::unauthenticated()) };
    match (request.method(), request.segments().as_slice()) {
        (Method::Get, ["v1", "runs"]) => view::list(ports, &caller, request.query("ids")),
        (Method::Get, ["v1", "runs", id]) => view::one(ports, &caller, id),
        _ => Err(Problem::no_route(&request)),
    }
}
