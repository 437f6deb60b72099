//! Where mistakes are gathered while a file is read. Knows the file's text, so that a
//! span becomes a line and a column, and the section being read, so that messages can
//! name it.

use std::ops::Range;

use monopod_core::diagnostic::{Diagnostic, Place};
use toml::de::DeTable;

use crate::section::Section;
use crate::syntax;

/// The mistakes of one file.
pub(crate) struct Report<'s> {
    file: &'s str,
    source: &'s str,
    path: Vec<String>,
    /// The header of each section in `path`.
    spans: Vec<Range<usize>>,
    found: Vec<Diagnostic>,
    /// Lines that are not TOML. What else they seem to say is guesswork and is left out.
    garbled: Vec<usize>,
    /// Keys and sections that are written but could not be read, so that nobody should
    /// say they are missing.
    broken: Vec<Vec<String>>,
}

impl<'s> Report<'s> {
    pub(crate) fn new(file: &'s str, source: &'s str) -> Self {
        Self {
            file,
            source,
            path: Vec::new(),
            spans: Vec::new(),
            found: Vec::new(),
            garbled: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Reads the whole document as one section, past errors of syntax.
    pub(crate) fn document<S: Section>(&mut self, text: &str) -> S {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut seen = Vec::new();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = Place::of(self.source, span.clone()).line;
            // One broken line often sets off several complaints: the first one is the cause.
            if seen.contains(&line) {
                continue;
            }
            seen.push(line);
            if error.message() == "duplicate key" {
                let (message, help) = syntax::duplicate(self.source, &span);
                self.at(span, message, Some(help));
            } else {
                self.garbled.push(line);
                let (message, help) = syntax::explain(self.source, &span, error.message());
                self.at(span, message, help);
            }
        }
        S::read(table.get_ref(), self)
    }

    /// Whether parts of the file could not be understood at all, so that "missing"
    /// would be a guess.
    pub(crate) fn is_garbled(&self) -> bool {
        !self.garbled.is_empty()
    }

    /// The file's name and text.
    pub(crate) fn source(&self) -> (&'s str, &'s str) {
        (self.file, self.source)
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// A mistake at a place.
    pub(crate) fn at(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let place = Place::of(self.source, span);
        self.found.push(Diagnostic { file: self.file.to_owned(), place: Some(place), message, help });
    }

    /// A mistake of the whole file.
    pub(crate) fn whole(&mut self, message: String, help: Option<String>) {
        self.found.push(Diagnostic { file: self.file.to_owned(), place: None, message, help });
    }

    /// A value that is not what its key wants. `why` is `what is wrong: what would be right`.
    pub(crate) fn wrong(&mut self, span: Range<usize>, why: &str) {
        self.refused(span, self.here(), why);
    }

    /// A key that is not what its section wants.
    pub(crate) fn wrong_key(&mut self, span: Range<usize>, why: &str) {
        let above = self.path.split_last().map_or(&[][..], |(_, above)| above);
        self.refused(span, header(above), why);
    }

    fn refused(&mut self, span: Range<usize>, at: String, why: &str) {
        let (what, fix) = match why.split_once(": ") {
            Some((what, fix)) => (what, Some(fix.to_owned())),
            None => (why, None),
        };
        self.mark_broken();
        self.at(span, format!("{at}: {what}"), fix);
    }

    /// Remembers that what is being read could not be read in full.
    pub(crate) fn mark_broken(&mut self) {
        self.broken.push(self.path.clone());
    }

    /// Whether the key or section at `path`, or a part of it, could not be read.
    pub(crate) fn is_broken(&self, path: &[&str]) -> bool {
        self.broken
            .iter()
            .any(|broken| broken.len() >= path.len() && broken.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Goes into `key`, whose value stands at `span`, for the time of `read`.
    pub(crate) fn within<T>(
        &mut self,
        key: &str,
        span: Range<usize>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push(key.to_owned());
        self.spans.push(span);
        let value = read(self);
        self.path.pop();
        self.spans.pop();
        value
    }

    /// Where the section being read stands.
    pub(crate) fn section_span(&self) -> Range<usize> {
        self.spans.last().cloned().unwrap_or(0..0)
    }

    /// How deep in sections the reading is; 0 for the top.
    pub(crate) fn depth(&self) -> usize {
        self.path.len()
    }

    /// The section being read, as its header is written.
    pub(crate) fn section(&self) -> String {
        header(&self.path)
    }

    /// The key being read, for messages: `` `memory` of [components.a.limits] ``.
    fn here(&self) -> String {
        match self.path.split_last() {
            None => "the file".to_owned(),
            Some((key, [])) => format!("`{key}`"),
            Some((key, above)) => format!("`{key}` of {}", header(above)),
        }
    }

    /// The value, if nothing was wrong; else every mistake in the order of the file.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Diagnostic>> {
        let Self { file, garbled, mut found, .. } = self;
        let line = |d: &Diagnostic| d.place.as_ref().map(|p| p.line);
        found.retain(|d| {
            d.message.starts_with("this is not TOML") || line(d).is_none_or(|l| !garbled.contains(&l))
        });
        found.sort_by(|a, b| {
            let at = |d: &Diagnostic| d.place.as_ref().map_or((0, 0), |p| (p.line, p.column));
            at(a).cmp(&at(b))
        });
        match value {
            Some(value) if found.is_empty() => Ok(value),
            _ if found.is_empty() => {
                let message = "the file could not be read".to_owned();
                Err(vec![Diagnostic { file: file.to_owned(), place: None, message, help: None }])
            }
            _ => Err(found),
        }
    }
}

/// A section's header as TOML writes it.
pub(crate) fn header(path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(|key| quoted(key)).collect();
    format!("[{}]", parts.join("."))
}

/// A key as TOML writes it: bare where it may be.
pub(crate) fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // One slip for each three letters: more, and the guess is a different word.
    let slips = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...`, or what there is to choose from.
pub(crate) fn suggest(word: &str, what: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if candidates.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let keys = ["memory", "deadline", "concurrency", "body", "attempts"];
        for (word, meant) in [
            ("memroy", Some("memory")),
            ("Memory", Some("memory")),
            ("dead-line", Some("deadline")),
            ("bdy", Some("body")),
            ("disk", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
    }

    #[test]
    fn a_header_quotes_what_toml_would_split() {
        let path = ["topics".to_owned(), "tu.images.uploaded".to_owned()];
        assert_eq!(header(&path), "[topics.\"tu.images.uploaded\"]");
    }
}
