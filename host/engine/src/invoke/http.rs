//! Requests: what a guest is handed, and how its response comes back.
//!
//! A response goes out while the guest still writes it, if its unit of work had no changes when it
//! was set; from then on there can be none. Otherwise it is held until the unit is committed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::name::ComponentName;
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;
use monopod_core::{Body, full, store};
use tokio::sync::oneshot;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler as p2;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView};

use super::Reply;
use super::call::{Answer, Call, Ended, Work};
use super::counted::{Count, Ending, Told};
use super::request::{Asked, Unread};
use super::response::{Gathered, Length, Streamed};
use super::service;
use crate::instances::Live;
use crate::lane::Run;
use crate::load::{Http, Loaded};
use crate::{Shared, reached};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const UNSET: &str = "it ended without setting a response";

/// What a guest sets as its response.
pub(super) type Set = Result<http::Response<WasiBody>, ErrorCode>;

impl Shared {
    pub(crate) async fn http(
        self: &Arc<Self>,
        component: &ComponentName,
        request: http::Request<Body>,
        context: &Context,
    ) -> Result<http::Response<Body>, Error> {
        let loaded = self.loaded(component)?;
        if loaded.http.is_none() && loaded.function.is_none() {
            return Err(Error::NotServed(component.clone()));
        }
        let mut count = Some(Count::begin(loaded, Kind::Request)?);
        let result = if loaded.http.is_some() {
            self.service(loaded, request, context, &mut count).await
        } else {
            self.function(loaded, request, context).await
        };
        if let Some(count) = count {
            count.end(result.as_ref().map(Told::failed));
        }
        result
    }

    /// Calls a component's HTTP handler. A response that streams takes `count` with it.
    async fn service(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        request: http::Request<Body>,
        context: &Context,
        count: &mut Option<Count>,
    ) -> Result<http::Response<Body>, Error> {
        let mut call = self.enter(loaded, context).await?;
        let (parts, body) = request.into_parts();
        let body = match Asked::new(body, loaded.component.limits.body.as_usize()) {
            Ok(body) => body,
            Err(unread) => return Ok(refusal(loaded, unread)),
        };
        let bodiless = parts.method == http::Method::HEAD;
        let parts = prepare(parts, loaded.authority.clone(), &call.context);
        let log = call.log(&Cause::Request);
        loop {
            let Some(body_again) = body.again() else {
                // The body went by and was not kept.
                return Err(call.store_failed(store::Error::Conflict));
            };
            let reply = Arc::new(Reply::default());
            let (send, set) = oneshot::channel();
            let request = http::Request::from_parts(parts.clone(), body_again);
            let run = call.start(Cause::Request, Ask { request, reply: reply.clone(), send });
            let mut answer = Answering::new(run, set, reply, loaded.clone(), bodiless);
            let answered = call.in_time(answer.until_known()).await;
            // Whatever the guest made of a body that did not come: it has not seen the request.
            let unread = body.fault();
            match answered {
                Ok(Known::Streams(head, body)) => {
                    call.told(log, false);
                    if let Some(unread) = unread {
                        return Ok(refusal(loaded, unread));
                    }
                    sound(loaded, &head).map_err(|error| call.failed(&error))?;
                    return Ok(answer.stream(call, head, body, count.take()));
                }
                Ok(Known::TooLarge) => {
                    call.told(log, false);
                    return Err(call.failed(&reached::body(loaded).into()));
                }
                Ok(Known::Ended(ended)) => {
                    let ended = call.ended(ended);
                    if let Some(unread) = unread {
                        return Ok(refusal(loaded, unread));
                    }
                    let ((), unit) = ended?;
                    let response =
                        call.in_time(answer.whole()).await?.map_err(|error| call.failed(&error))?;
                    let commits = response.commits();
                    if call.commit(commits, unit).await? {
                        call.told(log, commits);
                        return Ok(response);
                    }
                }
                Err(timed_out) => {
                    call.told(log, false);
                    return unread.map_or(Err(timed_out), |unread| Ok(refusal(loaded, unread)));
                }
            }
        }
    }
}

/// What is known first: that the guest has ended, or that its response can go out before.
enum Known {
    Ended(Option<Ended<()>>),
    Streams(http::response::Parts, WasiBody),
    /// The response is held, and larger than may be: whatever the guest does, it has failed.
    TooLarge,
}

/// A guest that is making its response.
struct Answering {
    run: Run<Option<Ended<()>>>,
    set: oneshot::Receiver<Set>,
    reply: Arc<Reply>,
    /// What it set, once it has.
    response: Option<Set>,
    gathered: Gathered,
    loaded: Arc<Loaded>,
    /// It answers `HEAD`.
    bodiless: bool,
}

impl Answering {
    fn new(
        run: Run<Option<Ended<()>>>,
        set: oneshot::Receiver<Set>,
        reply: Arc<Reply>,
        loaded: Arc<Loaded>,
        bodiless: bool,
    ) -> Self {
        let gathered = Gathered::new(loaded.component.limits.body.as_usize());
        Self { run, set, reply, response: None, gathered, loaded, bodiless }
    }

    async fn until_known(&mut self) -> Known {
        std::future::poll_fn(|cx| self.poll_known(cx)).await
    }

