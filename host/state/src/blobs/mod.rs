//! Blobs on the local disk: one file for each object, under signed URLs.
//!
//! An object and what is known of it are **one file**: the content, then a small record
//! (see `file`). It is streamed into `blobs/staging`, synced, and renamed into
//! `blobs/objects/<container>/`; a rename is atomic, so a crash at any moment leaves the
//! old object or the new one, whole, with its own size, type and digest. What is left in
//! `staging` was never finished and is removed at the next start.
//!
//! This goes straight to the file system and not through a crate for object stores: such
//! a crate's local backend keeps no attributes, so size limit, digest and content type
//! would need a second file and with it the moment between two renames. The port is the
//! same for both; a backend for S3, which keeps attributes itself, is another
//! implementation of it.
//!
//! Called by `engine` for components and by `edge` for clients. Does not decide who may
//! do what: whoever has a signed URL may, until it ends.

mod file;
mod sign;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::{BodyExt, StreamBody};
use monopod_core::blob::{Access, Blobs, Error, Info, Location, MAX_BLOB_KEY, Permit, Presigned};
use monopod_core::{Body, BoxError, BoxFuture, now};

use crate::{OpenError, folder};
use file::{Object, Staged};
use sign::Signer;

/// The most bytes one read returns: 16 MiB, which is what a component may hold at once.
pub const MAX_READ: u64 = 16 << 20;
/// The largest object a URL may allow: 5 GiB, what S3 takes in one PUT.
pub const MAX_OBJECT: u64 = 5 << 30;
/// Bytes that go to the disk, or come from it, in one piece: large enough that the hop to
/// a blocking thread does not count, small enough for many streams at once.
const PIECE: usize = 256 << 10;
/// The longest content type, in bytes; the registered ones are below 130.
const MAX_CONTENT_TYPE: usize = 255;

/// Where blobs lie and how clients reach them.
#[derive(Debug, Clone)]
pub struct BlobSettings {
    /// The state folder.
    pub folder: PathBuf,
    /// The platform's public address, for example `https://localhost:8443`.
    pub public_url: String,
}

/// Blobs as files in the state folder.
pub struct LocalBlobs {
    objects: PathBuf,
    staging: PathBuf,
    public_url: String,
    signer: Signer,
    /// Keeps other processes away from `staging`, which is swept at start.
    _lock: File,
}

impl LocalBlobs {
    /// Opens the blobs of a state folder, which is made if it is not there, and removes
    /// what an earlier process did not finish. Makes the signing key at the first start.
    /// Blocks for some milliseconds.
    pub fn open(settings: BlobSettings) -> Result<Self, OpenError> {
        let BlobSettings { folder, public_url } = settings;
        let root = folder.join("blobs");
        folder::make(&folder)?;
        folder::make(&root)?;
        let lock = folder::lock(&root, "blobs.lock")?;
        let (objects, staging) = (root.join("objects"), root.join("staging"));
        folder::make(&objects)?;
        folder::make(&staging)?;
        file::sweep(&staging).map_err(|source| OpenError::Folder { folder: staging.clone(), source })?;
        let signer = Signer::open(&folder)?;
        let public_url = public_url.trim_end_matches('/').to_owned();
        Ok(Self { objects, staging, public_url, signer, _lock: lock })
    }

    async fn object(&self, at: &Location) -> Result<Object, Error> {
        check(at)?;
        let (path, at) = (self.path(at), at.clone());
        blocking(move || Object::open(&path, &at)).await
    }

    fn folder(&self, at: &Location) -> PathBuf {
        self.objects.join(at.container.as_str())
    }

    /// `+` stands for `/`: no key has one. So `a` and `a/b` can both be objects, a key
    /// cannot lead out of its container, and a person still finds the file.
    fn path(&self, at: &Location) -> PathBuf {
        self.folder(at).join(at.key.replace('/', "+"))
    }
}

impl Blobs for LocalBlobs {
    fn stat<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<Info, Error>> {
        Box::pin(async move { Ok(self.object(at).await?.info) })
    }

    fn read<'a>(&'a self, at: &'a Location, offset: u64, length: u64) -> BoxFuture<'a, Result<Bytes, Error>> {
        Box::pin(async move {
            if length > MAX_READ {
                return Err(Error::Invalid(format!("one read returns at most {MAX_READ} bytes")));
            }
            let object = self.object(at).await?;
            if offset > object.info.size {
                return Err(Error::Invalid(format!(
                    "the range begins at {offset}, behind the object's {} bytes",
                    object.info.size
                )));
            }
            blocking(move || object.read(offset, length)).await
        })
    }

    fn open<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<(Info, Body), Error>> {
        Box::pin(async move {
            let object = self.object(at).await?;
            let info = object.info.clone();
            Ok((info, stream(object)))
        })
    }

