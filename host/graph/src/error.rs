//! Errors as clients see them: a public text, a stable code, where in the document and
//! where in the answer. Internal texts never get in here; they are logged where they arise.

use std::borrow::Cow;

use crate::json::{self, Json};

/// Stable codes, for `extensions.code`.
pub mod code {
    /// The request is not one: no query, wrong types, bad JSON.
    pub const BAD_REQUEST: &str = "BAD_REQUEST";
    /// The document is not GraphQL.
    pub const PARSE_FAILED: &str = "GRAPHQL_PARSE_FAILED";
    /// The document does not fit the schema.
    pub const VALIDATION_FAILED: &str = "GRAPHQL_VALIDATION_FAILED";
    /// No operation of that name, or none was named and there are several.
    pub const NO_OPERATION: &str = "OPERATION_RESOLUTION_FAILURE";
    /// A limit of the platform; `extensions.limit` and `extensions.max` say which.
    pub const LIMIT_EXCEEDED: &str = "LIMIT_EXCEEDED";
    /// A variable or an argument is not of its type, or cannot be used where it stands.
    pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
    /// A mutation came by GET.
    pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
    /// A subscription came by a way that cannot stream.
    pub const NOT_STREAMABLE: &str = "SUBSCRIPTION_NOT_STREAMABLE";
    /// Who asks is not known, or no longer.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// Who asks may not.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// A component found the fields of the input wrong; `extensions.errors` has them.
    pub const UNPROCESSABLE: &str = "UNPROCESSABLE";
    /// A component knows no such thing.
    pub const NOT_FOUND: &str = "NOT_FOUND";
    /// The state of the thing does not allow it.
    pub const CONFLICT: &str = "CONFLICT";
    /// A component refused without saying why.
    pub const REFUSED: &str = "UPSTREAM_REFUSED";
    /// A component failed, or answered what its schema does not allow.
    pub const UPSTREAM_ERROR: &str = "UPSTREAM_ERROR";
    /// A component has too much to do; later it may have less.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// Nothing can be kept now: a full disk, a store that is closed. Nothing was changed.
    pub const UNAVAILABLE: &str = "UNAVAILABLE";
    /// The time for the operation is over.
    pub const TIMED_OUT: &str = "TIMED_OUT";
    /// Events came faster than the client took them.
    pub const SLOW_CONSUMER: &str = "SLOW_CONSUMER";
    /// The schema was replaced, and what the subscription selects is otherwise now.
    pub const SCHEMA_CHANGED: &str = "SCHEMA_CHANGED";
}

/// A place in the document, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// From 1; 0 where it is not known.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A step into the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A response key.
    Key(Box<str>),
    /// A place in a list, from 0.
    Index(usize),
}

/// One entry of `errors`.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Public text.
    pub message: Cow<'static, str>,
    /// One of [`code`], or a component's own.
    pub code: Cow<'static, str>,
    /// Where in the document.
    pub places: Vec<Place>,
    /// Where in the answer; empty for errors of the whole request.
    pub path: Vec<Step>,
    /// More entries of `extensions`.
    pub extensions: Vec<(Cow<'static, str>, Json<'static>)>,
}

impl Failure {
    /// A failure of the whole request.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            code: Cow::Borrowed(code),
            places: Vec::new(),
            path: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// The same with an entry more in `extensions`.
    pub fn with(mut self, key: &'static str, value: Json<'static>) -> Self {
        self.extensions.push((Cow::Borrowed(key), value));
        self
    }

    /// Adds what a schema maps into `extensions`. `code` replaces the code, if it is a text; of
    /// other keys the one that is there already stays.
    pub fn extend(&mut self, entries: impl Iterator<Item = (Cow<'static, str>, Json<'static>)>) {
        for (key, value) in entries {
            match value {
                Json::String(code) if key == "code" => self.code = code,
                value if self.extensions.iter().all(|(known, _)| *known != key) => {
                    self.extensions.push((key, value));
                }
                _ => {}
            }
        }
    }

    /// The same at a place in the document.
    pub fn at(mut self, place: Place) -> Self {
        if place.line > 0 {
            self.places.push(place);
        }
        self
    }

    /// Appends the entry to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"message\":");
        json::write_str(out, &self.message);
        if !self.places.is_empty() {
            out.extend_from_slice(b",\"locations\":[");
            for (at, place) in self.places.iter().enumerate() {
                comma(out, at);
                out.extend_from_slice(
                    format!("{{\"line\":{},\"column\":{}}}", place.line, place.column).as_bytes(),
                );
            }
            out.push(b']');
        }
        if !self.path.is_empty() {
            out.extend_from_slice(b",\"path\":[");
            for (at, step) in self.path.iter().enumerate() {
                comma(out, at);
                match step {
                    Step::Key(key) => json::write_str(out, key),
                    Step::Index(index) => out.extend_from_slice(index.to_string().as_bytes()),
                }
            }
            out.push(b']');
        }
        out.extend_from_slice(b",\"extensions\":{\"code\":");
        json::write_str(out, &self.code);
        for (key, value) in &self.extensions {
            out.push(b',');
            json::write_str(out, key);
            out.push(b':');
            value.write(out);
        }
        out.extend_from_slice(b"}}");
    }
}

fn comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

/// Appends a list of failures: the value of `errors`.
pub fn write_list(failures: &[Failure], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, failure) in failures.iter().enumerate() {
        comma(out, at);
        failure.write(out);
    }
    out.push(b']');
}

/// A message of the compiler with its names for punctuation spelled as they are typed.
pub fn readable(message: &str) -> String {
    const NAMES: [(&str, &str); 12] = [
        ("L_CURLY", "`{`"),
        ("R_CURLY", "`}`"),
        ("L_PAREN", "`(`"),
        ("R_PAREN", "`)`"),
        ("L_BRACK", "`[`"),
        ("R_BRACK", "`]`"),
        ("COLON", "`:`"),
        ("DOLLAR", "`$`"),
        ("EOF", "the end"),
        ("StringValue", "a string"),
        ("NAME", "a name"),
        ("an Name", "a name"),
    ];
    NAMES.iter().fold(message.to_owned(), |text, (name, typed)| text.replace(name, typed))
}

/// A whole response without `data`: the request failed before anything was executed.
pub fn response(failures: &[Failure]) -> Vec<u8> {
    let mut out = b"{\"errors\":".to_vec();
    write_list(failures, &mut out);
    out.push(b'}');
    out
}
