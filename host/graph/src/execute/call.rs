//! One call to a component, and what its answer means to a GraphQL client.
//!
//! A component's refusal (4xx) is meant for the client and is passed on as far as it has
//! the agreed shape; its failures (5xx, traps, time) are ours and are masked: the client
//! gets the correlation id, the log gets the reason.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use monopod_core::context::Context;
use monopod_core::invoke;
use monopod_core::name::ComponentName;
use tokio::time::timeout_at;

use super::outside;
use crate::body;
use crate::error::{Failure, code};
use crate::graph::Ports;
use crate::json::Json;
use crate::mapping::value::Scope;
use crate::schema::{Connect, Errors, Outside};

/// The largest answer that is taken from a component, in bytes. The engine bounds bodies
/// by each component's own limit; this holds whatever is configured there.
const MAX_ANSWER: usize = 64 << 20;
/// The longest text of a component that is shown to a client, in characters.
const MAX_TEXT: usize = 500;
/// The most fields with errors, and errors of one field, that are passed on.
const MAX_FIELD_ERRORS: usize = 100;

/// A request to a component. Two that are equal have the same answer within one query: all
/// of an operation's calls are made for the same caller.
#[derive(Debug, PartialEq, Eq)]
pub struct Call<'r> {
    component: &'r ComponentName,
    outside: Option<&'r Outside>,
    method: &'r Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// What a component answered.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl<'r> Call<'r> {
    /// The call of a field with these arguments.
    pub fn new(connect: &'r Connect, scope: &Scope<'_, '_>) -> Result<Self, Failure> {
        let Connect { component, outside, method, path, fixed, headers, body, .. } = connect;
        let uri = match fixed {
            Some(uri) => uri.clone(),
            None => path
                .expand(scope)
                .map_err(|unfit| format!("{} {}.", unfit.expression, unfit.reason))
                .and_then(|path| {
                    connect.uri(&path).ok_or_else(|| "The arguments are too long for a path.".to_owned())
                })
                .map_err(|message| Failure::new(code::BAD_USER_INPUT, message))?,
        };
        let body = body.as_ref().map(|value| {
            let mut out = Vec::with_capacity(256);
            scope.write(value, scope.args, &mut out);
            Bytes::from(out)
        });
        let headers =
            headers.iter().filter_map(|(name, value)| Some((name.clone(), value.expand(scope)?))).collect();
        Ok(Self { component, outside: outside.as_ref(), method, uri, headers, body })
    }

    /// Whom it asks.
    pub fn component(&self) -> &'r ComponentName {
        self.component
    }

    /// Makes the call; an answer whatever its status, or what the client is told.
    pub async fn send(&self, ports: &Ports, context: &Context) -> Result<Reply, Failure> {
        let mut request = Request::new(monopod_core::full(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        }
        let exchange = async {
            let response = match self.outside {
                None => ports.components.http(self.component, request, context).await?,
                Some(outside) => {
                    let sent = outside::send(&*ports.outgoing, self.component, outside, request, context);
                    sent.await.map_err(Broken::Outside)?
                }
            };
            let (parts, body) = response.into_parts();
            let body = body::read(body, MAX_ANSWER).await.map_err(Broken::Body)?;
            Ok(Reply { status: parts.status, body })
        };
        match timeout_at(context.deadline.into(), exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Broken::Outside(failure))) => Err(failure),
            Ok(Err(Broken::Invocation(invoke::Error::TimedOut(_)))) | Err(_) => {
                tracing::warn!(
                    component = %self.component, correlation = %context.correlation,
                    uri = %self.uri, "a component did not answer a field in time"
                );
                Err(timed_out(context))
            }
            Ok(Err(broken)) => {
                tracing::warn!(
                    component = %self.component, correlation = %context.correlation,
                    uri = %self.uri, reason = %broken, "a component did not answer a field"
                );
                Err(match broken {
                    Broken::Invocation(error) => failed(&error, context),
                    Broken::Outside(failure) => failure,
                    Broken::Body(_) => masked(context),
                })
            }
        }
    }
}

/// The time is over.
pub fn timed_out(context: &Context) -> Failure {
    ours(code::TIMED_OUT, "The service did not answer in time.", context)
}

