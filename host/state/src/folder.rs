//! The state folder: made, locked against a second process, and synced. Used by the
//! store and the blobs when they open, and by nobody later.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use monopod_core::Millis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::OpenError;

/// A time as people write it, to the second.
pub(crate) fn time(at: Millis) -> Option<String> {
    let seconds = i64::try_from(at / 1_000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

/// Makes `folder` if it is not there, for this user alone: it holds other people's data.
pub(crate) fn make(folder: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::Folder { folder: folder.to_owned(), source };
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(fault)?;
    // A power cut must not take the folder away from under a commit.
    match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync(Path::new(".")),
        Some(parent) => sync(parent),
        None => Ok(()),
    }
    .map_err(fault)
}

/// Locks `folder` for this process by the file `name` in it. The lock ends with the
/// file, also when the process is killed; the number in it is only for the message.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<File, OpenError> {
    let fault = |source| OpenError::Folder { folder: folder.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(name))
        .map_err(fault)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Two short lines; what is neither number nor time is not repeated.
            let _ = Read::by_ref(&mut file).take(64).read_to_string(&mut text);
            let mut lines = text.lines();
            let pid = lines.next().and_then(|line| line.trim().parse::<u32>().ok());
            let since = lines.next().and_then(|line| line.trim().parse::<Millis>().ok());
            return Err(OpenError::Locked {
                folder: folder.to_owned(),
                pid: pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
                since: since.and_then(time).unwrap_or_else(|| "an unknown time".to_owned()),
            });
        }
        Err(TryLockError::Error(source)) => return Err(fault(source)),
    }
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}\n{}\n", std::process::id(), monopod_core::now())
    };
    write().map_err(fault)?;
    Ok(file)
}

/// Makes the entries of a folder survive a power cut.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere a rename is durable.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a subfolder if it is not there, so that it survives a power cut.
pub(crate) fn make_sub(parent: &Path, path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
