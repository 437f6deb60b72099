//! One request to a server outside, on behalf of the component whose schema asks for it. Where
//! it goes was granted and checked when the schema was loaded; the whole address is checked
//! again here, because arguments are part of it. Nothing of the caller goes along.

use http::{HeaderValue, Method, Response, StatusCode};
use monopod_core::Body;
use monopod_core::context::Context;
use monopod_core::name::ComponentName;
use monopod_core::outgoing::{self, Bounds, Fix, Outgoing, Refusal, grant_line, permit};

use super::call::{masked, timed_out};
use crate::error::{Failure, code};
use crate::schema::Outside;

/// How often a request is sent again that does no harm when it arrives twice: once for a
/// connection that broke, once for the server that was just replaced.
const RETRIES: u32 = 2;

/// Sends it; what came back, or what the client is told.
pub async fn send(
    outgoing: &dyn Outgoing,
    component: &ComponentName,
    outside: &Outside,
    mut request: http::Request<Body>,
    context: &Context,
) -> Result<Response<Body>, Failure> {
    let log = |to: &str, why: &str, fix: &str| {
        tracing::warn!(
            %component, correlation = %context.correlation, trace = %context.trace, to, why, fix,
            "a field's request to a server outside was refused"
        );
    };
    let permit = match permit(request.uri(), &*outside.granted) {
        Ok(permit) => permit,
        Err(Refusal { to, why, fix }) => {
            let fix = match fix {
                Fix::Grant(place) => grant_line(component, &*outside.granted, &place),
                Fix::Instead(instead) => instead.to_owned(),
            };
            log(&to, why, &fix);
            // The schema's own part is granted: it is the arguments that lead elsewhere.
            return Err(Failure::new(code::BAD_USER_INPUT, "The arguments cannot be parts of this address."));
        }
    };
    let headers = request.headers_mut();
    for (name, value) in &outside.headers {
        headers.insert(name.clone(), value.clone());
    }
    if let Ok(value) = HeaderValue::from_bytes(&context.trace.traceparent()) {
        headers.insert("traceparent", value);
    }
    let harmless = matches!(*request.method(), Method::GET | Method::PUT | Method::DELETE);
    let bounds = Bounds {
        deadline: context.deadline,
        connect: None,
        first_byte: None,
        between_bytes: None,
        body: outside.body,
        connections: outside.connections,
        retries: if harmless { RETRIES } else { 0 },
    };
    let to = format!("{}{}", permit.destination(), permit.target().path());
    let request = outgoing::Request { component: component.clone(), permit, request, bounds };
    outgoing.send(request).await.map_err(|error| match error {
        outgoing::Error::Address { address, kind, .. } => {
            let place = to.get(..to.rfind('/').map_or(to.len(), |end| end + 1)).unwrap_or(&to);
            let fix = grant_line(component, &*outside.granted, &format!("{place} at {address}"));
            log(&to, kind.as_str(), &fix);
            masked(context)
        }
        error => {
            tracing::warn!(
                %component, correlation = %context.correlation, trace = %context.trace, to, reason = %error,
                "a server outside did not answer a field"
            );
            told(&error, context)
        }
    })
}

fn told(error: &outgoing::Error, context: &Context) -> Failure {
    match error {
        outgoing::Error::TimedOut(_) => timed_out(context),
        outgoing::Error::Connections(_) => super::call::overloaded(context),
        _ => masked(context),
    }
}

/// What a client is told about a status of 4xx. The server talks to us and not to the client:
/// its words stay here, unless `errors` of the schema shows them, and who it thinks we are is
/// nobody else's business.
pub fn refusal(status: StatusCode, context: &Context) -> Failure {
    let (code, text) = match status {
        StatusCode::NOT_FOUND => (code::NOT_FOUND, "There is no such thing."),
        StatusCode::CONFLICT => (code::CONFLICT, "The state of the thing does not allow this."),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            (code::UNPROCESSABLE, "The input was not accepted.")
        }
        StatusCode::TOO_MANY_REQUESTS => return super::call::overloaded(context),
        _ => return masked(context),
    };
    Failure::new(code, text)
}
