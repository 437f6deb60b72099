//! Reads `@authenticated`, `@requiresScopes` and `@policy` into one rule.

use std::sync::Arc;

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, FieldDefinition, Value};

use super::source::Sources;
use crate::mapping::did_you_mean;
use crate::schema::{Needed, Rule};
use crate::settings::Settings;

/// The rule that these directives make together; none if there is none among them. `arguments`
/// are those of the field that is guarded; none for a type.
pub fn rule<'d>(
    directives: impl Iterator<Item = &'d Node<Directive>>,
    arguments: Option<&FieldDefinition>,
    settings: &Settings,
    sources: &mut Sources<'_>,
) -> Option<Rule> {
    let mut demands = Vec::new();
    for directive in directives {
        match directive.name.as_str() {
            "authenticated" => demands.push(vec![Needed::default()]),
            "requiresScopes" => {
                if let Some(value) = directive.specified_argument_by_name("scopes") {
                    demands.push(alternatives(value, sources, |scope, _, needed, _| {
                        needed.scopes.push(scope.to_owned());
                    }));
                }
            }
            "policy" => {
                if let Some(value) = directive.specified_argument_by_name("policies") {
                    demands.push(alternatives(value, sources, |name, node, needed, sources| {
                        policy(name, node, arguments, settings, needed, sources);
                    }));
                }
            }
            _ => {}
        }
    }
    (!demands.is_empty()).then_some(Rule { demands })
}

/// `[[a, b], [c]]`: a and b, or c. `expand` adds what a name needs.
fn alternatives(
    value: &Node<Value>,
    sources: &mut Sources<'_>,
    mut expand: impl FnMut(&str, &Node<Value>, &mut Needed, &mut Sources<'_>),
) -> Vec<Needed> {
    // One value counts as a list of one, as everywhere in GraphQL.
    let list = |node: &Node<Value>| node.as_list().map_or_else(|| vec![node.clone()], <[_]>::to_vec);
    let mut outer = Vec::new();
    for all in list(value) {
        let mut needed = Needed::default();
        let names = list(&all);
        for name in &names {
            if let Some(text) = name.as_str() {
                expand(text, name, &mut needed, sources);
            }
        }
        if names.is_empty() {
            sources.report(
                all.location().or_else(|| value.location()),
                "an empty list lets every user pass",
                Some("name what is needed, or use @authenticated".to_owned()),
            );
        }
        outer.push(needed);
    }
    if outer.is_empty() {
        sources.report(
            value.location(),
            "an empty list lets nobody pass",
            Some("name what is needed".to_owned()),
        );
    }
    outer
}

fn policy(
    name: &str,
    node: &Node<Value>,
    field: Option<&FieldDefinition>,
    settings: &Settings,
    needed: &mut Needed,
    sources: &mut Sources<'_>,
) {
    let Some(policy) = settings.policies.get(name) else {
        let help = did_you_mean(name, settings.policies.keys().map(String::as_str))
            .unwrap_or_else(|| format!("add:  [policies.{name}]"));
        sources.report(node.location(), format!("there is no policy `{name}`"), Some(help));
        return;
    };
    needed.scopes.extend(policy.scopes.iter().cloned());
    let Some(condition) = &policy.condition else { return };
    for argument in condition.arguments() {
        if field.is_none_or(|field| field.argument_by_name(argument).is_none()) {
            let on = field.map_or("a type".to_owned(), |field| format!("`{}`", field.name));
            sources.report(
                node.location(),
                format!("the policy `{name}` looks at `args.{argument}`, which {on} does not have"),
                Some("put it on a field with that argument, or change the policy's `allow`".to_owned()),
            );
        }
    }
    needed.conditions.push(Arc::clone(condition));
}
