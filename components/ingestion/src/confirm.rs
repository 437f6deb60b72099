//! `POST /v1/uploads/confirm`: a client says that its photo is there, and which it is.

use monopod_sdk::http::{Fields, Problem, Response};
use monopod_sdk::log;
use monopod_sdk::ports::{Error, Settings, User};
use serde::Deserialize;
use trackunit_contracts::{IMAGES, ImageUploaded, topics};

use crate::session::{Confirmed, Difference, Session};
use crate::{Ports, publish};

/// What the route takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Confirm {
    upload_id: Option<String>,
    bytes: Option<i64>,
    checksum: Option<String>,
}

/// A photo: what a client says of it, or what is found.
struct Photo {
    bytes: i64,
    checksum: String,
}

/// Compares the claim with the object, and hands the photo on. The second time nothing happens
/// and the answer is the same.
pub fn confirm(ports: &impl Ports, caller: &User, confirm: Confirm) -> Result<Response, Problem> {
    let (upload_id, claim) = check(confirm)?;
    let mut session = Session::find(ports, caller, &upload_id)?;
    let strict = strict(ports)?;
    if let Some(Confirmed { bytes, checksum, .. }) = &session.confirmed {
        let found = Photo { bytes: i64::try_from(*bytes).unwrap_or(i64::MAX), checksum: checksum.clone() };
        if strict {
            compare(&claim, &found)?;
        }
        return Ok(accepted());
    }
    let info = ports.stat(IMAGES, &session.object_key).map_err(|error| match error {
        Error::NotFound => {
            Problem::conflict("NOT_UPLOADED", "The photo has not arrived: PUT it to putUrl, then confirm.")
        }
        error => error.into(),
    })?;
    let bytes = i64::try_from(info.size).unwrap_or(i64::MAX);
    let found = Photo { bytes, checksum: format!("sha256:{}", info.sha256) };
    let difference = match compare(&claim, &found) {
        Ok(()) => None,
        Err(problem) if strict => return Err(problem),
        Err(_) => {
            let id = &session.upload_id;
            log(
                "warn",
                &format!("upload {id}: what was confirmed does not fit the photo; accepted and noted"),
            );
            Some(Difference { bytes: claim.bytes, checksum: claim.checksum })
        }
    };
    let (at, bytes, checksum) = (ports.now().to_string(), info.size, found.checksum);
    let event = ImageUploaded {
        upload_id: session.upload_id.clone(),
        object_key: session.object_key.clone(),
        content_type: session.content_type.clone(),
        bytes,
        checksum: checksum.clone(),
        occurred_at: at.clone(),
    };
    session.confirmed = Some(Confirmed { at, bytes, checksum, difference });
    session.keep(ports, caller)?;
    publish(ports, topics::IMAGES_UPLOADED, &session.object_key, &session.correlation_id, &event)?;
    Ok(accepted())
}

fn accepted() -> Response {
    let mut response = Response::raw_json(r#"{"status":"Accepted"}"#);
    response.status = 202;
    response
}

/// The form of a confirmation.
fn check(confirm: Confirm) -> Result<(String, Photo), Problem> {
    let mut faults = Fields::new();
    let upload_id = confirm.upload_id.unwrap_or_default();
    if upload_id.is_empty() {
        faults.add("uploadId", "is required");
    }
    let bytes = confirm.bytes.unwrap_or_default();
    if bytes <= 0 {
        faults.add("bytes", "must be greater than 0");
    }
    // Either case is the same checksum; it is kept in lower case.
    let checksum = confirm.checksum.unwrap_or_default().to_ascii_lowercase();
    let digits = checksum.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        faults.add("checksum", "must be sha256: and 64 hexadecimal digits");
    }
    faults.finish()?;
    Ok((upload_id, Photo { bytes, checksum }))
}

/// Whether what was said is what was found; if not, says what was found.
fn compare(claim: &Photo, found: &Photo) -> Result<(), Problem> {
    let mut faults = Fields::new();
    if claim.bytes != found.bytes {
        faults.add("bytes", format!("does not fit: the photo has {} bytes", found.bytes));
    }
    if claim.checksum != found.checksum {
        faults.add("checksum", format!("does not fit: the photo has {}", found.checksum));
    }
    faults.finish()
}

fn strict(ports: &impl Settings) -> Result<bool, Problem> {
    match ports.setting("verify").as_deref() {
        None | Some("strict") => Ok(true),
        Some("report") => Ok(false),
        Some(other) => {
            Err(Error::Other(format!("setting `verify` is `{other}`, not strict or report")).into())
        }
    }
}
