//! The files of the components while they are composed: from places in syntax trees to
//! diagnostics that a person can follow.

use std::collections::HashMap;
use std::ops::Range;

use apollo_compiler::Node;
use apollo_compiler::ast::Value;
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::parser::{FileId, SourceMap, SourceSpan};
use apollo_compiler::validation::DiagnosticList;
use monopod_core::diagnostic::{Diagnostic, Place};

use super::{Contribution, prelude};
use crate::error::readable;
use crate::mapping::{Mistake, did_you_mean};

/// All files, and what was found wrong in them.
pub struct Sources<'c> {
    contributions: &'c [Contribution],
    files: HashMap<FileId, usize>,
    /// Everything wrong so far.
    pub found: Vec<Diagnostic>,
}

impl<'c> Sources<'c> {
    /// No file is known yet.
    pub fn new(contributions: &'c [Contribution]) -> Self {
        Self { contributions, files: HashMap::new(), found: Vec::new() }
    }

    /// Learns which contribution a parsed document came from.
    pub fn learn(&mut self, sources: &SourceMap, contribution: usize) {
        self.files.extend(sources.keys().filter(|id| **id != FileId::BUILT_IN).map(|id| (*id, contribution)));
    }

    /// Whose file a place is in.
    pub fn owner(&self, span: Option<SourceSpan>) -> Option<&'c Contribution> {
        self.contributions.get(*self.files.get(&span?.file_id())?)
    }

    /// `file:line:column` of a place, for messages about another place.
    pub fn locate(&self, span: Option<SourceSpan>) -> String {
        match (self.owner(span), span) {
            (Some(owner), Some(span)) => {
                let place = Place::of(&owner.schema.text, span.offset()..span.end_offset());
                format!("{}:{}:{}", owner.schema.file, place.line, place.column)
            }
            _ => "the host".to_owned(),
        }
    }

    /// Records a mistake.
    pub fn report(&mut self, span: Option<SourceSpan>, message: impl Into<String>, help: Option<String>) {
        let range = span.map(|span| span.offset()..span.end_offset());
        self.report_range(span, range, message.into(), help);
    }

    fn report_range(
        &mut self,
        span: Option<SourceSpan>,
        range: Option<Range<usize>>,
        message: String,
        help: Option<String>,
    ) {
        let known = self.owner(span);
        let Some(owner) = known.or(self.contributions.first()) else { return };
        // A place in the host's own part would point anywhere in a component's file.
        let place = range.filter(|_| known.is_some()).map(|range| {
            let text = &owner.schema.text;
            // Syntax nodes reach up to the next token; what follows the last letter is not meant.
            let meant = text.get(range.clone()).map_or(0, |text| text.trim_end().len());
            Place::of(text, range.start..range.start + meant.max(1))
        });
        self.found.push(Diagnostic { file: owner.schema.file.clone(), place, message, help });
    }

    /// Records a mistake inside a string of the schema.
    pub fn report_inside(&mut self, value: &Node<Value>, mistake: Mistake) {
        let span = value.location();
        let range = span.zip(self.owner(span)).map(|(span, owner)| {
            let raw = owner.schema.text.get(span.offset()..span.end_offset()).unwrap_or_default();
            let at = |offset| span.offset() + raw_offset(raw, offset);
            at(mistake.at.start)..at(mistake.at.end.max(mistake.at.start + 1))
        });
        self.report_range(span, range, mistake.message, mistake.help);
    }

    /// Records what the compiler found.
    pub fn report_all(&mut self, list: &DiagnosticList, schema: Option<&apollo_compiler::Schema>) {
        for diagnostic in list.iter() {
            let span = diagnostic.error.location();
            let message = readable(&diagnostic.error.to_string());
            let found = quoted(&message);
            let help = match diagnostic.error.unstable_error_name() {
                Some("UndefinedDirective") => did_you_mean(
                    found.trim_start_matches('@'),
                    prelude::PUBLIC.into_iter().chain(prelude::DIRECTIVES),
                )
                .or_else(|| Some("the directives are the host's; a component cannot add any".to_owned())),
                Some("UndefinedDefinition") => schema
                    .and_then(|schema| did_you_mean(found, schema.types.keys().map(|name| name.as_str()))),
                _ => None,
            };
            self.report(span, message, help);
        }
    }
}

/// The first text between backticks.
fn quoted(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or_default()
}

/// Where byte `offset` of a string's value stands in its literal `raw`, quotes included.
fn raw_offset(raw: &str, offset: usize) -> usize {
    if let Some(inner) = raw.strip_prefix("\"\"\"") {
        return 3 + block_offset(inner.split_once("\"\"\"").map_or(inner, |(inner, _)| inner), offset);
    }
    let mut value = 0;
    let mut chars = raw.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if value >= offset {
            return at;
        }
        if c != '\\' {
            value += c.len_utf8();
            continue;
        }
        value += match chars.next() {
            Some((_, 'u')) => {
                let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).map_or(3, char::len_utf8)
            }
            _ => 1,
        };
    }
    raw.len().saturating_sub(1)
}

/// The same inside a block string, whose common indentation and blank first and last
/// lines do not belong to the value (GraphQL specification, `BlockStringValue`).
fn block_offset(inner: &str, offset: usize) -> usize {
    let indent_of = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let blank = |line: &&str| line.trim_matches([' ', '\t', '\r']).is_empty();
    let lines: Vec<&str> = inner.split('\n').collect();
    let indent =
        lines.iter().skip(1).filter(|line| !blank(line)).map(|line| indent_of(line)).min().unwrap_or(0);
    let skipped = lines.iter().take_while(|line| blank(line)).count();
    let mut raw = 0;
    let mut value = 0;
    for (number, line) in lines.iter().enumerate() {
        if number >= skipped {
            let cut = if number == 0 { 0 } else { indent.min(line.len()) };
            let kept = line.len() - cut - usize::from(line.ends_with('\r'));
            if offset <= value + kept {
                return raw + cut + (offset - value);
            }
            value += kept + 1;
        }
        raw += line.len() + 1;
    }
    inner.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_value_is_found_in_its_literal() {
        for (raw, value, wanted) in [
            (r#""abc""#, 1, 'b'),
            (r#""a\"bc""#, 2, 'b'),
            (r#""\u00e9bc""#, 2, 'b'),
            ("\"\"\"abc\"\"\"", 1, 'b'),
            ("\"\"\"\n    a\n      b\n  \"\"\"", 4, 'b'),
            ("\"\"\"\r\n    a\r\n    b\"\"\"", 2, 'b'),
        ] {
            assert_eq!(raw[raw_offset(raw, value)..].chars().next(), Some(wanted), "{raw}");
        }
    }
}
