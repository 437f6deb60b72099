//! What a component may touch, as small traits. `Host` implements them all in the host, the
//! fake of `testing` in native tests. Logic takes those it needs: `&(impl Buckets + Clock)`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{Method, Response};
pub use crate::message::{Failure, Message, Outgoing, Timer};
pub use crate::time::Millis;

/// Why a capability did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The platform file does not grant it. The text is the line to add.
    NotGranted(String),
    /// No such object.
    NotFound,
    /// A name, a size, a range or a time is out of bounds. The text says which.
    Invalid(String),
    /// It cannot answer now. Trying again later may help.
    Unavailable(String),
    /// What is stored, or was answered, is not what was expected.
    Damaged(String),
    /// Anything else. Do not parse it.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such object"),
            Self::NotGranted(text) => write!(f, "not granted: {text}"),
            Self::Unavailable(text) => write!(f, "unavailable: {text}"),
            Self::Invalid(text) | Self::Damaged(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody who proved who they are.
    Anonymous,
    /// A verified user; in a message or timer the one whose request began it all.
    User(User),
    /// The platform itself.
    System,
}

/// A verified user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The token's issuer.
    pub issuer: String,
    /// The token's subject: unique within the issuer.
    pub subject: String,
    /// A name for people to read. Not unique.
    pub name: Option<String>,
    /// What the token allows; empty in messages and timers.
    pub scopes: Vec<String>,
}

impl User {
    /// A text that identifies the user, for comparisons and as part of keys: issuer and
    /// subject, joined by the only slash in it.
    pub fn id(&self) -> String {
        let mut id = String::with_capacity(self.issuer.len() + self.subject.len() + 16);
        escape(&self.issuer, &mut id);
        id.push('/');
        escape(&self.subject, &mut id);
        id
    }
}

/// Percent-encodes all but letters, digits and a few signs that no key gives a meaning to.
fn escape(text: &str, into: &mut String) {
    use fmt::Write;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~' | b':' | b'@') {
            into.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _always = write!(into, "%{byte:02X}");
        }
    }
}

impl Principal {
    /// The user, if it is one.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Anonymous | Self::System => None,
        }
    }
}

/// Who is asking, and in which action.
pub trait Identity {
    /// On whose behalf this invocation runs.
    fn caller(&self) -> Principal;
    /// The id that ties together everything one client action set off.
    fn correlation_id(&self) -> String;
}

/// An entry of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1 to 512 bytes.
    pub key: String,
    /// At most 1 MiB.
    pub value: Vec<u8>,
}

/// Which entries a scan visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'a> {
    /// Keys that begin with this.
    pub prefix: &'a str,
    /// Behind this key, in the order of the scan; the key itself is left out.
    pub after: Option<&'a str>,
    /// From the greatest key down.
    pub descending: bool,
    /// At most so many; 1 to 1,000.
    pub limit: u32,
}

/// Durable key-value state of this component. Writes are part of the unit of work and seen by
/// its own later reads.
pub trait Buckets {
    /// The value of `key`.
    fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Sets `key` when the unit commits.
    fn set(&self, bucket: &str, key: &str, value: &[u8]) -> Result<(), Error>;
    /// Removes `key` when the unit commits. One that is not there is no error.
    fn delete(&self, bucket: &str, key: &str) -> Result<(), Error>;
    /// The entries of a range, in byte order of their keys.
    fn scan(&self, bucket: &str, range: Range<'_>) -> Result<Vec<Entry>, Error>;

    /// Sets `key` for so long (1 ms to 10 years); then it is not there.
    fn set_for(&self, bucket: &str, key: &str, value: &[u8], ttl: Duration) -> Result<(), Error>;
    /// The value of `key` with its version, for a change that comes in a later invocation.
    /// Not for a key that this invocation has written.
    fn get_versioned(&self, bucket: &str, key: &str) -> Result<Option<(u64, Vec<u8>)>, Error>;
    /// Sets `key` to `value` (none: removes it) if it stands at `expected` (none: is not
    /// there). False, and nothing changed, if it does not.
    fn compare_and_set(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<bool, Error>;

    /// The value of `key`, read as JSON.
    fn get_json<T: DeserializeOwned>(&self, bucket: &str, key: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.get(bucket, key)? else { return Ok(None) };
        parse(&value, || format!("`{key}` in bucket `{bucket}`")).map(Some)
    }

    /// Sets `key` to `value`, written as JSON.
    fn set_json(&self, bucket: &str, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.set(bucket, key, &print(value)?)
    }

    /// The keys and values of a range, read as JSON.
    fn scan_json<T: DeserializeOwned>(
        &self,
        bucket: &str,
        range: Range<'_>,
    ) -> Result<Vec<(String, T)>, Error> {
        let entries = self.scan(bucket, range)?.into_iter();
        entries
            .map(|Entry { key, value }| {
                let value = parse(&value, || format!("`{key}` in bucket `{bucket}`"))?;
                Ok((key, value))
            })
            .collect()
    }
}

/// Publishing, as part of the unit of work.
pub trait Publisher {
    /// Publishes if and only if the unit commits. Returns the message's id.
    fn publish(&self, message: &Outgoing) -> Result<String, Error>;
}

/// Durable timers, as part of the unit of work.
pub trait Timers {
    /// Sets the timer `name` (1 to 256 bytes), replacing one of that name. The payload is at
    /// most 64 KiB.
    fn set_timer(&self, name: &str, after: Duration, payload: &[u8]) -> Result<(), Error>;
    /// Removes it. One that is not there is no error.
    fn cancel_timer(&self, name: &str) -> Result<(), Error>;
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Bytes.
    pub size: u64,
    /// As the writer declared it.
    pub content_type: String,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// When it was written.
    pub written_at: Millis,
}

/// What a pre-signed URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Reading the object.
    Get,
    /// Writing it.
    Put {
        /// The content type the writer must send.
        content_type: String,
        /// The most bytes.
        max_size: u64,
    },
}

/// A pre-signed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// Absolute.
    pub url: String,
    /// When it ends.
    pub expires_at: Millis,
}

