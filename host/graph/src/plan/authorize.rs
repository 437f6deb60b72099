//! Rights: every rule on what an operation selects is held against the caller before
//! anything is executed, on cache hits as well. One forbidden field refuses the whole
//! operation, so that a client never has to guess what was left out.

use monopod_core::identity::Principal;

use super::{Field, Kind, Output, Plan, Shape, Variables, arguments};
use crate::error::{Failure, code};
use crate::json::Json;
use crate::schema::Denied;

/// Refuses the operation if the caller may not have all of it.
pub fn authorize(plan: &Plan, variables: &Variables<'_>, principal: &Principal) -> Result<(), Failure> {
    if !plan.guarded {
        return Ok(());
    }
    fields(&plan.fields, variables, principal)
}

fn fields(fields: &[Field], variables: &Variables<'_>, principal: &Principal) -> Result<(), Failure> {
    // What is left out by @skip or @include is not asked for.
    for field in fields.iter().filter(|field| field.include.holds(variables)) {
        if !field.rules.is_empty() {
            let arguments = asked_with(field, variables)?;
            for rule in &field.rules {
                rule.check(principal, &arguments).map_err(|denied| refusal(field, denied))?;
            }
        }
        if let Kind::Mapped(output) | Kind::Resolved { output, .. } = &field.kind {
            nested(output, variables, principal)?;
        }
    }
    Ok(())
}

/// The field's arguments, if a rule looks at them.
fn asked_with<'a>(field: &Field, variables: &Variables<'a>) -> Result<Json<'a>, Failure> {
    match &field.kind {
        Kind::Resolved { arguments, .. } if field.rules.iter().any(|rule| rule.looks_at_arguments()) => {
            arguments::resolve(arguments, variables)
                .map_err(|message| Failure::new(code::BAD_USER_INPUT, message).at(field.place))
        }
        _ => Ok(Json::Null),
    }
}

fn nested(output: &Output, variables: &Variables<'_>, principal: &Principal) -> Result<(), Failure> {
    match &output.shape {
        Shape::Leaf(..) => Ok(()),
        Shape::List(inner) => nested(inner, variables, principal),
        Shape::Object(selected) => fields(selected, variables, principal),
        Shape::Abstract(types) => {
            types.iter().try_for_each(|(_, selected)| fields(selected, variables, principal))
        }
    }
}

fn refusal(field: &Field, denied: Denied) -> Failure {
    match denied {
        Denied::Anonymous => {
            Failure::new(code::UNAUTHENTICATED, format!("{} needs a bearer token.", field.coordinate))
                .at(field.place)
        }
        Denied::Missing(scopes) => {
            let message = match scopes.as_slice() {
                [] => format!("{} is not open to you.", field.coordinate),
                [scope] => format!("{} needs the scope \"{scope}\".", field.coordinate),
                several => format!("{} needs the scopes \"{}\".", field.coordinate, several.join(" ")),
            };
            let missing = scopes.into_iter().map(|scope| Json::String(scope.into())).collect();
            Failure::new(code::FORBIDDEN, message).at(field.place).with("missingScopes", Json::Array(missing))
        }
    }
}
