//! What may be signed. Each fault has a code that callers know.

use monopod_sdk::http::{Fields, Problem};

use crate::Presign;

/// The longest key, in bytes.
const MAX_KEY: usize = 200;
/// The longest a URL may live, in seconds: an hour.
const MAX_TTL_SECONDS: u32 = 3_600;

/// A request that may be signed.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// The object's key.
    pub key: String,
    /// Its content type; empty for reading.
    pub content_type: String,
    /// How long the URL lives.
    pub ttl_seconds: u32,
}

/// Checks a request for a URL to write with.
pub fn put(request: Presign) -> Result<Checked, Problem> {
    check(request, true)
}

/// Checks a request for a URL to read with. The content type may be left out.
pub fn get(request: Presign) -> Result<Checked, Problem> {
    check(request, false)
}

fn check(request: Presign, needs_content_type: bool) -> Result<Checked, Problem> {
    let mut faults = Fields::new();
    let key = request.key.unwrap_or_default();
    if let Some(fault) = key_fault(&key) {
        faults.add("key", fault);
    }
    let content_type = request.content_type.unwrap_or_default();
    if content_type.is_empty() {
        if needs_content_type {
            faults.add("contentType", "Required");
        }
    } else if !content_type.strip_prefix("image/").is_some_and(is_subtype) {
        faults.add("contentType", "MustStartWithImageSlash");
    }
    let ttl = request.ttl_sec.and_then(|ttl| u32::try_from(ttl).ok());
    let ttl = ttl.filter(|ttl| (1..=MAX_TTL_SECONDS).contains(ttl));
    if ttl.is_none() {
        faults.add("ttlSec", "Range1To3600");
    }
    faults.finish()?;
    Ok(Checked { key, content_type, ttl_seconds: ttl.unwrap_or_default() })
}

/// The first thing wrong with a key, in the order in which the codes exclude one another.
fn key_fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        Some("Required")
    } else if key.len() > MAX_KEY {
        Some("MaxLengthExceeded")
    } else if key.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
        Some("InvalidPathTraversal")
    } else if key.contains('\\') || key.split('/').any(str::is_empty) {
        Some("InvalidPathShape")
    } else if !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/')) {
        Some("InvalidCharacterSet")
    } else {
        None
    }
}

/// A subtype of RFC 6838; parameters are not taken, since the writer must send the same text.
fn is_subtype(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_');
    !text.is_empty() && text.len() <= 127 && text.bytes().all(good)
}
