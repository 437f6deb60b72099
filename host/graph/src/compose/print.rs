//! Numbers by which subscriptions know whether another schema is the same for them.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;

use crate::schema::TypeInfo;

/// The number of each field of `Subscription`: of its definition and resolver, and of all types
/// that can be reached below it with theirs.
pub fn prints(schema: &Schema, types: &HashMap<String, TypeInfo>) -> HashMap<String, u64> {
    let Some(root) = schema.get_object("Subscription") else { return HashMap::new() };
    let implementers = schema.implementers_map();
    let mut prints = HashMap::new();
    for field in root.fields.values() {
        let mut text = format!(
            "{} {:?}",
            field.node,
            types.get("Subscription").and_then(|info| info.fields.get(field.name.as_str()))
        );
        let mut reached = BTreeSet::new();
        let mut open: Vec<String> =
            field.arguments.iter().map(|each| each.ty.inner_named_type().to_string()).collect();
        open.push(field.ty.inner_named_type().to_string());
        while let Some(name) = open.pop() {
            if !reached.insert(name.clone()) {
                continue;
            }
            match schema.types.get(name.as_str()) {
                Some(ExtendedType::Object(object)) => {
                    open.extend(object.fields.values().flat_map(|field| {
                        let arguments = field.arguments.iter().map(|each| each.ty.inner_named_type());
                        arguments.chain([field.ty.inner_named_type()]).map(ToString::to_string)
                    }));
                }
                Some(ExtendedType::Interface(_)) => {
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
        for name in reached {
            if let Some(definition) = schema.types.get(name.as_str()) {
                // Writing to a text cannot fail.
                let _infallible = write!(text, "{definition}");
            }
            let Some(info) = types.get(&name) else { continue };
            let mut fields: Vec<_> = info.fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let _infallible = write!(text, "{:?} {fields:?}", info.rule);
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        prints.insert(field.name.to_string(), hasher.finish());
    }
    prints
}
