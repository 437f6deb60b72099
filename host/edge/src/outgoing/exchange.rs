//! One request of a component, from the decision that it may be sent to the response's head.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use monopod_core::outgoing::{Bounds, Destination, Error, Permit, Phase, Request};
use monopod_core::size::Size;
use monopod_core::{Body, full};
use tokio::time::{Instant, sleep, timeout_at};

use super::Inner;
use super::body::{Fault, Inbound, bounded};
use super::limits::{BETWEEN_BYTES, CONNECT, FIRST_BYTE, HEAD, HELD, PAUSE, RETRIES};
use super::pool::{Found, Key, Lane, Lease, Sender};

/// Headers that are between this host and the next, or that only this host may say.
const OURS: [HeaderName; 8] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// A request that can be sent more than once, but for its body.
struct Call {
    method: Method,
    headers: HeaderMap,
    permit: Permit,
    bounds: Bounds,
    deadline: Instant,
    key: Key,
    lane: Arc<Lane>,
    /// Whether the connection may be used again afterwards.
    keep: bool,
}

pub(super) async fn send(inner: Arc<Inner>, request: Request) -> Result<Response<Body>, Error> {
    let Request { component, permit, request, bounds } = request;
    let (mut parts, body) = request.into_parts();
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Error::Method(parts.method.to_string()));
    }
    for name in OURS {
        parts.headers.remove(name);
    }
    let call = Call {
        keep: !logs_in_connection(&parts.headers),
        key: Key { destination: permit.destination().clone(), networks: permit.networks().clone() },
        lane: inner.pool.lane(&component, bounds.connections),
        method: parts.method,
        headers: parts.headers,
        deadline: bounds.deadline.into(),
        permit,
        bounds,
    };
    match timeout_at(call.deadline, tries(&inner, &call, body)).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::TimedOut(Phase::FirstByte)),
    }
}

/// Whether what is said once counts for the connection (NTLM, Negotiate): then nobody else may
/// have it, not even this component on another caller's behalf.
fn logs_in_connection(headers: &HeaderMap) -> bool {
    let scheme = headers.get(header::AUTHORIZATION).map(|it| it.as_bytes().to_ascii_lowercase());
    scheme.is_some_and(|it| it.starts_with(b"ntlm") || it.starts_with(b"negotiate"))
}

/// Once, or as often as the component allows.
async fn tries(inner: &Inner, call: &Call, body: Body) -> Result<Response<Body>, Error> {
    let retries = call.bounds.retries.min(RETRIES);
    if retries == 0 {
        return once(inner, call, body).await;
    }
    let held = match hold(body, call.bounds.body).await? {
        Ok(held) => held,
        // Too large to be sent twice.
        Err(body) => return once(inner, call, body).await,
    };
    let mut tried = 0;
    loop {
        let answer = once(inner, call, full(held.clone())).await;
        let pause = if tried < retries { pause(&answer, tried) } else { None };
        let Some(pause) = pause.filter(|pause| Instant::now() + *pause < call.deadline) else {
            return answer;
        };
        drop(answer);
        sleep(pause).await;
        tried += 1;
    }
}

/// The whole body if it is small enough to be held, or the body as it was.
async fn hold(mut body: Body, limit: Size) -> Result<Result<Bytes, Body>, Error> {
    let mut held = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::RequestCut)?.into_data() else { continue };
        held.extend_from_slice(&data);
        if held.len() as u64 > limit.get() {
            return Err(Error::RequestSize(limit));
        }
        if held.len() > HELD {
            return Ok(Err(Chained { first: Some(held.into()), rest: body }.boxed_unsync()));
        }
    }
    Ok(Ok(held.into()))
}

/// What was read of a body, and the rest of it.
struct Chained {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Chained {
    type Data = Bytes;
    type Error = monopod_core::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match self.first.take() {
            Some(first) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(first)))),
            None => std::pin::Pin::new(&mut self.rest).poll_frame(cx),
        }
    }
}

