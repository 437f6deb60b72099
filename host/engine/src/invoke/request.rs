//! The body of a request on its way into a guest: streamed, bounded, and kept for as long as the
//! guest might have to be run again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use monopod_core::Body;
use wasmtime_wasi_http::Error;

/// How much of a streamed body is kept, so that a unit that was overtaken can be run again. What
/// changes state is a form or a document; what is larger is most often only passed on.
const KEEP: usize = 1 << 20;

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    Interrupted,
}

/// A request's body.
pub(super) enum Asked {
    /// It came whole.
    Whole(Bytes),
    /// It is still coming.
    Streamed(Arc<Mutex<Source>>),
}

impl Asked {
    /// `body`, of at most `limit` bytes. Does not wait for it.
    pub(super) fn new(mut body: Body, limit: usize) -> Result<Self, Unread> {
        if body.is_end_stream() {
            return Ok(Self::Whole(Bytes::new()));
        }
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(Unread::TooLarge);
        }
        let first = match body.frame().now_or_never() {
            Some(None) => return Ok(Self::Whole(Bytes::new())),
            Some(Some(Err(_))) => return Err(Unread::Interrupted),
            Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            None => Bytes::new(),
        };
        if first.len() > limit {
            return Err(Unread::TooLarge);
        }
        if body.is_end_stream() {
            return Ok(Self::Whole(first));
        }
        let mut source =
            Source { kept: Vec::new(), read: 0, lost: false, rest: body, ended: false, limit, fault: None };
        source.keep(&first);
        Ok(Self::Streamed(Arc::new(Mutex::new(source))))
    }

    /// The body from its beginning, for one run of the guest; none when it was not kept.
    pub(super) fn again(&self) -> Option<UnsyncBoxBody<Bytes, Error>> {
        match self {
            Self::Whole(bytes) => {
                Some(Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync())
            }
            Self::Streamed(source) if lock(source).lost => None,
            Self::Streamed(source) => Some(Stream { source: source.clone(), at: 0 }.boxed_unsync()),
        }
    }

    /// What went wrong while a guest read it.
    pub(super) fn fault(&self) -> Option<Unread> {
        match self {
            Self::Whole(_) => None,
            Self::Streamed(source) => lock(source).fault,
        }
    }
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn whole(body: Body, limit: usize) -> Result<Bytes, Unread> {
    let asked = Asked::new(body, limit)?;
    if let Asked::Whole(bytes) = asked {
        return Ok(bytes);
    }
    let Some(stream) = asked.again() else { return Err(Unread::TooLarge) };
    let read = stream.collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|_| asked.fault().unwrap_or(Unread::Interrupted))
}

/// A body that is still coming.
pub(super) struct Source {
    kept: Vec<Bytes>,
    read: usize,
    /// It is too large to be kept.
    lost: bool,
    rest: Body,
    ended: bool,
    limit: usize,
    fault: Option<Unread>,
}

impl Source {
    fn keep(&mut self, data: &Bytes) {
        self.read = self.read.saturating_add(data.len());
        if self.read > KEEP {
            self.lost = true;
            self.kept = Vec::new();
        }
        if !self.lost && !data.is_empty() {
            self.kept.push(data.clone());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Some(Err(self.error(fault))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(self.fail(Unread::Interrupted)))),
        };
        if let Some(data) = frame.data_ref() {
            if self.read.saturating_add(data.len()) > self.limit {
                return Poll::Ready(Some(Err(self.fail(Unread::TooLarge))));
            }
            self.keep(data);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn fail(&mut self, fault: Unread) -> Error {
        self.fault = Some(fault);
        self.error(fault)
    }

    fn error(&self, fault: Unread) -> Error {
        match fault {
            Unread::TooLarge => Error::HttpRequestBodySize(u64::try_from(self.limit).ok()),
            Unread::Interrupted => Error::ConnectionTerminated,
        }
    }
}

/// What one run of a guest reads.
struct Stream {
    source: Arc<Mutex<Source>>,
    /// How many of the kept chunks it has had.
    at: usize,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let mut source = lock(&this.source);
        if let Some(data) = source.kept.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let polled = source.poll(cx);
        // What was just kept it has now had.
        this.at = source.kept.len();
        polled
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // A panic while it was held is one of the body's own, which then ends.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;

    fn chunks(sizes: &[usize]) -> Body {
        let frames: Vec<_> =
            sizes.iter().map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size])))).collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    async fn read(asked: &Asked) -> Result<usize, Error> {
        let body = asked.again().expect("it was kept");
        Ok(body.collect().await?.to_bytes().len())
    }

    #[tokio::test]
    async fn what_came_whole_and_what_streams_can_be_read_twice() {
        for body in [monopod_core::full("four"), chunks(&[1, 2, 1])] {
            let asked = Asked::new(body, 4).unwrap_or_else(|why| panic!("{why:?}"));
            assert_eq!(read(&asked).await.ok(), Some(4));
            assert_eq!(read(&asked).await.ok(), Some(4));
        }
    }

    #[tokio::test]
    async fn half_read_is_read_whole_the_next_time() {
        let asked = Asked::new(chunks(&[1, 2, 3]), 10).unwrap_or_else(|why| panic!("{why:?}"));
        let mut first = asked.again().expect("it was kept");
        first.frame().await;
        first.frame().await;
        drop(first);
        assert_eq!(read(&asked).await.ok(), Some(6));
    }

    #[tokio::test]
    async fn the_limit_holds_while_it_streams() {
        assert!(matches!(Asked::new(monopod_core::full("12345"), 4), Err(Unread::TooLarge)));
        let asked = Asked::new(chunks(&[3, 3]), 5).unwrap_or_else(|why| panic!("{why:?}"));
        assert!(read(&asked).await.is_err());
        assert_eq!(asked.fault(), Some(Unread::TooLarge));
    }

    #[tokio::test]
    async fn what_is_too_large_to_keep_is_read_once() {
        let asked = Asked::new(chunks(&[KEEP, 1, 1]), KEEP * 2).unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(read(&asked).await.ok(), Some(KEEP + 2));
        assert!(asked.again().is_none());
    }
}
