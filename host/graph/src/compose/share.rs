//! Inputs and enums that several components define, by the rules of the Federation
//! specification: an input has the fields that all know; an enum that only comes in has the
//! values that all know, one that only goes out those that any knows, and one that does both
//! must be the same everywhere.

use std::collections::HashSet;

use apollo_compiler::Node;
use apollo_compiler::Schema;
use apollo_compiler::ast::{Definition, EnumTypeDefinition, InputObjectTypeDefinition, InputValueDefinition};
use apollo_compiler::schema::{Component, ComponentOrigin, ExtendedType};

use super::merge::describe;
use super::one_of;
use super::source::Sources;

/// Merges the later definitions into the schema.
pub fn share(schema: &mut Schema, again: &[Definition], sources: &mut Sources<'_>) {
    let (comes_in, goes_out) = uses(schema);
    for definition in again {
        match definition {
            Definition::InputObjectTypeDefinition(input) => self::input(schema, input, sources),
            Definition::EnumTypeDefinition(values) => {
                let used = (comes_in.contains(values.name.as_str()), goes_out.contains(values.name.as_str()));
                self::values(schema, values, used, sources);
            }
            _ => {}
        }
    }
}

/// The names of the types that come in as arguments, and of those that go out.
fn uses(schema: &Schema) -> (HashSet<String>, HashSet<String>) {
    let (mut comes_in, mut goes_out) = (HashSet::new(), HashSet::new());
    for definition in schema.types.values().filter(|definition| !definition.is_built_in()) {
        let fields: Vec<_> = match definition {
            ExtendedType::Object(object) => object.fields.values().collect(),
            ExtendedType::Interface(interface) => interface.fields.values().collect(),
            ExtendedType::InputObject(input) => {
                comes_in.extend(input.fields.values().map(|field| field.ty.inner_named_type().to_string()));
                continue;
            }
            _ => continue,
        };
        for field in fields {
            goes_out.insert(field.ty.inner_named_type().to_string());
            comes_in.extend(field.arguments.iter().map(|each| each.ty.inner_named_type().to_string()));
        }
    }
    (comes_in, goes_out)
}

fn input(schema: &mut Schema, second: &InputObjectTypeDefinition, sources: &mut Sources<'_>) {
    let Some(ExtendedType::InputObject(first)) = schema.types.get_mut(&second.name) else { return };
    let first_span = first.name.location();
    let find = |name: &str| second.fields.iter().find(|field| field.name == name);
    let name = &second.name;
    if first.directives.has(one_of::NAME) != second.directives.has(one_of::NAME) {
        let message =
            format!("input `{name}` is not the same kind of input by {}", describe(sources, first_span));
        sources.report(name.location(), message, Some("mark both @oneOf, or none".to_owned()));
        return;
    }
    for field in second.fields.iter().filter(|field| !first.fields.contains_key(&field.name)) {
        if field.is_required() {
            let message = format!(
                "{name}.{} is required here, and unknown to {}",
                field.name,
                describe(sources, first_span)
            );
            let help = "an input has the fields that all know: make it nullable, or define it in both";
            sources.report(field.name.location(), message, Some(help.to_owned()));
        }
    }
    for field in first.fields.values() {
        let span = field.name.location();
        match find(&field.name) {
            None if field.is_required() => {
                let message = format!(
                    "{name}.{} is required here, and unknown to {}",
                    field.name,
                    describe(sources, second.name.location())
                );
                let help = "an input has the fields that all know: make it nullable, or define it in both";
                sources.report(span, message, Some(help.to_owned()));
            }
            Some(other) if other.ty.as_ref().clone().nullable() != field.ty.as_ref().clone().nullable() => {
                let message = format!(
                    "{name}.{} is `{}` here, and `{}` by {}",
                    field.name,
                    other.ty,
                    field.ty,
                    describe(sources, span)
                );
                sources.report(other.name.location(), message, Some("give it one type".to_owned()));
            }
            // What a client leaves out must mean the same to everybody.
            Some(other) if other.default_value != field.default_value => {
                let default = |field: &InputValueDefinition| {
                    field.default_value.as_ref().map_or("none".to_owned(), |value| format!("`{value}`"))
                };
                let message = format!(
                    "the default of {name}.{} is {} here, and {} by {}",
                    field.name,
                    default(other),
                    default(field),
                    describe(sources, span)
                );
                sources.report(other.name.location(), message, Some("give it one default".to_owned()));
            }
            _ => {}
        }
    }
    if !first.fields.keys().any(|name| find(name).is_some()) {
        let message = format!("input `{name}` has no field in common with {}", describe(sources, first_span));
        sources.report(name.location(), message, Some("rename one of them".to_owned()));
        return;
    }
    let first = first.make_mut();
    first.fields.retain(|name, _| find(name).is_some());
    for field in first.fields.values_mut() {
        // Who must have a value gets one.
        if find(&field.name).is_some_and(|other| other.ty.is_non_null()) {
            let ty = field.ty.as_ref().clone().non_null();
            field.make_mut().ty = Node::new(ty);
        }
    }
}

fn values(schema: &mut Schema, second: &EnumTypeDefinition, used: (bool, bool), sources: &mut Sources<'_>) {
    let Some(ExtendedType::Enum(first)) = schema.types.get_mut(&second.name) else { return };
    let first_span = first.name.location();
    let theirs: HashSet<_> = first.values.keys().cloned().collect();
    let ours: HashSet<_> = second.values.iter().map(|value| value.value.clone()).collect();
    match used {
        (true, true) if theirs != ours => {
            let mut differ: Vec<_> =
                theirs.symmetric_difference(&ours).map(|name| format!("`{name}`")).collect();
            differ.sort();
            let message = format!(
                "enum `{}` comes in and goes out, and differs in {} from {}",
                second.name,
                differ.join(", "),
                describe(sources, first_span)
            );
            sources.report(second.name.location(), message, Some("give both the same values".to_owned()));
        }
        (true, _) => {
            if theirs.is_disjoint(&ours) {
                let message = format!(
                    "enum `{}` has no value in common with {}",
                    second.name,
                    describe(sources, first_span)
                );
                sources.report(second.name.location(), message, Some("rename one of them".to_owned()));
                return;
            }
            first.make_mut().values.retain(|name, _| ours.contains(name));
        }
        _ => {
            let first = first.make_mut();
            for value in second.values.iter().filter(|value| !theirs.contains(&value.value)) {
                let component = Component { origin: ComponentOrigin::Definition, node: value.clone() };
                first.values.insert(value.value.clone(), component);
            }
        }
    }
}
