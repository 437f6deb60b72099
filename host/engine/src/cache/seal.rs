//! The seal of a file of compiled code: a keyed hash over its name and every byte of it, with a
//! key that only this installation has. Loading code is running it, so nothing is mapped that
//! does not carry it.
//!
//! The hash is BLAKE3 in its keyed mode. It is there for its speed alone: every byte of every
//! component is hashed at each start, and on one core it hashes 6 GB a second where SHA-256 with
//! the processor's own instructions does 1.8.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use blake3::{Hash, Hasher, KEY_LEN, OUT_LEN};

/// Bytes behind the code.
pub(super) const SEAL: usize = OUT_LEN;
const KEY_FILE: &str = "seal.key";
/// What is hashed at a time: fits the second-level cache, and gives the hash enough to do at once.
const CHUNK: usize = 128 << 10;
/// Others may neither read nor write the key.
const KEY_EXPOSED: u32 = 0o007;
/// Others may not write code. A group may, because a volume of Kubernetes has one (`fsGroup`).
const CODE_EXPOSED: u32 = 0o002;

pub(super) struct Seal {
    key: [u8; KEY_LEN],
    /// Who owns the key; code must be theirs.
    owner: u32,
}

impl Seal {
    /// Takes the key of `folder`, or makes one.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = folder.join(KEY_FILE);
        // Twice, because another process may remove a damaged one while this one looks at it.
        for _ in 0..2 {
            match fs::metadata(&file).and_then(|meta| Ok((meta, fs::read(&file)?))) {
                Ok((meta, key)) => match <[u8; KEY_LEN]>::try_from(key) {
                    Ok(key) if meta.mode() & KEY_EXPOSED == 0 => return Ok(Self { key, owner: meta.uid() }),
                    broken => {
                        let why = if broken.is_ok() { "others can read it" } else { "it is damaged" };
                        tracing::warn!(file = %file.display(), why, "the seal's key is replaced; everything is compiled again");
                        fs::remove_file(&file)?;
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            create(&file)?;
        }
        Err(io::Error::other("the seal's key changes while it is read"))
    }

    /// The seal of `code` under `name`. With the name in it, no file can pass for another.
    pub(super) fn of(&self, name: &str, code: &[u8]) -> [u8; SEAL] {
        *self.hasher(name).update(code).finalize().as_bytes()
    }

    /// Reads the file once, to its end; why it must not be loaded, if so.
    pub(super) fn check(&self, name: &str, file: &mut File) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        self.trust(&file.metadata().map_err(failed)?)?;
        let mut hasher = self.hasher(name);
        let mut buffer = vec![0; CHUNK];
        // The last bytes that were read may belong to the seal, so they are held back.
        let mut held = 0;
        loop {
            let space = buffer.get_mut(held..).unwrap_or_default();
            let read = match file.read(space) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            held += read;
            let code = held.saturating_sub(SEAL);
            hasher.update(buffer.get(..code).unwrap_or_default());
            buffer.copy_within(code..held, 0);
            held -= code;
        }
        let Ok(seal) = <[u8; SEAL]>::try_from(buffer.get(..held).unwrap_or_default()) else {
            return Err("it is truncated".to_owned());
        };
        // Compares in constant time.
        if hasher.finalize() != Hash::from_bytes(seal) {
            return Err(
                "its seal is broken: it was damaged, changed, or made by another installation".to_owned()
            );
        }
        Ok(())
    }

    /// The code in the content of a whole file, if the seal behind it is good.
    pub(super) fn code<'a>(&self, name: &str, content: &'a [u8]) -> Option<&'a [u8]> {
        let (code, seal) = content.split_at_checked(content.len().checked_sub(SEAL)?)?;
        let good = Hash::from_bytes(self.of(name, code)) == Hash::from_bytes(seal.try_into().ok()?);
        good.then_some(code)
    }

    /// What was checked is mapped, so nobody else may be able to change it in between.
    fn trust(&self, file: &Metadata) -> Result<(), String> {
        if !file.is_file() || file.uid() != self.owner || file.mode() & CODE_EXPOSED != 0 {
            return Err(
                "others could change it: it must be a file of the seal key's owner, not writable by all"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn hasher(&self, name: &str) -> Hasher {
        let mut hasher = Hasher::new_keyed(&self.key);
        hasher.update(&name.len().to_le_bytes()).update(name.as_bytes());
        hasher
    }
}

/// Makes a key, unless another process was faster.
fn create(file: &Path) -> io::Result<()> {
    let mut key = [0; KEY_LEN];
    getrandom::fill(&mut key).map_err(io::Error::from)?;
    let whole = super::temporary(file);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&whole)?.write_all(&key)?;
    // A link appears with all its bytes, and not over one that is there. Where the file system has
    // no links, the last of those who start at once wins, and the others compile once more.
    match fs::hard_link(&whole, file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&whole, file),
        _ => fs::remove_file(&whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn check(seal: &Seal, name: &str, content: &[u8]) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        seal.check(name, &mut file)
    }

    fn sealed(seal: &Seal, name: &str, code: &[u8]) -> Vec<u8> {
        [code, &seal.of(name, code)].concat()
    }

    #[test]
    fn only_the_very_bytes_that_were_sealed_under_this_name_and_key_pass() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (seal, other) = (Seal::open(here.path()).unwrap(), Seal::open(there.path()).unwrap());
        // Around the borders of what is read at a time.
        for length in [0, 1, 31, 32, 33, CHUNK - SEAL - 1, CHUNK - SEAL, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let code: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let good = sealed(&seal, "a", &code);
            assert_eq!(check(&seal, "a", &good), Ok(()), "{length}");
            assert_eq!(seal.code("a", &good), Some(&code[..]), "{length}");
            assert!(seal.code("b", &good).or(other.code("a", &good)).is_none(), "{length}");
            assert!(check(&seal, "b", &good).is_err(), "another's name, {length}");
            assert!(check(&other, "a", &good).is_err(), "another's key, {length}");
            assert!(check(&seal, "a", &good[..good.len() - 1]).is_err(), "shorter, {length}");
            assert!(check(&seal, "a", &[&good[..], &[0]].concat()).is_err(), "longer, {length}");
            for at in [0, good.len() / 2, good.len() - 1] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                assert!(check(&seal, "a", &bad).is_err(), "changed at {at} of {length}");
                assert_eq!(seal.code("a", &bad), None, "changed at {at} of {length}");
            }
        }
        assert!(check(&seal, "a", b"short").unwrap_err().contains("truncated"));
        assert_eq!(seal.code("a", b"short"), None);
    }

    #[test]
    fn one_folder_has_one_key_however_many_open_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let open = || Seal::open(folder.path()).unwrap().key;
            let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_key_that_others_can_read_is_not_trusted_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let before = Seal::open(folder.path()).unwrap().key;
        assert_eq!(Seal::open(folder.path()).unwrap().key, before);
        let file = folder.path().join(KEY_FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(Seal::open(folder.path()).unwrap().key, before);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn code_that_everybody_may_write_is_refused_whatever_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let seal = Seal::open(folder.path()).unwrap();
        let path = folder.path().join("code");
        fs::write(&path, sealed(&seal, "a", b"code")).unwrap();
        assert_eq!(seal.check("a", &mut File::open(&path).unwrap()), Ok(()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(seal.check("a", &mut File::open(&path).unwrap()).unwrap_err().contains("others"));
    }
}
