//! `wasi:http` to servers outside: decided here by the caller's grants, sent by the port
//! [`monopod_core::outgoing`]. Called by `http`, for both versions of the interface.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use monopod_core::Body;
use monopod_core::context::{Context, TraceId};
use monopod_core::limit::Limit;
use monopod_core::outgoing::{self, Bounds, Fix, Outgoing, Permit, Phase, Refusal, permit};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use crate::load::Loaded;

/// How often the host may send the request again: the component says with it that sending it
/// twice does no harm. It never leaves the host.
const RETRIES: HeaderName = HeaderName::from_static("monopod-retries");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The one decision where a request may go; a refusal is logged with the line that would
/// change it.
pub(super) fn decide(uri: &http::Uri, caller: &Loaded, context: &Context) -> Result<Permit, Error> {
    permit(uri, &caller.component.grants.http).map_err(|Refusal { to, why, fix }| {
        let fix = match fix {
            Fix::Grant(place) => grant(caller, &place),
            Fix::Instead(instead) => instead.to_owned(),
        };
        refused(caller, context, &to, why, &fix);
        Error::HttpRequestDenied
    })
}

fn grant(caller: &Loaded, place: &str) -> String {
    outgoing::grant_line(&caller.component.name, &caller.component.grants.http, place)
}

/// Says what was refused, as often as the component's log rate allows.
pub(super) fn refused(caller: &Loaded, context: &Context, to: &str, why: &str, fix: &str) {
    if caller.may_log(to.len() + why.len() + fix.len()) {
        tracing::warn!(component = %caller.component.name, correlation = %context.correlation,
            trace = %context.trace, to, why, fix, "outgoing request refused");
    }
}

/// Sends what was decided. Identity does not go along, the trace does.
pub(super) async fn send(
    client: &dyn Outgoing,
    caller: &Arc<Loaded>,
    context: &Context,
    permit: Permit,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<http::Response<WasiBody>, Error> {
    let (mut parts, body) = request.into_parts();
    let retries = parts.headers.remove(RETRIES);
    trace(&mut parts.headers, context.trace);
    let body: Body = body.map_err(Into::into).boxed_unsync();
    let options = options.unwrap_or_default();
    let to = format!("{}{}", permit.destination(), permit.target().path());
    let request = outgoing::Request {
        component: caller.component.name.clone(),
        permit,
        request: http::Request::from_parts(parts, body),
        bounds: Bounds {
            deadline: context.deadline,
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
            body: caller.component.limits.outgoing_body,
            connections: caller.component.limits.connections,
            retries: retries.and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or(0),
        },
    };
    let began = std::time::Instant::now();
    match client.send(request).await {
        Ok(response) => {
            tracing::debug!(component = %caller.component.name, correlation = %context.correlation, trace = %context.trace,
                to, status = response.status().as_u16(), micros = micros(began.elapsed()), "outgoing request");
            let caller = caller.clone();
            let body = |body: Body| body.map_err(move |error| interrupted(&caller, &*error)).boxed_unsync();
            Ok(response.map(body))
        }
        Err(outgoing::Error::Address { name, address, kind }) => {
            let why = format!("`{name}` leads to {address}, {}", kind.as_str());
            let place = to.get(..to.rfind('/').map_or(to.len(), |end| end + 1)).unwrap_or(&to);
            refused(caller, context, &to, &why, &grant(caller, &format!("{place} at {address}")));
            Err(Error::DestinationIpProhibited)
        }
        Err(error) => {
            let why = reached(caller, &error).unwrap_or_else(|| error.to_string());
            if caller.may_log(to.len() + why.len()) {
                tracing::warn!(component = %caller.component.name, correlation = %context.correlation,
                    trace = %context.trace, to, error = why, micros = micros(began.elapsed()), "outgoing request failed");
            }
            Err(code(&error))
        }
    }
}

/// Counts the component's limit that `error` is about, and names its key; none: it is about
/// another, or about none.
fn reached(caller: &Loaded, error: &outgoing::Error) -> Option<String> {
    let component = &caller.component;
    let (limit, max) = match error {
        // All components together have a number of their own, above any component's.
        outgoing::Error::Connections(most) if *most == component.limits.connections => {
            (Limit::Connections, most as &dyn fmt::Display)
        }
        outgoing::Error::RequestSize(most) | outgoing::Error::ResponseSize(most) => {
            (Limit::OutgoingBody, most as &dyn fmt::Display)
        }
        _ => return None,
    };
    caller.account.hit(limit);
    Some(limit.reached(&component.name, max))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The action's trace goes along. A span of the component's own within it is left as it is.
fn trace(headers: &mut http::HeaderMap, trace: TraceId) {
    let own = headers.get(TRACEPARENT).and_then(|it| TraceId::from_traceparent(it.to_str().ok()?));
    if own != Some(trace)
        && let Ok(value) = HeaderValue::from_bytes(&trace.traceparent())
    {
        headers.insert(TRACEPARENT, value);
    }
}

/// Why a response's body is not whole.
fn interrupted(caller: &Loaded, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    match error.downcast_ref::<outgoing::Error>() {
        Some(error) => {
            let why = reached(caller, error).unwrap_or_else(|| error.to_string());
            tracing::debug!(component = %caller.component.name, error = why, "the response of an outgoing request broke off");
            code(error)
        }
        None => Error::HttpResponseIncomplete,
    }
}

/// What the component is told.
fn code(error: &outgoing::Error) -> Error {
    use outgoing::Error as E;
    match error {
        E::Resolve(_, why) => Error::DnsError { rcode: Some(why.clone()), info_code: None },
        E::Address { .. } => Error::DestinationIpProhibited,
        E::Connect(_) => Error::ConnectionRefused,
        E::Certificate(_) => Error::TlsCertificateError,
        E::Tls(_) => Error::TlsProtocolError,
        E::TimedOut(Phase::Connect) => Error::ConnectionTimeout,
        E::TimedOut(Phase::FirstByte) => Error::HttpResponseTimeout,
        E::TimedOut(Phase::Body) => Error::ConnectionReadTimeout,
        E::Connections(_) => Error::ConnectionLimitReached,
        E::Method(_) => Error::HttpRequestMethodInvalid,
        E::RequestSize(limit) => Error::HttpRequestBodySize(Some(limit.get())),
        E::RequestCut | E::Protocol(_) => Error::HttpProtocolError,
        E::HeadSize(limit) => Error::HttpResponseHeaderSectionSize(u32::try_from(limit.get()).ok()),
        E::ResponseSize(limit) => Error::HttpResponseBodySize(Some(limit.get())),
        E::Cut(Phase::Connect | Phase::FirstByte) => Error::ConnectionTerminated,
        E::Cut(Phase::Body) => Error::HttpResponseIncomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_goes_along_and_a_span_within_it_is_left() {
        let id = TraceId::new();
        let check = |given: Option<String>, kept: bool| {
            let mut headers = http::HeaderMap::new();
            if let Some(given) = &given {
                headers.insert(TRACEPARENT, given.parse().unwrap());
            }
            trace(&mut headers, id);
            let sent = headers.get(TRACEPARENT).and_then(|it| it.to_str().ok()).unwrap_or_default();
            assert_eq!(TraceId::from_traceparent(sent), Some(id));
            assert_eq!(given.as_deref() == Some(sent), kept);
        };
        check(None, false);
        let span = |of: TraceId| Some(String::from_utf8(of.traceparent().to_vec()).unwrap());
        check(span(TraceId::new()), false);
        check(Some("nonsense".to_owned()), false);
        check(span(id), true);
    }
}
