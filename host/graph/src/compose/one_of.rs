//! `@oneOf`: an input of which exactly one field is given. Checked here by the rules of the
//! specification's section "OneOf Input Objects", since the compiler does not know it.

use apollo_compiler::Name;
use apollo_compiler::Schema;
use apollo_compiler::ast::{FieldDefinition, Type};
use apollo_compiler::name;
use apollo_compiler::schema::{Component, ExtendedType};

use super::source::Sources;

/// The directive.
pub const NAME: &str = "oneOf";

/// Reports fields that could not be left out.
pub fn one_of(schema: &Schema, sources: &mut Sources<'_>) {
    let inputs = schema.types.values().filter_map(ExtendedType::as_input_object);
    for input in inputs.filter(|input| input.directives.has(NAME)) {
        for field in input.fields.values() {
            let (wrong, help) = match (field.ty.is_non_null(), &field.default_value) {
                (true, _) => {
                    ("must not be null", format!("make it `{}`", field.ty.as_ref().clone().nullable()))
                }
                (_, Some(_)) => ("has a default", "leave the default out".to_owned()),
                _ => continue,
            };
            let message = format!(
                "{}.{} {wrong}, and only one field of a @oneOf input is given",
                input.name, field.name
            );
            sources.report(field.name.location(), message, Some(help));
        }
    }
}

/// Lets clients ask for `isOneOf`, which the compiler's introspection lacks; and leaves the
/// directive out where no input has it.
pub fn show(schema: &mut Schema) {
    let inputs = schema.types.values().filter_map(ExtendedType::as_input_object);
    if !inputs.into_iter().any(|input| input.directives.has(NAME)) {
        schema.directive_definitions.shift_remove(NAME);
    }
    if let Some(ExtendedType::Object(object)) = schema.types.get_mut("__Type") {
        let name: Name = name!("isOneOf");
        let ty = Type::Named(name!("Boolean"));
        let field = FieldDefinition {
            description: None,
            name: name.clone(),
            arguments: Vec::new(),
            ty,
            directives: Default::default(),
        };
        object.make_mut().fields.insert(name, Component::new(field));
    }
}
