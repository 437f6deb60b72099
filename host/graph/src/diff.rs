//! What a schema changes for the clients of another, in the classes of graphql-js'
//! `findBreakingChanges`: a release is judged by it.

use std::collections::BTreeSet;

use apollo_compiler::Schema as Sdl;
use apollo_compiler::ast::{FieldDefinition, InputValueDefinition, Type};
use apollo_compiler::collections::{IndexMap, IndexSet};
use apollo_compiler::schema::{Component, ComponentName, ExtendedType};
use apollo_compiler::{Name, Node};

use crate::schema::Schema;

/// The fields of an object or interface.
type Fields = IndexMap<Name, Component<FieldDefinition>>;

/// How a change meets clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An operation that was valid is no longer, or means something else.
    Breaking,
    /// An operation stays valid, but may be answered what its client has not seen before.
    Dangerous,
    /// No operation notices.
    Safe,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// How bad it is.
    pub class: Class,
    /// What kind, by graphql-js' name.
    pub kind: &'static str,
    /// What for: `Type`, `Type.field`, `Type.field(argument:)`.
    pub coordinate: String,
    /// In words.
    pub message: String,
}

/// What `new` changes for the clients of `old`, which is in the schema definition language;
/// the worst first. The error says why `old` cannot be read.
pub fn diff(old: &str, new: &Schema) -> Result<Vec<Change>, String> {
    let old = Sdl::parse_and_validate(old, "old").map_err(|wrong| wrong.errors.to_string())?;
    let mut changes = Changes::default();
    for (name, before) in old.types.iter().filter(|(_, each)| !each.is_built_in()) {
        match new.public.types.get(name) {
            None => changes.add(Class::Breaking, "TYPE_REMOVED", name, format!("`{name}` is gone")),
            Some(after) => changes.of_type(name, before, after),
        }
    }
    for (name, _) in
        new.public.types.iter().filter(|(name, each)| !each.is_built_in() && !old.types.contains_key(*name))
    {
        changes.add(Class::Safe, "TYPE_ADDED", name, format!("`{name}` is new"));
    }
    let mut found = changes.0;
    found.sort();
    Ok(found)
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, class: Class, kind: &'static str, coordinate: impl ToString, message: String) {
        self.0.push(Change { class, kind, coordinate: coordinate.to_string(), message });
    }

    fn of_type(&mut self, name: &Name, before: &ExtendedType, after: &ExtendedType) {
        match (before, after) {
            (ExtendedType::Object(before), ExtendedType::Object(after)) => {
                self.interfaces(
                    name,
                    &names(&before.implements_interfaces),
                    &names(&after.implements_interfaces),
                );
                self.of_fields(name, &before.fields, &after.fields);
            }
            (ExtendedType::Interface(before), ExtendedType::Interface(after)) => {
                self.interfaces(
                    name,
                    &names(&before.implements_interfaces),
                    &names(&after.implements_interfaces),
                );
                self.of_fields(name, &before.fields, &after.fields);
            }
            (ExtendedType::Union(before), ExtendedType::Union(after)) => {
                let (old, new) = (names(&before.members), names(&after.members));
                for member in old.difference(&new) {
                    let message = format!("`{member}` is no longer one of `{name}`");
                    self.add(Class::Breaking, "TYPE_REMOVED_FROM_UNION", name, message);
                }
                for member in new.difference(&old) {
                    let message = format!("`{member}` is one of `{name}` now");
                    self.add(Class::Dangerous, "TYPE_ADDED_TO_UNION", name, message);
                }
            }
            (ExtendedType::Enum(before), ExtendedType::Enum(after)) => {
                for value in before.values.keys().filter(|value| !after.values.contains_key(*value)) {
                    let message = format!("`{value}` is gone from `{name}`");
                    self.add(Class::Breaking, "VALUE_REMOVED_FROM_ENUM", format!("{name}.{value}"), message);
                }
                for value in after.values.keys().filter(|value| !before.values.contains_key(*value)) {
                    let message = format!("`{name}` can be `{value}` now");
                    self.add(Class::Dangerous, "VALUE_ADDED_TO_ENUM", format!("{name}.{value}"), message);
                }
            }
            (ExtendedType::InputObject(before), ExtendedType::InputObject(after)) => {
                let old: Vec<_> = before.fields.values().map(|each| &each.node).collect();
                let new: Vec<_> = after.fields.values().map(|each| &each.node).collect();
                self.inputs(&old, &new, &|key| format!("{name}.{key}"), &INPUT);
            }
            (ExtendedType::Scalar(_), ExtendedType::Scalar(_)) => {}
            _ => self.add(Class::Breaking, "TYPE_CHANGED_KIND", name, format!("`{name}` is of another kind")),
        }
    }

    fn interfaces(&mut self, name: &Name, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        for gone in old.difference(new) {
            let message = format!("`{name}` no longer implements `{gone}`");
            self.add(Class::Breaking, "IMPLEMENTED_INTERFACE_REMOVED", name, message);
        }
        for more in new.difference(old) {
            let message = format!("`{name}` implements `{more}` now");
            self.add(Class::Dangerous, "IMPLEMENTED_INTERFACE_ADDED", name, message);
        }
    }

    fn of_fields(&mut self, ty: &Name, before: &Fields, after: &Fields) {
        let old = before.values().map(|each| &each.node);
        self.fields(ty, old, |key| after.get(key).map(|each| &each.node));
        let new = after.values().filter(|each| !before.contains_key(&each.name));
        self.added(ty, new.map(|each| &each.node));
    }

    fn fields<'f>(
        &mut self,
        ty: &Name,
        old: impl Iterator<Item = &'f Node<FieldDefinition>>,
        find: impl Fn(&str) -> Option<&'f Node<FieldDefinition>>,
    ) {
        for before in old {
            let coordinate = format!("{ty}.{}", before.name);
            let Some(after) = find(&before.name) else {
                let message = format!("`{coordinate}` is gone");
                self.add(Class::Breaking, "FIELD_REMOVED", &coordinate, message);
                continue;
            };
            if before.ty != after.ty {
                let message = format!("`{coordinate}` was `{}` and is `{}`", before.ty, after.ty);
                let class = if narrower(&before.ty, &after.ty) { Class::Safe } else { Class::Breaking };
                self.add(class, "FIELD_CHANGED_KIND", &coordinate, message);
            }
            let (old, new): (Vec<_>, Vec<_>) =
                (before.arguments.iter().collect(), after.arguments.iter().collect());
            self.inputs(&old, &new, &|key| format!("{coordinate}({key}:)"), &ARGUMENT);
        }
    }

    fn added<'f>(&mut self, ty: &Name, fields: impl Iterator<Item = &'f Node<FieldDefinition>>) {
        for field in fields {
            let coordinate = format!("{ty}.{}", field.name);
            self.add(Class::Safe, "FIELD_ADDED", &coordinate, format!("`{coordinate}` is new"));
        }
    }

    /// Arguments, or the fields of an input: what clients send.
    fn inputs(
        &mut self,
        old: &[&Node<InputValueDefinition>],
        new: &[&Node<InputValueDefinition>],
        coordinate: &dyn Fn(&Name) -> String,
        kinds: &Kinds,
    ) {
        for before in old {
            let at = coordinate(&before.name);
            let Some(after) = new.iter().find(|after| after.name == before.name) else {
                self.add(Class::Breaking, kinds.removed, &at, format!("`{at}` is gone"));
                continue;
            };
            if before.ty != after.ty {
                let message = format!("`{at}` was `{}` and is `{}`", before.ty, after.ty);
                // What was good before has to be good after: the other way round than for answers.
                let class = if narrower(&after.ty, &before.ty) { Class::Safe } else { Class::Breaking };
                self.add(class, kinds.changed, &at, message);
            }
            if before.default_value != after.default_value {
                let message = format!("the default of `{at}` is another");
                self.add(Class::Dangerous, kinds.default, &at, message);
            }
        }
        for after in new.iter().filter(|after| old.iter().all(|before| before.name != after.name)) {
            let at = coordinate(&after.name);
            if after.is_required() {
                self.add(Class::Breaking, kinds.required, &at, format!("`{at}` is new and has to be given"));
            } else {
                self.add(Class::Dangerous, kinds.optional, &at, format!("`{at}` is new"));
            }
        }
    }
}

