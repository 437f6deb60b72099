//! The forms that OAuth's endpoints and the page are sent.

use axum::http::{StatusCode, header, request};
use http_body_util::BodyExt;

use super::Wrong;
use crate::body::Inbound;
use crate::limits::FORM_BODY;

/// The most fields that are looked at; the largest form has five.
const MAX_FIELDS: usize = 32;

/// A form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form from a body of at most `FORM_BODY` bytes.
    pub(super) async fn read(parts: &request::Parts, body: Inbound) -> Result<Self, Wrong> {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let text = "send a form: content-type application/x-www-form-urlencoded";
            return Err(Wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text.to_owned()));
        }
        let too_large = || {
            let text = format!("a form has at most {FORM_BODY} bytes");
            Wrong(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", text)
        };
        if body.declares_too_much() {
            return Err(too_large());
        }
        let bytes = body.collect().await.map_err(|_| too_large())?.to_bytes();
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(bytes)
                .take(MAX_FIELDS)
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    /// A query is a form too.
    pub(super) fn of_query(query: &str) -> Self {
        Self::parse(query.as_bytes())
    }

    /// The value of a field; none if it is missing or empty. Twice is an error (RFC 6749,
    /// section 3.2).
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Wrong> {
        let mut values = self.0.iter().filter(|(key, value)| key == name && !value.is_empty());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Wrong::new("invalid_request", format!("{name} is there twice"))),
            (value, None) => Ok(value.map(|(_, value)| value.as_str())),
        }
    }
}
