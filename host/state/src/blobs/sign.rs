//! Signed URLs: `/blobs/<container>/<key>?e=…&m=…&t=…&s=…`
//!
//! | parameter | is | in |
//! |---|---|---|
//! | `e` | when it ends, milliseconds since 1970 | every URL |
//! | `m` | the most bytes | PUT |
//! | `t` | the content type, percent-encoded | PUT |
//! | `s` | the signature, base64url | every URL |
//!
//! `s` is HMAC-SHA256 over method, container, key, end, size and type, each on a line of
//! its own; none of them can hold a line break. The key lies in the state folder, so a
//! URL outlives a restart. The method is not in the URL: one with `m` and `t` is for PUT,
//! one without is for GET, and the signature covers which.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use http::Method;
use monopod_core::Millis;
use monopod_core::blob::{Access, Error, Location, MAX_TTL, Permit, ROUTE};
use sha2::Sha256;

use super::{check, check_content_type};
use crate::{OpenError, folder};

/// The key's file in the state folder.
const FILE: &str = "blobs.key";
/// The key's length in bytes: as long as the digest, which is what HMAC makes use of.
const KEY: usize = 32;
/// The shortest life of a URL.
const MIN_TTL: Duration = Duration::from_secs(1);

/// Signs URLs and knows its own again.
pub(super) struct Signer {
    key: [u8; KEY],
}

impl Signer {
    /// Reads the key, or makes one.
    pub fn open(state: &Path) -> Result<Self, OpenError> {
        let path = state.join(FILE);
        let fault = |source| OpenError::Folder { folder: state.to_owned(), source };
        let mut key = [0; KEY];
        match File::open(&path) {
            Ok(mut file) => {
                let complete = file.read_exact(&mut key).is_ok();
                let over = file.read(&mut [0]).map_err(fault)?;
                if !complete || over != 0 {
                    return Err(OpenError::Key { path });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                getrandom::fill(&mut key).map_err(|error| fault(io::Error::other(error)))?;
                save(state, &path, &key).map_err(fault)?;
            }
            Err(error) => return Err(fault(error)),
        }
        Ok(Self { key })
    }

    /// Path and query of a URL for `access`, and when it ends. `at` and the access must
    /// have been checked.
    pub fn sign(
        &self,
        at: &Location,
        access: &Access,
        ttl: Duration,
        now: Millis,
    ) -> Result<(String, Millis), Error> {
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            let most = MAX_TTL.as_secs();
            return Err(Error::Invalid(format!("a URL lives between 1 and {most} seconds")));
        }
        let end = now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let signature = BASE64.encode(self.mac(at, access, end)?.finalize().into_bytes());
        let more = match access {
            Access::Get => String::new(),
            Access::Put { content_type, max_size } => format!("&m={max_size}&t={}", encode(content_type)),
        };
        let Location { container, key } = at;
        Ok((format!("{ROUTE}{container}/{key}?e={end}{more}&s={signature}"), end))
    }

    /// What a URL allows, if it is ours and has not ended.
    pub fn verify(&self, method: &Method, path_and_query: &str, now: Millis) -> Result<Permit, Error> {
        let claim = Claim::read(path_and_query).ok_or(Error::BadSignature)?;
        let asked = match &claim.permit.access {
            Access::Get => Method::GET,
            Access::Put { .. } => Method::PUT,
        };
        let mac = self.mac(&claim.permit.location, &claim.permit.access, claim.end)?;
        // Compares in constant time. Before anything else is looked at, so that only a
        // URL of ours is ever told why it does not work.
        mac.verify_slice(&claim.signature).map_err(|_| Error::BadSignature)?;
        if *method != asked {
            return Err(Error::BadSignature);
        }
        if claim.end <= now {
            return Err(Error::Expired);
        }
        Ok(claim.permit)
    }

