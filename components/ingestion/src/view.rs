//! `GET /v1/uploads…`: what has become of uploads.
//!
//! How far an analysis is, the orchestrator knows; it commits that together with the event that
//! tells it, so who has seen the event finds the same here. Before a run exists, or while the
//! orchestrator does not answer, the session alone is shown.

use std::collections::BTreeMap;

use monopod_sdk::http::{Fields, Method, Problem, Response};
use monopod_sdk::ports::{Buckets, Error, Services, User};
use monopod_sdk::{id, log};
use serde::Serialize;
use serde_json::Value;

use crate::session::{Confirmed, Difference, Session};

/// Uploads listed when nobody says how many: a screen of them.
const DEFAULT_LIST: u32 = 20;
/// The most uploads listed at once; their ids still fit the URL of one call.
const MAX_LIST: u32 = 100;

/// An upload as clients see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Upload<'a> {
    upload_id: &'a str,
    object_key: &'a str,
    correlation_id: &'a str,
    filename: &'a str,
    content_type: &'a str,
    state: &'a str,
    created_at: &'a str,
    expires_at: &'a str,
    confirmed_at: Option<&'a str>,
    bytes: Option<u64>,
    checksum: Option<&'a str>,
    difference: Option<&'a Difference>,
    ended_at: Option<&'a Value>,
    reason: Option<&'a Value>,
    steps: &'a [Value],
    recognition_payload: Option<&'a Value>,
}

/// A session alone, without what the orchestrator knows.
pub fn session(ports: &impl Buckets, caller: &User, upload_id: &str) -> Result<Response, Problem> {
    let session = Session::find(ports, caller, upload_id)?;
    Ok(Response::json(200, &upload(&session, None)))
}

/// One upload.
pub fn status(
    ports: &(impl Buckets + Services),
    caller: &User,
    upload_id: &str,
) -> Result<Response, Problem> {
    let session = Session::find(ports, caller, upload_id)?;
    let runs = runs(ports, std::slice::from_ref(&session));
    Ok(Response::json(200, &upload(&session, runs.get(&session.upload_id))))
}

/// The caller's uploads, newest first.
pub fn list(
    ports: &(impl Buckets + Services),
    caller: &User,
    limit: Option<String>,
    after: Option<String>,
) -> Result<Response, Problem> {
    let mut faults = Fields::new();
    let limit = limit.map_or(Some(DEFAULT_LIST), |limit| limit.parse().ok());
    let limit = limit.filter(|limit| (1..=MAX_LIST).contains(limit));
    if limit.is_none() {
        faults.add("limit", format!("must be a number from 1 to {MAX_LIST}"));
    }
    if after.as_deref().is_some_and(|after| !id::is_id(after)) {
        faults.add("after", "must be the id of an upload");
    }
    faults.finish()?;
    let sessions = Session::list(ports, caller, after.as_deref(), limit.unwrap_or(DEFAULT_LIST))?;
    let runs = runs(ports, &sessions);
    let uploads: Vec<_> =
        sessions.iter().map(|session| upload(session, runs.get(&session.upload_id))).collect();
    Ok(Response::json(200, &uploads))
}

fn upload<'a>(session: &'a Session, run: Option<&'a Value>) -> Upload<'a> {
    let Session { upload_id, object_key, correlation_id, filename, content_type, .. } = session;
    let confirmed = session.confirmed.as_ref();
    let of_run = |key: &str| run.and_then(|run| run.get(key)).filter(|value| !value.is_null());
    let before = if confirmed.is_some() { "uploaded" } else { "pending" };
    Upload {
        upload_id,
        object_key,
        correlation_id,
        filename,
        content_type,
        state: of_run("state").and_then(Value::as_str).unwrap_or(before),
        created_at: &session.created_at,
        expires_at: &session.expires_at,
        confirmed_at: confirmed.map(|Confirmed { at, .. }| at.as_str()),
        bytes: confirmed.map(|confirmed| confirmed.bytes),
        checksum: confirmed.map(|confirmed| confirmed.checksum.as_str()),
        difference: confirmed.and_then(|confirmed| confirmed.difference.as_ref()),
        ended_at: of_run("endedAt"),
        reason: of_run("reason"),
        steps: of_run("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default(),
        recognition_payload: of_run("recognitionPayload"),
    }
}

/// The runs of confirmed uploads by their ids, in one call; those that there are.
fn runs(ports: &impl Services, sessions: &[Session]) -> BTreeMap<String, Value> {
    let confirmed = sessions.iter().filter(|session| session.confirmed.is_some());
    let ids: Vec<&str> = confirmed.map(|session| session.upload_id.as_str()).collect();
    if ids.is_empty() {
        return BTreeMap::new();
    }
    let found = ports
        .call(Method::Get, "orchestrator", &format!("/v1/runs?ids={}", ids.join(",")), &[])
        .and_then(|answer| match answer.status {
            200 => answer.parse::<Vec<Value>>(),
            status => Err(Error::Unavailable(format!("orchestrator answered {status} for runs"))),
        });
    let found = found.unwrap_or_else(|error| {
        // The client still gets what is known here.
        log("warn", &format!("uploads are shown without their analysis: {error}"));
        Vec::new()
    });
    let named = found.into_iter().filter_map(|run| {
        let id = run.get("uploadId").and_then(Value::as_str)?.to_owned();
        Some((id, run))
    });
    named.collect()
}
