//! Bodies of outgoing requests and their responses: bounded in bytes, the latter in time too.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use monopod_core::outgoing::{Error, Phase};
use monopod_core::size::Size;
use monopod_core::{Body, BoxError};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::pool::Lease;

/// What was wrong with a request's body, for whoever waits for the response: hyper knows only
/// that it broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    TooLarge(Size),
    Cut,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge(limit) => Self::RequestSize(limit),
            Fault::Cut => Self::RequestCut,
        }
    }
}

/// A request's body of at most `limit`, and where its fault will stand.
pub(super) fn bounded(body: Body, limit: Size) -> (Body, Arc<OnceLock<Fault>>) {
    let fault = Arc::new(OnceLock::new());
    let body = Outbound { inner: body, left: limit.get(), limit, fault: fault.clone() };
    (body.boxed_unsync(), fault)
}

struct Outbound {
    inner: Body,
    left: u64,
    limit: Size,
    fault: Arc<OnceLock<Fault>>,
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        let fault = match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        return polled;
                    }
                    None => Fault::TooLarge(this.limit),
                }
            }
            Poll::Ready(Some(Err(_))) => Fault::Cut,
            Poll::Ready(None) | Poll::Pending => return polled,
        };
        let fault = *this.fault.get_or_init(|| fault);
        Poll::Ready(Some(Err(Error::from(fault).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body. With its end the connection is free for another request; dropped before,
/// the connection is closed.
pub(super) struct Inbound {
    pub(super) incoming: Incoming,
    pub(super) left: u64,
    pub(super) limit: Size,
    /// The longest silence.
    pub(super) between: Duration,
    pub(super) deadline: Instant,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    pub(super) lease: Option<Lease>,
    pub(super) fault: Arc<OnceLock<Fault>>,
    /// Whose clock counts: whoever reads the body may be none that has one.
    pub(super) runtime: Handle,
}

impl Inbound {
    /// Whether the silence has lasted too long.
    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { between, deadline, runtime, .. } = self;
        let timer = self.timer.get_or_insert_with(|| {
            let _clock = runtime.enter();
            Box::pin(sleep_until((*deadline).min(Instant::now() + *between)))
        });
        timer.as_mut().poll(cx).is_ready()
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Nothing more is read, so nobody else can use the connection.
        self.lease = None;
        Poll::Ready(Some(Err(error.into())))
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
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Pending if this.expired(cx) => this.fail(Error::TimedOut(Phase::Body)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                if let Some(lease) = this.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let error = match this.fault.get() {
                    Some(fault) => (*fault).into(),
                    None if error.is_parse() => Error::Protocol(error.to_string()),
                    None => Error::Cut(Phase::Body),
                };
                this.fail(error)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => this.fail(Error::ResponseSize(this.limit)),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
