//! Requests and responses, as components see them.
//!
//! Routes are matched with plain patterns over the segments of the path:
//!
//! ```
//! # use monopod_sdk::http::*;
//! fn route(request: &Request) -> Result<Response, Problem> {
//!     match (request.method(), request.segments().as_slice()) {
//!         (Method::Get, ["v1", "ping"]) => Ok(Response::text("pong")),
//!         (Method::Get, ["v1", "things", id]) => Ok(Response::text(format!("thing {id}"))),
//!         _ => Err(Problem::no_route(request)),
//!     }
//! }
//! # assert_eq!(route(&Request::new(Method::Get, "/v1/things/7?x=1")).map(|r| r.status), Ok(200));
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::problem::{Fields, Problem};

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Any other; no component of ours takes one.
    Other,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "method",
        })
    }
}

/// A request. Headers and body are fetched from the host when they are asked for.
#[derive(Debug)]
pub struct Request {
    method: Method,
    target: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "made in native tests"))]
    Parts { headers: Vec<(String, String)>, body: Vec<u8> },
    #[cfg(target_arch = "wasm32")]
    Host(crate::shell::Incoming),
}

impl Request {
    /// A request without headers and body, for tests. `target` is path and query.
    pub fn new(method: Method, target: &str) -> Self {
        let source = Source::Parts { headers: Vec::new(), body: Vec::new() };
        Self { method, target: target.into(), source }
    }

    /// A POST of JSON, for tests.
    pub fn post(target: &str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let headers = vec![("content-type".into(), "application/json".into())];
        Self { method: Method::Post, target: target.into(), source: Source::Parts { headers, body } }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn incoming(method: Method, target: String, incoming: crate::shell::Incoming) -> Self {
        Self { method, target, source: Source::Host(incoming) }
    }

    /// Its method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path, as it was sent.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The segments of the path, as they were sent (not percent-decoded), without empty ones
    /// at the beginning and end.
    pub fn segments(&self) -> Vec<&str> {
        self.path().trim_matches('/').split('/').collect()
    }

    /// The first value of a query parameter, decoded. None if it is not there or empty.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(found, _)| decode(found) == name)?;
        Some(decode(value)).filter(|value| !value.is_empty())
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        match &self.source {
            Source::Parts { headers, .. } => {
                headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
            }
            #[cfg(target_arch = "wasm32")]
            Source::Host(incoming) => incoming.header(name),
        }
    }

    /// The body, if it is no larger than `limit` bytes; otherwise 413.
    pub fn body(self, limit: usize) -> Result<Vec<u8>, Problem> {
        let body = match self.source {
            Source::Parts { body, .. } => body,
            #[cfg(target_arch = "wasm32")]
            Source::Host(incoming) => incoming.body(limit)?,
        };
        if body.len() > limit { Err(Problem::too_large(limit)) } else { Ok(body) }
    }

    /// The body, read as JSON. What cannot be read is answered with 400 and where it fails.
    pub fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, Problem> {
        let body = self.body(limit)?;
        serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("The body cannot be read: {error}.")))
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Names in lower case. `content-length` is added.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The content.
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer of `status` with `body` and its content type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let headers = vec![(Cow::Borrowed("content-type"), Cow::Borrowed(content_type))];
        Self { status, headers, body: body.into() }
    }

    /// An answer written as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(status, "application/json", body),
            Err(_) => Self::new(500, "text/plain; charset=utf-8", &b"The answer cannot be written."[..]),
        }
    }

    /// 200 with JSON that stands already.
    pub fn raw_json(body: &'static str) -> Self {
        Self::new(200, "application/json", body.as_bytes())
    }

    /// 200 with text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// With a header more; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// The body, read as JSON.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, crate::ports::Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            crate::ports::Error::Damaged(format!(
                "the answer of status {} cannot be read: {error}",
                self.status
            ))
        })
    }
}

/// Decodes `%xx` and `+` of a query. What is no UTF-8 afterwards is replaced.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match hex_pair(bytes.clone()) {
                Some(value) => {
                    bytes.nth(1);
                    value
                }
                None => b'%',
            },
            _ => byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The value of the two hexadecimal digits that come next.
fn hex_pair(mut ahead: std::str::Bytes<'_>) -> Option<u8> {
    let mut digit = || char::from(ahead.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart_into_segments_and_query() {
        let request = Request::new(Method::Get, "/v1/uploads/?limit=20&after=a%2Fb+c%zz&empty=");
        assert_eq!(request.segments(), ["v1", "uploads"]);
        assert_eq!(request.path(), "/v1/uploads/");
        assert_eq!(request.query("limit").as_deref(), Some("20"));
        assert_eq!(request.query("after").as_deref(), Some("a/b c%zz"));
        assert_eq!(request.query("empty"), None);
        assert_eq!(request.query("no"), None);
        assert_eq!(Request::new(Method::Get, "/").segments(), [""]);
    }

    #[test]
    fn field_errors_have_the_shape_that_clients_know() {
        let response = Response::from(Problem::field("bytes", "GreaterThanZero"));
        assert_eq!(
            (response.status, &*response.body),
            (422, &br#"{"errors":{"bytes":["GreaterThanZero"]}}"#[..])
        );
        let response = Response::from(Problem::conflict("NOT_UPLOADED", "No."));
        assert_eq!(
            (response.status, &*response.body),
            (409, &br#"{"error":"No.","code":"NOT_UPLOADED"}"#[..])
        );
    }

    #[test]
    fn a_body_over_the_limit_or_not_json_is_refused() {
        let status = |problem: Problem| Response::from(problem).status;
        let request = Request::post("/", &"x".repeat(100));
        assert_eq!(request.body(101).map_err(status), Err(413));
        let request = Request::post("/", &"x");
        assert_eq!(request.json::<u32>(100).map_err(status), Err(400));
    }
}