    fn mac(&self, at: &Location, access: &Access, end: Millis) -> Result<Hmac<Sha256>, Error> {
        let (method, size, content_type) = match access {
            Access::Get => ("GET", 0, ""),
            Access::Put { content_type, max_size } => ("PUT", *max_size, content_type.as_str()),
        };
        let Location { container, key } = at;
        let text = format!("monopod-blob-1\n{method}\n{container}\n{key}\n{end}\n{size}\n{content_type}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(super::unavailable)?;
        mac.update(text.as_bytes());
        Ok(mac)
    }
}

/// What a URL says of itself, not yet believed.
struct Claim {
    permit: Permit,
    end: Millis,
    signature: Vec<u8>,
}

impl Claim {
    /// Reads a URL strictly: every parameter once, no others, nothing half right.
    fn read(path_and_query: &str) -> Option<Self> {
        let (path, query) = path_and_query.split_once('?')?;
        let (container, key) = path.strip_prefix(ROUTE)?.split_once('/')?;
        let location = Location { container: container.parse().ok()?, key: key.to_owned() };
        check(&location).ok()?;
        let (mut end, mut size, mut content_type, mut signature) = (None, None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=')?;
            let slot = match name {
                "e" => &mut end,
                "m" => &mut size,
                "t" => &mut content_type,
                "s" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let access = match (size, content_type) {
            (None, None) => Access::Get,
            (Some(size), Some(content_type)) => {
                let content_type = decode(content_type)?;
                check_content_type(&content_type).ok()?;
                Access::Put { content_type, max_size: number(size)? }
            }
            _ => return None,
        };
        let signature = BASE64.decode(signature?).ok()?;
        Some(Self { permit: Permit { location, access }, end: number(end?)?, signature })
    }
}

/// A number as it was written: no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The opposite. Some clients decode what they need not have: that is accepted.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let (high, low) = (char::from(bytes.next()?), char::from(bytes.next()?));
                u8::try_from(high.to_digit(16)? << 4 | low.to_digit(16)?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// Writes the key so that a crash leaves all of it or none, for this user alone.
fn save(state: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
    let new = path.with_extension("key.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    folder::sync(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn signer() -> Signer {
        Signer { key: [7; KEY] }
    }

    fn at(key: &str) -> Location {
        Location { container: "photos".parse().unwrap(), key: key.to_owned() }
    }

    fn put() -> Access {
        Access::Put { content_type: "image/svg+xml; a=b".into(), max_size: 1_000 }
    }

    fn url(access: &Access) -> String {
        signer().sign(&at("a/b.svg"), access, Duration::from_secs(300), NOW).unwrap().0
    }

    #[test]
    fn a_url_allows_what_was_signed() {
        for (access, method) in [(Access::Get, Method::GET), (put(), Method::PUT)] {
            let permit = signer().verify(&method, &url(&access), NOW).unwrap();
            assert_eq!(permit, Permit { location: at("a/b.svg"), access });
        }
        // A client may write the type without escapes.
        let plain = url(&put()).replace("%2F", "/").replace("%2B", "+").replace("%3B", ";");
        assert!(signer().verify(&Method::PUT, &plain, NOW).is_ok());
    }

    #[test]
    fn a_url_ends() {
        let url = url(&Access::Get);
        assert!(signer().verify(&Method::GET, &url, NOW + 299_999).is_ok());
        assert!(matches!(signer().verify(&Method::GET, &url, NOW + 300_000), Err(Error::Expired)));
    }

    #[test]
    fn a_url_that_was_changed_in_any_place_is_refused() {
        for (access, method) in [(Access::Get, Method::GET), (put(), Method::PUT)] {
            let good = url(&access);
            for at in 0..good.len() {
                for with in ["0", "z", "/", "&", "", "%"] {
                    let mut bad = good.clone();
                    bad.replace_range(at..=at, with);
                    // The same type may be escaped in other ways; nothing else may change.
                    if let Ok(permit) = signer().verify(&method, &bad, NOW) {
                        assert_eq!(permit.access, access, "{bad}");
                        assert_eq!(permit.location.key, "a/b.svg", "{bad}");
                        assert!(bad == good, "{bad}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_url_of_another_method_key_or_shape_is_refused() {
        let check = |method: &Method, url: &str| {
            let found = signer().verify(method, url, NOW);
            assert!(matches!(found, Err(Error::BadSignature)), "{method} {url}: {found:?}");
        };
        let (get, put) = (url(&Access::Get), url(&put()));
        check(&Method::PUT, &get);
        check(&Method::GET, &put);
        check(&Method::DELETE, &put);
        check(&Method::HEAD, &get);
        check(&Method::GET, &format!("{get}&x=1"));
        check(&Method::GET, &format!("{get}&e=1"));
        check(&Method::GET, &get.replace("photos", "other"));
        check(&Method::GET, &get.replace("a/b.svg", "a/../a/b.svg"));
        check(&Method::GET, &get.replace("?e=", "?e=0"));
        check(&Method::PUT, &put.replace("m=1000", "m=10000"));
        check(&Method::PUT, &put.replace("svg", "png"));
        check(&Method::GET, "/blobs/");
        check(&Method::GET, "/blobs/photos/a?");
        check(&Method::GET, "");
        let other = Signer { key: [8; KEY] };
        assert!(matches!(other.verify(&Method::GET, &get, NOW), Err(Error::BadSignature)));
    }

    #[test]
    fn a_life_below_a_second_or_above_an_hour_is_refused() {
        for bad in [Duration::ZERO, Duration::from_millis(999), Duration::from_millis(3_600_001)] {
            let found = signer().sign(&at("a"), &Access::Get, bad, NOW);
            assert!(matches!(found, Err(Error::Invalid(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_key_is_made_once_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Signer::open(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(Signer::open(folder.path()).unwrap().key, first.key);
        assert_ne!(first.key, [0; KEY]);
        for bad in [&b"short"[..], &[1; KEY + 1]] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Signer::open(folder.path()), Err(OpenError::Key { .. })));
        }
    }
}
