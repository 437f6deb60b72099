//! Mistakes in the files people write, with the place and the fix. All of them are
//! collected before any is shown.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub file: String,
    /// Line and column, from 1; none where the whole file is meant.
    pub place: Option<Place>,
    /// What is wrong: what was found, and where.
    pub message: String,
    /// What would be right: a line to add, a word to use.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters are meant.
    pub width: usize,
    /// The line itself, to be shown.
    pub text: String,
}

impl Place {
    /// The place of `span` (bytes) in `source`.
    pub fn of(source: &str, span: std::ops::Range<usize>) -> Self {
        let start = floor(source, span.start);
        let end = floor(source, span.end.max(span.start));
        let before = source.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = source.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let meant = source.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: source.get(line_start..start).unwrap_or_default().chars().count() + 1,
            width: meant.chars().count().max(1),
            text: text.to_owned(),
        }
    }
}

fn floor(source: &str, mut at: usize) -> usize {
    at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else {
            write!(f, "{}: {}", self.file, self.message)?;
            return match &self.help {
                Some(help) => write!(f, "\n  {help}"),
                None => Ok(()),
            };
        };
        writeln!(f, "{}:{}:{}: {}", self.file, place.line, place.column, self.message)?;
        writeln!(f, "  {:>4} | {}", place.line, place.text)?;
        let indent: String =
            place.text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "       | {indent}{}", "^".repeat(place.width))?;
        match &self.help {
            Some(help) => write!(f, " {help}"),
            None => Ok(()),
        }
    }
}
