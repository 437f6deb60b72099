//! One object as one file: the content, then a record of what is known of it, the
//! record's length (4 bytes, little-endian) and a mark of 8 bytes. The content begins at
//! 0, so any tool shows it; the record comes last, because size and digest are known only
//! when the content has been read.
//!
//! Everything here blocks; `blobs` calls it on blocking threads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use monopod_core::Millis;
use monopod_core::blob::{Error, Info, Location};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::unavailable;
use crate::folder;

/// Ends every complete object; the digit is the format.
const MARK: &[u8; 8] = b"MPBLOB1\n";
/// Length and mark.
const END: u64 = 12;
/// The longest record: a key, a type, a digest and three numbers are far below.
const MAX_RECORD: u32 = 4 << 10;

/// What stands behind the content.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    container: String,
    key: String,
    size: u64,
    content_type: String,
    sha256: String,
    written_at: Millis,
}

/// An object that is open: it stays what it was when it was opened.
#[derive(Debug)]
pub(super) struct Object {
    pub info: Info,
    file: File,
}

impl Object {
    /// Opens the object in `path`, which must be the one of `at`.
    pub fn open(path: &Path, at: &Location) -> Result<Self, Error> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            Err(error) => return Err(unavailable(error)),
        };
        let record = read_record(&mut file).map_err(|error| {
            tracing::error!(path = %path.display(), %error, "an object is damaged");
            unavailable(error)
        })?;
        // On a disk that does not tell `A` from `a` this may be another object.
        if record.key != at.key || record.container != at.container.as_str() {
            return Err(Error::NotFound);
        }
        let Record { size, content_type, sha256, written_at, .. } = record;
        Ok(Self { info: Info { size, content_type, sha256, written_at }, file })
    }

    /// At most `length` bytes from `offset`; fewer only at the end.
    pub fn read(&self, offset: u64, length: u64) -> Result<Bytes, Error> {
        let length = length.min(self.info.size.saturating_sub(offset));
        let mut buffer = vec![0; usize::try_from(length).map_err(unavailable)?];
        read_at(&self.file, &mut buffer, offset).map_err(unavailable)?;
        Ok(buffer.into())
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

fn read_record(file: &mut File) -> io::Result<Record> {
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let length = file.metadata()?.len();
    let end = length.checked_sub(END).ok_or_else(|| damaged("the file has no end mark"))?;
    let (mut size, mut mark) = ([0; 4], [0; 8]);
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut size)?;
    file.read_exact(&mut mark)?;
    let size = u32::from_le_bytes(size);
    if mark != *MARK || size > MAX_RECORD {
        return Err(damaged("the file has no end mark"));
    }
    let start = end.checked_sub(u64::from(size)).ok_or_else(|| damaged("the record is cut off"))?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    Read::take(&mut *file, u64::from(size)).read_to_end(&mut text)?;
    let record: Record = serde_json::from_slice(&text)?;
    if record.size == start {
        Ok(record)
    } else {
        Err(damaged("the content is not as long as its record says"))
    }
}

/// An object that is being written. Dropped, it leaves nothing.
pub(super) struct Staged {
    file: File,
    path: PathBuf,
    digest: Sha256,
    size: u64,
    published: bool,
}

impl Staged {
    /// A new, empty file in `staging`.
    pub fn create(staging: &Path) -> Result<Self, Error> {
        let path = staging.join(uuid::Uuid::new_v4().simple().to_string());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(unavailable)?;
        Ok(Self { file, path, digest: Sha256::new(), size: 0, published: false })
    }

    /// The next piece of the content.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).map_err(unavailable)?;
        self.digest.update(piece);
        self.size += piece.len() as u64;
        Ok(())
    }

    /// Completes the object and puts it in its place, durably.
    pub fn publish(
        mut self,
        folder: &Path,
        path: &Path,
        at: &Location,
        content_type: String,
        written_at: Millis,
    ) -> Result<Info, Error> {
        let sha256 = hex::encode(std::mem::take(&mut self.digest).finalize());
        let record = Record {
            container: at.container.to_string(),
            key: at.key.clone(),
            size: self.size,
            content_type,
            sha256,
            written_at,
        };
        let mut end = serde_json::to_vec(&record).map_err(unavailable)?;
        let length = u32::try_from(end.len()).map_err(unavailable)?;
        end.extend_from_slice(&length.to_le_bytes());
        end.extend_from_slice(MARK);
        let mut finish = || {
            self.file.write_all(&end)?;
            // The content before the name, the name before the answer.
            self.file.sync_all()?;
            fs::rename(&self.path, path)?;
            self.published = true;
            folder::sync(folder)
        };
        finish().map_err(unavailable)?;
        let Record { size, content_type, sha256, written_at, .. } = record;
        Ok(Info { size, content_type, sha256, written_at })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_file(&self.path)
        {
            // The next start removes it.
            tracing::warn!(path = %self.path.display(), %error, "an unfinished upload is left behind");
        }
    }
}

/// Removes what an earlier process did not finish.
pub(super) fn sweep(staging: &Path) -> io::Result<()> {
    let mut removed = 0_u64;
    for entry in fs::read_dir(staging)? {
        fs::remove_file(entry?.path())?;
        removed += 1;
    }
    if removed > 0 {
        tracing::info!(removed, "unfinished uploads of an earlier run were removed");
    }
    Ok(())
}
