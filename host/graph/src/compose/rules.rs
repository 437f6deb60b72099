//! Reads `@authenticated`, `@requiresScopes` and `@policy` into one rule.

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, Value};

use super::source::Sources;
use crate::mapping::did_you_mean;
use crate::schema::Rule;
use crate::settings::Settings;

/// The rule that these directives make together; none if there is none among them.
pub fn rule<'d>(
    directives: impl Iterator<Item = &'d Node<Directive>>,
    settings: &Settings,
    sources: &mut Sources<'_>,
) -> Option<Rule> {
    let mut demands = Vec::new();
    for directive in directives {
        match directive.name.as_str() {
            "authenticated" => demands.push(vec![Vec::new()]),
            "requiresScopes" => {
                if let Some(value) = directive.specified_argument_by_name("scopes") {
                    demands.push(alternatives(value, sources, |scope, _, _| vec![scope.to_owned()]));
                }
            }
            "policy" => {
                if let Some(value) = directive.specified_argument_by_name("policies") {
                    demands.push(alternatives(value, sources, |name, node, sources| {
                        policy(name, node, settings, sources)
                    }));
                }
            }
            _ => {}
        }
    }
    (!demands.is_empty()).then_some(Rule { demands })
}

/// `[[a, b], [c]]`: a and b, or c. `expand` makes scopes of each name.
fn alternatives(
    value: &Node<Value>,
    sources: &mut Sources<'_>,
    mut expand: impl FnMut(&str, &Node<Value>, &mut Sources<'_>) -> Vec<String>,
) -> Vec<Vec<String>> {
    // One value counts as a list of one, as everywhere in GraphQL.
    let list = |node: &Node<Value>| node.as_list().map_or_else(|| vec![node.clone()], <[_]>::to_vec);
    let mut outer = Vec::new();
    for all in list(value) {
        let mut scopes = Vec::new();
        let names = list(&all);
        for name in &names {
            scopes.extend(name.as_str().map(|text| expand(text, name, sources)).unwrap_or_default());
        }
        if names.is_empty() {
            sources.report(
                all.location().or_else(|| value.location()),
                "an empty list lets every user pass",
                Some("name what is needed, or use @authenticated".to_owned()),
            );
        }
        outer.push(scopes);
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

fn policy(name: &str, node: &Node<Value>, settings: &Settings, sources: &mut Sources<'_>) -> Vec<String> {
    let Some(policy) = settings.policies.get(name) else {
        let help = did_you_mean(name, settings.policies.keys().map(String::as_str))
            .unwrap_or_else(|| format!("add:  [policies.{name}]"));
        sources.report(node.location(), format!("there is no policy `{name}`"), Some(help));
        return Vec::new();
    };
    policy.scopes.iter().cloned().collect()
}
