//! `__schema` and `__type`, answered by apollo-compiler from the public schema. The whole
//! document runs there once with every other root field left out; where no variable can
//! change the answer it is kept with the plan.

use std::sync::OnceLock;

use apollo_compiler::executable::{Operation, Selection, SelectionSet};
use apollo_compiler::introspection::partial_execute;
use apollo_compiler::response::{ExecutionResponse, JsonMap, JsonValue};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Node, name};

use crate::compose::ONE_OF;
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
    .map(|mut response| {
        response.data.iter_mut().flat_map(JsonMap::values_mut).for_each(|value| settle(schema, value));
        response
    })
}

/// What stands before the key of an `isOneOf`, for the name of the type that it is about. Names
/// with two underscores in front are not for clients.
const ABOUT: &str = "__monopod_isOneOf_";

/// The compiler cannot answer `isOneOf`: it is asked for the kind in its place, and for the
/// type's name, by which `settle` finds the answer.
pub fn with_names(
    schema: &Schema,
    document: Valid<ExecutableDocument>,
    mut operation: Node<Operation>,
) -> (Valid<ExecutableDocument>, Node<Operation>) {
    let mut document = document.into_inner();
    for fragment in document.fragments.values_mut() {
        name_types(schema, &mut fragment.make_mut().selection_set);
    }
    name_types(schema, &mut operation.make_mut().selection_set);
    (Valid::assume_valid(document), operation)
}

fn name_types(schema: &Schema, set: &mut SelectionSet) {
    let selections = std::mem::take(&mut set.selections);
    for mut selection in selections {
        let mut about = None;
        match &mut selection {
            Selection::Field(field) if field.name == "isOneOf" && set.ty == "__Type" => {
                let key = field.response_key().clone();
                let other = |name| set.new_field(&schema.public, name).ok();
                if let (Some(mut kind), Some(mut named)) = (other(name!("kind")), other(name!("name"))) {
                    named.alias = Name::new(&format!("{ABOUT}{key}")).ok();
                    kind.alias = Some(key);
                    named.directives = field.directives.clone();
                    kind.directives = field.directives.clone();
                    *field = Node::new(kind);
                    about = Some(named);
                }
            }
            Selection::Field(field) => name_types(schema, &mut field.make_mut().selection_set),
            Selection::InlineFragment(inline) => name_types(schema, &mut inline.make_mut().selection_set),
            Selection::FragmentSpread(_) => {}
        }
        set.push(selection);
        set.extend(about);
    }
}

/// Puts the answers to `isOneOf` in.
fn settle(schema: &Schema, value: &mut JsonValue) {
    match value {
        JsonValue::Array(items) => items.iter_mut().for_each(|item| settle(schema, item)),
        JsonValue::Object(map) => {
            let entries = std::mem::take(map);
            let about = |key: &str| {
                let name = entries.get(format!("{ABOUT}{key}").as_str())?;
                let definition = name.as_str().and_then(|name| schema.public.types.get(name));
                let input = definition.and_then(|definition| definition.as_input_object());
                Some(input.map_or(JsonValue::Null, |input| input.directives.has(ONE_OF).into()))
            };
            for (key, value) in entries.iter().filter(|(key, _)| !key.as_str().starts_with(ABOUT)) {
                let value = about(key.as_str()).unwrap_or_else(|| {
                    let mut value = value.clone();
                    settle(schema, &mut value);
                    value
                });
                map.insert(key.clone(), value);
            }
        }
        _ => {}
    }
}
