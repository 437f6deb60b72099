//! The media-access service: gives those who may a URL to read a photo.
//!
//! A user may read the photos they uploaded (`ingestion` knows which); the platform itself may
//! read all. A photo of somebody else is answered as one that is not there. It must not hand out
//! the photo itself: the URL leads past every component.

#[cfg(target_arch = "wasm32")]
mod guest;

use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{Blobs, Error, Identity, Principal, Services};
use serde::{Deserialize, Serialize};
use trackunit_contracts::IMAGES;

/// The largest request body, in bytes: one key.
const MAX_BODY: usize = 4 * 1024;
/// How long a URL lives: as long as one to write with.
const URL_SECONDS: u32 = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    object_key: Option<String>,
}

/// Answers a request.
pub fn answer(ports: &(impl Blobs + Identity + Services), request: Request) -> Result<Response, Problem> {
    match (request.method(), request.segments().as_slice()) {
        (Method::Post, ["internal", "v0", "media", "get-url"]) => {
            let wanted: Wanted = request.json(MAX_BODY)?;
            get_url(ports, &wanted.object_key.unwrap_or_default())
        }
        _ => Err(Problem::no_route(&request)),
    }
}

fn get_url(ports: &(impl Blobs + Identity + Services), object_key: &str) -> Result<Response, Problem> {
    if object_key.is_empty() {
        return Err(Problem::field("objectKey", "Required"));
    }
    // Signing checks the key's form, and changes nothing: what is wrong with it is told before
    // anything is looked up by it.
    let signed = presign(ports, object_key)?;
    let may = match ports.caller() {
        Principal::System => true,
        Principal::User(_) => is_callers(ports, object_key)?,
        Principal::Anonymous => return Err(Problem::unauthenticated()),
    };
    if !may {
        return Err(not_found());
    }
    match ports.stat(IMAGES, object_key) {
        Ok(_) => Ok(signed),
        Err(Error::NotFound) => Err(not_found()),
        Err(error) => Err(error.into()),
    }
}

fn not_found() -> Problem {
    Problem::not_found("There is no such photo.")
}

/// Whether the caller uploaded it. The upload's id is in the key; `ingestion` is asked on the
/// caller's behalf and finds their own uploads only.
fn is_callers(ports: &impl Services, object_key: &str) -> Result<bool, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Upload {
        object_key: String,
    }
    let file = object_key.rsplit('/').next().unwrap_or_default();
    let upload_id = file.split('.').next().unwrap_or_default();
    let answer = ports.call(Method::Get, "ingestion", &format!("/v1/uploads/{upload_id}"), &[])?;
    match answer.status {
        200 => Ok(answer.parse::<Upload>()?.object_key == object_key),
        404 => Ok(false),
        status => Err(Error::Unavailable(format!("ingestion answered {status} for an upload")).into()),
    }
}

/// A signed URL from `storage`, as it answered it; its field errors become ours.
fn presign(ports: &impl Services, object_key: &str) -> Result<Response, Problem> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Presign<'a> {
        key: &'a str,
        ttl_sec: u32,
    }
    #[derive(Deserialize)]
    struct Refused {
        errors: std::collections::BTreeMap<String, Vec<String>>,
    }
    let body = Presign { key: object_key, ttl_sec: URL_SECONDS };
    let answer = ports.post_json("storage", "/internal/v1/storage/presign-get", &body)?;
    match answer.status {
        200 => Ok(Response::new(200, "application/json", answer.body)),
        422 => {
            let Refused { mut errors } = answer.parse()?;
            let mut faults = monopod_sdk::http::Fields::new();
            for fault in errors.remove("key").unwrap_or_else(|| vec!["Invalid".into()]) {
                faults.add("objectKey", fault);
            }
            Err(Problem::Fields(faults))
        }
        status => Err(Error::Unavailable(format!("storage answered {status} to a presign-get")).into()),
    }
}
