//! Path templates: `/v1/uploads/{$args.id}/status?limit={$args.limit}`.
//!
//! Inserted values are percent-encoded down to RFC 3986's unreserved characters, so an
//! argument cannot bring a slash, a question mark, a host or a line break; a whole
//! segment can still be `.` or `..` and is refused then. So what is called always lies
//! below the template's own fixed beginning.

use std::fmt;

use apollo_compiler::ast::Type;
use apollo_compiler::schema::ExtendedType;
use http::HeaderValue;

use super::check::{Input, Types};
use super::parse::{self, Name};
use super::value::Scope;
use super::{Mistake, Root, Value};
use crate::json::Json;

/// A compiled template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// The segments behind each `/`.
    segments: Box<[Parts]>,
    /// Parameters of the query.
    query: Box<[(Box<str>, Parts)]>,
}

type Parts = Box<[Part]>;

/// A compiled header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header(Parts);

impl Header {
    /// The value; none if an inserted one is not there, or cannot stand in a header.
    pub fn expand(&self, scope: &Scope<'_, '_>) -> Option<HeaderValue> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Insert(value, _) => match scope.find(value) {
                    Json::String(text) => out.push_str(text),
                    Json::Null | Json::Array(_) | Json::Object(_) => return None,
                    other => out.push_str(&other.to_string()),
                },
            }
        }
        HeaderValue::from_str(&out).ok()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// As it stands.
    Text(Box<str>),
    /// Looked up, then encoded. The text is for messages.
    Insert(Value, Box<str>),
}

/// An argument cannot stand in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The expression in the template.
    pub expression: String,
    /// Why not.
    pub reason: &'static str,
}

