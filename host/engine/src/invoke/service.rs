//! `wasi:http` 0.3: calling an asynchronous handler.
//!
//! What the guest does after it has answered belongs to the call: the call ends when nothing of
//! it is left to do, and only then is its unit of work complete. So its response is held until then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler::GuestIndices;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::Reply;
use super::http::Set;
use crate::instances::Live;

/// Calls the handler, and hands its response on while the guest writes it.
pub(super) async fn handle(
    live: &mut Live,
    handler: &GuestIndices,
    request: ::http::Request<UnsyncBoxBody<Bytes, Error>>,
    reply: &Reply,
    send: oneshot::Sender<Set>,
) -> wasmtime::Result<()> {
    let guest = handler.load(&mut live.store, &live.instance)?;
    let http = live.store.data_mut().http();
    // How sending the request went is of no use to us: who reads it finds out.
    let (request, _sent) = Request::from_http(http.hooks, request);
    let request = http.table.push(request)?;
    live.store
        .run_concurrent(async |accessor| {
            let response = match guest.call_handle(accessor, request).await? {
                Ok(response) => response,
                Err(code) => {
                    return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}")));
                }
            };
            let response = accessor.with(|mut access| {
                let response = access.data_mut().http().table.delete(response)?;
                response.into_http(&mut access, async { Ok(()) })
            })?;
            // Held, as if there was a change already: there may be some yet.
            let _held = reply.change();
            reply.seal();
            let (at_end, end) = oneshot::channel();
            let response = response.map(|body| Watched { body, at_end: Some(at_end) }.boxed_unsync());
            // Nobody waits any more: then the guest is about to be dropped.
            let _ = send.send(Ok(response));
            // What is still in the guest's hands would be lost with its end.
            let _ = end.await;
            std::future::poll_fn(|task| accessor.poll_no_interesting_tasks(task)).await;
            Ok(())
        })
        .await?
}

/// A body that says when it is at its end, or dropped.
struct Watched {
    body: WasiBody,
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
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            // Dropping it says so.
            self.at_end = None;
        }
        Poll::Ready(frame)
    }
}