/// Large objects. Not part of the unit of work.
pub trait Blobs {
    /// What is known of an object, without reading it. [`Error::NotFound`] if there is none.
    fn stat(&self, container: &str, key: &str) -> Result<Info, Error>;
    /// At most `length` bytes (up to 16 MiB) from `offset`; fewer at the end.
    fn read(&self, container: &str, key: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error>;
    /// A URL that lets whoever has it do one thing for `ttl_seconds` (1 to 3,600).
    fn presign(
        &self,
        container: &str,
        key: &str,
        access: &Access,
        ttl_seconds: u32,
    ) -> Result<Presigned, Error>;
}

/// Other components of the platform.
pub trait Services {
    /// Calls the component `service` (which must be granted). `path` begins with a slash.
    /// Any answer is `Ok`, whatever its status; not being answered is an error.
    fn call(&self, method: Method, service: &str, path: &str, body: &[u8]) -> Result<Response, Error>;

    /// Posts JSON. The same.
    fn post_json(&self, service: &str, path: &str, body: &impl Serialize) -> Result<Response, Error> {
        self.call(Method::Post, service, path, &print(body)?)
    }
}

/// A request to a server outside.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// The method.
    pub method: Method,
    /// `https://host/path?query`; what is granted, `[components.<name>.grants] http`.
    pub url: &'a str,
    /// Names in lower case. `host` and `content-length` are added.
    pub headers: &'a [(&'a str, &'a str)],
    /// The content.
    pub body: &'a [u8],
    /// How often the host may send it again, 3 at most, after no answer came or one of 502 to
    /// 504. Only for requests that do no harm when they arrive twice.
    pub retries: u8,
    /// The longest answer that is read, in bytes.
    pub limit: usize,
}

/// Servers outside. Not part of the unit of work: what was sent stays sent when the unit is
/// dropped, and is sent again when it is run again.
pub trait Web {
    /// Sends it. Any answer is `Ok`, whatever its status, a redirect too: none is followed. Not
    /// being answered is an error.
    fn fetch(&self, request: &Fetch<'_>) -> Result<Response, Error>;
}

/// The component's settings.
pub trait Settings {
    /// The value of a setting, as the platform file or `component.toml` has it. `name` as
    /// written there (`recognition-timeout`).
    fn setting(&self, name: &str) -> Option<String>;

    /// A setting that is a time: a whole number with `ms`, `s`, `m` or `h`. Nothing that is
    /// not one is taken for another: the error says what was found.
    fn time_setting(&self, name: &str, default: Duration) -> Result<Duration, Error> {
        let Some(text) = self.setting(name) else { return Ok(default) };
        duration(&text).ok_or_else(|| {
            Error::Other(format!("setting `{name}` is `{text}`, not a time such as \"60s\" or \"500ms\""))
        })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(Duration::from_millis)
}

/// The time of day.
pub trait Clock {
    /// Now.
    fn now(&self) -> Millis;
}

/// Chance.
pub trait Random {
    /// Sixteen bytes nobody can guess.
    fn random(&self) -> [u8; 16];
}

/// The environment variable in which the host hands over a setting.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "the fake keeps settings by name"))]
pub(crate) fn variable(setting: &str) -> String {
    setting.to_ascii_uppercase().replace('-', "_")
}

fn parse<T: DeserializeOwned>(value: &[u8], what: impl FnOnce() -> String) -> Result<T, Error> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Damaged(format!("{} cannot be read: {error}", what())))
}

pub(crate) fn print(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Invalid(format!("cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(issuer: &str, subject: &str) -> String {
        User { issuer: issuer.into(), subject: subject.into(), name: None, scopes: Vec::new() }.id()
    }

    #[test]
    fn two_users_never_share_an_id_nor_begin_one_anothers_keys() {
        assert_eq!(user("https://a.test/x", "anna"), "https:%2F%2Fa.test%2Fx/anna");
        assert_ne!(user("https://a.test", "x/anna"), user("https://a.test/x", "anna"));
        assert!(!user("i", "a/b").starts_with(&format!("{}/", user("i", "a"))));
        assert_ne!(user("i", "a%2Fb"), user("i", "a/b"));
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, millis) in [("60s", 60_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in
            ["", "60", "s", "1.5s", "-1s", "1 s", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
