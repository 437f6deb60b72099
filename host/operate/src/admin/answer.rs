//! The answers: whole, small, and kept by no cache.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

pub(crate) type Answer = Response<Full<Bytes>>;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// The page runs its own script and style, asks its own door, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub(crate) fn error(status: StatusCode, text: &str) -> Answer {
    new(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// The page and its parts, if `path` is one.
pub(crate) fn page(path: &str) -> Option<Answer> {
    let (content_type, body) = match path {
        "/admin" => ("text/html; charset=utf-8", PAGE),
        "/admin/page.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "/admin/page.css" => ("text/css; charset=utf-8", STYLE),
        _ => return None,
    };
    Some(new(StatusCode::OK, content_type, body))
}

/// Somewhere else on this door.
pub(crate) fn elsewhere(path: &'static str) -> Answer {
    let mut response = error(StatusCode::FOUND, path);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(path));
    response
}
