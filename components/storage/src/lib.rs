//! The storage service: signs URLs with which clients write and read photos, past every
//! component. Called by `ingestion` and `media-access`; no client reaches it.
//!
//! It decides what may be signed (names, types, times) and nothing else: whose photo it is, and
//! whether it is there, its callers know.

#[cfg(target_arch = "wasm32")]
mod guest;
mod validate;

use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{Access, Blobs, Presigned};
use serde::{Deserialize, Serialize};
use trackunit_contracts::{IMAGES, MAX_IMAGE_BYTES};

/// The largest request body, in bytes: a key, a type, a number.
const MAX_BODY: usize = 4 * 1024;

/// What both routes take. Fields that are missing are told apart from a body that cannot be read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Presign {
    /// The object's key.
    pub key: Option<String>,
    /// Its content type. Not used for reading.
    pub content_type: Option<String>,
    /// How long the URL lives, in seconds.
    pub ttl_sec: Option<i64>,
}

/// What both routes answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    url: String,
    expires_at: String,
}

/// Answers a request.
pub fn answer(ports: &impl Blobs, request: Request) -> Result<Response, Problem> {
    match (request.method(), request.segments().as_slice()) {
        (Method::Post, ["internal", "v1", "storage", "presign-put"]) => {
            let checked = validate::put(request.json(MAX_BODY)?)?;
            let access = Access::Put { content_type: checked.content_type, max_size: MAX_IMAGE_BYTES };
            signed(ports.presign(IMAGES, &checked.key, &access, checked.ttl_seconds)?)
        }
        (Method::Post, ["internal", "v1", "storage", "presign-get"]) => {
            let checked = validate::get(request.json(MAX_BODY)?)?;
            signed(ports.presign(IMAGES, &checked.key, &Access::Get, checked.ttl_seconds)?)
        }
        _ => Err(Problem::no_route(&request)),
    }
}

fn signed(Presigned { url, expires_at }: Presigned) -> Result<Response, Problem> {
    Ok(Response::json(200, &Signed { url, expires_at: expires_at.to_string() }))
}