    fn poll_known(&mut self, cx: &mut Task<'_>) -> Poll<Known> {
        // Most guests end here, with their response in the channel: then nothing is streamed.
        if let Poll::Ready(ended) = Pin::new(&mut self.run).poll(cx) {
            return Poll::Ready(Known::Ended(ended));
        }
        // An end that is dropped is that of a guest that has ended, or will: asked once, not again.
        if self.response.is_none()
            && !self.set.is_terminated()
            && let Poll::Ready(Ok(set)) = Pin::new(&mut self.set).poll(cx)
        {
            self.response = Some(set);
        }
        match self.response.take() {
            Some(Ok(response)) if self.reply.is_sealed() => {
                let (head, body) = response.into_parts();
                Poll::Ready(Known::Streams(head, body))
            }
            Some(Ok(mut response)) => {
                // Read while it is written, or the guest would wait for ever. That it broke off is
                // found again when the guest has ended: a trap explains it, not the other way round.
                if let Poll::Ready(Err(Unread::TooLarge)) = self.gathered.poll(response.body_mut(), cx) {
                    return Poll::Ready(Known::TooLarge);
                }
                self.response = Some(Ok(response));
                Poll::Pending
            }
            other => {
                self.response = other;
                Poll::Pending
            }
        }
    }

    /// The whole response of a guest that has ended.
    async fn whole(&mut self) -> wasmtime::Result<http::Response<Body>> {
        let set = match self.response.take() {
            Some(set) => set,
            None if self.set.is_terminated() => return Err(wasmtime::Error::msg(UNSET)),
            None => match (&mut self.set).await {
                Ok(set) => set,
                Err(_) => return Err(wasmtime::Error::msg(UNSET)),
            },
        };
        let (head, mut body) = match set {
            Ok(response) => response.into_parts(),
            Err(code) => return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}"))),
        };
        sound(&self.loaded, &head)?;
        match std::future::poll_fn(|cx| self.gathered.poll(&mut body, cx)).await {
            Ok(()) => {}
            Err(Unread::TooLarge) => return Err(reached::body(&self.loaded).into()),
            Err(Unread::Interrupted) => return Err(wasmtime::Error::msg("its response body broke off")),
        }
        let gathered = std::mem::replace(&mut self.gathered, Gathered::new(0));
        let size = gathered.size();
        Length::of(&head, self.bodiless).check(size)?;
        Ok(http::Response::from_parts(head, gathered.into_body()))
    }

    /// The response on its way, and the guest behind it: in a task of its own, so that the deadline
    /// ends it even when nobody reads. With the response's end that task is ended, too.
    fn stream(
        self,
        mut call: Call,
        head: http::response::Parts,
        body: WasiBody,
        count: Option<Count>,
    ) -> http::Response<Body> {
        let Self { mut run, reply, loaded, bodiless, .. } = self;
        let failed = head.status.is_server_error();
        let ending = Ending::new(count);
        let (told, counts) = (reply.clone(), ending.clone());
        let guest = tokio::spawn(async move {
            let result = match call.in_time(&mut run).await {
                // A failure is logged here; the body ends early.
                Ok(ended) => call.ended(ended).map(drop),
                Err(timed_out) => {
                    told.fail();
                    if !told.is_wanted() {
                        // Who reads was late: a client must not be able to open the circuit so. Without
                        // a word the call counts as abandoned.
                        return;
                    }
                    Err(timed_out)
                }
            };
            counts.end(result.as_ref().map(|()| failed));
        });
        let body = Streamed::new(Length::of(&head, bodiless), body, reply, guest, ending, loaded);
        http::Response::from_parts(head, body.boxed_unsync())
    }
}

/// Whether a response may go out: it is a final answer, and its headers are within their bounds.
fn sound(loaded: &Loaded, head: &http::response::Parts) -> wasmtime::Result<()> {
    // Others tell a client to wait for another answer, or nobody can write them.
    if !(200..=599).contains(&head.status.as_u16()) {
        let status = head.status;
        return Err(wasmtime::Error::msg(format!(
            "it answered with the status {status}, which is no final answer"
        )));
    }
    Ok(reached::headers(loaded, &head.headers)?)
}

/// The request for a guest.
struct Ask {
    request: http::Request<UnsyncBoxBody<Bytes, HttpError>>,
    reply: Arc<Reply>,
    send: oneshot::Sender<Set>,
}

impl Work for Ask {
    type Answer = ();

    async fn run(self, live: &mut Live) -> wasmtime::Result<()> {
        let Self { request, reply, send } = self;
        let loaded = live.store.data().loaded.clone();
        live.store.data_mut().reply = Some(reply.clone());
        let mut result = match &loaded.http {
            Some(Http::P2(handler)) => handle(live, handler, request, reply.clone(), send).await,
            Some(Http::P3(handler)) => service::handle(live, handler, request, &reply, send).await,
            None => Err(wasmtime::Error::msg("it has no HTTP handler")),
        };
        if result.is_ok() && !reply.is_set() {
            result = Err(wasmtime::Error::msg(UNSET));
        }
        if result.is_err() {
            reply.fail();
        }
        result
    }
}

async fn handle(
    live: &mut Live,
    handler: &p2::GuestIndices,
    request: http::Request<UnsyncBoxBody<Bytes, HttpError>>,
    reply: Arc<Reply>,
    send: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    let exports = handler.load(&mut live.store, &live.instance)?;
    let mut http = live.store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let response = http.new_response_outparam_from_callback(move |set| {
        reply.seal();
        // Nobody waits any more: then the guest is about to be dropped.
        let _ = send.send(set);
    })?;
    exports.call_handle(&mut live.store, request, response).await
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

pub(super) fn refusal(loaded: &Loaded, unread: Unread) -> http::Response<Body> {
    if unread == Unread::TooLarge {
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
