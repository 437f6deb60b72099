//! The body of a response on its way out of a guest: gathered until the unit is committed, or
//! streamed when there is nothing to commit.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use monopod_core::invoke::Error;
use monopod_core::{Body, full};
use tokio::task::JoinHandle;
use wasmtime_wasi_http::WasiBody;

use super::Reply;
use super::counted::Ending;
use super::request::Unread;
use crate::load::Loaded;
use crate::reached;

/// A body while it is gathered.
pub(super) struct Gathered {
    chunks: VecDeque<Bytes>,
    size: usize,
    limit: usize,
    fault: Option<Unread>,
}

impl Gathered {
    pub(super) fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), size: 0, limit, fault: None }
    }

    /// Takes what is there of `body`; ready when it is at its end, or broken.
    pub(super) fn poll(&mut self, body: &mut WasiBody, cx: &mut Context<'_>) -> Poll<Result<(), Unread>> {
        loop {
            if let Some(fault) = self.fault {
                return Poll::Ready(Err(fault));
            }
            let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(frame)) => frame,
                Some(Err(_)) => {
                    self.fault = Some(Unread::Interrupted);
                    continue;
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            self.size = self.size.saturating_add(data.len());
            if self.size > self.limit {
                self.fault = Some(Unread::TooLarge);
                continue;
            }
            self.chunks.push_back(data);
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// As a body of known size. Nothing is copied.
    pub(super) fn into_body(mut self) -> Body {
        match self.chunks.len() {
            0 | 1 => full(self.chunks.pop_front().unwrap_or_default()),
            _ => self.map_err(|never| match never {}).boxed_unsync(),
        }
    }
}

impl http_body::Body for Gathered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.pop_front();
        Poll::Ready(next.map(|data| {
            self.size = self.size.saturating_sub(data.len());
            Ok(Frame::data(data))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.size).unwrap_or(u64::MAX))
    }
}

/// What a response's head says of the length of its body.
#[derive(Clone, Copy)]
pub(super) struct Length {
    declared: Option<usize>,
    /// Who answers `HEAD`, or that nothing changed, says how long the body would be.
    bodiless: bool,
}

impl Length {
    /// Of the answer to a `HEAD` request if `bodiless`.
    pub(super) fn of(head: &http::response::Parts, bodiless: bool) -> Self {
        // The host's own check lets only numbers pass.
        let declared = head.headers.get(http::header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        Self { declared, bodiless: bodiless || head.status == http::StatusCode::NOT_MODIFIED }
    }

    /// Whether a body of `size` bytes is as long as was said.
    pub(super) fn check(self, size: usize) -> wasmtime::Result<()> {
        match self.declared {
            Some(length) if length != size && !(size == 0 && self.bodiless) => Err(wasmtime::Error::msg(
                format!("its response body has {size} bytes, not the {length} of its content-length"),
            )),
            _ => Ok(()),
        }
    }
}

/// A body whose guest still writes it. Dropping it before its end ends the guest.
pub(super) struct Streamed {
    body: WasiBody,
    reply: Arc<Reply>,
    /// The guest. None once the body has ended: what the guest does then is bounded by its deadline.
    guest: Option<JoinHandle<()>>,
    ending: Ending,
    loaded: Arc<Loaded>,
    length: Length,
    /// What came so far.
    size: usize,
}

impl Streamed {
    pub(super) fn new(
        length: Length,
        body: WasiBody,
        reply: Arc<Reply>,
        guest: JoinHandle<()>,
        ending: Ending,
        loaded: Arc<Loaded>,
    ) -> Self {
        Self { body, reply, guest: Some(guest), ending, loaded, length, size: 0 }
    }

    /// What ends it early, in words for the log.
    fn fault(&mut self, size: usize) -> Option<String> {
        self.size = self.size.saturating_add(size);
        if self.size > self.loaded.component.limits.body.as_usize() {
            return Some(reached::body(&self.loaded).to_string());
        }
        if self.length.declared.is_some_and(|declared| self.size > declared) {
            return Some("its response body is longer than its content-length".to_owned());
        }
        None
    }

    /// The guest is ended: what it wrote is wrong.
    fn break_off(&mut self, why: String) -> Poll<Option<Result<Frame<Bytes>, monopod_core::BoxError>>> {
        if let Some(guest) = self.guest.take() {
            let component = self.loaded.component.name.clone();
            self.ending.end(Err(&Error::Trapped { component, reason: why.clone() }));
            guest.abort();
        }
        Poll::Ready(Some(Err(why.into())))
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = monopod_core::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.guest.is_none() {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.reply.want(polled.is_pending());
        match ready!(polled) {
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                match this.fault(size) {
                    None => Poll::Ready(Some(Ok(frame))),
                    Some(why) => this.break_off(why),
                }
            }
            None if this.reply.has_failed() => {
                // Its task says why, in the log and in the count.
                this.guest = None;
                Poll::Ready(Some(Err("the component failed while it responded".into())))
            }
            Some(Err(_)) => this.break_off("the component broke off its response".to_owned()),
            None => match this.length.check(this.size) {
                Ok(()) => {
                    this.guest = None;
                    Poll::Ready(None)
                }
                Err(wrong) => this.break_off(wrong.to_string()),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Length { declared: Some(length), bodiless: false } => {
                SizeHint::with_exact(u64::try_from(length.saturating_sub(self.size)).unwrap_or(u64::MAX))
            }
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(guest) = &self.guest {
            guest.abort();
        }
    }
}
