//! Bodies on their way in and out.
//!
//! A request's body is bounded in bytes and time; the timer exists only while bytes are
//! awaited, so a request that arrived whole pays nothing. An answer's body carries the
//! flight, so that a connection counts as busy until the last byte is handed over.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use monopod_core::BoxError;
use tokio::time::{Instant, Sleep};

use crate::pulse::{Flight, Pulse};

/// Why a request's body ended early. The texts are public.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the body is larger than the {0} bytes allowed here")]
    TooLarge(u64),
    #[error("the body did not come in time")]
    Slow,
    #[error("the body ended before it was complete")]
    Interrupted(#[source] hyper::Error),
}

/// What a body's client did wrong, told to whoever handed the body on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// More bytes than this.
    TooLarge(u64),
    /// Too few in too long a time, or broken off.
    Incomplete,
}

/// A request's body.
pub(crate) struct Inbound {
    incoming: Incoming,
    pulse: Arc<Pulse>,
    limit: u64,
    left: u64,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    fault: Option<Arc<OnceLock<Fault>>>,
}

impl Inbound {
    /// `incoming`, of at most `limit` bytes until `deadline`.
    pub(crate) fn new(incoming: Incoming, pulse: &Arc<Pulse>, limit: u64, deadline: Instant) -> Self {
        let ended = http_body::Body::is_end_stream(&incoming);
        Self { incoming, pulse: pulse.clone(), limit, left: limit, deadline, timer: None, ended, fault: None }
    }

    /// The declared length, if there is one.
    pub(crate) fn declared(&self) -> Option<u64> {
        http_body::Body::size_hint(&self.incoming).exact()
    }

    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.ended
    }

    /// Whether it says of itself that it is too large. To be asked before reading.
    pub(crate) fn declares_too_much(&self) -> bool {
        self.declared().is_some_and(|length| length > self.limit)
    }

    /// With another limit and deadline; nothing may have been read yet.
    pub(crate) fn within(mut self, limit: u64, deadline: Instant) -> Self {
        (self.limit, self.left, self.deadline) = (limit, limit, deadline);
        self
    }

    /// Where its fault will stand, if it has one: for when it is in other hands.
    pub(crate) fn watch(&mut self) -> Arc<OnceLock<Fault>> {
        self.fault.get_or_insert_default().clone()
    }

    fn broken(&self, broken: Broken) -> BoxError {
        if let Some(fault) = &self.fault {
            let _first_counts = fault.set(match broken {
                Broken::TooLarge(max) => Fault::TooLarge(max),
                Broken::Slow | Broken::Interrupted(_) => Fault::Incomplete,
            });
        }
        broken.into()
    }

    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending() && this.expired(cx) {
            return Poll::Ready(Some(Err(this.broken(Broken::Slow))));
        }
        Poll::Ready(match ready!(polled) {
            None => {
                this.ended = true;
                None
            }
            Some(Err(e)) => Some(Err(this.broken(Broken::Interrupted(e)))),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        this.ended = this.incoming.is_end_stream();
                        Some(Ok(frame))
                    }
                    None => Some(Err(this.broken(Broken::TooLarge(this.limit)))),
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.incoming)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.ended {
            self.pulse.given_up();
        }
    }
}

/// An answer's body.
pub(crate) struct Outbound {
    body: Body,
    _flight: Flight,
}

impl Outbound {
    pub(crate) fn new(body: Body, flight: Flight) -> Self {
        Self { body, _flight: flight }
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
