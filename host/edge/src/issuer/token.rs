//! What may be asked for in a token.

use super::Wrong;

/// How long a token lasts unless asked otherwise, in seconds.
const LIFE: i64 = 3_600;
/// The longest and the shortest, in seconds. Below zero is a token that has expired
/// already: for trying out what happens then.
const LONGEST: i64 = 86_400;
const SHORTEST: i64 = -3_600;
/// The longest name and the longest list of scopes.
const MAX_NAME: usize = 64;
const MAX_SCOPE: usize = 256;

/// What a client wants in its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Scopes with spaces between.
    pub(super) scope: String,
    /// In seconds from now.
    pub(super) lasts: i64,
}

impl Wish {
    pub(super) fn new(scope: Option<&str>, lasts: Option<i64>) -> Result<Self, Wrong> {
        let scope = scope.unwrap_or("analysis");
        // RFC 6749, section 3.3.
        let good = |b: u8| matches!(b, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.len() > MAX_SCOPE || !scope.bytes().all(good) {
            return Err(Wrong::new("invalid_scope", "scopes are plain words with spaces between"));
        }
        Ok(Self { scope: scope.to_owned(), lasts: lasts.unwrap_or(LIFE) })
    }
}

/// A life in seconds.
pub(super) fn parse_life(text: &str) -> Result<i64, Wrong> {
    text.parse().ok().filter(|lasts| (SHORTEST..=LONGEST).contains(lasts)).ok_or_else(|| {
        Wrong::new("invalid_request", format!("expires_in is a number of seconds up to {LONGEST}"))
    })
}

/// The name of a user: anybody, but a name.
pub(super) fn parse_name(text: &str) -> Result<String, Wrong> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(good) {
        let text = format!("a name has 1 to {MAX_NAME} of letters, digits, `.`, `_`, `-` and `@`");
        return Err(Wrong::new("invalid_client", text));
    }
    Ok(text.to_owned())
}
