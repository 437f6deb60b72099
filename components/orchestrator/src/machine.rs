//! The state machine: what begins a run, what moves it on, what ends it.
//!
//! ```text
//! begin ──▶ step started ──answer──▶ step completed ──▶ next step … ──▶ completed
//!                 └──failure or deadline──▶ step failed ──────────────▶ failed
//! ```
//!
//! Every arrow is one unit of work. What finds the run elsewhere than where it applies changes
//! nothing: a run that exists does not begin again, a run that ended does not end again.

use monopod_sdk::log;
use monopod_sdk::ports::{Error, Failure, Outgoing};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trackunit_contracts::{
    AnalysisCompleted, AnalysisFailed, AnalysisProgress, AnalysisStarted, StepState, headers, topics,
};

use crate::run::{Record, Run, State};
use crate::steps::{RECOGNITION, STEPS, Step};
use crate::{Due, Ports, early};

/// What this component calls itself in messages.
const PRODUCER: &str = "orchestrator";

/// What begins a run.
#[derive(Debug)]
pub struct Begin {
    /// Names it.
    pub upload_id: String,
    /// Where the photo lies.
    pub object_key: String,
    /// The action it belongs to.
    pub correlation_id: String,
    /// Which photo is meant, `sha256:<64 hex>`, if that was said.
    pub checksum: Option<String>,
}

/// How a step answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub enum Answer {
    /// It found something.
    Completed {
        /// What.
        result: Value,
    },
    /// It could not.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Begins a run, unless there is one.
pub fn begin(ports: &impl Ports, begin: Begin) -> Result<(), Failure> {
    let Begin { upload_id, object_key, correlation_id, checksum } = begin;
    if Run::find(ports, &upload_id)?.is_some() {
        log("info", &format!("run {upload_id} has begun already; nothing to do"));
        return Ok(());
    }
    let mut run = Run {
        upload_id,
        object_key,
        correlation_id,
        checksum,
        owner: ports.caller().user().map(monopod_sdk::ports::User::id),
        state: State::Analysing,
        started_at: ports.now().to_string(),
        ended_at: None,
        reason: None,
        steps: Vec::new(),
        results: Default::default(),
    };
    let Run { upload_id, object_key, correlation_id, .. } = run.clone();
    tell(ports, &run, topics::ANALYSIS_STARTED, &AnalysisStarted { object_key, correlation_id, upload_id })?;
    enter(ports, &mut run, 0)?;
    Ok(run.keep(ports)?)
}

/// A step answered. Kept for later if it was not asked yet, ignored if it is not asked any more.
pub fn answered(ports: &impl Ports, step: &Step, upload_id: &str, answer: Answer) -> Result<(), Failure> {
    match Run::find(ports, upload_id)? {
        Some(mut run) if run.awaits(step.name) => {
            ports.cancel_timer(&deadline(&run, step))?;
            settle(ports, &mut run, step, answer)?;
            Ok(run.keep(ports)?)
        }
        Some(run) if run.entered(step.name) || run.state != State::Analysing => {
            log("info", &format!("run {upload_id}: {} answered again or too late; nothing to do", step.name));
            Ok(())
        }
        _ => {
            log("warn", &format!("run {upload_id}: {} answered before it was asked; kept", step.name));
            early::park(ports, step, upload_id, &answer)
        }
    }
}

/// A step did not answer within `millis`.
pub fn late(ports: &impl Ports, upload_id: &str, step: &str, millis: u64) -> Result<(), Failure> {
    let Some(mut run) = Run::find(ports, upload_id)?.filter(|run| run.awaits(step)) else { return Ok(()) };
    let reason = format!("{step} did not answer within {}", seconds(millis));
    fail(ports, &mut run, step, reason)?;
    Ok(run.keep(ports)?)
}

