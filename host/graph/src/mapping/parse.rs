//! Reads selections, bodies and filters. Knows no types: `check` comes after.

use std::ops::Range;

use super::{Mistake, Root};
use crate::json::Json;

/// How deep braces may nest: deeper than any answer worth mapping by hand.
const MAX_DEPTH: usize = 32;

/// A name and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Without quotes.
    pub text: String,
    /// Where it stands.
    pub at: Range<usize>,
}

/// What stands behind a name, or alone.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// `$(…)`.
    Literal(Json<'static>),
    /// A path.
    Path(Path),
}

/// A path and what is taken from its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// From where.
    pub root: Root,
    /// The keys.
    pub keys: Vec<Name>,
    /// The braces, if any.
    pub entries: Option<Vec<Entry>>,
    /// The path without the braces.
    pub at: Range<usize>,
}

/// A field and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The field.
    pub name: Name,
    /// Its value.
    pub value: Expression,
    /// Whether the field is named apart from the value.
    pub renamed: bool,
}

/// A whole selection.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Fields of an object.
    Entries(Vec<Entry>),
    /// One value.
    Value(Expression),
}

/// One term of a test: `path = JSON`.
#[derive(Debug, Clone, PartialEq)]
pub struct Equals {
    /// Into the answer, or the status.
    pub left: Path,
    /// What it has to be.
    pub right: Json<'static>,
}

/// One term of a filter: `path = $args.name`.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Into the payload.
    pub path: Vec<Name>,
    /// Into the arguments.
    pub argument: Vec<Name>,
    /// The right side.
    pub at: Range<usize>,
}

/// Reads a selection or a body.
pub fn selection(text: &str) -> Result<Selection, Mistake> {
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    if reader.at == text.len() {
        return Err(Mistake::new(0..text.len(), "the selection is empty"));
    }
    let selection = if reader.peek() == Some('$') || reader.peek() == Some('{') {
        let value = reader.value(0)?;
        Selection::Value(value)
    } else {
        Selection::Entries(reader.entries(0)?)
    };
    reader.end()?;
    Ok(selection)
}

/// Reads a filter.
pub fn filter(text: &str) -> Result<Vec<Term>, Mistake> {
    let left = "the left side of a filter names a key of the event's payload";
    let right = "the right side of a filter is an argument, `$args.name`";
    terms(text, Root::Args, left, right)?.ok_or_else(|| {
        Mistake::new(0..text.len(), "the filter is empty").help("leave `filter` out to let every event pass")
    })
}

/// Reads what an item of a batch is known by.
pub fn matching(text: &str) -> Result<Vec<Term>, Mistake> {
    let left = "the left side of a match names a key of each item";
    let right = "the right side of a match is a field of the object, `$this.name`";
    terms(text, Root::This, left, right)?.ok_or_else(|| {
        Mistake::new(0..text.len(), "the match is empty").help("write for example `id = $this.userId`")
    })
}

/// Reads what has to hold for an answer to be a success.
pub fn success(text: &str) -> Result<Vec<Equals>, Mistake> {
    let mut reader = Reader { text, at: 0 };
    let mut terms = Vec::new();
    loop {
        reader.blank();
        if reader.at == text.len() {
            break;
        }
        let left = reader.path()?;
        reader.expect('=')?;
        reader.blank();
        let right = reader.json()?;
        terms.push(Equals { left, right });
    }
    if terms.is_empty() {
        return Err(Mistake::new(0..text.len(), "the test is empty")
            .help("leave `isSuccess` out: then a status of 2xx is one"));
    }
    Ok(terms)
}

fn terms(text: &str, from: Root, left: &str, right: &str) -> Result<Option<Vec<Term>>, Mistake> {
    let mut reader = Reader { text, at: 0 };
    let mut terms = Vec::new();
    loop {
        // Commas are blank, as in GraphQL.
        reader.blank();
        if reader.at == text.len() {
            break;
        }
        let path = reader.path()?;
        if path.root != Root::Current {
            return Err(Mistake::new(path.at, left));
        }
        reader.expect('=')?;
        let found = reader.path()?;
        if found.root != from || found.keys.is_empty() {
            return Err(Mistake::new(found.at, right));
        }
        terms.push(Term { path: path.keys, argument: found.keys, at: found.at });
    }
    Ok((!terms.is_empty()).then_some(terms))
}

