//! Arguments: what is constant is coerced when the operation is planned; what holds
//! variables is put together for each request.

use std::borrow::Cow;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{InputValueDefinition, Type, Value};
use apollo_compiler::schema::ExtendedType;

use super::{Variables, input};
use crate::compose::ONE_OF;
use crate::json::Json;

/// An argument of a field, or a field of an input object.
#[derive(Debug)]
pub struct Argument {
    name: Box<str>,
    value: Source,
    /// For a variable that is not given.
    default: Option<Json<'static>>,
    /// Whether it must have a value, and not `null`.
    required: bool,
}

#[derive(Debug)]
enum Source {
    Constant(Json<'static>),
    /// By its place among the variables.
    Variable(usize),
    /// With whether none of the items may be `null`.
    List(Box<[Source]>, bool),
    Object(Box<[Argument]>),
}

/// A variable of the operation, as arguments know it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its place among the variables.
    pub at: usize,
    /// Whether it always has a value.
    pub needed: bool,
}

/// Compiles the arguments of a field. `variable` finds a variable's place.
pub fn compile(
    schema: &Schema,
    definitions: &[Node<InputValueDefinition>],
    given: &[Node<apollo_compiler::ast::Argument>],
    variable: &dyn Fn(&str) -> Option<Known>,
) -> Result<Box<[Argument]>, String> {
    let mut compiled = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let value =
            given.iter().find(|argument| argument.name == definition.name).map(|argument| &argument.value);
        compiled.extend(
            argument(schema, definition, value, variable)
                .map_err(|reason| format!("Argument \"{}\": {reason}", definition.name))?,
        );
    }
    Ok(compiled.into())
}

fn argument(
    schema: &Schema,
    definition: &InputValueDefinition,
    value: Option<&Node<Value>>,
    variable: &dyn Fn(&str) -> Option<Known>,
) -> Result<Option<Argument>, String> {
    let default = definition.default_value.as_ref();
    let default = default.map(|value| input::literal(schema, &definition.ty, value)).transpose();
    let default = default.map_err(|wrong| wrong.reason)?;
    let value = match (value, &default) {
        (Some(value), _) => source(schema, &definition.ty, value, variable)?,
        (None, Some(default)) => Source::Constant(default.clone()),
        (None, None) => return Ok(None),
    };
    let required = definition.ty.is_non_null();
    Ok(Some(Argument { name: definition.name.as_str().into(), value, default, required }))
}

fn source(
    schema: &Schema,
    ty: &Type,
    value: &Node<Value>,
    variable: &dyn Fn(&str) -> Option<Known>,
) -> Result<Source, String> {
    if let Value::Variable(name) = &**value {
        return variable(name)
            .map(|known| Source::Variable(known.at))
            .ok_or_else(|| format!("Variable \"${name}\" is not defined."));
    }
    if !has_variable(value) {
        let coerced = input::literal(schema, ty, value);
        return coerced.map(Source::Constant).map_err(|wrong| match wrong.path.as_str() {
            "" => wrong.reason,
            path => format!("at \"{path}\": {}", wrong.reason),
        });
    }
    match (&**value, ty) {
        (Value::List(items), Type::List(inner) | Type::NonNullList(inner)) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|item| source(schema, inner, item, variable)).collect();
            Ok(Source::List(items?.into(), inner.is_non_null()))
        }
        // One value counts as a list of one.
        (_, Type::List(inner) | Type::NonNullList(inner)) => {
            Ok(Source::List([source(schema, inner, value, variable)?].into(), inner.is_non_null()))
        }
        (Value::Object(entries), _) => object(schema, ty, entries, variable),
        _ => Err(format!("expected a value of type \"{ty}\".")),
    }
}