/// Enters the step at `index`: takes the answer if it is there already, asks for it otherwise.
fn enter(ports: &impl Ports, run: &mut Run, index: usize) -> Result<(), Failure> {
    let Some(step) = STEPS.get(index) else { return complete(ports, run) };
    run.steps.push(Record {
        name: step.name.into(),
        state: StepState::Started,
        started_at: ports.now().to_string(),
        ended_at: None,
        reason: None,
    });
    progress(ports, run, step.name, StepState::Started)?;
    if let Some(answer) = early::take(ports, &run.upload_id, step.name)? {
        return settle(ports, run, step, answer);
    }
    let command = (step.ask)(run)?;
    publish(ports, run, step.command, &run.object_key, &command)?;
    let timeout = ports.time_setting(step.timeout, step.default_timeout)?;
    let due = Due::Deadline {
        upload_id: run.upload_id.clone(),
        step: step.name.into(),
        millis: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let payload = serde_json::to_vec(&due).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(ports.set_timer(&deadline(run, step), timeout, &payload)?)
}

/// The present step has its answer.
fn settle(ports: &impl Ports, run: &mut Run, step: &Step, answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Failed { reason } => fail(ports, run, step.name, reason),
        Answer::Completed { result } => {
            close(ports, run, StepState::Completed, None);
            run.results.insert(step.name.into(), result);
            progress(ports, run, step.name, StepState::Completed)?;
            enter(ports, run, run.steps.len())
        }
    }
}

/// Ends a run well.
fn complete(ports: &impl Ports, run: &mut Run) -> Result<(), Failure> {
    let found = run.results.get(RECOGNITION).cloned().unwrap_or_default();
    let recognition_payload = serde_json::from_value(found).map_err(|error| {
        Failure::Reject(format!("run {}: its result cannot be read: {error}", run.upload_id))
    })?;
    run.state = State::Completed;
    run.ended_at = Some(ports.now().to_string());
    let Run { upload_id, object_key, correlation_id, .. } = run.clone();
    let event =
        AnalysisCompleted { success: true, recognition_payload, object_key, correlation_id, upload_id };
    tell(ports, run, topics::ANALYSIS_COMPLETED, &event)
}

/// Ends a run badly, in this step.
fn fail(ports: &impl Ports, run: &mut Run, step: &str, reason: String) -> Result<(), Failure> {
    close(ports, run, StepState::Failed, Some(reason.clone()));
    progress(ports, run, step, StepState::Failed)?;
    run.state = State::Failed;
    run.ended_at = Some(ports.now().to_string());
    run.reason = Some(reason.clone());
    let Run { upload_id, object_key, correlation_id, .. } = run.clone();
    let step = step.into();
    let event = AnalysisFailed { success: false, reason, step, object_key, correlation_id, upload_id };
    tell(ports, run, topics::ANALYSIS_FAILED, &event)
}

/// Records the end of the present step.
fn close(ports: &impl Ports, run: &mut Run, state: StepState, reason: Option<String>) {
    if let Some(present) = run.steps.last_mut() {
        present.state = state;
        present.ended_at = Some(ports.now().to_string());
        present.reason = reason;
    }
}

fn progress(ports: &impl Ports, run: &Run, step: &str, state: StepState) -> Result<(), Failure> {
    let Run { upload_id, object_key, correlation_id, .. } = run.clone();
    let event = AnalysisProgress { step: step.into(), state, object_key, correlation_id, upload_id };
    tell(ports, run, topics::ANALYSIS_PROGRESS, &event)
}

/// Publishes to subscribers.
fn tell(ports: &impl Ports, run: &Run, topic: &str, event: &impl Serialize) -> Result<(), Failure> {
    publish(ports, run, topic, &run.upload_id, event)
}

/// Publishes as part of the action that began the run, whatever message moved it on.
fn publish(
    ports: &impl Ports,
    run: &Run,
    topic: &str,
    key: &str,
    payload: &impl Serialize,
) -> Result<(), Failure> {
    let mut message = Outgoing::json(topic, key, payload)?.correlation(&run.correlation_id);
    message.headers = headers::of(topic, &run.correlation_id, PRODUCER);
    ports.publish(&message)?;
    Ok(())
}

fn deadline(run: &Run, step: &Step) -> String {
    format!("deadline/{}/{}", run.upload_id, step.name)
}

fn seconds(millis: u64) -> String {
    if millis.is_multiple_of(1_000) { format!("{} s", millis / 1_000) } else { format!("{millis} ms") }
}
