//! Small secret files: written whole or not at all, and for the owner's eyes only.
//! Called while starting, before any request; it blocks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::Error;

/// The largest file that is read: certificates and keys have a few kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// Makes a folder that only its owner may enter. One that is there is left as it is.
pub(crate) fn folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| Error::File {
        action: "create the folder",
        path: path.to_owned(),
        fix: "choose a state folder this user may write to ([platform] state, or --state)",
        source,
    })
}

/// Writes `content` with mode 0600, durably, replacing what was there in one step.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = Path::new(&temporary);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(temporary, path)
    };
    write().map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        fix: "choose a state folder this user may write to ([platform] state, or --state)",
        source,
    })
}

/// A private file of ours; none if there is none yet. Refused if others can read it.
pub(crate) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            return Err(Error::KeyExposed { path: path.to_owned() });
        }
        Ok(_) | Err(_) => {}
    }
    read(path, "make it readable for this user, or delete it to have a new one made").map(Some)
}

/// A file somebody else wrote.
pub(crate) fn read(path: &Path, fix: &'static str) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), fix, source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(failed(io::Error::other(format!("{size} bytes are too many for such a file"))));
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_for_its_owner_only_and_refused_once_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        assert!(read_private(&path).unwrap().is_none());
        write_private(&path, b"secret").unwrap();
        write_private(&path, b"secret 2").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path).unwrap().unwrap(), b"secret 2");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_private(&path), Err(Error::KeyExposed { .. })));
    }
}
