//! One path, read once. What routing, signatures and components see is the same text;
//! what could be read in two ways is refused, not repaired.

use std::borrow::Cow;

use crate::limits::PATH;

/// `raw` with needless escapes undone and the others in upper case. The error is public
/// and says what is wrong with it.
pub(crate) fn normalise(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if raw.len() > PATH {
        return Err("the path is too long");
    }
    if !raw.starts_with('/') {
        return Err("the path must begin with a slash");
    }
    let path = if raw.contains('%') { Cow::Owned(unescape(raw)?) } else { Cow::Borrowed(raw) };
    if path.bytes().any(|b| b <= b' ' || b == b'\\' || b >= 0x7f) {
        return Err("the path holds characters that must be escaped");
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("the path has an empty segment");
        }
        // Some readers cut parameters (`..;a`) off a segment before they look at it.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err("the path has a `.` or `..` segment");
        }
    }
    Ok(path)
}

/// Undoes escapes of characters that need none, refuses those that hide structure.
fn unescape(raw: &str) -> Result<String, &'static str> {
    let mut path = String::with_capacity(raw.len());
    let mut decoded = Vec::with_capacity(raw.len());
    let mut parts = raw.split('%');
    let first = parts.next().unwrap_or_default();
    path.push_str(first);
    decoded.extend_from_slice(first.as_bytes());
    for part in parts {
        let digits = part.get(..2).ok_or("the path has a broken escape")?;
        let rest = part.get(2..).unwrap_or_default();
        // `from_str_radix` alone would take a sign.
        let byte = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16));
        let Some(Ok(byte)) = byte else {
            return Err("the path has a broken escape");
        };
        match byte {
            b'/' | b'\\' => return Err("the path has an escaped slash"),
            0..0x20 | 0x7f => return Err("the path has an escaped control character"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => {
                path.push('%');
                path.push_str(&digits.to_ascii_uppercase());
            }
        }
        decoded.push(byte);
        path.push_str(rest);
        decoded.extend_from_slice(rest.as_bytes());
    }
    // Overlong and broken UTF-8 would be read differently by different readers.
    std::str::from_utf8(&decoded).map_err(|_| "the path is not UTF-8")?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading() {
        for (raw, expect) in [
            ("/", "/"),
            ("/graphql", "/graphql"),
            ("/%67raphql", "/graphql"),
            ("/a%2db/", "/a-b/"),
            ("/a%c3%a4", "/a%C3%A4"),
            ("/secret%23/bar", "/secret%23/bar"),
            ("/100%25", "/100%25"),
            ("/a;b=c", "/a;b=c"),
            ("/...", "/..."),
        ] {
            assert_eq!(normalise(raw).as_deref(), Ok(expect), "{raw}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        for raw in [
            "",
            "*",
            "a",
            "//graphql",
            "/a//b",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/a",
            "/a/%2E%2e/b",
            "/.%2e/a",
            "/..;/a",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00b",
            "/a%0d%0ab",
            "/a%",
            "/a%2",
            "/a%+1",
            "/a%zz",
            "/%c0%ae%c0%ae/a",
            "/%ff",
            "/ä",
            &format!("/{}", "a".repeat(PATH)),
        ] {
            assert!(normalise(raw).is_err(), "{raw}");
        }
    }
}
