//! Fields of GraphQL answered in code: those that have `@resolve` in the component's
//! `schema.graphql`.

use serde::Serialize;

/// A value of a GraphQL type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A text, an id, an enum's value.
    Text(String),
    /// A list or an object, as JSON; its keys are the fields' names.
    Json(String),
}

impl Value {
    /// A list or an object. What cannot be written as JSON is nothing.
    pub fn json(value: &impl Serialize) -> Self {
        serde_json::to_string(value).map_or(Self::Null, Self::Json)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A field on all objects of one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The type it stands on.
    pub parent_type: String,
    /// Its name.
    pub name: String,
    /// Names and values, the same for all objects.
    pub arguments: Vec<(String, Value)>,
    /// For each object the values of the fields that `@resolve(needs:)` names, in that order.
    pub parents: Vec<Vec<Value>>,
    /// The names of the fields that are selected of the answer.
    pub selected: Vec<String>,
}

impl Field {
    /// An argument; nothing if it was not given.
    pub fn argument(&self, name: &str) -> &Value {
        let given = self.arguments.iter().find(|(known, _)| known == name);
        given.map_or(&Value::Null, |(_, value)| value)
    }
}

/// Why there is no value; clients see all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In words.
    pub message: String,
    /// `[A-Z0-9_]{1,64}`.
    pub code: Option<String>,
}

impl Refusal {
    /// A refusal with a code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code.to_owned()) }
    }
}

/// As many results as there are parents, in their order. An error of the whole is one at every
/// place, and leaves nothing of the unit of work.
pub type Answers = Result<Vec<Result<Value, Refusal>>, Refusal>;
