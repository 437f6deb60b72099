//! Answers the front door gives by itself, and how other rooms' errors become HTTP.
//! This is the one place that knows both.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use monopod_core::context::CorrelationId;
use monopod_core::identity::Refused;
use monopod_core::{blob, invoke};

pub(crate) type Answer = Response<Body>;

/// The header that ties together what one action of a client set off.
pub(crate) const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// For everything that is not a page: it may load, run and frame nothing.
pub(crate) const LOCKED: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON answer that no cache keeps.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `{"error": …, "code": …}`, as components answer too.
pub(crate) fn error(status: StatusCode, code: &str, text: &str) -> Answer {
    json(status, &serde_json::json!({ "error": text, "code": code }))
}

/// The answer to HEAD: the length the body would have had, without the body. hyper leaves
/// it out by itself for HTTP/1 only; over HTTP/2 it would break the stream.
pub(crate) fn head_only(response: &mut Answer) {
    let length = http_body::Body::size_hint(response.body()).exact();
    *response.body_mut() = Body::empty();
    // A length of 0 is what a body that was left out already says.
    if let Some(length) = length.filter(|length| *length > 0) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
}

/// A path nothing serves.
pub(crate) fn unknown() -> Answer {
    error(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing under this path")
}

/// A request that is no proper HTTP.
pub(crate) fn malformed(why: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, "BAD_REQUEST", why)
}

/// A method that means nothing here.
pub(crate) fn method(allow: &'static str) -> Answer {
    let text = format!("only {allow} can be used here");
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &text);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A body that says it is larger than allowed.
pub(crate) fn too_large(max: u64) -> Answer {
    let text = format!("the body is larger than the {max} bytes allowed here");
    error(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", &text)
}

/// A token that is not accepted, in the shape of a GraphQL answer (RFC 6750 beside it).
pub(crate) fn refused(refused: &Refused) -> Answer {
    let (status, code) = match refused {
        Refused::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        Refused::Expired | Refused::Invalid(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
    };
    let text = refused.to_string();
    let body = serde_json::json!({ "errors": [{ "message": text, "extensions": { "code": code } }] });
    let mut response = json(status, &body);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{text}\"");
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
    } else {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Why a component gave no answer. The reason goes to the log, not to the client.
pub(crate) fn failed(failure: &invoke::Error, correlation: &CorrelationId) -> Answer {
    use invoke::Error as E;
    let (status, code) = match failure {
        E::NotServed(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        E::Trapped { .. } => (StatusCode::BAD_GATEWAY, "UPSTREAM_ERROR"),
        E::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "TIMEOUT"),
        E::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"),
        E::CircuitOpen { .. } => (StatusCode::SERVICE_UNAVAILABLE, "CIRCUIT_OPEN"),
        E::Store { .. } => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    };
    let text = match failure {
        E::NotServed(_) => "there is nothing under this path",
        E::Trapped { .. } => "the service could not answer",
        E::TimedOut(_) => "the service did not answer in time",
        E::Overloaded { .. } => "the service has too much to do; try again",
        E::CircuitOpen { .. } => {
            "the service failed repeatedly and is left alone for a while; try again later"
        }
        E::Store { .. } => "the service cannot keep anything now; try again",
    };
    tracing::warn!(%correlation, error = failure as &dyn std::error::Error, "a component gave no answer");
    let mut response = error(status, code, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let wait = match failure {
            // Rounded up: a second too early would be refused again.
            E::CircuitOpen { retry_after, .. } => retry_after.as_secs() + 1,
            _ => 1,
        };
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
}

/// Why a blob was not read or written.
pub(crate) fn blob(failure: &blob::Error, correlation: &CorrelationId) -> Answer {
    use blob::Error as E;
    let (status, code) = match failure {
        E::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        E::Invalid(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        E::BadSignature => (StatusCode::FORBIDDEN, "BAD_SIGNATURE"),
        E::Expired => (StatusCode::FORBIDDEN, "EXPIRED"),
        E::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"),
        E::Interrupted => (StatusCode::BAD_REQUEST, "INTERRUPTED"),
        E::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    };
    if matches!(failure, E::Unavailable(_)) {
        tracing::warn!(%correlation, error = failure as &dyn std::error::Error, "a blob could not be served");
    }
    error(status, code, &failure.to_string())
}

/// What every answer of this door carries.
pub(crate) fn finish(headers: &mut HeaderMap, correlation: &CorrelationId) {
    if let Ok(value) = HeaderValue::from_str(correlation.as_str()) {
        headers.insert(CORRELATION, value);
    }
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
}

/// What every answer but GraphQL's carries besides, unless it says something else: a
/// page brings a policy of its own.
pub(crate) fn lock(headers: &mut HeaderMap) {
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(LOCKED);
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
}
