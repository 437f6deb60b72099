//! The seal on the owner of a message that goes through a broker.
//!
//! Whose a message is decides who may see it, so it is never believed from a header: others
//! write to brokers, too. What this platform sends carries the owner with a keyed digest over
//! it and the message's id; what comes back without a right one belongs to nobody. Processes
//! that share a broker share the key's file.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use monopod_core::identity::Owner;
use sha2::Sha256;

/// The key's size in bytes: the digest's own.
const KEY: usize = 32;

/// The key behind the seals of one platform.
#[derive(Clone)]
pub struct Seal([u8; KEY]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file cannot be read or made.
    #[error("the key {} that seals the owners of messages cannot be used", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a key of {KEY} bytes; delete it and a new one is made", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
    },
}

impl Seal {
    /// The key in a file, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let wrong = |source| SealError::File { path: path.to_owned(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; KEY];
                getrandom::fill(&mut key).map_err(|error| wrong(std::io::Error::other(error)))?;
                let mut open = fs::OpenOptions::new();
                let mut file = open.write(true).create_new(true).mode(0o600).open(path).map_err(wrong)?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(wrong)?;
                key.to_vec()
            }
            Err(error) => return Err(wrong(error)),
        };
        bytes.try_into().map(Self).map_err(|_| SealError::Key { path: path.to_owned() })
    }

    /// A key that nobody else has: for tests, and where nothing comes back.
    pub fn of(key: [u8; KEY]) -> Self {
        Self(key)
    }

    /// The seal on `owner` for the message `id`.
    pub(crate) fn on(&self, id: &str, owner: &Owner) -> String {
        self.digest(id, owner).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
    }

    /// Whether `seal` is that on `owner` for the message `id`. Takes the same time whatever
    /// is wrong with it.
    pub(crate) fn holds(&self, seal: &str, id: &str, owner: &Owner) -> bool {
        let (Some(mac), Ok(seal)) = (self.digest(id, owner), hex::decode(seal)) else { return false };
        mac.verify_slice(&seal).is_ok()
    }

    /// None never comes: a key of any length will do.
    fn digest(&self, id: &str, owner: &Owner) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [id, &*owner.issuer, &*owner.subject] {
            // With their lengths, so that no two parts can run into one another.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(subject: &str) -> Owner {
        Owner { issuer: "https://issuer".into(), subject: subject.into() }
    }

    #[test]
    fn a_seal_holds_for_its_message_and_owner_alone() {
        let (seal, other) = (Seal::of([1; KEY]), Seal::of([2; KEY]));
        let mark = seal.on("id", &owner("anna"));
        assert!(seal.holds(&mark, "id", &owner("anna")));
        assert!(!seal.holds(&mark, "id", &owner("bert")));
        assert!(!seal.holds(&mark, "another", &owner("anna")));
        assert!(!other.holds(&mark, "id", &owner("anna")));
        assert!(!seal.holds("", "id", &owner("anna")) && !seal.holds("zz", "id", &owner("anna")));
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = Seal::open(&path).unwrap();
        let again = Seal::open(&path).unwrap();
        assert!(again.holds(&first.on("id", &owner("anna")), "id", &owner("anna")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(matches!(Seal::open(&path), Err(SealError::Key { .. })));
    }
}
