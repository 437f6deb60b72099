//! `POST /v1/uploads/start`: a client is about to upload a photo.

use monopod_sdk::http::{Fields, Problem, Response};
use monopod_sdk::id;
use monopod_sdk::ports::{Error, Services, User};
use monopod_sdk::time::Date;
use serde::{Deserialize, Serialize};
use trackunit_contracts::{IMAGE_TYPES, ImageType};

use crate::Ports;
use crate::session::Session;

/// The longest file name, in characters.
const MAX_FILENAME: usize = 200;
/// How long the URL lives: enough for a photo over a poor connection.
const URL_SECONDS: u32 = 300;

/// What the route takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Start {
    filename: Option<String>,
    content_type: Option<String>,
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    upload_id: String,
    key: String,
    put_url: String,
    expires_at: String,
}

/// Opens a session and gets a URL to write the photo to.
pub fn start(ports: &impl Ports, caller: &User, start: Start) -> Result<Response, Problem> {
    let filename = start.filename.unwrap_or_default();
    let content_type = start.content_type.unwrap_or_default();
    let extension = check(&filename, &content_type)?;
    let upload_id = id::new(ports);
    let now = ports.now();
    let Date { year, month, day } = now.date();
    let key = format!("images/{year:04}/{month:02}/{day:02}/{upload_id}.{extension}");
    let signed = presign(ports, &key, &content_type)?;
    let session = Session {
        upload_id,
        object_key: key,
        correlation_id: ports.correlation_id(),
        filename,
        content_type,
        created_at: now.to_string(),
        expires_at: signed.expires_at,
        confirmed: None,
    };
    session.keep(ports, caller)?;
    let Session { upload_id, object_key: key, expires_at, .. } = session;
    Ok(Response::json(200, &Started { upload_id, key, put_url: signed.url, expires_at }))
}

/// The extension of a file name that may be uploaded as this type.
fn check(filename: &str, content_type: &str) -> Result<String, Problem> {
    let mut faults = Fields::new();
    let kind = ImageType::of(content_type);
    if content_type.is_empty() {
        faults.add("contentType", "is required");
    } else if kind.is_none() {
        let known: Vec<&str> = IMAGE_TYPES.iter().map(|kind| kind.content_type).collect();
        faults.add("contentType", format!("must be one of {}", known.join(", ")));
    }
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let extension = extension.unwrap_or_default();
    let known = |kind: &ImageType| kind.extensions.contains(&extension.as_str());
    if filename.trim().is_empty() {
        faults.add("filename", "is required");
    } else if filename.chars().count() > MAX_FILENAME {
        faults.add("filename", format!("must have at most {MAX_FILENAME} characters"));
    } else if filename.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
        faults.add("filename", "must be a name without folders and control characters");
    } else if !IMAGE_TYPES.iter().any(known) {
        let known: Vec<&str> = IMAGE_TYPES.iter().flat_map(|kind| kind.extensions).copied().collect();
        faults.add("filename", format!("must end in one of .{}", known.join(", .")));
    } else if let Some(kind) = kind.filter(|kind| !known(kind)) {
        faults.add(
            "filename",
            format!("must end in .{} for {}", kind.extensions.join(" or ."), kind.content_type),
        );
    }
    faults.finish()?;
    Ok(extension)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    url: String,
    expires_at: String,
}

fn presign(ports: &impl Services, key: &str, content_type: &str) -> Result<Signed, Problem> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Presign<'a> {
        key: &'a str,
        content_type: &'a str,
        ttl_sec: u32,
    }
    let body = Presign { key, content_type, ttl_sec: URL_SECONDS };
    let answer = ports.post_json("storage", "/internal/v1/storage/presign-put", &body)?;
    match answer.status {
        200 => Ok(answer.parse()?),
        // What we ask for is always well formed, so any refusal is a fault between us two.
        status => Err(Error::Unavailable(format!("storage answered {status} to a presign-put")).into()),
    }
}
