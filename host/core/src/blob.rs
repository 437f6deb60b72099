//! Blobs: large objects with pre-signed access. Implemented by `state`; components
//! reach it through `engine`, clients through `edge`.

use std::time::Duration;

use bytes::Bytes;

use crate::name::ContainerName;
use crate::{Body, BoxFuture, Millis};

/// The longest object key, in bytes.
pub const MAX_BLOB_KEY: usize = 200;
/// The longest a pre-signed URL may live.
pub const MAX_TTL: Duration = Duration::from_secs(3_600);
/// The path under which the front door serves pre-signed URLs.
pub const ROUTE: &str = "/blobs/";

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Bytes.
    pub size: u64,
    /// As the writer declared it.
    pub content_type: String,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// When it was written.
    pub written_at: Millis,
}

/// Where an object lies. The key is relative, without empty, `.` or `..` segments,
/// of `[A-Za-z0-9._/-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The container.
    pub container: ContainerName,
    /// The key in it.
    pub key: String,
}

/// What a pre-signed URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Reading it.
    Get,
    /// Writing it.
    Put {
        /// The `content-type` the writer must send.
        content_type: String,
        /// The most bytes.
        max_size: u64,
    },
}

/// A pre-signed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// Absolute, under the platform's public address.
    pub url: String,
    /// When it ends.
    pub expires_at: Millis,
}

/// A pre-signed URL that was verified: the right to do one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// To what.
    pub location: Location,
    /// To do what.
    pub access: Access,
}

/// Why not. The texts are public.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such object.
    #[error("there is no such object")]
    NotFound,
    /// A name, a time to live, a size or a range is out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// The signature is not ours, or does not fit the request.
    #[error("the signature does not fit this request")]
    BadSignature,
    /// The URL has ended.
    #[error("the URL has expired; ask for a new one")]
    Expired,
    /// More bytes than the URL allows.
    #[error("the object is larger than the {max} bytes this URL allows")]
    TooLarge {
        /// The most bytes.
        max: u64,
    },
    /// The sender broke off. Nothing was kept.
    #[error("the body ended before it was complete")]
    Interrupted,
    /// The store cannot answer.
    #[error("the object store is unavailable")]
    Unavailable(#[source] crate::BoxError),
}

/// The object store.
pub trait Blobs: Send + Sync {
    /// What is known of an object.
    fn stat<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<Info, Error>>;

    /// At most `length` bytes from `offset`.
    fn read<'a>(&'a self, at: &'a Location, offset: u64, length: u64) -> BoxFuture<'a, Result<Bytes, Error>>;

    /// The whole object as a stream, with what is known of it.
    fn open<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<(Info, Body), Error>>;

    /// Writes an object as it streams in, replacing an earlier one when it is complete and
    /// on disk. More than `max_size` bytes or a broken body leave what was there before.
    fn write<'a>(
        &'a self,
        at: &'a Location,
        content_type: &'a str,
        max_size: u64,
        body: Body,
    ) -> BoxFuture<'a, Result<Info, Error>>;

    /// A URL that allows `access` for `ttl` (1 s to 1 h).
    fn presign(&self, at: &Location, access: &Access, ttl: Duration) -> Result<Presigned, Error>;

    /// The permit of a pre-signed URL, if method, path and query (`path?query` as the
    /// client sent it) are signed by us and not expired.
    fn verify(&self, method: &http::Method, path_and_query: &str) -> Result<Permit, Error>;
}
