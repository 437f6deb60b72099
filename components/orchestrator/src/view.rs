//! `GET /v1/runs…`: how far analyses are. A user sees their own.

use monopod_sdk::http::{Problem, Response};
use monopod_sdk::id;
use monopod_sdk::ports::{Buckets, User};
use serde::Serialize;
use serde_json::Value;

use crate::run::{Record, Run, State};
use crate::steps::RECOGNITION;

/// The most runs asked for at once: what the longest list of uploads needs.
const MAX_IDS: usize = 100;

/// A run as others see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    upload_id: &'a str,
    object_key: &'a str,
    correlation_id: &'a str,
    state: State,
    started_at: &'a str,
    ended_at: Option<&'a str>,
    reason: Option<&'a str>,
    steps: &'a [Record],
    recognition_payload: Option<&'a Value>,
}

/// One run of the caller's.
pub fn one(ports: &impl Buckets, caller: &User, upload_id: &str) -> Result<Response, Problem> {
    let run = find(ports, &caller.id(), upload_id)?;
    let run = run.ok_or_else(|| Problem::not_found("There is no such run."))?;
    Ok(Response::json(200, &view(&run)))
}

/// Those runs of `ids` (separated by commas) that there are and are the caller's.
pub fn list(ports: &impl Buckets, caller: &User, ids: Option<String>) -> Result<Response, Problem> {
    let ids = ids.unwrap_or_default();
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > MAX_IDS {
        return Err(Problem::field("ids", format!("must be 1 to {MAX_IDS} ids of uploads")));
    }
    let owner = caller.id();
    let mut runs = Vec::with_capacity(ids.len());
    for id in ids {
        runs.extend(find(ports, &owner, id)?);
    }
    Ok(Response::json(200, &runs.iter().map(view).collect::<Vec<_>>()))
}

fn find(ports: &impl Buckets, owner: &str, upload_id: &str) -> Result<Option<Run>, Problem> {
    if !id::is_id(upload_id) {
        return Ok(None);
    }
    Ok(Run::find(ports, upload_id)?.filter(|run| run.owner.as_deref() == Some(owner)))
}

fn view(run: &Run) -> View<'_> {
    View {
        upload_id: &run.upload_id,
        object_key: &run.object_key,
        correlation_id: &run.correlation_id,
        state: run.state,
        started_at: &run.started_at,
        ended_at: run.ended_at.as_deref(),
        reason: run.reason.as_deref(),
        steps: &run.steps,
        // What a step found is shown when the run has ended well, not before.
        recognition_payload: run.results.get(RECOGNITION).filter(|_| run.state == State::Completed),
    }
}
