//! `monopod:blobs`: looking at large objects, and signing access to them.

use std::time::Duration;

use monopod_core::blob::{self, Location};

use crate::bindings::monopod::blobs::blobs::{Access, Error, Host, Info, Presigned};
use crate::guest::Guest;

/// The most bytes one read returns; it is copied into the guest's memory.
const MAX_READ: u64 = 16 << 20;

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Self {
        match error {
            blob::Error::NotFound => Self::NotFound,
            blob::Error::Invalid(why) => Self::Invalid(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl Guest {
    fn location(&self, container: &str, key: String) -> Result<Location, Error> {
        match self.loaded.component.grants.blobs.get(container) {
            Some(container) => Ok(Location { container: container.clone(), key }),
            None => Err(Error::NotGranted(self.denied("blobs", container))),
        }
    }

    async fn stat_blob(&mut self, container: &str, key: String) -> Result<Info, Error> {
        let at = self.location(container, key)?;
        let info = self.shared.blobs.stat(&at).await?;
        Ok(Info {
            size: info.size,
            content_type: info.content_type,
            sha256: info.sha256,
            written_at: info.written_at,
        })
    }

    async fn read_blob(
        &mut self,
        container: &str,
        key: String,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, Error> {
        let at = self.location(container, key)?;
        Ok(self.shared.blobs.read(&at, offset, length.min(MAX_READ)).await?.to_vec())
    }

    fn presign_blob(
        &self,
        container: &str,
        key: String,
        access: Access,
        ttl: u32,
    ) -> Result<Presigned, Error> {
        let at = self.location(container, key)?;
        let access = match access {
            Access::Get => blob::Access::Get,
            Access::Put(put) => blob::Access::Put { content_type: put.content_type, max_size: put.max_size },
        };
        let signed = self.shared.blobs.presign(&at, &access, Duration::from_secs(ttl.into()))?;
        Ok(Presigned { url: signed.url, expires_at: signed.expires_at })
    }
}

impl Host for Guest {
    async fn stat(&mut self, container: String, key: String) -> wasmtime::Result<Result<Info, Error>> {
        Ok(self.stat_blob(&container, key).await)
    }

    async fn read(
        &mut self,
        container: String,
        key: String,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self.read_blob(&container, key, offset, length).await)
    }

    fn presign(
        &mut self,
        container: String,
        key: String,
        access: Access,
        ttl: u32,
    ) -> wasmtime::Result<Result<Presigned, Error>> {
        Ok(self.presign_blob(&container, key, access, ttl))
    }
}