/// There is too much to do.
pub fn overloaded(context: &Context) -> Failure {
    ours(code::OVERLOADED, "The service has too much to do now; try again.", context)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Invocation(#[from] invoke::Error),
    #[error("{}", .0.message)]
    Outside(Failure),
    #[error("{0}")]
    Body(body::Error),
}

/// What a client is told when there was no answer. It learns what it can act upon, that trying
/// again may help, and nothing of the reason.
pub fn failed(error: &invoke::Error, context: &Context) -> Failure {
    match error {
        invoke::Error::Overloaded { .. } => overloaded(context),
        invoke::Error::CircuitOpen { retry_after, .. } => {
            let text = "The service failed repeatedly and is left alone for a while; try again later.";
            ours(code::UNAVAILABLE, text, context).with("retryAfter", Json::Large(retry_after.as_secs() + 1))
        }
        invoke::Error::Store { .. } => {
            ours(code::UNAVAILABLE, "The service cannot keep anything now; try again.", context)
        }
        invoke::Error::TimedOut(_) => timed_out(context),
        invoke::Error::NotServed(_) | invoke::Error::Trapped { .. } => masked(context),
    }
}

/// Whether an answer is what was asked for; if not, what the client is told. `status` is the
/// answer's, as the mapping sees it.
pub fn judge(
    connect: &Connect,
    reply: &Reply,
    scope: &Scope<'_, '_>,
    context: &Context,
) -> Result<(), Failure> {
    let good = match &connect.success {
        None => reply.status.is_success(),
        Some(tests) => tests.iter().all(|(value, wanted)| scope.find(value) == wanted),
    };
    if good {
        return Ok(());
    }
    let Errors { message, extensions } = &connect.errors;
    // Where the schema says what may be told, the component has marked it as public.
    let mut failure = if reply.status.is_client_error() {
        match connect.outside {
            None => refusal(reply.status, scope.whole),
            Some(_) => outside::refusal(reply.status, context),
        }
    } else {
        tracing::warn!(
            component = %connect.component, correlation = %context.correlation,
            status = reply.status.as_u16(), "a component failed to answer a field"
        );
        masked(context)
    };
    let text = message.as_ref().and_then(|value| scope.find(value).as_str()).and_then(public_text);
    if let Some(text) = text {
        failure.message = Cow::Owned(text);
    }
    if let Some(value) = extensions {
        let mut out = Vec::new();
        scope.write(value, scope.whole, &mut out);
        if let Ok(Json::Object(entries)) = Json::parse(&out).map(Json::into_owned) {
            failure.extend(entries.into_iter().take(MAX_FIELD_ERRORS));
        }
    }
    Err(failure)
}

/// Whatever went wrong inside: the client gets an id to ask about.
pub fn masked(context: &Context) -> Failure {
    ours(code::UPSTREAM_ERROR, "The service could not answer.", context)
}

fn ours(code: &'static str, text: &'static str, context: &Context) -> Failure {
    Failure::new(code, text)
        .with("correlationId", Json::String(context.correlation.as_str().to_owned().into()))
}

/// An answer that is not JSON.
pub fn unreadable(component: &ComponentName, error: &serde_json::Error, context: &Context) -> Failure {
    tracing::warn!(%component, correlation = %context.correlation, %error, "a component's answer is not JSON");
    masked(context)
}

/// What a client is told about a component's 4xx.
fn refusal(status: StatusCode, body: &Json<'_>) -> Failure {
    let text = body.get("error").and_then(Json::as_str).and_then(public_text);
    let own = body.get("code").and_then(Json::as_str).filter(|own| is_code(own));
    let http = Json::Object(vec![("status".into(), Json::Int(status.as_u16().into()))]);
    let (known, fallback) = match status {
        StatusCode::UNPROCESSABLE_ENTITY => (Some(code::UNPROCESSABLE), "The input was not accepted."),
        StatusCode::UNAUTHORIZED => (Some(code::UNAUTHENTICATED), "The service needs to know who asks."),
        StatusCode::FORBIDDEN => (Some(code::FORBIDDEN), "The service does not allow this."),
        StatusCode::NOT_FOUND => (Some(code::NOT_FOUND), "There is no such thing."),
        StatusCode::CONFLICT => (Some(code::CONFLICT), "The state of the thing does not allow this."),
        _ => (None, "The service refused the request."),
    };
    let mut failure = Failure::new(known.unwrap_or(code::REFUSED), fallback).with("http", http);
    if let Some(text) = text {
        failure.message = Cow::Owned(text);
    }
    match (known, own) {
        (None, Some(own)) => failure.code = Cow::Owned(own.to_owned()),
        (Some(known), Some(own)) if known != own => {
            failure = failure.with("reason", Json::String(own.to_owned().into()));
        }
        _ => {}
    }
    if status == StatusCode::UNPROCESSABLE_ENTITY
        && let Some(errors) = field_errors(body)
    {
        failure = failure.with("errors", errors);
    }
    failure
}

/// `{field: [texts]}`, if the answer has it; anything else in it is left out.
fn field_errors(body: &Json<'_>) -> Option<Json<'static>> {
    let Some(Json::Object(fields)) = body.get("errors") else { return None };
    let texts = |value: &Json<'_>| match value {
        Json::Array(items) => {
            let good = items.iter().filter_map(|item| item.as_str().and_then(public_text));
            Some(Json::Array(good.take(MAX_FIELD_ERRORS).map(|text| Json::String(text.into())).collect()))
        }
        Json::String(text) => Some(Json::Array(vec![Json::String(public_text(text)?.into())])),
        _ => None,
    };
    let fields: Vec<_> = fields
        .iter()
        .take(MAX_FIELD_ERRORS)
        .filter_map(|(name, value)| Some((Cow::Owned(public_text(name)?), texts(value)?)))
        .collect();
    (!fields.is_empty()).then_some(Json::Object(fields))
}

/// A text that may be shown: not empty, of one line, of bounded length.
pub fn public_text(text: &str) -> Option<String> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
    (!shown.trim().is_empty()).then_some(shown)
}