/// Reads one path: the inside of the braces of a template.
pub fn path(text: &str) -> Result<Path, Mistake> {
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    let path = reader.path()?;
    reader.end()?;
    Ok(path)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), Mistake> {
        self.blank();
        if self.eat(wanted) { Ok(()) } else { Err(self.unexpected(&format!("`{wanted}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let mistake = match self.peek() {
            None => Mistake::new(self.at..self.at, format!("the text ends where {wanted} is expected")),
            Some(found) => Mistake::new(
                self.at..self.at + found.len_utf8(),
                format!("found `{found}` where {wanted} is expected"),
            ),
        };
        if self.rest().starts_with("->") {
            return mistake.help("methods (`->`) are not part of the subset");
        }
        mistake
    }

    /// Passes blanks, commas and comments.
    fn blank(&mut self) {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() || c == ',' => self.at += c.len_utf8(),
                Some('#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn end(&mut self) -> Result<(), Mistake> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    fn name(&mut self) -> Result<Name, Mistake> {
        let start = self.at;
        if self.peek() == Some('"') {
            let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
            let Some(Ok(text)) = values.next() else { return Err(self.unexpected("a name")) };
            let length = values.byte_offset();
            self.at += length;
            return Ok(Name { text, at: start..self.at });
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = self.rest().find(|c| !letter(c)).unwrap_or(self.rest().len());
        let text = self.rest().get(..length).unwrap_or_default();
        if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unexpected("a name"));
        }
        let text = text.to_owned();
        self.at += length;
        Ok(Name { text, at: start..self.at })
    }

    /// A JSON value that something may follow.
    fn json(&mut self) -> Result<Json<'static>, Mistake> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Json<'_>>();
        let Some(Ok(value)) = values.next() else { return Err(self.unexpected("a JSON value")) };
        let (value, length) = (value.into_owned(), values.byte_offset());
        self.at += length;
        Ok(value)
    }

    /// The JSON value up to the parenthesis that closes it.
    fn literal(&mut self) -> Result<Json<'static>, Mistake> {
        self.blank();
        let (mut inside, mut escaped) = (false, false);
        let close = self.rest().find(|c| {
            let end = c == ')' && !inside;
            inside ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            end
        });
        let text = self.rest().get(..close.unwrap_or(self.rest().len())).unwrap_or_default();
        match Json::parse(text.as_bytes()) {
            Ok(value) => {
                let (value, length) = (value.into_owned(), text.len());
                self.at += length;
                self.expect(')')?;
                Ok(value)
            }
            Err(_) => Err(self.unexpected("a JSON literal")),
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Mistake> {
        if depth > MAX_DEPTH {
            return Err(Mistake::new(self.at..self.at, format!("braces nest deeper than {MAX_DEPTH}")));
        }
        let mut entries = Vec::new();
        loop {
            self.blank();
            if matches!(self.peek(), None | Some('}')) {
                return Ok(entries);
            }
            entries.push(self.entry(depth)?);
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, Mistake> {
        if self.peek() == Some('$') {
            return Err(self.unexpected("a field").help("name the field: `field: $.path`"));
        }
        let name = self.name()?;
        self.blank();
        if self.eat(':') {
            self.blank();
            let value = self.value(depth)?;
            return Ok(Entry { name, value, renamed: true });
        }
        if self.peek() == Some('.') {
            return Err(self
                .unexpected("the next field")
                .help(format!("name the field: `field: {}.…`", name.text)));
        }
        let entries = self.braces(depth)?;
        let path = Path { root: Root::Current, keys: vec![name.clone()], entries, at: name.at.clone() };
        Ok(Entry { name, value: Expression::Path(path), renamed: false })
    }

    fn braces(&mut self, depth: usize) -> Result<Option<Vec<Entry>>, Mistake> {
        self.blank();
        let start = self.at;
        if !self.eat('{') {
            return Ok(None);
        }
        let entries = self.entries(depth + 1)?;
        self.expect('}')?;
        if entries.is_empty() {
            return Err(Mistake::new(start..self.at, "the braces select nothing"));
        }
        Ok(Some(entries))
    }

    fn value(&mut self, depth: usize) -> Result<Expression, Mistake> {
        if self.rest().starts_with("$(") {
            self.at += 2;
            return self.literal().map(Expression::Literal);
        }
        let start = self.at;
        let mut path = if self.peek() == Some('{') {
            Path { root: Root::Current, keys: Vec::new(), entries: None, at: start..start + 1 }
        } else {
            self.path()?
        };
        path.entries = self.braces(depth)?;
        Ok(Expression::Path(path))
    }

    fn path(&mut self) -> Result<Path, Mistake> {
        self.blank();
        let start = self.at;
        let mut keys = Vec::new();
        let root = if self.eat('$') {
            if self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
                let variable = self.name()?;
                match variable.text.as_str() {
                    "args" => Root::Args,
                    "context" => Root::Correlation,
                    "this" => Root::This,
                    "batch" => Root::Batch,
                    "status" => Root::Status,
                    other => {
                        return Err(Mistake::new(start..self.at, format!("there is no variable `${other}`"))
                            .help("there are `$`, `$args`, `$this`, `$batch`, `$status` and `$context.correlationId`")
                            .suggest(other, ["args", "context", "this", "batch", "status"]));
                    }
                }
            } else {
                Root::Whole
            }
        } else {
            keys.push(self.name()?);
            Root::Current
        };
        while self.eat('.') {
            keys.push(self.name()?);
        }
        if root == Root::Correlation {
            if keys.iter().map(|key| key.text.as_str()).ne(["correlationId"]) {
                return Err(Mistake::new(start..self.at, "`$context` has only `correlationId`"));
            }
            keys.clear();
        }
        if root == Root::Status && !keys.is_empty() {
            return Err(Mistake::new(start..self.at, "`$status` is a number and has no keys"));
        }
        Ok(Path { root, keys, entries: None, at: start..self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_the_subset_is_refused_at_its_place() {
        for (text, at, message) in [
            ("", 0..0, "the selection is empty"),
            ("a {", 3..3, "the text ends where `}` is expected"),
            ("a { }", 2..5, "the braces select nothing"),
            ("a: b->first", 4..5, "found `-` where a name is expected"),
            ("a.b", 1..2, "found `.` where the next field is expected"),
            ("$arg.x", 0..4, "there is no variable `$arg`"),
            ("a $.b", 2..3, "found `$` where a field is expected"),
            ("a: $(tru)", 5..6, "found `t` where a JSON literal is expected"),
            ("a: $(\"x", 5..6, "found `\"` where a JSON literal is expected"),
            ("a: $(1", 6..6, "the text ends where `)` is expected"),
            ("a: $context.user", 3..16, "`$context` has only `correlationId`"),
            ("$.a b", 4..5, "found `b` where the end is expected"),
            ("1", 0..1, "found `1` where a name is expected"),
        ] {
            let mistake = selection(text).unwrap_err();
            assert_eq!((mistake.at, mistake.message.as_str()), (at, message), "{text}");
        }
        assert!(selection(&"a{".repeat(100_000)).is_err());
    }

    #[test]
    fn a_literal_is_any_json() {
        for literal in ["true", "null", "-1.5", r#""a ) \\\" b""#, r#"{"a":[1]}"#] {
            let Ok(Selection::Entries(entries)) = selection(&format!("a: $( {literal} ) b")) else {
                panic!("{literal}")
            };
            assert_eq!(entries.len(), 2);
            assert_eq!(
                entries[0].value,
                Expression::Literal(Json::parse(literal.as_bytes()).unwrap()),
                "{literal}"
            );
        }
    }

    #[test]
    fn a_filter_compares_the_payload_with_arguments() {
        let terms = filter("correlationId = $args.correlationId, data.id = $args.input.id").unwrap();
        assert_eq!(terms.len(), 2);
        assert_eq!(terms[1].path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>(), ["data", "id"]);
        for bad in ["", "a", "a = b", "$args.a = b", "a = $args", "a = $args.b or c = $args.d"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
