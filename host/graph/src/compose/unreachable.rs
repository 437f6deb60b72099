//! Types that no operation can reach: a schema that names them promises what nobody answers.

use std::collections::BTreeSet;

use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;

use super::merge::ROOTS;
use super::prelude::INPUTS;
use super::source::Sources;

/// Reports every type that cannot be reached from a root.
pub fn unreachable(schema: &Schema, sources: &mut Sources<'_>) {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = ROOTS.iter().map(|root| (*root).to_owned()).collect();
    let implementers = schema.implementers_map();
    while let Some(name) = open.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        match schema.types.get(name.as_str()) {
            Some(ExtendedType::Object(object)) => {
                open.extend(object.implements_interfaces.iter().map(|each| each.name.to_string()));
                open.extend(object.fields.values().flat_map(|field| named(field)));
            }
            Some(ExtendedType::Interface(interface)) => {
                open.extend(interface.fields.values().flat_map(|field| named(field)));
                let all = implementers.get(name.as_str());
                open.extend(all.into_iter().flat_map(|all| all.iter()).map(ToString::to_string));
            }
            Some(ExtendedType::Union(union)) => {
                open.extend(union.members.iter().map(|member| member.name.to_string()));
            }
            Some(ExtendedType::InputObject(input)) => {
                open.extend(input.fields.values().map(|field| field.ty.inner_named_type().to_string()));
            }
            _ => {}
        }
    }
    for (name, definition) in &schema.types {
        let ours = definition.is_built_in() || INPUTS.contains(&name.as_str()) || definition.is_scalar();
        if !ours && !reached.contains(name.as_str()) {
            let help = "use it from a field that a client can ask for, or leave it out".to_owned();
            sources.report(
                definition.name().location(),
                format!("no operation can reach the type `{name}`"),
                Some(help),
            );
        }
    }
}

fn named(field: &apollo_compiler::ast::FieldDefinition) -> Vec<String> {
    let arguments = field.arguments.iter().map(|argument| argument.ty.inner_named_type());
    arguments.chain([field.ty.inner_named_type()]).map(ToString::to_string).collect()
}
