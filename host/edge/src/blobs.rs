//! `/blobs/…`: pre-signed reading and writing of objects. The signature is all the
//! authority there is; a token beside it is not looked at.
//!
//! A request that will be refused is refused before its body is read: no byte of it is
//! asked for (`100 Continue`) or taken in.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode, request};
use http_body_util::BodyExt;
use monopod_core::blob::{Access, Blobs, Error, Info, Location};
use monopod_core::context::CorrelationId;
use serde_json::json;
use tokio::time::Instant;

use crate::answer::{self, Answer};
use crate::body::Inbound;
use crate::limits::{BLOB_TIME, BUFFER};

/// What a browser can show without running anything.
const SHOWN: [&str; 5] = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"];

/// Answers one request.
pub(crate) async fn serve(
    blobs: &dyn Blobs,
    parts: &request::Parts,
    body: Inbound,
    correlation: &CorrelationId,
) -> Answer {
    if parts.method != Method::GET && parts.method != Method::PUT {
        return answer::method("GET, PUT");
    }
    let signed = parts.uri.path_and_query().map_or("", |it| it.as_str());
    let permit = match blobs.verify(&parts.method, signed) {
        Ok(permit) => permit,
        Err(failure) => return answer::blob(&failure, correlation),
    };
    let answered = match (&parts.method, &permit.access) {
        (&Method::PUT, Access::Put { content_type, max_size }) => {
            if let Some(refusal) = unfit(&parts.headers, content_type) {
                return refusal;
            }
            if body.declared().is_some_and(|length| length > *max_size) {
                return answer::blob(&Error::TooLarge { max: *max_size }, correlation);
            }
            // The store counts too and says it better; this bound is only behind it.
            let body = body.within(max_size.saturating_add(BUFFER as u64), Instant::now() + BLOB_TIME);
            put(blobs, &permit.location, content_type, *max_size, body).await
        }
        (&Method::GET, Access::Get) => get(blobs, &permit.location).await,
        _ => Err(Error::BadSignature),
    };
    answered.unwrap_or_else(|failure| answer::blob(&failure, correlation))
}

/// Why the headers do not fit what was signed.
fn unfit(headers: &HeaderMap, content_type: &str) -> Option<Answer> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    if !sent.trim().eq_ignore_ascii_case(content_type) {
        let text = format!("this URL takes content-type {content_type}, not {sent}");
        return Some(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", &text));
    }
    // Kept as sent, such an object would not be of its type.
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let text = "send the object itself, without a content-encoding";
        return Some(answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_ENCODING", text));
    }
    None
}

async fn put(
    blobs: &dyn Blobs,
    at: &Location,
    content_type: &str,
    max_size: u64,
    body: Inbound,
) -> Result<Answer, Error> {
    let info = blobs.write(at, content_type, max_size, body.boxed_unsync()).await?;
    let mut response = answer::json(StatusCode::OK, &json!({ "size": info.size, "sha256": info.sha256 }));
    tag(response.headers_mut(), &info);
    answer::lock(response.headers_mut());
    Ok(response)
}

async fn get(blobs: &dyn Blobs, at: &Location) -> Result<Answer, Error> {
    let (info, body) = blobs.open(at).await?;
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    let shown = SHOWN.iter().any(|shown| info.content_type.eq_ignore_ascii_case(shown));
    let plain = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&info.content_type).unwrap_or(plain));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(info.size));
    headers.insert(header::CONTENT_DISPOSITION, disposition(&at.key, shown));
    // Whatever it is, it runs nothing and belongs to no origin.
    let sandbox = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, sandbox);
    // The URL is a secret of its holder, and so is what lies behind it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
    tag(headers, &info);
    answer::lock(headers);
    Ok(response)
}

/// Inline only for pictures; anything else is saved, never opened in our origin.
fn disposition(key: &str, shown: bool) -> HeaderValue {
    let kind = if shown { "inline" } else { "attachment" };
    let name: String = key
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        .collect();
    HeaderValue::try_from(format!("{kind}; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

fn tag(headers: &mut HeaderMap, info: &Info) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", info.sha256)) {
        headers.insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_open_in_the_browser_and_a_file_name_cannot_break_out() {
        assert_eq!(disposition("images/2026/a.jpg", true), "inline; filename=\"a.jpg\"");
        assert_eq!(disposition("a/page.html", false), "attachment; filename=\"page.html\"");
        assert_eq!(disposition("a/x\"\r\ny", false), "attachment; filename=\"xy\"");
    }
}
