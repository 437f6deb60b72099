//! What clients see of the schema: the same without the host's own directives, which say
//! where answers come from and who may have them.

use std::collections::HashSet;

use apollo_compiler::Schema;
use apollo_compiler::ast;
use apollo_compiler::schema::{ComponentName, ComponentOrigin, DirectiveList, ExtendedType};
use apollo_compiler::validation::{DiagnosticList, Valid};

use super::prelude::{DIRECTIVES, INPUTS};
use crate::scalar::SCALARS;

fn internal(name: &str) -> bool {
    DIRECTIVES.contains(&name)
}

/// The public part of a composed schema, validated again.
pub fn public(whole: &Schema) -> Result<Valid<Schema>, DiagnosticList> {
    let mut schema = whole.clone();
    schema.directive_definitions.retain(|name, _| !internal(name));
    schema.types.retain(|name, _| !INPUTS.contains(&name.as_str()));
    for definition in schema.types.values_mut().filter(|definition| !definition.is_built_in()) {
        match definition {
            ExtendedType::Object(object) => {
                let object = object.make_mut();
                clean(&mut object.directives);
                for field in object.fields.values_mut() {
                    field.origin = ComponentOrigin::Definition;
                    field.make_mut().directives.0.retain(|directive| !internal(&directive.name));
                }
                object.implements_interfaces = object.implements_interfaces.iter().map(whole_name).collect();
            }
            ExtendedType::Interface(interface) => {
                let interface = interface.make_mut();
                clean(&mut interface.directives);
                for field in interface.fields.values_mut() {
                    field.origin = ComponentOrigin::Definition;
                    field.make_mut().directives.0.retain(|directive| !internal(&directive.name));
                }
                interface.implements_interfaces =
                    interface.implements_interfaces.iter().map(whole_name).collect();
            }
            ExtendedType::Union(union) => {
                let union = union.make_mut();
                clean(&mut union.directives);
                union.members = union.members.iter().map(whole_name).collect();
            }
            ExtendedType::Enum(values) => {
                let values = values.make_mut();
                clean(&mut values.directives);
                values.values.values_mut().for_each(|value| value.origin = ComponentOrigin::Definition);
            }
            ExtendedType::InputObject(input) => {
                let input = input.make_mut();
                clean(&mut input.directives);
                input.fields.values_mut().for_each(|field| field.origin = ComponentOrigin::Definition);
            }
            ExtendedType::Scalar(scalar) => clean(&mut scalar.make_mut().directives),
        }
    }
    super::one_of::show(&mut schema);
    let used = used(&schema);
    let unused = |name: &str| SCALARS.iter().any(|(scalar, ..)| *scalar == name) && !used.contains(name);
    schema.types.retain(|name, _| !unused(name));
    schema.validate().map_err(|failed| failed.errors)
}

/// Takes the host's directives away. What is left counts as written at the definition:
/// clients see one type, not the parts that components made it of.
fn clean(directives: &mut DirectiveList) {
    directives.0.retain(|directive| !internal(&directive.name));
    directives.0.iter_mut().for_each(|directive| directive.origin = ComponentOrigin::Definition);
}

fn whole_name(name: &ComponentName) -> ComponentName {
    name.name.to_component(ComponentOrigin::Definition)
}

/// The names of all types that some field or argument has.
fn used(schema: &Schema) -> HashSet<String> {
    let mut used = HashSet::new();
    let mut field = |field: &ast::FieldDefinition| {
        used.insert(field.ty.inner_named_type().to_string());
        used.extend(field.arguments.iter().map(|argument| argument.ty.inner_named_type().to_string()));
    };
    for definition in schema.types.values() {
        match definition {
            ExtendedType::Object(object) => object.fields.values().for_each(|each| field(each)),
            ExtendedType::Interface(interface) => interface.fields.values().for_each(|each| field(each)),
            _ => {}
        }
    }
    for input in schema.types.values().filter_map(|definition| definition.as_input_object()) {
        used.extend(input.fields.values().map(|each| each.ty.inner_named_type().to_string()));
    }
    used
}
