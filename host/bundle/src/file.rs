//! Reading a file up to a bound, and the digest of bytes.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

/// How much of a file is hashed at a time.
const CHUNK: usize = 64 << 10;

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub(crate) fn io(file: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { file: file.to_owned(), doing, source }
}

/// The name under which a file is written before it is put in place.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    PathBuf::from(beside)
}

/// Opens a regular file that is there and not too large. Links and devices are refused:
/// a bundle has none, and they would lead out of its folder.
fn plain(file: &Path, what: &'static str, max: u64) -> Result<(File, u64), Error> {
    let found = match std::fs::symlink_metadata(file) {
        Ok(found) => found,
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Error::Missing { file: file.to_owned(), what });
        }
        Err(why) => return Err(io(file, "read")(why)),
    };
    if !found.is_file() {
        return Err(Error::Foreign {
            file: file.to_owned(),
            expected: "a regular file".into(),
            found: if found.is_symlink() { "a symbolic link" } else { "something else" }.into(),
        });
    }
    if found.len() > max {
        return Err(Error::TooLarge { file: file.to_owned(), found: found.len(), max });
    }
    Ok((File::open(file).map_err(io(file, "opened"))?, found.len()))
}

/// The whole content of a file of at most `max` bytes.
pub(crate) fn read(file: &Path, what: &'static str, max: u64) -> Result<Vec<u8>, Error> {
    let (open, size) = plain(file, what, max)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may have grown since its size was asked.
    open.take(max + 1).read_to_end(&mut bytes).map_err(io(file, "read"))?;
    let found = bytes.len() as u64;
    if found > max {
        return Err(Error::TooLarge { file: file.to_owned(), found, max });
    }
    Ok(bytes)
}

/// The digest and size of a file of at most `max` bytes, without holding it in memory.
pub(crate) fn measure(file: &Path, what: &'static str, max: u64) -> Result<(String, u64), Error> {
    let (open, _) = plain(file, what, max)?;
    let mut open = open.take(max + 1);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = open.read(&mut chunk).map_err(io(file, "read"))?;
        if read == 0 {
            break;
        }
        hash.update(chunk.get(..read).unwrap_or_default());
        size += read as u64;
    }
    if size > max {
        return Err(Error::TooLarge { file: file.to_owned(), found: size, max });
    }
    Ok((format!("sha256:{}", hex::encode(hash.finalize())), size))
}
