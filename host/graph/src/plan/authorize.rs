//! Rights: every rule on what an operation selects is held against the caller before
//! anything is executed, on cache hits as well. One forbidden field refuses the whole
//! operation, so that a client never has to guess what was left out; where the platform file
//! says `filter`, it is `null` instead, with an error, and nobody is asked for it.

use std::collections::HashMap;

use apollo_compiler::ast::OperationType;
use monopod_core::identity::Principal;

use super::{Field, Kind, Output, Plan, Shape, Variables, arguments};
use crate::error::{Failure, code};
use crate::json::Json;
use crate::schema::Denied;

/// Fields of a plan that the caller may not have, and why.
#[derive(Debug, Default)]
pub struct Denials(HashMap<usize, Failure>);

impl Denials {
    /// Why a field is not answered; none: it is. Fields are told apart by where they are: a plan
    /// does not move.
    pub fn of(&self, field: &Field) -> Option<&Failure> {
        if self.0.is_empty() { None } else { self.0.get(&std::ptr::from_ref(field).addr()) }
    }
}

/// Refuses the operation if the caller may not have all of it; with `filter` says what of it.
pub fn authorize(
    plan: &Plan,
    variables: &Variables<'_>,
    principal: &Principal,
    filter: bool,
) -> Result<Denials, Failure> {
    let mut denials = Denials::default();
    if plan.guarded {
        // A subscription has one field, and without it nothing to wait for.
        let root = plan.kind == OperationType::Subscription;
        Asked { variables, principal, filter, denials: &mut denials }.fields(&plan.fields, root)?;
    }
    Ok(denials)
}

struct Asked<'a> {
    variables: &'a Variables<'a>,
    principal: &'a Principal,
    filter: bool,
    denials: &'a mut Denials,
}

impl Asked<'_> {
    /// `whole`: without these there is no answer at all.
    fn fields(&mut self, fields: &[Field], whole: bool) -> Result<(), Failure> {
        // What is left out by @skip or @include is not asked for.
        for field in fields.iter().filter(|field| field.include.holds(self.variables)) {
            match self.field(field) {
                Ok(()) => {}
                Err(mut denied) if self.filter && !whole => {
                    // The answer says where.
                    denied.places.clear();
                    self.denials.0.insert(std::ptr::from_ref(field).addr(), denied);
                    continue;
                }
                Err(denied) => return Err(denied),
            }
            if let Kind::Mapped(output) | Kind::Resolved { output, .. } = &field.kind {
                self.nested(output)?;
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field) -> Result<(), Failure> {
        if field.rules.is_empty() {
            return Ok(());
        }
        let arguments = asked_with(field, self.variables)?;
        let mut rules = field.rules.iter();
        rules.try_for_each(|rule| {
            rule.check(self.principal, &arguments).map_err(|denied| refusal(field, denied))
        })
    }

    fn nested(&mut self, output: &Output) -> Result<(), Failure> {
        match &output.shape {
            Shape::Leaf(..) => Ok(()),
            Shape::List(inner) => self.nested(inner),
            Shape::Object(selected) => self.fields(selected, false),
            Shape::Abstract(types) => types.iter().try_for_each(|(_, selected)| self.fields(selected, false)),
        }
    }
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
