//! The small languages inside `@connect` and `@subscribe`: selections, bodies, path
//! templates and filters. A documented subset of Apollo's JSONSelection and URI
//! templates; what is outside it is an error when the schema is loaded.
//!
//! `parse` reads text, `check` compares it with the GraphQL types and compiles it,
//! `template` does both for paths, `value` looks compiled paths up at run time.
//! Nothing here calls a component.
//!
//! ```text
//! selection := entry* | value                     the second for leaves and for `$.a { … }`
//! entry     := name | name "{" entry* "}"         the key of the answer is the field's name
//!            | name ":" value                     the field is called otherwise than the key
//! value     := path [ "{" entry* "}" ] | "{" entry* "}" | "$(" JSON ")"
//! path      := (name | "$" | "$args" | "$this" | "$batch" | "$context" | "$status") ("." name)*
//! name      := [A-Za-z_][A-Za-z0-9_]* | a JSON string
//! success   := path "=" JSON ("," …)*
//! match     := name ("." name)* "=" "$this" "." name ("," …)*
//! filter    := name ("." name)* "=" "$args" ("." name)+ ("," …)*
//! template  := "/" (text | "{" path "}")* [ "?" name "=" (text | "{" path "}")* ("&" …)* ]
//! ```

pub mod answer;
pub mod check;
pub mod parse;
pub mod template;
pub mod value;

use std::ops::Range;

use crate::json::Json;

/// A mistake in one of the languages, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the text.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake without advice.
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with "did you mean", if a candidate is close to what was written.
    pub fn suggest<'a>(mut self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.help = did_you_mean(found, candidates).or(self.help);
        self
    }
}

/// "did you mean `x`?" for the candidate closest to `found`, if one is close.
pub fn did_you_mean<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A third of the letters may differ: `memroy` is `memory`, `id` is not `at`.
    let bound = (found.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// From where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// A bare name: the value that the enclosing braces are about.
    Current,
    /// `$`: the whole body of the answer, or the payload of the event.
    Whole,
    /// `$args`: the field's arguments.
    Args,
    /// `$context.correlationId`.
    Correlation,
    /// `$this`: fields of the object that the field stands on.
    This,
    /// `$batch`: the same of all objects that are looked up together.
    Batch,
    /// `$status`: the HTTP status of the answer.
    Status,
}

/// A compiled value: a literal, or a path with what is taken from its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `$(…)`.
    Literal(Json<'static>),
    /// A path.
    Path {
        /// From where.
        root: Root,
        /// Keys, one object deeper each.
        keys: Box<[Box<str>]>,
        /// What is taken from the object, or from each object of the list, at the end.
        fields: Option<Fields>,
    },
}

/// Names and where their values are found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields(pub Box<[(Box<str>, Value)]>);

impl Fields {
    /// The value mapped to `name`. Objects are small, so a walk beats a table.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }
}
