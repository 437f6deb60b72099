//! `POST /v1/analyses`: analyse a photo of mine again.

use monopod_sdk::http::{Problem, Response};
use monopod_sdk::id;
use monopod_sdk::ports::{Error, User};
use serde::{Deserialize, Serialize};
use trackunit_contracts::{AnalysisRequest, IMAGES, topics};

use crate::session::{Confirmed, Session};
use crate::{Ports, publish};

/// What the route takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    object_key: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Requested {
    correlation_id: String,
    upload_id: String,
}

/// Commands an analysis. It is listed among the uploads under an id of its own, so that each
/// upload has exactly one analysis and one end.
pub fn request(ports: &impl Ports, caller: &User, request: Request) -> Result<Response, Problem> {
    let object_key = request.object_key.unwrap_or_default();
    if object_key.is_empty() {
        return Err(Problem::field("objectKey", "is required"));
    }
    let session = owned(ports, caller, &object_key)?;
    let info = ports.stat(IMAGES, &object_key).map_err(|error| match error {
        Error::NotFound => not_found(),
        error => error.into(),
    })?;
    let now = ports.now().to_string();
    let checksum = format!("sha256:{}", info.sha256);
    let confirmed =
        Confirmed { at: now.clone(), bytes: info.size, checksum: checksum.clone(), difference: None };
    let again = Session {
        upload_id: id::new(ports),
        correlation_id: ports.correlation_id(),
        created_at: now,
        confirmed: Some(confirmed),
        ..session
    };
    again.keep(ports, caller)?;
    let Session { upload_id, correlation_id, .. } = again;
    let command = AnalysisRequest { object_key, correlation_id, upload_id, checksum: Some(checksum) };
    publish(ports, topics::ANALYSIS_COMMANDS, &command.upload_id, &command.correlation_id, &command)?;
    let AnalysisRequest { correlation_id, upload_id, .. } = command;
    Ok(Response::json(202, &Requested { correlation_id, upload_id }))
}

fn not_found() -> Problem {
    Problem::not_found("There is no such photo.")
}

/// The caller's session in which this photo was uploaded; its id is in the key.
fn owned(ports: &impl Ports, caller: &User, object_key: &str) -> Result<Session, Problem> {
    let file = object_key.rsplit('/').next().unwrap_or_default();
    let upload_id = file.split('.').next().unwrap_or_default();
    match Session::find(ports, caller, upload_id) {
        Ok(session) if session.object_key == object_key => Ok(session),
        Ok(_) | Err(Problem::Status { status: 404, .. }) => Err(not_found()),
        Err(problem) => Err(problem),
    }
}