/// The names of changes to what clients send.
struct Kinds {
    removed: &'static str,
    changed: &'static str,
    default: &'static str,
    required: &'static str,
    optional: &'static str,
}

const ARGUMENT: Kinds = Kinds {
    removed: "ARG_REMOVED",
    changed: "ARG_CHANGED_KIND",
    default: "ARG_DEFAULT_VALUE_CHANGE",
    required: "REQUIRED_ARG_ADDED",
    optional: "OPTIONAL_ARG_ADDED",
};

const INPUT: Kinds = Kinds {
    removed: "FIELD_REMOVED",
    changed: "FIELD_CHANGED_KIND",
    default: "INPUT_FIELD_DEFAULT_VALUE_CHANGE",
    required: "REQUIRED_INPUT_FIELD_ADDED",
    optional: "OPTIONAL_INPUT_FIELD_ADDED",
};

fn names(all: &IndexSet<ComponentName>) -> BTreeSet<String> {
    all.iter().map(|each| each.name.to_string()).collect()
}

/// Whether every value of `after` is one of `before`: it is never `null` where it was not.
fn narrower(before: &Type, after: &Type) -> bool {
    match (before, after) {
        (Type::Named(a) | Type::NonNullNamed(a), Type::NonNullNamed(b))
        | (Type::Named(a), Type::Named(b)) => a == b,
        (Type::List(a) | Type::NonNullList(a), Type::NonNullList(b)) | (Type::List(a), Type::List(b)) => {
            narrower(a, b)
        }
        _ => false,
    }
}
