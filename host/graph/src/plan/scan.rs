//! One linear pass over the bytes of a document, before any recursive code sees it: the
//! parser, the validator and the destructors of their trees recurse, and a hundred
//! kilobytes of `[` would end the process, that is, every component at once.
//!
//! It is not a parser: it may count a little too much, never too little.

use crate::error::{Failure, code};
use crate::json::Json;
use crate::settings::Settings;

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    tokens: usize,
    nesting: usize,
    aliases: usize,
    directives: usize,
    fragments: usize,
}

/// How much of each there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes.
    pub document: usize,
    /// Tokens.
    pub tokens: usize,
    /// Levels of braces, brackets and parentheses, taken together.
    pub nesting: usize,
    /// Aliases.
    pub aliases: usize,
    /// Directives.
    pub directives: usize,
    /// Fragment definitions and spreads.
    pub fragments: usize,
}

impl Limits {
    /// The limits of operations.
    pub fn of(settings: &Settings) -> Self {
        Self {
            document: settings.max_document,
            tokens: settings.max_tokens,
            nesting: settings.max_nesting(),
            aliases: settings.max_aliases,
            directives: settings.max_directives,
            fragments: settings.max_fragments,
        }
    }
}

/// Refuses a document that is larger than the limits.
pub fn scan(document: &str, limits: &Limits) -> Result<(), Failure> {
    if document.len() > limits.document {
        return Err(exceeded("document", limits.document, "bytes"));
    }
    let mut counts = Counts::default();
    count(document.as_bytes(), &mut counts, limits)
}

/// A limit was exceeded.
pub fn exceeded(limit: &'static str, max: usize, unit: &str) -> Failure {
    let message = format!("The operation is too large: more than {max} {unit}.");
    Failure::new(code::LIMIT_EXCEEDED, message)
        .with("limit", Json::String(limit.into()))
        .with("max", Json::Int(i64::try_from(max).unwrap_or(i64::MAX)))
}

fn count(bytes: &[u8], counts: &mut Counts, limits: &Limits) -> Result<(), Failure> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let (mut at, mut depth, mut parentheses) = (0, 0_usize, 0_usize);
    while at < bytes.len() {
        let start = at;
        at += 1;
        match byte(start) {
            // Blanks, and commas, which GraphQL takes for blanks.
            b' ' | b'\t' | b'\r' | b'\n' | b',' => continue,
            b'#' => {
                while at < bytes.len() && !matches!(byte(at), b'\n' | b'\r') {
                    at += 1;
                }
                continue;
            }
            b'"' => at = string_end(bytes, start),
            open @ (b'{' | b'[' | b'(') => {
                depth += 1;
                parentheses += usize::from(open == b'(');
                counts.nesting = counts.nesting.max(depth);
                if depth > limits.nesting {
                    return Err(exceeded("nesting", limits.nesting, "levels of braces and brackets"));
                }
            }
            close @ (b'}' | b']' | b')') => {
                depth = depth.saturating_sub(1);
                parentheses = parentheses.saturating_sub(usize::from(close == b')'));
            }
            // Outside of parentheses only an alias has a colon.
            b':' if parentheses == 0 => counts.aliases += 1,
            b'@' => counts.directives += 1,
            b'.' if byte(at) == b'.' && byte(at + 1) == b'.' => {
                at += 2;
                counts.fragments += 1;
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                while matches!(byte(at), b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9') {
                    at += 1;
                }
                if depth == 0 && bytes.get(start..at) == Some(b"fragment") {
                    counts.fragments += 1;
                }
            }
            b'-' | b'0'..=b'9' => {
                while matches!(byte(at), b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
                    at += 1;
                }
            }
            _ => {}
        }
        counts.tokens += 1;
        for (found, max, name, unit) in [
            (counts.tokens, limits.tokens, "tokens", "tokens"),
            (counts.aliases, limits.aliases, "aliases", "aliases"),
            (counts.directives, limits.directives, "directives", "directives"),
            (counts.fragments, limits.fragments, "fragments", "fragments"),
        ] {
            if found > max {
                return Err(exceeded(name, max, unit));
            }
        }
    }
    Ok(())
}

/// Behind the string that begins at `start`; the end of the text if it is not closed.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let block = rest.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' if !block => return start + at + 1,
            b'"' if rest.get(at..).is_some_and(|rest| rest.starts_with(b"\"\"\"")) => return start + at + 3,
            b'\\' if block => {
                at += if rest.get(at..).is_some_and(|rest| rest.starts_with(b"\\\"\"\"")) { 4 } else { 1 }
            }
            b'\\' => at += 2,
            // A string ends with its line; what follows is counted again.
            b'\n' | b'\r' if !block => return start + at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(document: &str) -> Counts {
        let mut counts = Counts::default();
        count(document.as_bytes(), &mut counts, &Limits::of(&Settings::default())).unwrap();
        counts
    }

    #[test]
    fn what_stands_in_strings_and_comments_does_not_count() {
        let document = r#"query Q($a: [Int] = [1, 2]) { # { { {
            x: f(a: "{ @skip ...", b: """ { " \""" { """, c: {k: -1.5e3}) @include(if: true) { ...F ... on T { a } }
        } fragment F on T { b }"#;
        assert_eq!(
            counts(document),
            Counts { tokens: 59, nesting: 3, aliases: 1, directives: 1, fragments: 3 }
        );
    }

    #[test]
    fn a_document_beyond_a_limit_is_refused_by_name() {
        let limits = Limits::of(&Settings::default());
        for (document, limit) in [
            ("[".repeat(60_000), "nesting"),
            ("{a".repeat(20_000), "nesting"),
            (format!("{{{}}}", "a:b ".repeat(10_000)), "aliases"),
            (format!("{{a {}}}", "@x ".repeat(10_000)), "directives"),
            (format!("{{{}}}", "...a ".repeat(10_000)), "fragments"),
            (format!("{{{}}}", "a ".repeat(10_000)), "tokens"),
            (" ".repeat(100_000), "document"),
        ] {
            let failure = scan(&document, &limits).unwrap_err();
            assert_eq!(failure.extensions[0], ("limit".into(), Json::String(limit.into())), "{limit}");
        }
        assert_eq!(scan("{ ping }", &limits), Ok(()));
    }

    #[test]
    fn odd_bytes_end_the_scan_and_not_the_process() {
        for odd in ["\"", "\"\"\"", "\"\\", "\"\"\"\\", "...", "..", "-", "é", "\u{0}", ")", "\"\n{"] {
            assert_eq!(scan(odd, &Limits::of(&Settings::default())), Ok(()), "{odd:?}");
        }
    }
}
