//! One call of a resolver in code, and what its answer means to a GraphQL client. What it says
//! is meant for the client; what it fails at is ours and masked, as with requests.

use std::borrow::Cow;

use monopod_core::context::Context;
use monopod_core::invoke::Components;
use monopod_core::name::ComponentName;
use monopod_core::resolve::{self, Problem, Value};
use tokio::time::timeout_at;

use super::call::{failed, is_code, masked, public_text, timed_out};
use crate::error::{Failure, code};
use crate::json::Json;
use crate::plan::{Field, Kind, Output, Shape};

/// A field asked for on many objects.
pub struct Ask<'w> {
    /// Whom.
    pub component: &'w ComponentName,
    /// For what.
    pub field: resolve::Field,
}

/// What was answered: for each object a value, or why there is none.
pub type Told = Result<Vec<Result<Value, Problem>>, Failure>;

impl<'w> Ask<'w> {
    /// The question for a field, without objects as yet.
    pub fn new(component: &'w ComponentName, field: &Field, arguments: &Json<'_>) -> Self {
        let arguments = match arguments {
            Json::Object(entries) => {
                entries.iter().map(|(name, value)| (name.to_string(), typed(value))).collect()
            }
            _ => Vec::new(),
        };
        let parent_type = field.coordinate.split('.').next().unwrap_or_default().to_owned();
        let mut selected = Vec::new();
        if let Kind::Resolved { output, .. } = &field.kind {
            names(output, &mut selected);
        }
        let (name, parents) = (field.name.to_string(), Vec::new());
        Self { component, field: resolve::Field { parent_type, name, arguments, parents, selected } }
    }

    /// Asks.
    pub async fn send(&self, components: &dyn Components, context: &Context) -> Told {
        let answer = components.resolve(self.component, &self.field, context);
        match timeout_at(context.deadline.into(), answer).await {
            Ok(Ok(Ok(values))) if values.len() == self.field.parents.len() => Ok(values),
            Ok(Ok(Ok(values))) => {
                tracing::warn!(
                    component = %self.component, correlation = %context.correlation, field = self.field.name,
                    objects = self.field.parents.len(), results = values.len(),
                    "a resolver returns as many results as there are objects"
                );
                Err(masked(context))
            }
            Ok(Ok(Err(problem))) => Err(told(&problem)),
            Ok(Err(error)) => {
                tracing::warn!(
                    component = %self.component, correlation = %context.correlation, field = self.field.name,
                    reason = %error, "a component did not answer a field"
                );
                Err(failed(&error, context))
            }
            Err(_) => Err(timed_out(context)),
        }
    }
}

/// What a client is told about a resolver's own refusal.
pub fn told(problem: &Problem) -> Failure {
    let mut failure = Failure::new(code::REFUSED, "The service refused the request.");
    if let Some(text) = public_text(&problem.message) {
        failure.message = Cow::Owned(text);
    }
    if let Some(code) = problem.code.as_deref().filter(|code| is_code(code)) {
        failure.code = Cow::Owned(code.to_owned());
    }
    failure
}

/// A value for a component.
pub fn typed(value: &Json<'_>) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Int(number) => Value::Integer(*number),
        Json::Float(number) => Value::Float(*number),
        Json::String(text) => Value::Text(text.to_string()),
        Json::Large(_) | Json::Array(_) | Json::Object(_) => Value::Json(value.to_string()),
    }
}

/// A value from a component; none if it is no JSON.
pub fn read(value: &Value) -> Option<Json<'_>> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(number) => Json::Int(*number),
        Value::Float(number) if number.is_finite() => Json::Float(*number),
        Value::Float(_) => return None,
        Value::Text(text) => Json::String(Cow::Borrowed(text)),
        Value::Json(text) => Json::parse(text.as_bytes()).ok()?,
    })
}

/// The names of the fields that are selected of a value, each once.
fn names(output: &Output, into: &mut Vec<String>) {
    let mut add = |fields: &[Field]| {
        for field in fields.iter().filter(|field| !matches!(field.kind, Kind::TypeName(_))) {
            if !into.iter().any(|known| **known == *field.name) {
                into.push(field.name.to_string());
            }
        }
    };
    match &output.shape {
        Shape::Leaf(..) => {}
        Shape::Object(fields) => add(fields),
        Shape::Abstract(types) => types.iter().for_each(|(_, fields)| add(fields)),
        Shape::List(item) => names(item, into),
    }
}
