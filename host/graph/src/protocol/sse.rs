//! GraphQL over server-sent events, distinct connections mode: one request, one operation,
//! `next` events and at last `complete`. What is wrong before the stream begins is
//! answered by `http` with a status.
//!
//! A stream is polled as its socket takes bytes, so a slow client holds nothing here but
//! its place in the topic; when that runs over, the stream says so and ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use monopod_core::BoxStream;
use monopod_core::identity::Principal;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::{self, Failure, code};
use crate::settings::Settings;
use crate::subscribe::{Next, schema_changed};

const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";
/// A comment: keeps the connection alive and is passed over by clients.
const COMMENT: &[u8] = b":\n\n";

struct Open {
    feed: BoxStream<'static, Next>,
    keep_alive: Interval,
    expires: Option<Instant>,
    stop: CancellationToken,
    ended: bool,
}

/// The response to a subscription.
pub fn stream(
    feed: BoxStream<'static, Next>,
    principal: &Principal,
    settings: &Settings,
    stop: &CancellationToken,
) -> Response {
    let mut keep_alive = interval(settings.keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = Open { feed, keep_alive, expires: expiry(principal), stop: stop.clone(), ended: false };
    let events = stream::unfold(open, |mut open| async move {
        let bytes = open.next().await?;
        Some((Ok::<_, Infallible>(bytes), open))
    });
    response(Body::from_stream(events))
}

/// The response to a query or mutation whose client wants a stream.
pub fn single(answer: &[u8]) -> Response {
    let mut bytes = next(answer);
    bytes.extend_from_slice(COMPLETE);
    response(Body::from(bytes))
}

/// When a caller's token ends, on the monotonic clock.
pub fn expiry(principal: &Principal) -> Option<Instant> {
    let Principal::User(user) = principal else { return None };
    // A year is for ever here, and keeps the addition in range.
    const YEAR: u64 = 365 * 24 * 3_600;
    let left = user.expires_at.saturating_sub(monopod_core::now() / 1_000).min(YEAR);
    Some(Instant::now() + Duration::from_secs(left))
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn next(answer: &[u8]) -> Vec<u8> {
    event(answer, None)
}

/// `next`, with the id that a client sends in `Last-Event-ID` when it comes back.
fn event(answer: &[u8], id: Option<u64>) -> Vec<u8> {
    // An answer has no line breaks: JSON escapes them in texts, and nothing else is written.
    let mut bytes = Vec::with_capacity(answer.len() + 64);
    if let Some(id) = id {
        bytes.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    bytes.extend_from_slice(b"event: next\ndata: ");
    bytes.extend_from_slice(answer);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

impl Open {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let expired = async {
            match self.expires {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let failure = tokio::select! {
            biased;
            // The stream ends without `complete`, so that the client connects again.
            () = self.stop.cancelled() => return None,
            () = expired => Failure::new(code::UNAUTHENTICATED, "The token has expired."),
            next_event = self.feed.next() => match next_event {
                Some(Next::Response(answer, id)) => return Some(event(&answer, Some(id)).into()),
                Some(Next::Failed(failure)) => failure,
                Some(Next::Changed) => schema_changed(),
                Some(Next::Lagged) => Failure::new(code::SLOW_CONSUMER, "Events came faster than they were taken."),
                None => {
                    self.ended = true;
                    return Some(Bytes::from_static(COMPLETE));
                }
            },
            _ = self.keep_alive.tick() => return Some(Bytes::from_static(COMMENT)),
        };
        self.ended = true;
        let mut bytes = next(&error::response(&[failure]));
        bytes.extend_from_slice(COMPLETE);
        Some(bytes.into())
    }
}
