//! What the TOML parser complains of, in words that name the fix.

use std::ops::Range;

/// Message and help for a key or section that is there twice.
pub(crate) fn duplicate(source: &str, span: &Range<usize>) -> (String, String) {
    let key = source.get(span.clone()).unwrap_or_default();
    let start = source.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = source.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    let same = |other: &str| {
        let other = other.trim();
        match line.starts_with('[') {
            true => other == line,
            false => other.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')),
        }
    };
    let above = source.get(..start).unwrap_or_default();
    let first = above.lines().enumerate().filter(|(_, other)| same(other)).last();
    let help = match first {
        Some((at, _)) => format!("keep one of them: the first is in line {}", at + 1),
        None => "keep one of them".to_owned(),
    };
    (format!("`{key}` is defined a second time"), help)
}

/// Message and help for a text that is not TOML. The parser's own words are kept where
/// nothing better is known.
pub(crate) fn explain(source: &str, span: &Range<usize>, message: &str) -> (String, Option<String>) {
    let before = source.get(..span.start).unwrap_or_default().trim_end_matches([' ', '\t']);
    let value = before.ends_with(['=', ',', '[']) && !before.lines().next_back().is_some_and(is_header);
    let word: String = source
        .get(span.start..)
        .unwrap_or_default()
        .chars()
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#' | '"' | '\''))
        .collect();
    let boolean = match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true"),
        "false" | "no" | "off" => Some("false"),
        _ => None,
    };
    if let Some(boolean) = boolean.filter(|_| value) {
        return (format!("this is not TOML: `{word}` is not a boolean"), Some(format!("write {boolean}")));
    }
    if value && word.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.')) {
        return (format!("this is not TOML: `{word}` has no quotes"), Some(format!("write \"{word}\"")));
    }
    (format!("this is not TOML: {message}"), None)
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[') && !line.contains('=')
}
