//! Requests: what a guest is handed, and how its response is gathered.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http_body_util::BodyExt;
use monopod_core::component::Component;
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::name::ComponentName;
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;
use monopod_core::{Body, full};
use wasmtime::Store;
use wasmtime::component::Instance;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::call::Ran;
use super::counted::counted;
use super::service;
use crate::guest::Guest;
use crate::load::{Http, Loaded};
use crate::reached::Reached;
use crate::{Shared, reached};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl Shared {
    pub(crate) async fn http(
        &self,
        component: &ComponentName,
        request: http::Request<Body>,
        context: &Context,
    ) -> Result<http::Response<Body>, Error> {
        let loaded = self.loaded(component)?;
        match (&loaded.http, &loaded.function) {
            (Some(_), _) => counted(loaded, Kind::Request, self.service(loaded, request, context)).await,
            (None, Some(handler)) => {
                counted(loaded, Kind::Request, self.function(loaded, handler, request, context)).await
            }
            (None, None) => Err(Error::NotServed(component.clone())),
        }
    }

    /// Calls a component's HTTP handler.
    async fn service(
        &self,
        loaded: &Arc<Loaded>,
        request: http::Request<Body>,
        context: &Context,
    ) -> Result<http::Response<Body>, Error> {
        let call = self.enter(loaded, context).await?;
        let (parts, body) = request.into_parts();
        let body = match call.in_time(read(body, loaded.component.limits.body.as_usize())).await? {
            Ok(body) => body,
            Err(unread) => return Ok(refusal(loaded, &unread)),
        };
        let parts = prepare(parts, loaded.authority.clone(), &call.context);
        call.run(Cause::Request, |store, instance| {
            let request = http::Request::from_parts(parts.clone(), body.clone());
            match &loaded.http {
                Some(Http::P3(handler)) => Box::pin(service::answer(store, instance, handler, request)),
                _ => Box::pin(answer(store, instance, request)),
            }
        })
        .await
    }
}

/// A request as the guest will see it: addressed to it, with the ids of its action.
fn prepare(mut parts: http::request::Parts, authority: Authority, context: &Context) -> http::request::Parts {
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(http::uri::Scheme::HTTP);
    uri.authority = Some(authority);
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    // It has all three, and each is one already: it cannot fail.
    parts.uri = http::Uri::from_parts(uri).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(context.correlation.as_str()) {
        parts.headers.insert(CORRELATION, value);
    }
    if let Ok(value) = HeaderValue::from_bytes(&context.trace.traceparent()) {
        parts.headers.insert(TRACEPARENT, value);
    }
    parts
}

/// Calls the guest's HTTP handler and gathers its response, head and body.
async fn answer(
    mut store: Store<Guest>,
    instance: Instance,
    request: http::Request<Bytes>,
) -> Ran<http::Response<Body>> {
    let loaded = store.data().loaded.clone();
    let head = request.method() == http::Method::HEAD;
    let (send, receive) = tokio::sync::oneshot::channel();
    let guest = async {
        let result = handle(&mut store, &instance, request, send).await;
        // With the store go the ends of response and body that the guest left open, so that
        // nobody waits for what can no longer come.
        let unit = store.into_data().unit;
        result.map(|()| unit)
    };
    let (unit, response) = futures_util::future::join(guest, gather(receive, head, &loaded)).await;
    // A trap explains a missing answer, not the other way round.
    let unit = unit?;
    Ok((response?, unit))
}

async fn handle(
    store: &mut Store<Guest>,
    instance: &Instance,
    request: http::Request<Bytes>,
    send: tokio::sync::oneshot::Sender<Result<hyper::Response<HyperOutgoingBody>, ErrorCode>>,
) -> wasmtime::Result<()> {
    let loaded = store.data().loaded.clone();
    let Some(Http::P2(handler)) = &loaded.http else {
        return Err(wasmtime::Error::msg("it has no HTTP handler"));
    };
    let guest = handler.load(&mut *store, instance)?;
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request.map(http_body_util::Full::new))?;
    let response = http.new_response_outparam(send)?;
    guest.call_handle(&mut *store, request, response).await
}

/// The response the guest set, read while the guest still writes it.
async fn gather(
    response: tokio::sync::oneshot::Receiver<Result<hyper::Response<HyperOutgoingBody>, ErrorCode>>,
    head: bool,
    loaded: &Loaded,
) -> wasmtime::Result<http::Response<Body>> {
    let (parts, body) = match response.await {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(code)) => return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}"))),
        Err(_) => return Err(wasmtime::Error::msg("it ended without setting a response")),
    };
    whole(parts, body, head, loaded).await
}

/// The response (to a `HEAD` request if `head`), once its body is there, and within its
/// component's limits.
pub(super) async fn whole<B>(
    parts: http::response::Parts,
    body: B,
    head: bool,
    loaded: &Loaded,
) -> wasmtime::Result<http::Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    final_answer(parts.status)?;
    reached::headers(loaded, &parts.headers)?;
    let Component { name, limits, .. } = &loaded.component;
    match read(body, limits.body.as_usize()).await {
        Ok(whole) => {
            // Who answers HEAD, or that nothing changed, says how long the body would be.
            let bodiless = whole.is_empty() && (head || parts.status == http::StatusCode::NOT_MODIFIED);
            match declared(&parts.headers) {
                Some(length) if length != whole.len() && !bodiless => Err(wasmtime::Error::msg(format!(
                    "its response body has {} bytes, not the {length} of its content-length",
                    whole.len()
                ))),
                _ => Ok(http::Response::from_parts(parts, full(whole))),
            }
        }
        Err(Unread::TooLarge) => {
            loaded.account.hit(Limit::Body);
            Err(Reached::new(Limit::Body, name, limits.body).into())
        }
        Err(Unread::Interrupted) => Err(wasmtime::Error::msg("its response body broke off")),
    }
}

/// What the head says of the body's length. The host's own check lets only numbers pass.
fn declared(headers: &http::HeaderMap) -> Option<usize> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses statuses that tell a client to wait for another answer, or that nobody can write.
fn final_answer(status: http::StatusCode) -> wasmtime::Result<()> {
    if (200..=599).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(wasmtime::Error::msg(format!("it answered with the status {status}, which is no final answer")))
}

/// Why a body could not be read.
pub(super) enum Unread {
    TooLarge,
    Interrupted,
}

/// The whole body, if it is not larger than `limit` bytes.
pub(super) async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Unread>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    // Most bodies are one chunk, which is then not copied.
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Interrupted)?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(whole.len()) + data.len() > limit {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

pub(super) fn refusal(loaded: &Loaded, unread: &Unread) -> http::Response<Body> {
    if matches!(unread, Unread::TooLarge) {
        loaded.account.hit(Limit::Body);
    }
    let (status, text) = match unread {
        Unread::TooLarge => (
            http::StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"error":"the request body is too large","code":"PAYLOAD_TOO_LARGE"}"#,
        ),
        Unread::Interrupted => (
            http::StatusCode::BAD_REQUEST,
            r#"{"error":"the request body ended before it was complete","code":"BAD_REQUEST"}"#,
        ),
    };
    let mut response = http::Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