impl Types<'_> {
    /// Compiles a template.
    pub fn template(&self, text: &str) -> Result<Template, Vec<Mistake>> {
        let mut bad = Vec::new();
        if !text.starts_with('/') || text.starts_with("//") {
            let at = 0..text.len().min(2);
            return Err(vec![
                Mistake::new(at, "a path begins with one `/`")
                    .help("it is asked of the component whose file this is, or of `to:`; a server outside has its whole address here, https://…"),
            ]);
        }
        let (path, query) = split_query(text);
        let mut segments = Vec::new();
        let mut at = 1;
        for segment in split(path.get(1..).unwrap_or_default(), '/') {
            if matches!(segment, "." | "..") {
                bad.push(Mistake::new(at..at + segment.len(), "a path has no `.` or `..` segments"));
            }
            segments.push(self.parts(segment, at, true, &mut bad));
            at += segment.len() + 1;
        }
        let mut parameters = Vec::new();
        let mut at = path.len() + 1;
        for pair in query.map(|query| split(query, '&')).unwrap_or_default() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.is_empty() || !name.bytes().all(|b| unreserved(b) || b == b'[' || b == b']') {
                bad.push(Mistake::new(at..at + pair.len(), "a parameter is written `name=value`"));
            }
            let parts = self.parts(value, at + name.len() + 1, false, &mut bad);
            if parts.len() > 1 && parts.iter().any(Part::is_batch) {
                bad.push(
                    Mistake::new(at..at + pair.len(), "a list cannot be a part of a value")
                        .help(format!("write `{name}={{$batch.id}}`: it is repeated for each value")),
                );
            }
            parameters.push((name.into(), parts));
            at += pair.len() + 1;
        }
        if bad.is_empty() {
            Ok(Template { segments: segments.into(), query: parameters.into() })
        } else {
            Err(bad)
        }
    }

    /// Compiles the value of a header: text and insertions, not encoded.
    pub fn header(&self, text: &str) -> Result<Header, Vec<Mistake>> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inner)) = rest.split_once('{') {
            let at = text.len() - inner.len();
            let Some((expression, after)) = inner.split_once('}') else {
                return Err(vec![Mistake::new(at - 1..text.len(), "this brace is never closed")]);
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let value = self.insertion(expression, false).map_err(|mut mistake| {
                mistake.at = mistake.at.start + at..mistake.at.end + at;
                vec![mistake]
            })?;
            parts.push(Part::Insert(value, expression.trim().into()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        if parts.iter().any(Part::is_batch) {
            return Err(vec![Mistake::new(0..text.len(), "a list cannot be written into a header")]);
        }
        Ok(Header(parts.into()))
    }

    /// `must`: the value must be there, since a path cannot have a hole.
    fn parts(&self, text: &str, offset: usize, must: bool, bad: &mut Vec<Mistake>) -> Parts {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let here = offset + (text.len() - rest.len());
            let fixed = rest.find(['{', '}']).unwrap_or(rest.len());
            let (before, tail) = rest.split_at(fixed);
            if let Some(wrong) = before.bytes().position(|b| !fixed_text(b)) {
                bad.push(
                    Mistake::new(here + wrong..here + wrong + 1, "this character cannot stand in a path")
                        .help("percent-encode it"),
                );
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let Some(inner) = tail.strip_prefix('{') else {
                if !tail.is_empty() {
                    bad.push(Mistake::new(here + fixed..here + fixed + 1, "this brace was never opened"));
                }
                break;
            };
            let Some((expression, after)) = inner.split_once('}') else {
                bad.push(Mistake::new(here + fixed..offset + text.len(), "this brace is never closed"));
                break;
            };
            match self.insertion(expression, must) {
                Ok(value) => parts.push(Part::Insert(value, expression.trim().into())),
                Err(mut mistake) => {
                    let start = here + fixed + 1;
                    mistake.at = mistake.at.start + start..mistake.at.end + start;
                    bad.push(mistake);
                }
            }
            rest = after;
        }
        parts.into()
    }

    fn insertion(&self, expression: &str, must: bool) -> Result<Value, Mistake> {
        let path = parse::path(expression)?;
        let all = path.at.clone();
        match path.root {
            Root::Correlation => {}
            Root::Args => self.single(&path.keys, all, must)?,
            Root::Batch if must => {
                return Err(Mistake::new(all, "a list cannot be written into a path")
                    .help("put it into the query, where it is repeated, or into the body"));
            }
            Root::This | Root::Batch => {
                let mut bad = Vec::new();
                self.exists(&path, &mut bad);
                if let Some(mistake) = bad.pop() {
                    return Err(mistake);
                }
                if path.keys.len() != 1 {
                    return Err(Mistake::new(all, "only a single value can be inserted")
                        .help("name a field of the object: `$this.id`"));
                }
            }
            Root::Current | Root::Whole | Root::Status => {
                return Err(Mistake::new(
                    all,
                    "only `$args.name`, `$this.name`, `$batch.name` and `$context.correlationId` can be inserted",
                ));
            }
        }
        let keys = path.keys.iter().map(|key| key.text.as_str().into()).collect();
        Ok(Value::Path { root: path.root, keys, fields: None })
    }

    fn single(&self, keys: &[Name], at: std::ops::Range<usize>, must: bool) -> Result<(), Mistake> {
        let mut bad = Vec::new();
        self.input_path(Input::Arguments, keys, &mut bad);
        if let Some(mistake) = bad.pop() {
            return Err(mistake);
        }
        let Some((ty, always)) = self.argument_type(keys) else {
            return Err(Mistake::new(at, "only a single argument can be inserted"));
        };
        if ty.is_list() || !self.leaf(ty) {
            return Err(Mistake::new(at, format!("`{ty}` cannot be written into a path"))
                .help("insert a scalar or an enum value"));
        }
        if must && !always {
            return Err(Mistake::new(at, "this can be null, and a path cannot have a hole")
                .help(format!("make it `{}!`, or put it into the query", ty.clone().nullable())));
        }
        Ok(())
    }

    fn leaf(&self, ty: &Type) -> bool {
        match self.schema.types.get(ty.inner_named_type()) {
            Some(ExtendedType::Scalar(scalar)) => scalar.name != "JSON",
            Some(ExtendedType::Enum(_)) => true,
            _ => false,
        }
    }
}

impl Part {
    fn is_batch(&self) -> bool {
        matches!(self, Self::Insert(Value::Path { root: Root::Batch, .. }, _))
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |parts: &[Part], f: &mut fmt::Formatter<'_>| {
            parts.iter().try_for_each(|part| match part {
                Part::Text(text) => f.write_str(text),
                Part::Insert(_, expression) => write!(f, "{{{expression}}}"),
            })
        };
        for parts in &self.segments {
            f.write_str("/")?;
            write(parts, f)?;
        }
        for (at, (name, parts)) in self.query.iter().enumerate() {
            write!(f, "{}{name}=", if at == 0 { '?' } else { '&' })?;
            write(parts, f)?;
        }
        Ok(())
    }
}

impl Template {
    /// Whether every request has the same path.
    pub fn is_fixed(&self) -> bool {
        let fixed = |parts: &[Part]| parts.iter().all(|part| matches!(part, Part::Text(_)));
        self.segments.iter().all(|parts| fixed(parts)) && self.query.iter().all(|(_, parts)| fixed(parts))
    }

    /// The part of the path that every request has, in whole segments.
    pub fn beginning(&self) -> String {
        let mut out = String::new();
        for parts in &self.segments {
            out.push('/');
            for part in parts {
                match part {
                    Part::Text(text) => out.push_str(text),
                    Part::Insert(..) => {
                        out.truncate(out.rfind('/').map_or(0, |end| end + 1));
                        return out;
                    }
                }
            }
        }
        out
    }

    /// The path and query for these arguments.
    pub fn expand(&self, scope: &Scope<'_, '_>) -> Result<String, Unfit> {
        let mut out = String::with_capacity(64);
        for parts in &self.segments {
            out.push('/');
            let start = out.len();
            let mut inserted = None;
            for part in parts {
                match part {
                    Part::Text(text) => out.push_str(text),
                    Part::Insert(value, expression) => {
                        inserted = Some(expression);
                        if !insert(scope.find(value), &mut out) {
                            return Err(Unfit { expression: expression.to_string(), reason: "has no value" });
                        }
                    }
                }
            }
            if let (Some(expression), "" | "." | "..") = (inserted, out.get(start..).unwrap_or_default()) {
                return Err(Unfit {
                    expression: expression.to_string(),
                    reason: "cannot be a part of a path",
                });
            }
        }
        let mut mark = '?';
        for (name, parts) in &self.query {
            if let [Part::Insert(value @ Value::Path { root: Root::Batch, .. }, _)] = &**parts {
                let Json::Array(items) = scope.find(value) else { continue };
                for item in items {
                    out.push(mark);
                    out.push_str(name);
                    out.push('=');
                    insert(item, &mut out);
                    mark = '&';
                }
                continue;
            }
            let start = out.len();
            out.push(mark);
            out.push_str(name);
            out.push('=');
            let whole = parts.iter().all(|part| match part {
                Part::Text(text) => {
                    out.push_str(text);
                    true
                }
                Part::Insert(value, _) => insert(scope.find(value), &mut out),
            });
            if whole {
                mark = '&';
            } else {
                // A parameter without a value is left out.
                out.truncate(start);
            }
        }
        Ok(out)
    }
}

/// Writes a value, percent-encoded; `false` if there is none.
fn insert(value: &Json<'_>, out: &mut String) -> bool {
    let encode = |text: &str, out: &mut String| {
        for byte in text.bytes() {
            if unreserved(byte) {
                out.push(byte.into());
            } else {
                const DIGITS: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(DIGITS.get(usize::from(digit)).copied().unwrap_or('0'));
                }
            }
        }
    };
    match value {
        Json::String(text) => encode(text, out),
        Json::Bool(_) | Json::Int(_) | Json::Large(_) | Json::Float(_) => encode(&value.to_string(), out),
        Json::Null | Json::Array(_) | Json::Object(_) => return false,
    }
    true
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn fixed_text(byte: u8) -> bool {
    unreserved(byte)
        || matches!(byte, b'%' | b':' | b'@' | b'!' | b'$' | b'(' | b')' | b'*' | b',' | b';' | b'+')
}

/// Splits at the first `?` outside of braces.
fn split_query(text: &str) -> (&str, Option<&str>) {
    match outside(text, '?').first() {
        Some(&at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Splits at `separator` outside of braces.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in outside(text, separator) {
        parts.push(text.get(start..at).unwrap_or_default());
        start = at + 1;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn outside(text: &str, wanted: char) -> Vec<usize> {
    let mut inside = false;
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            c if c == wanted && !inside => found.push(at),
            _ => {}
        }
    }
    found
}
