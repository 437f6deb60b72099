//! Values that come from clients, coerced to their declared types: variables on every
//! request, literals when the operation is planned. By the specification's section
//! "Input Coercion" of each kind of type.

use std::borrow::Cow;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{Type, Value};
use apollo_compiler::schema::ExtendedType;

use super::scan::exceeded;
use super::{Plan, Variables};
use crate::compose::ONE_OF;
use crate::error::{Failure, code};
use crate::json::Json;
use crate::scalar::Leaf;

/// The most entries of `variables`: each variable of the document is looked for among
/// them, and a document has fewer.
const MAX_VARIABLES: usize = 1_000;

/// Coerces the variables of a request, or says what is wrong with each.
pub fn variables<'a>(
    schema: &Schema,
    plan: &Plan,
    given: Option<Json<'a>>,
) -> Result<Variables<'a>, Vec<Failure>> {
    if plan.variables.is_empty() {
        return Ok(Vec::new());
    }
    let mut given = match given {
        Some(Json::Object(entries)) => entries,
        _ => Vec::new(),
    };
    if given.len() > MAX_VARIABLES {
        return Err(vec![exceeded("variables", MAX_VARIABLES, "variables")]);
    }
    let mut bad = Vec::new();
    let mut values = Vec::with_capacity(plan.variables.len());
    for variable in &plan.variables {
        let value = match take(&mut given, &variable.name) {
            Some(value) => match coerce(schema, &variable.ty, value, &mut Vec::new()) {
                Ok(value) => Some(value),
                Err(wrong) => {
                    let place =
                        if wrong.path.is_empty() { String::new() } else { format!(" at \"{}\"", wrong.path) };
                    let message = format!(
                        "Variable \"${}\" got an invalid value{place}: {}",
                        variable.name, wrong.reason
                    );
                    bad.push(Failure::new(code::BAD_USER_INPUT, message).at(variable.place));
                    None
                }
            },
            None if variable.default.is_some() => variable.default.clone(),
            None if variable.ty.is_non_null() => {
                let message = format!(
                    "Variable \"${}\" of required type \"{}\" was not provided.",
                    variable.name, variable.ty
                );
                bad.push(Failure::new(code::BAD_USER_INPUT, message).at(variable.place));
                None
            }
            None => None,
        };
        values.push(value);
    }
    if bad.is_empty() { Ok(values) } else { Err(bad) }
}

/// Takes the value of a key out; of repeated keys the last counts.
fn take<'a>(entries: &mut [(Cow<'a, str>, Json<'a>)], key: &str) -> Option<Json<'a>> {
    let (_, value) = entries.iter_mut().rev().find(|(name, _)| **name == *key)?;
    Some(std::mem::replace(value, Json::Null))
}

/// Why a value is not of its type, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Keys and indices, joined by dots; empty for the value itself.
    pub path: String,
    /// A sentence.
    pub reason: String,
}

fn wrong(path: &[String], reason: String) -> Wrong {
    Wrong { path: path.join("."), reason }
}