/// How long to wait before another try; none if another one would not help.
fn pause(answer: &Result<Response<Body>, Error>, tried: u32) -> Option<Duration> {
    // Spread, so that many who failed together do not come back together.
    let step = PAUSE * 2_u32.saturating_pow(tried);
    let spread = step.mul_f64(0.5 + f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 256.0);
    match answer {
        Ok(response) if matches!(response.status().as_u16(), 502..=504) => {
            let after = response.headers().get(header::RETRY_AFTER);
            let seconds = after.and_then(|it| it.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            Some(seconds.unwrap_or_default().max(spread))
        }
        Err(
            Error::Resolve(..)
            | Error::Connect(_)
            | Error::Cut(Phase::Connect | Phase::FirstByte)
            | Error::TimedOut(Phase::Connect | Phase::FirstByte),
        ) => Some(spread),
        Ok(_) | Err(_) => None,
    }
}

async fn once(inner: &Inner, call: &Call, body: Body) -> Result<Response<Body>, Error> {
    let (mut body, fault) = bounded(body, call.bounds.body);
    let mut fresh = false;
    loop {
        let patience = call.bounds.connect.unwrap_or(CONNECT).min(CONNECT);
        let lease = timeout_at(Instant::now() + patience, lease(inner, call, fresh));
        let mut lease = lease.await.map_err(|_| Error::TimedOut(Phase::Connect))??;
        lease.keep = call.keep;
        let patience = call.bounds.first_byte.unwrap_or(FIRST_BYTE).min(FIRST_BYTE);
        let sent = lease.send(call, body);
        let sent = timeout_at(Instant::now() + patience, sent).await;
        match sent.map_err(|_| Error::TimedOut(Phase::FirstByte))? {
            Ok(response) => return answer(inner, call, lease, response, fault),
            // The server had closed it while it waited: nothing was sent.
            Err((_, Some(unsent))) if !lease.fresh => (body, fresh) = (unsent, true),
            Err((error, _)) => return Err(failed(&error, &fault)),
        }
    }
}

/// A connection for `call`: one that waits, or a new one.
async fn lease(inner: &Inner, call: &Call, fresh: bool) -> Result<Lease, Error> {
    match call.lane.find(&call.key, fresh || !call.keep).await? {
        Found::Kept(lease) => Ok(lease),
        Found::Room(place) => {
            let sender = inner.connect(&call.key, place).await?;
            Ok(if call.keep {
                call.lane.opened(&call.key, sender)
            } else {
                call.lane.alone(&call.key, sender)
            })
        }
    }
}

type Unsent = (hyper::Error, Option<Body>);

impl Lease {
    /// Sends the request; if it failed before a byte of it was written, the body comes back.
    async fn send(&mut self, call: &Call, body: Body) -> Result<Response<Incoming>, Unsent> {
        let mut request = http::Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        let (to, target) = (call.permit.destination(), call.permit.target());
        match &mut self.sender {
            Sender::One(sender) => {
                *request.uri_mut() = target.clone().into();
                if let Ok(host) = HeaderValue::from_maybe_shared(Bytes::from(to.authority())) {
                    request.headers_mut().insert(header::HOST, host);
                }
                unsent(sender.try_send_request(request).await)
            }
            Sender::Many(sender, _) => {
                *request.uri_mut() = absolute(to, target);
                *request.version_mut() = Version::HTTP_2;
                unsent(sender.try_send_request(request).await)
            }
        }
    }
}

fn unsent(
    sent: Result<Response<Incoming>, hyper::client::conn::TrySendError<http::Request<Body>>>,
) -> Result<Response<Incoming>, Unsent> {
    sent.map_err(|mut error| {
        let body = error.take_message().map(http::Request::into_body);
        (error.into_error(), body)
    })
}

fn absolute(to: &Destination, target: &http::uri::PathAndQuery) -> Uri {
    let scheme = if to.secure { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(to.authority()).path_and_query(target.clone());
    // Its parts came out of a URI: it cannot fail.
    uri.build().unwrap_or_default()
}

fn answer(
    inner: &Inner,
    call: &Call,
    lease: Lease,
    response: Response<Incoming>,
    fault: Arc<OnceLock<Fault>>,
) -> Result<Response<Body>, Error> {
    let limit = call.bounds.body;
    let (parts, incoming) = response.into_parts();
    if parts.status.is_informational() {
        return Err(Error::Protocol(format!("an answer of status {} that nobody asked for", parts.status)));
    }
    // That of HEAD tells the length of a body that does not come.
    if incoming.size_hint().exact().is_some_and(|length| length > limit.get()) {
        return Err(Error::ResponseSize(limit));
    }
    if incoming.is_end_stream() {
        lease.give_back();
        return Ok(Response::from_parts(parts, full("")));
    }
    let body = Inbound {
        incoming,
        left: limit.get(),
        limit,
        between: call.bounds.between_bytes.unwrap_or(BETWEEN_BYTES).min(BETWEEN_BYTES),
        deadline: call.deadline,
        timer: None,
        lease: Some(lease),
        fault,
        runtime: inner.runtime.clone(),
    };
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// Why no head came.
fn failed(error: &hyper::Error, fault: &OnceLock<Fault>) -> Error {
    match fault.get() {
        Some(fault) => (*fault).into(),
        None if error.is_parse_too_large() => Error::HeadSize(Size::bytes(HEAD as u64)),
        None if error.is_parse() => Error::Protocol(error.to_string()),
        None => Error::Cut(Phase::FirstByte),
    }
}
