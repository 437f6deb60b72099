//! The vocabulary of monopod and its ports.
//!
//! Every room of the host speaks in these words, and rooms meet only through the
//! traits below: `monopod` (the binary) plugs an implementation into each. Nothing
//! here does I/O, knows a runtime, or depends on another room.

pub mod blob;
pub mod component;
pub mod context;
pub mod diagnostic;
pub mod event;
pub mod identity;
pub mod invoke;
pub mod limit;
pub mod message;
pub mod name;
pub mod outgoing;
pub mod resolve;
pub mod seen;
pub mod size;
pub mod store;
pub mod topics;
pub mod unit;

use std::future::Future;
use std::pin::Pin;

/// A boxed future: what ports return, so that rooms do not grow each other's types.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed stream, for the same reason.
pub type BoxStream<'a, T> = Pin<Box<dyn futures_core::Stream<Item = T> + Send + 'a>>;

/// Any error at all, at a border where only its text matters.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An HTTP body, streamed or whole.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;

/// A body made of bytes that are at hand.
pub fn full(bytes: impl Into<bytes::Bytes>) -> Body {
    use http_body_util::BodyExt;
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// The wall clock now. A clock before 1970 reads as 1970.
pub fn now() -> Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