/// Coerces a JSON value.
fn coerce<'a>(
    schema: &Schema,
    ty: &Type,
    value: Json<'a>,
    path: &mut Vec<String>,
) -> Result<Json<'a>, Wrong> {
    if value.is_null() {
        return match ty.is_non_null() {
            true => Err(wrong(path, format!("expected non-nullable type \"{ty}\" not to be null."))),
            false => Ok(value),
        };
    }
    if let Type::List(inner) | Type::NonNullList(inner) = ty {
        let Json::Array(items) = value else {
            // One value counts as a list of one.
            return Ok(Json::Array(vec![coerce(schema, inner, value, path)?]));
        };
        let mut coerced = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            path.push(at.to_string());
            coerced.push(coerce(schema, inner, item, path)?);
            path.pop();
        }
        return Ok(Json::Array(coerced));
    }
    let name = ty.inner_named_type();
    match schema.types.get(name) {
        Some(ExtendedType::InputObject(object)) => {
            let Json::Object(mut entries) = value else {
                return Err(wrong(
                    path,
                    format!("expected \"{name}\" to be an object, found {}.", value.kind()),
                ));
            };
            let mut coerced = Vec::with_capacity(entries.len());
            for field in object.fields.values() {
                path.push(field.name.to_string());
                match take(&mut entries, &field.name) {
                    Some(value) => {
                        coerced.push((
                            Cow::Owned(field.name.to_string()),
                            coerce(schema, &field.ty, value, path)?,
                        ));
                    }
                    None => missing(schema, field, path)?
                        .into_iter()
                        .for_each(|value| coerced.push((Cow::Owned(field.name.to_string()), value))),
                }
                path.pop();
            }
            let stranger = entries.iter().find(|(key, _)| !object.fields.contains_key(&**key));
            if let Some((key, _)) = stranger {
                let key: String = key.chars().take(100).collect();
                return Err(wrong(path, format!("field \"{key}\" is not defined by type \"{name}\".")));
            }
            if object.directives.has(ONE_OF) && !matches!(coerced.as_slice(), [(_, only)] if !only.is_null())
            {
                return Err(wrong(path, exactly_one(name)));
            }
            Ok(Json::Object(coerced))
        }
        Some(definition) => {
            let kind = value.kind();
            let leaf =
                leaf(definition).ok_or_else(|| wrong(path, format!("\"{name}\" is not an input type.")))?;
            leaf.accept(value)
                .map_err(|_| wrong(path, format!("expected a value of type \"{name}\", found {kind}.")))
        }
        None => Err(wrong(path, format!("there is no type \"{name}\"."))),
    }
}

/// What is said of a `@oneOf` input of which not exactly one field is given.
pub fn exactly_one(name: &str) -> String {
    format!("exactly one field of \"{name}\" must be given, and not be null.")
}

/// The value of an input field that was not given: its default, nothing, or an error.
fn missing(
    schema: &Schema,
    field: &apollo_compiler::ast::InputValueDefinition,
    path: &[String],
) -> Result<Option<Json<'static>>, Wrong> {
    if let Some(default) = &field.default_value {
        return literal(schema, &field.ty, default).map(Some);
    }
    if field.ty.is_non_null() {
        return Err(wrong(path, format!("a value of required type \"{}\" was not provided.", field.ty)));
    }
    Ok(None)
}

/// The scalar or enum behind a definition.
pub fn leaf(definition: &ExtendedType) -> Option<Leaf> {
    match definition {
        ExtendedType::Scalar(scalar) => Leaf::scalar(&scalar.name),
        ExtendedType::Enum(values) => {
            Some(Leaf::Enum(values.values.keys().map(|name| name.as_str().into()).collect()))
        }
        _ => None,
    }
}

/// Coerces a literal without variables.
pub fn literal(schema: &Schema, ty: &Type, value: &Node<Value>) -> Result<Json<'static>, Wrong> {
    let enumerated = matches!(schema.types.get(ty.inner_named_type()), Some(ExtendedType::Enum(_)));
    if enumerated && value.as_str().is_some() {
        return Err(wrong(&[], "an enum value is written without quotes.".to_owned()));
    }
    coerce(schema, ty, plain(value), &mut Vec::new())
}

/// A literal as JSON. Variables do not stand in it.
fn plain(value: &Value) -> Json<'static> {
    match value {
        Value::Null | Value::Variable(_) => Json::Null,
        Value::Enum(name) => Json::String(Cow::Owned(name.to_string())),
        Value::String(text) => Json::String(Cow::Owned(text.clone())),
        Value::Boolean(value) => Json::Bool(*value),
        Value::Int(number) => number
            .as_str()
            .parse()
            .map(Json::Int)
            .or_else(|_| number.as_str().parse().map(Json::Float))
            .unwrap_or(Json::Null),
        Value::Float(number) => number.as_str().parse().map_or(Json::Null, Json::Float),
        Value::List(items) => Json::Array(items.iter().map(|item| plain(item)).collect()),
        Value::Object(entries) => Json::Object(
            entries.iter().map(|(key, value)| (Cow::Owned(key.to_string()), plain(value))).collect(),
        ),
    }
}
