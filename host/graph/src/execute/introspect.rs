//! `__schema` and `__type`, answered by apollo-compiler from the public schema. The whole
//! document runs there once with every other root field left out; where no variable can
//! change the answer it is kept with the plan.

use std::sync::OnceLock;

use apollo_compiler::introspection::partial_execute;
use apollo_compiler::response::{ExecutionResponse, JsonMap};
use apollo_compiler::validation::Valid;

use crate::error::{Failure, code};
use crate::json::Json;
use crate::plan::{Field, Introspection, Plan, Variables};
use crate::schema::Schema;

/// The value of one root field as JSON.
pub fn answer(
    schema: &Schema,
    plan: &Plan,
    variables: &Variables<'_>,
    field: &Field,
) -> Result<Vec<u8>, Failure> {
    let failed = || Failure::new(code::VALIDATION_FAILED, "The schema cannot be shown that way.");
    let introspection = plan.introspection.as_ref().ok_or_else(failed)?;
    let own = OnceLock::new();
    let kept = if plan.variables.is_empty() { &introspection.answer } else { &own };
    let response = match kept.get() {
        Some(response) => response,
        None => {
            let response = run(schema, plan, introspection, variables)?;
            kept.get_or_init(|| response)
        }
    };
    let value = response.data.as_ref().and_then(|data| data.get(&*field.key)).ok_or_else(failed)?;
    serde_json::to_vec(value).map_err(|_| failed())
}

fn run(
    schema: &Schema,
    plan: &Plan,
    introspection: &Introspection,
    variables: &Variables<'_>,
) -> Result<ExecutionResponse, Failure> {
    let given = plan.variables.iter().zip(variables).filter_map(|(variable, value)| {
        value.as_ref().map(|value| ((&*variable.name).into(), value.clone()))
    });
    let mut bytes = Vec::new();
    Json::Object(given.collect()).write(&mut bytes);
    let refused = |message: String| Failure::new(code::BAD_USER_INPUT, message);
    let values: JsonMap = serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
    partial_execute(
        &schema.public,
        &schema.implementers,
        &introspection.document,
        &introspection.operation,
        // `plan::input` has coerced them.
        &Valid::assume_valid(values),
    )
    .map_err(|error| refused(error.message().to_string()))
}
