//! Fields of GraphQL that components answer in code: what goes to them and comes back.
//! `graph` asks, `engine` carries it.

/// A value between host and component.
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
    /// A text.
    Text(String),
    /// A list or an object, as JSON.
    Json(String),
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
    /// For each object the values it is made from.
    pub parents: Vec<Vec<Value>>,
    /// What is selected of the answer.
    pub selected: Vec<String>,
}

/// Why there is no value; for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In words.
    pub message: String,
    /// As a code.
    pub code: Option<String>,
}

/// As many results as there were parents, in their order.
pub type Answer = Result<Vec<Result<Value, Problem>>, Problem>;