pub fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_learns_what_may_pass_and_nothing_of_the_reason() {
        use monopod_core::context::{CorrelationId, TraceId};
        use monopod_core::{identity::Principal, store};
        let context = Context {
            principal: Principal::Anonymous,
            correlation: CorrelationId::new(),
            trace: TraceId::new(),
            deadline: std::time::Instant::now(),
            callers: Default::default(),
        };
        let component: ComponentName = "ingestion".parse().unwrap();
        let full = store::Error::Unavailable("secret".to_owned());
        for (error, code) in [
            (invoke::Error::Overloaded { component: component.clone(), reason: "secret" }, code::OVERLOADED),
            (invoke::Error::Store { component: component.clone(), source: full }, code::UNAVAILABLE),
            (
                invoke::Error::CircuitOpen {
                    component: component.clone(),
                    retry_after: std::time::Duration::from_secs(1),
                },
                code::UNAVAILABLE,
            ),
            (invoke::Error::Trapped { component, reason: "secret".to_owned() }, code::UPSTREAM_ERROR),
        ] {
            let failure = failed(&error, &context);
            assert_eq!(failure.code, code);
            let mut told = Vec::new();
            failure.write(&mut told);
            let told = String::from_utf8(told).unwrap();
            assert!(told.contains(context.correlation.as_str()) && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn a_refusal_keeps_what_has_the_agreed_shape_and_nothing_else() {
        for (status, body, expected) in [
            (
                422,
                r#"{"errors":{"filename":["Required","too long"],"x":7,"y":[1]},"stack":"at main"}"#,
                r#"{"message":"The input was not accepted.","extensions":{"code":"UNPROCESSABLE","http":{"status":422},"errors":{"filename":["Required","too long"],"y":[]}}}"#,
            ),
            (
                404,
                "<html>nginx</html>",
                r#"{"message":"There is no such thing.","extensions":{"code":"NOT_FOUND","http":{"status":404}}}"#,
            ),
            (
                409,
                r#"{"error":"The bytes differ.","code":"CHECKSUM_MISMATCH"}"#,
                r#"{"message":"The bytes differ.","extensions":{"code":"CONFLICT","http":{"status":409},"reason":"CHECKSUM_MISMATCH"}}"#,
            ),
            (
                410,
                r#"{"error":"It has\u0000 expired.\n","code":"EXPIRED"}"#,
                r#"{"message":"It has expired.","extensions":{"code":"EXPIRED","http":{"status":410}}}"#,
            ),
            (
                400,
                r#"{"error":7,"code":"not a code"}"#,
                r#"{"message":"The service refused the request.","extensions":{"code":"UPSTREAM_REFUSED","http":{"status":400}}}"#,
            ),
            (
                403,
                "",
                r#"{"message":"The service does not allow this.","extensions":{"code":"FORBIDDEN","http":{"status":403}}}"#,
            ),
            (
                401,
                "[]",
                r#"{"message":"The service needs to know who asks.","extensions":{"code":"UNAUTHENTICATED","http":{"status":401}}}"#,
            ),
        ] {
            let body = Json::parse(body.as_bytes()).unwrap_or(Json::Null);
            let mut out = Vec::new();
            refusal(StatusCode::from_u16(status).unwrap(), &body).write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{status}");
        }
    }
}
