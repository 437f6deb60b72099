//! Errors as clients see them: a public text, a stable code, where in the document and
//! where in the answer. Internal texts never get in here; they are logged where they arise.

use std::borrow::Cow;

use crate::json::{self, Json};

/// Stable codes, for `extensions.code`, with what each means. `docs/errors.md` is made of them.
pub mod code {
    macro_rules! codes {
        ($($(#[doc = $text:literal])+ $name:ident = $code:literal, $do:literal;)+) => {
            $($(#[doc = $text])+ pub const $name: &str = $code;)+
            /// All codes: the code, what it means, what a client can do.
            pub const ALL: &[(&str, &[&str], &str)] = &[$(($code, &[$($text),+], $do)),+];
        };
    }

    codes! {
        /// The request is not one: no query, wrong types, bad JSON.
        BAD_REQUEST = "BAD_REQUEST", "Mend the request.";
        /// The document is not GraphQL.
        PARSE_FAILED = "GRAPHQL_PARSE_FAILED", "Mend the document.";
        /// The document does not fit the schema.
        VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED", "Mend the document; `monopod schema` prints the schema.";
        /// No operation of that name, or none was named and there are several.
        NO_OPERATION = "OPERATION_RESOLUTION_FAILURE", "Name an operation of the document with `operationName`.";
        /// A limit of the platform; `extensions.limit` and `extensions.max` say which.
        LIMIT_EXCEEDED = "LIMIT_EXCEEDED", "Ask for less at once, or raise the limit in `[graphql]`.";
        /// A variable or an argument is not of its type, or cannot be used where it stands.
        BAD_USER_INPUT = "BAD_USER_INPUT", "Mend the variables.";
        /// A mutation came by GET.
        METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED", "Send it with POST.";
        /// A subscription came by a way that cannot stream.
        NOT_STREAMABLE = "SUBSCRIPTION_NOT_STREAMABLE", "Use a WebSocket, or `Accept: text/event-stream`.";
        /// Who asks is not known, or no longer.
        UNAUTHENTICATED = "UNAUTHENTICATED", "Get a token, or a new one.";
        /// Who asks may not.
        FORBIDDEN = "FORBIDDEN", "Get a token with the scopes in `extensions.missingScopes`; where it is empty no scope would help.";
        /// A component found the fields of the input wrong; `extensions.errors` has them.
        UNPROCESSABLE = "UNPROCESSABLE", "Mend the fields in `extensions.errors`.";
        /// A component knows no such thing.
        NOT_FOUND = "NOT_FOUND", "Nothing.";
        /// The state of the thing does not allow it.
        CONFLICT = "CONFLICT", "Look at the thing again.";
        /// A component refused without saying why.
        REFUSED = "UPSTREAM_REFUSED", "Read the message.";
        /// A component failed, or answered what its schema does not allow.
        UPSTREAM_ERROR = "UPSTREAM_ERROR", "Try again later; tell the operator `extensions.correlationId`.";
        /// A component has too much to do; later it may have less.
        OVERLOADED = "OVERLOADED", "Try again later.";
        /// Nothing can be kept now: a full disk, a store that is closed. Nothing was changed.
        UNAVAILABLE = "UNAVAILABLE", "Try again later.";
        /// The caller has caused all the cost that the platform gives one caller in a while.
        BUDGET_EXCEEDED = "BUDGET_EXCEEDED", "Try again in `extensions.retryAfter` seconds (over HTTP also `Retry-After`).";
        /// The time for the operation is over.
        TIMED_OUT = "TIMED_OUT", "Try again later, or ask for less.";
        /// Events came faster than the client took them.
        SLOW_CONSUMER = "SLOW_CONSUMER", "Subscribe again.";
        /// The schema was replaced, and what the subscription selects is otherwise now.
        SCHEMA_CHANGED = "SCHEMA_CHANGED", "Subscribe again.";
        /// The document is not among those that are trusted here.
        UNKNOWN_DOCUMENT = "UNKNOWN_DOCUMENT", "Send a document of the platform's folder of documents, or its digest.";
        /// No document of this digest is known yet.
        NOT_PERSISTED = "PERSISTED_QUERY_NOT_FOUND", "Send the document with its digest once.";
        /// Documents cannot be registered by clients here.
        NOT_REGISTRABLE = "PERSISTED_QUERY_NOT_SUPPORTED", "Send the document itself.";
    }
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