fn object(
    schema: &Schema,
    ty: &Type,
    entries: &[(apollo_compiler::Name, Node<Value>)],
    variable: &dyn Fn(&str) -> Option<Known>,
) -> Result<Source, String> {
    let find = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    match schema.types.get(ty.inner_named_type()) {
        Some(ExtendedType::InputObject(object)) => {
            let one = object.directives.has(ONE_OF);
            let mut fields = Vec::with_capacity(object.fields.len());
            if one && entries.len() != 1 {
                return Err(input::exactly_one(&object.name));
            }
            for field in object.fields.values() {
                let value = find(&field.name);
                let given = value.and_then(|value| value.as_variable());
                if one && given.and_then(|name| variable(name)).is_some_and(|known| !known.needed) {
                    return Err(format!(
                        "a variable for \"{}.{}\" must be of a type with `!`.",
                        object.name, field.name
                    ));
                }
                fields.extend(argument(schema, field, value, variable)?);
            }
            Ok(Source::Object(fields.into()))
        }
        // An object literal for `JSON`: every key is free.
        _ => {
            let free = Type::Named(ty.inner_named_type().clone());
            let fields: Result<Vec<_>, String> = entries
                .iter()
                .map(|(key, value)| {
                    let value = source(schema, &free, value, variable)?;
                    Ok(Argument { name: key.as_str().into(), value, default: None, required: false })
                })
                .collect();
            Ok(Source::Object(fields?.into()))
        }
    }
}

fn has_variable(value: &Value) -> bool {
    match value {
        Value::Variable(_) => true,
        Value::List(items) => items.iter().any(|item| has_variable(item)),
        Value::Object(entries) => entries.iter().any(|(_, value)| has_variable(value)),
        _ => false,
    }
}

/// Whether the argument's value depends on a variable.
pub fn varies(arguments: &[Argument], name: &str) -> bool {
    let found = arguments.iter().find(|argument| *argument.name == *name);
    found.is_some_and(|argument| matches!(argument.value, Source::Variable(_)))
}

/// The whole number that an argument has, if it has one.
pub fn whole(arguments: &[Argument], name: &str, variables: &Variables<'_>) -> Option<i64> {
    let argument = arguments.iter().find(|argument| *argument.name == *name)?;
    let value = match &argument.value {
        Source::Constant(value) => Some(value),
        Source::Variable(at) => match variables.get(*at) {
            Some(Some(value)) => Some(value),
            _ => argument.default.as_ref(),
        },
        Source::List(..) | Source::Object(_) => None,
    };
    match value? {
        Json::Int(number) => Some(*number),
        _ => None,
    }
}

/// The arguments of one request, as one object. What was not given is not in it. The
/// error is the argument that must not be `null` and is.
pub fn resolve<'a>(arguments: &[Argument], variables: &Variables<'a>) -> Result<Json<'a>, String> {
    let mut entries = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let value = match &argument.value {
            Source::Variable(at) => match variables.get(*at) {
                Some(Some(value)) => Some(value.clone()),
                _ => argument.default.clone(),
            },
            other => Some(put_together(other, variables)?),
        };
        match value {
            Some(Json::Null) | None if argument.required => {
                return Err(format!("Argument \"{}\" must not be null.", argument.name));
            }
            Some(value) => entries.push((Cow::Owned(argument.name.to_string()), value)),
            None => {}
        }
    }
    Ok(Json::Object(entries))
}

fn put_together<'a>(source: &Source, variables: &Variables<'a>) -> Result<Json<'a>, String> {
    Ok(match source {
        Source::Constant(value) => value.clone(),
        Source::Variable(at) => variables.get(*at).cloned().flatten().unwrap_or(Json::Null),
        Source::List(items, full) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| put_together(item, variables)).collect();
            let items = items?;
            // A variable may be `null` here for the sake of its default.
            if *full && items.iter().any(Json::is_null) {
                return Err("An item of a list must not be null.".to_owned());
            }
            Json::Array(items)
        }
        Source::Object(fields) => resolve(fields, variables)?,
    })
}
