//! A composed schema for people and releases: who answers each field, how, with which rights
//! and at what cost; and what another schema would change for clients. Called by
//! `monopod schema`; never while a request runs.

use std::fmt::Write as _;

use apollo_compiler::schema::ExtendedType;

use crate::error::Failure;
use crate::plan;
use crate::schema::{Connect, FieldInfo, Needed, Resolver, Rule, Schema};

/// What is known of a field that clients can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// `Type.field`.
    pub coordinate: String,
    /// Its type.
    pub ty: String,
    /// Who answers it; none: the field above it does.
    pub by: Option<String>,
    /// How: a method and a path, or topics.
    pub how: Option<String>,
    /// What a caller needs, each of these.
    pub needs: Vec<String>,
    /// What it costs, where the schema says so.
    pub cost: Option<u32>,
    /// How many items its list is taken to have, where the schema says so.
    pub items: Option<u32>,
}

impl Schema {
    /// Plans an operation as a request would, and keeps the plan: whether the operation can be
    /// answered at all. The caller's rights and the variables are not looked at. The error says
    /// everything that is wrong with it.
    pub fn accepts(&self, document: &str, operation: Option<&str>) -> Result<(), Vec<String>> {
        let told = |failures: Vec<Failure>| failures.into_iter().map(|f| f.message.into_owned()).collect();
        plan::plan(self, document, operation).map(drop).map_err(told)
    }

    /// All fields, types in the order of their names, the roots first.
    pub fn fields(&self) -> Vec<Answered> {
        let mut objects: Vec<_> = self
            .public
            .types
            .values()
            .filter(|definition| !definition.is_built_in())
            .filter_map(ExtendedType::as_object)
            .collect();
        let rank = |name: &str| {
            let roots = crate::compose::ROOTS;
            roots.iter().position(|root| *root == name).unwrap_or(roots.len())
        };
        objects.sort_by_key(|object| (rank(&object.name), object.name.clone()));
        let mut fields = Vec::new();
        for object in objects {
            for field in object.fields.values() {
                let info = self.field(&object.name, &field.name);
                let below = self.types.get(field.ty.inner_named_type().as_str());
                let (by, how) = info.map(by).unwrap_or_default();
                let rules =
                    [info.and_then(|info| info.rule.as_deref()), below.and_then(|it| it.rule.as_deref())];
                fields.push(Answered {
                    coordinate: format!("{}.{}", object.name, field.name),
                    ty: field.ty.to_string(),
                    by,
                    how,
                    needs: rules.into_iter().flatten().flat_map(rights).collect(),
                    cost: info.and_then(|info| info.cost),
                    items: info.and_then(|info| info.size.as_ref()).and_then(|size| size.assumed),
                });
            }
        }
        fields
    }
}

fn by(info: &FieldInfo) -> (Option<String>, Option<String>) {
    match info.resolver.as_deref() {
        None => (None, None),
        Some(Resolver::Connect(connect)) => (Some(connect.component.to_string()), Some(how(connect))),
        Some(Resolver::Code(code)) => {
            let needs =
                if code.needs.is_empty() { String::new() } else { format!(" from {}", code.needs.join(" ")) };
            (Some(code.component.to_string()), Some(format!("code{needs}, up to {} at once", code.max)))
        }
        Some(Resolver::Subscribe(topics)) => {
            let topics: Vec<_> = topics.iter().map(|each| each.topic.to_string()).collect();
            (Some("topics".to_owned()), Some(topics.join(", ")))
        }
    }
}

fn how(connect: &Connect) -> String {
    let base = connect.outside.as_ref().map_or("", |outside| &*outside.base);
    let mut text = format!("{} {base}{}", connect.method, connect.path);
    if let Some(batch) = &connect.batch {
        // Writing to a text cannot fail.
        let _infallible = write!(text, ", up to {} at once", batch.max);
    }
    if connect.lookup {
        text.push_str(", by key");
    }
    text
}

/// The demands of a rule as people write them.
fn rights(rule: &Rule) -> Vec<String> {
    let all = |needed: &Needed| {
        let conditions = needed.conditions.iter().map(ToString::to_string);
        let words: Vec<String> = needed.scopes.iter().cloned().chain(conditions).collect();
        if words.is_empty() { "login".to_owned() } else { words.join(" ") }
    };
    rule.demands.iter().map(|any| any.iter().map(all).collect::<Vec<_>>().join(" | ")).collect()
}