    fn write<'a>(
        &'a self,
        at: &'a Location,
        content_type: &'a str,
        max_size: u64,
        body: Body,
    ) -> BoxFuture<'a, Result<Info, Error>> {
        Box::pin(async move {
            check(at)?;
            check_content_type(content_type)?;
            let max = max_size.min(MAX_OBJECT);
            // A body that says its size is refused before it is read.
            if body.size_hint().lower() > max {
                return Err(Error::TooLarge { max });
            }
            let staging = self.staging.clone();
            let staged = blocking(move || Staged::create(&staging)).await?;
            // If this future is dropped meanwhile, `staged` goes and takes its file along.
            let staged = receive(staged, max, body).await?;
            let (folder, path) = (self.folder(at), self.path(at));
            let (objects, at) = (self.objects.clone(), at.clone());
            let content_type = content_type.to_owned();
            blocking(move || {
                folder::make_sub(&objects, &folder).map_err(unavailable)?;
                staged.publish(&folder, &path, &at, content_type, now())
            })
            .await
        })
    }

    fn presign(&self, at: &Location, access: &Access, ttl: Duration) -> Result<Presigned, Error> {
        check(at)?;
        if let Access::Put { content_type, max_size } = access {
            check_content_type(content_type)?;
            if !(1..=MAX_OBJECT).contains(max_size) {
                return Err(Error::Invalid(format!("a size must be between 1 and {MAX_OBJECT} bytes")));
            }
        }
        let (path_and_query, expires_at) = self.signer.sign(at, access, ttl, now())?;
        Ok(Presigned { url: format!("{}{path_and_query}", self.public_url), expires_at })
    }

    fn verify(&self, method: &http::Method, path_and_query: &str) -> Result<Permit, Error> {
        self.signer.verify(method, path_and_query, now())
    }
}

impl std::fmt::Debug for LocalBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalBlobs").field("objects", &self.objects).finish_non_exhaustive()
    }
}

/// Streams `body` into the staged file, in pieces, hashing as it goes.
async fn receive(mut staged: Staged, max: u64, mut body: Body) -> Result<Staged, Error> {
    let mut piece = BytesMut::with_capacity(PIECE);
    let mut size = 0_u64;
    loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().ok(),
            Some(Err(error)) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(Error::Interrupted);
            }
            None => break,
        };
        // Trailers carry nothing we keep.
        let Some(data) = frame else { continue };
        size = size.saturating_add(data.len() as u64);
        if size > max {
            return Err(Error::TooLarge { max });
        }
        piece.extend_from_slice(&data);
        if piece.len() >= PIECE {
            (staged, piece) = append(staged, piece).await?;
        }
    }
    Ok(append(staged, piece).await?.0)
}

/// Writes and hashes a piece on a blocking thread; gives the buffer back.
async fn append(mut staged: Staged, mut piece: BytesMut) -> Result<(Staged, BytesMut), Error> {
    blocking(move || {
        staged.append(&piece)?;
        piece.clear();
        Ok((staged, piece))
    })
    .await
}

/// The content as a stream of pieces. It stays the object that was opened, whatever is
/// written meanwhile.
fn stream(object: Object) -> Body {
    let pieces = futures_util::stream::try_unfold((Arc::new(object), 0_u64), |(object, offset)| async move {
        if offset >= object.info.size {
            return Ok::<_, BoxError>(None);
        }
        let reader = Arc::clone(&object);
        let piece = blocking(move || reader.read(offset, PIECE as u64)).await?;
        let next = offset + piece.len() as u64;
        Ok(Some((http_body::Frame::data(piece), (object, next))))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

/// Disk work, off the I/O workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(unavailable(error)))
}

fn unavailable(error: impl Into<BoxError>) -> Error {
    Error::Unavailable(error.into())
}

/// Whether a location has the shape that `core::blob::Location` promises.
fn check(at: &Location) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    if at.key.is_empty() || at.key.len() > MAX_BLOB_KEY {
        return Err(Error::Invalid(format!("a key has 1 to {MAX_BLOB_KEY} characters")));
    }
    if !at.key.bytes().all(good) {
        return invalid("a key consists of letters, digits, `.`, `_`, `-` and `/`");
    }
    if at.key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return invalid("a key has no empty, `.` or `..` segments and does not begin or end with `/`");
    }
    Ok(())
}

fn check_content_type(text: &str) -> Result<(), Error> {
    let good = |b: u8| b == b' ' || b.is_ascii_graphic();
    if (1..=MAX_CONTENT_TYPE).contains(&text.len()) && text.bytes().all(good) && text.trim() == text {
        Ok(())
    } else {
        Err(Error::Invalid(format!("a content type is 1 to {MAX_CONTENT_TYPE} visible characters")))
    }
}

#[cfg(test)]
mod tests;
