//! Answers that came before they were asked for: kept until the run gets there, or for an hour.

use std::time::Duration;

use monopod_sdk::ports::{Buckets, Error, Failure, Timers};

use crate::machine::Answer;
use crate::steps::Step;
use crate::{Due, Ports};

/// The bucket.
const EARLY: &str = "early";
/// How long an early answer is kept. Messages overtake one another by seconds; what is early by
/// more belongs to no run of ours.
const KEPT: Duration = Duration::from_secs(3_600);

/// Keeps an answer until its step is entered. The first one counts, as it does in a run.
pub fn park(ports: &impl Ports, step: &Step, upload_id: &str, answer: &Answer) -> Result<(), Failure> {
    let key = key(upload_id, step.name);
    if ports.get(EARLY, &key)?.is_some() {
        return Ok(());
    }
    ports.set_json(EARLY, &key, answer)?;
    let due = Due::Early { upload_id: upload_id.into(), step: step.name.into() };
    let payload = serde_json::to_vec(&due).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(ports.set_timer(&timer(upload_id, step.name), KEPT, &payload)?)
}

/// Takes the answer to a step that is being entered, if it is there already.
pub fn take(ports: &(impl Buckets + Timers), upload_id: &str, step: &str) -> Result<Option<Answer>, Failure> {
    let key = key(upload_id, step);
    let answer = ports.get_json(EARLY, &key)?;
    if answer.is_some() {
        ports.delete(EARLY, &key)?;
        ports.cancel_timer(&timer(upload_id, step))?;
    }
    Ok(answer)
}

/// Forgets an answer that nobody asked for.
pub fn forget(ports: &impl Buckets, upload_id: &str, step: &str) -> Result<(), Failure> {
    Ok(ports.delete(EARLY, &key(upload_id, step))?)
}

fn key(upload_id: &str, step: &str) -> String {
    format!("{upload_id}/{step}")
}

fn timer(upload_id: &str, step: &str) -> String {
    format!("early/{upload_id}/{step}")
}
