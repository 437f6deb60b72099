//! Compares parsed selections, bodies and filters with the GraphQL types and compiles
//! them. Called when the schema is loaded: what passes here cannot name a field or an
//! argument that does not exist, nor leave out one that must have a value.

use std::collections::BTreeSet;

use apollo_compiler::Schema;
use apollo_compiler::ast::{FieldDefinition, Type};
use apollo_compiler::schema::ExtendedType;

use super::parse::{Entry, Expression, Name, Path, Selection, Term};
use super::{Fields, Mistake, Root, Value};

/// What mappings are checked against.
pub struct Types<'s> {
    /// The composed schema.
    pub schema: &'s Schema,
    /// The field that is mapped: its arguments are `$args`.
    pub field: &'s FieldDefinition,
}

/// A compiled filter term.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Into the payload.
    pub path: Box<[Box<str>]>,
    /// Into the arguments.
    pub argument: Box<[Box<str>]>,
}

/// The object fields that some mapping gives a value, as `(type, field)`.
pub type Covered = BTreeSet<(String, String)>;

impl Types<'_> {
    /// Compiles the selection of a field's answer.
    pub fn answer(&self, selection: Selection, covered: &mut Covered) -> Result<Value, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let value = self.answer_value(selection, covered, &mut mistakes);
        match value {
            Some(value) if mistakes.is_empty() => Ok(value),
            _ => Err(mistakes),
        }
    }

    fn answer_value(
        &self,
        selection: Selection,
        covered: &mut Covered,
        bad: &mut Vec<Mistake>,
    ) -> Option<Value> {
        let ty = &self.field.ty;
        if self.object(ty).is_some() {
            return match selection {
                Selection::Entries(entries) => {
                    let fields = self.fields(ty, &entries, 0..0, covered, bad);
                    Some(Value::Path { root: Root::Whole, keys: [].into(), fields: Some(fields) })
                }
                Selection::Value(value) => Some(self.value(&value, ty, &self.field.name, covered, bad)),
            };
        }
        let value = match selection {
            Selection::Value(value) => value,
            // `pong` alone means `$.pong` where one value is wanted.
            Selection::Entries(entries) => match <[Entry; 1]>::try_from(entries) {
                Ok([entry]) if !entry.renamed => entry.value,
                Ok([entry]) => {
                    bad.push(self.one_value(entry.name.at, ty));
                    return None;
                }
                Err(entries) => {
                    let at = entries.get(1).map_or(0..0, |entry| entry.name.at.clone());
                    bad.push(self.one_value(at, ty));
                    return None;
                }
            },
        };
        Some(self.value(&value, ty, &self.field.name, covered, bad))
    }

    fn one_value(&self, at: std::ops::Range<usize>, ty: &Type) -> Mistake {
        Mistake::new(at, format!("`{}` is `{ty}`, a single value without fields", self.field.name))
            .help("select one path, for example `$.value`")
    }

    /// The object type inside `ty`, if that is what it is.
    fn object(&self, ty: &Type) -> Option<&apollo_compiler::schema::ObjectType> {
        self.schema.get_object(ty.inner_named_type()).map(|node| node.as_ref())
    }

    fn fields(
        &self,
        ty: &Type,
        entries: &[Entry],
        at: std::ops::Range<usize>,
        covered: &mut Covered,
        bad: &mut Vec<Mistake>,
    ) -> Fields {
        let Some(object) = self.object(ty) else { return Fields::default() };
        let mut compiled: Vec<(Box<str>, Value)> = Vec::new();
        for Entry { name, value, .. } in entries {
            let Some(field) = object.fields.get(name.text.as_str()) else {
                bad.push(
                    Mistake::new(
                        name.at.clone(),
                        format!("type `{}` has no field `{}`", object.name, name.text),
                    )
                    .suggest(&name.text, object.fields.keys().map(|key| key.as_str())),
                );
                continue;
            };
            if compiled.iter().any(|(known, _)| **known == *name.text) {
                bad.push(Mistake::new(name.at.clone(), format!("`{}` is selected twice", name.text)));
                continue;
            }
            covered.insert((object.name.to_string(), name.text.clone()));
            compiled
                .push((name.text.as_str().into(), self.value(value, &field.ty, &name.text, covered, bad)));
        }
        let missing = object.fields.values().filter(|field| field.ty.is_non_null());
        for field in missing.filter(|field| !entries.iter().any(|entry| *entry.name.text == *field.name)) {
            bad.push(
                Mistake::new(
                    at.clone(),
                    format!(
                        "nothing is selected for `{}.{}`, which is `{}` and must have a value",
                        object.name, field.name, field.ty
                    ),
                )
                .help(format!("select it, or make it `{}`", field.ty.clone().nullable())),
            );
        }
        Fields(compiled.into())
    }

    fn value(
        &self,
        value: &Expression,
        ty: &Type,
        name: &str,
        covered: &mut Covered,
        bad: &mut Vec<Mistake>,
    ) -> Value {
        let object = self.object(ty);
        let path = match value {
            Expression::Literal(literal) => {
                if object.is_some() && !literal.is_null() {
                    bad.push(Mistake::new(0..0, format!("`{name}` is `{ty}`, an object, not a literal")));
                }
                return Value::Literal(literal.clone());
            }
            Expression::Path(path) => path,
        };
        self.arguments_exist(path, bad);
        let inner = self.schema.types.get(ty.inner_named_type());
        if let Some(ExtendedType::Interface(_) | ExtendedType::Union(_)) = inner {
            let message = format!("`{name}` is `{ty}`: an interface or union cannot be mapped");
            bad.push(Mistake::new(path.at.clone(), message).help("name an object type"));
            return Value::Literal(crate::json::Json::Null);
        }
        let fields = match (&path.entries, object) {
            (Some(entries), Some(_)) => Some(self.fields(ty, entries, path.at.clone(), covered, bad)),
            (None, Some(object)) => {
                let first = object.fields.keys().next().map_or("…", |key| key.as_str());
                bad.push(
                    Mistake::new(path.at.clone(), format!("`{name}` is `{ty}`, an object"))
                        .help(format!("select its fields: `{{ {first} … }}`")),
                );
                None
            }
            (Some(_), None) => {
                bad.push(Mistake::new(
                    path.at.clone(),
                    format!("`{name}` is `{ty}`, which has no fields to select"),
                ));
                None
            }
            (None, None) => None,
        };
        Value::Path { root: path.root, keys: keys(&path.keys), fields }
    }

    /// Compiles a body: only arguments, the correlation id and literals.
    pub fn body(&self, selection: Selection) -> Result<Value, Vec<Mistake>> {
        let mut bad = Vec::new();
        let value = match selection {
            Selection::Entries(entries) => {
                let fields = self.body_fields(&entries, None, &mut bad);
                Value::Path { root: Root::Args, keys: [].into(), fields: Some(fields) }
            }
            Selection::Value(value) => self.body_value(&value, None, &mut bad),
        };
        if bad.is_empty() { Ok(value) } else { Err(bad) }
    }

    /// `current` is the input type that a bare name is looked up in; none: there is none.
    fn body_fields(&self, entries: &[Entry], current: Option<Input<'_>>, bad: &mut Vec<Mistake>) -> Fields {
        let mut compiled: Vec<(Box<str>, Value)> = Vec::new();
        for Entry { name, value, .. } in entries {
            if compiled.iter().any(|(known, _)| **known == *name.text) {
                bad.push(Mistake::new(name.at.clone(), format!("`{}` is given twice", name.text)));
                continue;
            }
            compiled.push((name.text.as_str().into(), self.body_value(value, current, bad)));
        }
        Fields(compiled.into())
    }

    fn body_value(&self, value: &Expression, current: Option<Input<'_>>, bad: &mut Vec<Mistake>) -> Value {
        let path = match value {
            Expression::Literal(literal) => return Value::Literal(literal.clone()),
            Expression::Path(path) => path,
        };
        let from = match path.root {
            Root::Args => Some(Input::Arguments),
            Root::Correlation => Some(Input::Leaf),
            Root::Current => current.or_else(|| (path.keys.is_empty()).then_some(Input::Arguments)),
            Root::Whole => None,
        };
        let Some(from) = from else {
            bad.push(
                Mistake::new(path.at.clone(), "there is no answer yet when the request is made")
                    .help("take values from `$args`, `$context` or literals"),
            );
            return Value::Literal(crate::json::Json::Null);
        };
        let end = self.input_path(from, &path.keys, bad);
        let fields = path.entries.as_ref().map(|entries| {
            if matches!(end, Some(Input::Leaf)) {
                bad.push(Mistake::new(
                    path.at.clone(),
                    "this is a single value, which has no fields to select",
                ));
            }
            self.body_fields(entries, end, bad)
        });
        Value::Path { root: path.root, keys: keys(&path.keys), fields }
    }

    fn arguments_exist(&self, path: &Path, bad: &mut Vec<Mistake>) {
        if path.root == Root::Args {
            self.input_path(Input::Arguments, &path.keys, bad);
        }
    }

    /// Where a path of keys leads to in input types; none, with a mistake, if nowhere.
    pub fn input_path<'i>(
        &'i self,
        from: Input<'i>,
        keys: &[Name],
        bad: &mut Vec<Mistake>,
    ) -> Option<Input<'i>> {
        let mut here = from;
        for key in keys {
            let (ty, what, known): (Option<&Type>, String, Vec<&str>) = match here {
                Input::Arguments => (
                    self.field.argument_by_name(&key.text).map(|argument| &*argument.ty),
                    format!("field `{}` has no argument `{}`", self.field.name, key.text),
                    self.field.arguments.iter().map(|argument| argument.name.as_str()).collect(),
                ),
                Input::Object(object) => (
                    object.fields.get(key.text.as_str()).map(|field| &*field.ty),
                    format!("input type `{}` has no field `{}`", object.name, key.text),
                    object.fields.keys().map(|name| name.as_str()).collect(),
                ),
                Input::Any => return Some(Input::Any),
                Input::Leaf => {
                    bad.push(Mistake::new(
                        key.at.clone(),
                        format!("`{}` is looked up in a single value", key.text),
                    ));
                    return None;
                }
            };
            let Some(ty) = ty else {
                bad.push(Mistake::new(key.at.clone(), what).suggest(&key.text, known));
                return None;
            };
            here = self.input(ty);
        }
        Some(here)
    }

    fn input(&self, ty: &Type) -> Input<'_> {
        match self.schema.types.get(ty.inner_named_type()) {
            Some(ExtendedType::InputObject(object)) => Input::Object(object),
            Some(ExtendedType::Scalar(scalar)) if scalar.name == "JSON" => Input::Any,
            _ => Input::Leaf,
        }
    }

    /// The type an argument path ends in, and whether it always has a value.
    pub fn argument_type(&self, keys: &[Name]) -> Option<(&Type, bool)> {
        let (first, rest) = keys.split_first()?;
        let definition = self.field.argument_by_name(&first.text)?;
        let mut ty: &Type = &definition.ty;
        let mut always =
            ty.is_non_null() || definition.default_value.as_ref().is_some_and(|value| !value.is_null());
        for key in rest {
            let field = self.schema.get_input_object(ty.inner_named_type())?.fields.get(key.text.as_str())?;
            ty = &field.ty;
            always = always && ty.is_non_null();
        }
        Some((ty, always))
    }

    /// Compiles a filter.
    pub fn filter(&self, terms: Vec<Term>) -> Result<Box<[Filter]>, Vec<Mistake>> {
        let mut bad = Vec::new();
        for term in &terms {
            let end = self.input_path(Input::Arguments, &term.argument, &mut bad);
            let list = self.argument_type(&term.argument).is_some_and(|(ty, _)| ty.is_list());
            if matches!(end, Some(Input::Object(_))) || list {
                bad.push(Mistake::new(term.at.clone(), "a filter compares single values"));
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        Ok(terms
            .iter()
            .map(|term| Filter { path: keys(&term.path), argument: keys(&term.argument) })
            .collect())
    }
}

/// Where a path into the arguments stands.
#[derive(Clone, Copy)]
pub enum Input<'i> {
    /// At the arguments themselves.
    Arguments,
    /// In an input object, or a list of them.
    Object(&'i apollo_compiler::schema::InputObjectType),
    /// In a `JSON` scalar: anything may follow.
    Any,
    /// At a single value.
    Leaf,
}

fn keys(names: &[Name]) -> Box<[Box<str>]> {
    names.iter().map(|name| name.text.as_str().into()).collect()
}
