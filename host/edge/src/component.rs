//! A component's own REST interface, under the prefix the platform file gives it.

use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use monopod_core::context::Context;
use monopod_core::invoke::Components;
use monopod_core::name::ComponentName;
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::body::{Fault, Inbound};
use crate::headers;

/// Hands a request to a component and returns its answer. `path` is normalised; the
/// caller is in `context` and nowhere else.
pub(crate) async fn call(
    components: &dyn Components,
    name: &ComponentName,
    parts: axum::http::request::Parts,
    path: &str,
    mut body: Inbound,
    context: &Context,
) -> Answer {
    if body.declares_too_much() {
        return answer::too_large(crate::limits::COMPONENT_BODY);
    }
    let Some(target) = target(&parts.uri, path) else {
        return answer::malformed("the path and query cannot be read");
    };
    let fault = body.watch();
    let mut request =
        Request::new(if body.is_empty() { monopod_core::full("") } else { body.boxed_unsync() });
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target.into();
    *request.headers_mut() = parts.headers;
    headers::strip_request(request.headers_mut());

    let answered = timeout(context.remaining(), components.http(name, request, context)).await;
    match answered {
        Ok(Ok(response)) => respond(&parts.method, response),
        // A component that fails over a client's broken body has not failed.
        Ok(Err(_)) if fault.get().is_some() => match fault.get() {
            Some(Fault::TooLarge(max)) => answer::too_large(*max),
            _ => answer::error(
                StatusCode::REQUEST_TIMEOUT,
                "INCOMPLETE",
                "the body did not come, or not in time",
            ),
        },
        Ok(Err(failure)) => answer::failed(&failure, &context.correlation),
        Err(_) => {
            let failure = monopod_core::invoke::Error::TimedOut(name.clone());
            answer::failed(&failure, &context.correlation)
        }
    }
}

/// Path and query as the component sees them; nearly always those that were sent.
fn target(sent: &Uri, path: &str) -> Option<PathAndQuery> {
    match (sent.path_and_query(), sent.query()) {
        (Some(same), _) if same.path() == path => Some(same.clone()),
        (_, Some(query)) => format!("{path}?{query}").parse().ok(),
        (_, None) => path.parse().ok(),
    }
}

fn respond(method: &Method, response: Response<monopod_core::Body>) -> Answer {
    let (mut parts, body) = response.into_parts();
    // 101 and its kin are between this door and the client.
    if parts.status.is_informational() {
        return answer::error(StatusCode::BAD_GATEWAY, "UPSTREAM_ERROR", "the service could not answer");
    }
    headers::strip_response(&mut parts.headers);
    unless_true_drop_length(method, &mut parts.headers, &body);
    answer::lock(&mut parts.headers);
    Response::from_parts(parts, Body::new(body))
}

/// A length that is not the body's would let the next answer be read as part of this one.
fn unless_true_drop_length(method: &Method, headers: &mut HeaderMap, body: &monopod_core::Body) {
    let exact = http_body::Body::size_hint(body).exact();
    let mut declared = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, second) = (declared.next(), declared.next());
    let length = first.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    // The answer to HEAD tells the length of a body it does not have.
    let fits = if method == Method::HEAD { length.is_some() } else { exact.is_some() && exact == length };
    if !fits || second.is_some() {
        headers.remove(header::CONTENT_LENGTH);
    }
}
