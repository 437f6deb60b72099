//! `wasi:http` 0.3: calling an asynchronous handler.
//!
//! In an instance of its own, what the guest does after it has answered belongs to the call, which
//! ends when nothing is left to do. In one that several calls share nobody can tell whose a task is
//! that is left: a call ends with its response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor, Resource};
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler::GuestIndices;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::Reply;
use super::http::Set;
use crate::guest::Guest;
use crate::instances::Live;

/// A request on its way into a guest.
pub(crate) type Asking = ::http::Request<UnsyncBoxBody<Bytes, Error>>;

/// Calls the handler, and hands its response on while the guest writes it.
pub(super) async fn handle(
    live: &mut Live,
    handler: &GuestIndices,
    request: Asking,
    reply: &Reply,
    send: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    let guest = handler.load(&mut live.store, &live.instance)?;
    let request = given(live.store.data_mut(), request)?;
    live.store
        .run_concurrent(async |accessor| {
            let response = match guest.call_handle(accessor, request).await? {
                Ok(response) => response,
                Err(code) => {
                    return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}")));
                }
            };
            // What is still in the guest's hands would be lost with its end.
            let _ = answered(accessor, response, reply, send, None)?.await;
            std::future::poll_fn(|task| accessor.poll_no_interesting_tasks(task)).await;
            Ok(())
        })
        .await?
}

/// The request, as the guest gets it.
pub(crate) fn given(guest: &mut Guest, request: Asking) -> wasmtime::Result<Resource<Request>> {
    let http = guest.http();
    // How sending the request went is of no use to us: who reads it finds out.
    let (request, _sent) = Request::from_http(http.hooks, request);
    Ok(http.table.push(request)?)
}

/// Hands the response of a guest on, which may still write it; what comes back is ready when its
/// body is at its end, or nobody wants it. When `ends` is closed it ends early.
pub(crate) fn answered(
    accessor: &Accessor<Guest>,
    response: Resource<Response>,
    reply: &Reply,
    send: oneshot::Sender<Set>,
    ends: Option<oneshot::Receiver<()>>,
) -> wasmtime::Result<oneshot::Receiver<()>> {
    let response = accessor.with(|mut access: Access<'_, Guest>| {
        let response = access.data_mut().http().table.delete(response)?;
        response.into_http(&mut access, async { Ok(()) })
    })?;
    reply.seal();
    let (at_end, end) = oneshot::channel();
    let watched = |body| Watched { body, ends, at_end: Some(at_end) }.boxed_unsync();
    // Nobody waits any more: then the guest is about to be dropped.
    let _ = send.send(Ok(response.map(watched)));
    Ok(end)
}

/// A body that says when it is at its end, or dropped.
struct Watched {
    body: WasiBody,
    ends: Option<oneshot::Receiver<()>>,
    at_end: Option<oneshot::Sender<()>>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.at_end.is_none() {
            return Poll::Ready(None);
        }
        // That its call failed is noted before, so that nobody takes this for the end.
        let ended = self.ends.as_mut().is_some_and(|ends| Pin::new(ends).poll(cx).is_ready());
        let frame = if ended { None } else { ready!(Pin::new(&mut self.body).poll_frame(cx)) };
        if !matches!(frame, Some(Ok(_))) {
            // Dropping it says so.
            self.at_end = None;
        }
        Poll::Ready(frame)
    }
}
