//! Reads HTTP bodies up to a limit: requests of clients, answers of components.

use std::fmt::Display;

use axum::body::HttpBody;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is longer than the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// It broke off.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// The whole body, if it has at most `max` bytes. One that comes in one piece, as small
/// ones do, is not copied.
pub async fn read<B>(mut body: B, max: usize) -> Result<Bytes, Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|error| Error::Broken(error.to_string()))?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > max {
            return Err(Error::TooLong(max));
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
