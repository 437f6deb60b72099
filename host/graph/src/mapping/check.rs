//! Compares what goes into a request with the GraphQL types and compiles it: bodies,
//! filters, matches, tests. Called when the schema is loaded: what passes here cannot name
//! an argument or a field that does not exist. `answer` does the same for what comes back.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};

use apollo_compiler::Schema;
use apollo_compiler::ast::{FieldDefinition, Type};
use apollo_compiler::collections::HashMap;
use apollo_compiler::schema::{ExtendedType, Implementers, ObjectType};

use super::parse::{Entry, Equals, Expression, Name, Path, Selection, Term};
use super::{Fields, Mistake, Root, Value};
use crate::json::Json;

/// What mappings are checked against.
pub struct Types<'s> {
    /// The composed schema.
    pub schema: &'s Schema,
    /// Who implements its interfaces.
    pub implementers: &'s HashMap<apollo_compiler::Name, Implementers>,
    /// Which fields are answered by themselves, and so by no mapping of the object.
    pub answered: &'s Answered,
    /// The field that is mapped: its arguments are `$args`; none for a lookup of a type.
    pub field: Option<&'s FieldDefinition>,
    /// The type it stands on, where there is something to know of the object: `$this`.
    pub parent: Option<&'s ObjectType>,
    /// Whether many objects are looked up together: `$batch` then stands for `$this`.
    pub batch: bool,
    /// The fields of the parent that were named.
    pub used: RefCell<BTreeSet<String>>,
}

/// The fields that somebody answers apart from the mapping of their object.
#[derive(Debug, Default)]
pub struct Answered {
    /// By a directive of the field.
    pub alone: HashSet<(String, String)>,
    /// By a lookup of their type, where the mapping leaves them out.
    pub lookup: HashSet<(String, String)>,
}

/// A compiled filter term.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Into the payload.
    pub path: Box<[Box<str>]>,
    /// Into the arguments.
    pub argument: Box<[Box<str>]>,
}

/// A compiled test.
pub type Tests = Box<[(Value, Json<'static>)]>;

/// What can be looked up where a request is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// No answer yet.
    Request,
    /// The answer and its status.
    Answer,
}

impl Types<'_> {
    /// Compiles a body: arguments, fields of the object, the correlation id and literals.
    pub fn body(&self, selection: Selection) -> Result<Value, Vec<Mistake>> {
        self.free(selection, Known::Request)
    }

    /// Compiles what is taken from an answer that is an error.
    pub fn details(&self, selection: Selection) -> Result<Value, Vec<Mistake>> {
        self.free(selection, Known::Answer)
    }

    fn free(&self, selection: Selection, known: Known) -> Result<Value, Vec<Mistake>> {
        let mut bad = Vec::new();
        let value = match selection {
            Selection::Entries(entries) => {
                let fields = self.free_fields(&entries, None, known, &mut bad);
                let root = if known == Known::Answer { Root::Whole } else { Root::Args };
                Value::Path { root, keys: [].into(), fields: Some(fields) }
            }
            Selection::Value(value) => self.free_value(&value, None, known, &mut bad),
        };
        if bad.is_empty() { Ok(value) } else { Err(bad) }
    }

    /// `current` is the input type that a bare name is looked up in; none: there is none.
    fn free_fields(
        &self,
        entries: &[Entry],
        current: Option<Input<'_>>,
        known: Known,
        bad: &mut Vec<Mistake>,
    ) -> Fields {
        let mut compiled: Vec<(Box<str>, Value)> = Vec::new();
        for Entry { name, value, .. } in entries {
            if compiled.iter().any(|(known, _)| **known == *name.text) {
                bad.push(Mistake::new(name.at.clone(), format!("`{}` is given twice", name.text)));
                continue;
            }
            compiled.push((name.text.as_str().into(), self.free_value(value, current, known, bad)));
        }
        Fields(compiled.into())
    }

    fn free_value(
        &self,
        value: &Expression,
        current: Option<Input<'_>>,
        known: Known,
        bad: &mut Vec<Mistake>,
    ) -> Value {
        let path = match value {
            Expression::Literal(literal) => return Value::Literal(literal.clone()),
            Expression::Path(path) => path,
        };
        let alone = || path.keys.is_empty().then_some(Input::Arguments);
        let from = match (path.root, known) {
            (Root::Args, _) => Some(Input::Arguments),
            (Root::Correlation, _) => Some(Input::Leaf),
            (Root::This | Root::Batch, _) => self.parent(path, bad),
            (Root::Current | Root::Whole, Known::Answer) => Some(Input::Any),
            (Root::Status, Known::Answer) => Some(Input::Leaf),
            (Root::Current, Known::Request) => current.or_else(alone),
            (Root::Whole | Root::Status, Known::Request) => None,
        };
        let Some(from) = from else {
            if bad.last().is_none_or(|last| last.at != path.at) {
                bad.push(
                    Mistake::new(path.at.clone(), "there is no answer yet when the request is made")
                        .help("take values from `$args`, `$this`, `$context` or literals"),
                );
            }
            return Value::Literal(Json::Null);
        };
        let end = self.input_path(from, &path.keys, bad);
        let fields = path.entries.as_ref().map(|entries| {
            if matches!(end, Some(Input::Leaf)) {
                bad.push(Mistake::new(
                    path.at.clone(),
                    "this is a single value, which has no fields to select",
                ));
            }
            self.free_fields(entries, end, known, bad)
        });
        Value::Path { root: path.root, keys: keys(&path.keys), fields }
    }

    /// Where `$this` or `$batch` stands, if there is such a thing here.
    pub fn parent(&self, path: &Path, bad: &mut Vec<Mistake>) -> Option<Input<'_>> {
        let Some(parent) = self.parent else {
            bad.push(
                Mistake::new(path.at.clone(), "a root field stands on no object")
                    .help("`$this` and `$batch` are for fields of other types"),
            );
            return None;
        };
        let (wanted, text) = if self.batch {
            (Root::Batch, "objects that are looked up together are `$batch`")
        } else {
            (Root::This, "add `batch: {maxSize: 50}` to look objects up together")
        };
        if path.root != wanted {
            bad.push(Mistake::new(path.at.clone(), "this is not known here").help(text));
            return None;
        }
        Some(Input::Parent(parent))
    }

    /// That a path to an argument or to a field of the object leads somewhere.
    pub fn exists(&self, path: &Path, bad: &mut Vec<Mistake>) {
        let from = match path.root {
            Root::Args => Some(Input::Arguments),
            Root::This | Root::Batch => self.parent(path, bad),
            _ => None,
        };
        if let Some(from) = from {
            self.input_path(from, &path.keys, bad);
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
            let text = key.text.as_str();
            let (ty, what, known): (Option<&Type>, String, Vec<&str>) = match here {
                Input::Arguments => {
                    let arguments = self.field.map(|field| field.arguments.as_slice()).unwrap_or_default();
                    let name = self.field.map_or("the type", |field| field.name.as_str());
                    (
                        arguments.iter().find(|argument| argument.name == text).map(|each| &*each.ty),
                        format!("field `{name}` has no argument `{text}`"),
                        arguments.iter().map(|argument| argument.name.as_str()).collect(),
                    )
                }
                Input::Object(object) => (
                    object.fields.get(text).map(|field| &*field.ty),
                    format!("input type `{}` has no field `{text}`", object.name),
                    object.fields.keys().map(|name| name.as_str()).collect(),
                ),
                Input::Parent(object) => {
                    let field = object.fields.get(text);
                    if let Some(field) = field {
                        self.used.borrow_mut().insert(text.to_owned());
                        self.plain(object, field, key, bad);
                    }
                    (
                        field.map(|field| &field.ty),
                        format!("type `{}` has no field `{text}`", object.name),
                        object.fields.keys().map(|name| name.as_str()).collect(),
                    )
                }
                Input::Any => return Some(Input::Any),
                Input::Leaf => {
                    let message = format!("`{text}` is looked up in a single value");
                    bad.push(Mistake::new(key.at.clone(), message));
                    return None;
                }
            };
            let Some(ty) = ty else {
                bad.push(Mistake::new(key.at.clone(), what).suggest(text, known));
                return None;
            };
            here = self.input(ty);
        }
        Some(here)
    }

    /// A field of the object can be used if its value comes with the object and is single.
    fn plain(&self, object: &ObjectType, field: &FieldDefinition, key: &Name, bad: &mut Vec<Mistake>) {
        let inner = field.ty.inner_named_type();
        if !matches!(self.schema.types.get(inner), Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_))) {
            let message = format!("`{}.{}` is `{}`, not a single value", object.name, field.name, field.ty);
            bad.push(Mistake::new(key.at.clone(), message));
        } else if self.answered.alone.contains(&(object.name.to_string(), field.name.to_string())) {
            let message =
                format!("`{}.{}` is answered by itself, not with its object", object.name, field.name);
            bad.push(
                Mistake::new(key.at.clone(), message).help("use fields that the object's selection gives"),
            );
        }
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
        let definition = self.field?.argument_by_name(&first.text)?;
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
        if bad.is_empty() { Ok(compiled(&terms)) } else { Err(bad) }
    }

    /// Compiles what an item of a batch is known by.
    pub fn matching(&self, terms: Vec<Term>) -> Result<Box<[Filter]>, Vec<Mistake>> {
        let mut bad = Vec::new();
        for term in &terms {
            if let Some(parent) = self.parent {
                self.input_path(Input::Parent(parent), &term.argument, &mut bad);
            }
        }
        if bad.is_empty() { Ok(compiled(&terms)) } else { Err(bad) }
    }

    /// Compiles a test of the answer.
    pub fn success(&self, terms: Vec<Equals>) -> Result<Tests, Vec<Mistake>> {
        let mut tests = Vec::new();
        for Equals { left, right } in terms {
            if !matches!(left.root, Root::Status | Root::Whole | Root::Current) {
                return Err(vec![Mistake::new(left.at, "a test looks at the answer: `$status` or `$.key`")]);
            }
            let value = Value::Path { root: left.root, keys: keys(&left.keys), fields: None };
            tests.push((value, right));
        }
        Ok(tests.into())
    }
}

fn compiled(terms: &[Term]) -> Box<[Filter]> {
    terms.iter().map(|term| Filter { path: keys(&term.path), argument: keys(&term.argument) }).collect()
}

/// Where a path into the arguments stands.
#[derive(Clone, Copy)]
pub enum Input<'i> {
    /// At the arguments themselves.
    Arguments,
    /// At the object that the field stands on.
    Parent(&'i ObjectType),
    /// In an input object, or a list of them.
    Object(&'i apollo_compiler::schema::InputObjectType),
    /// In a `JSON` scalar: anything may follow.
    Any,
    /// At a single value.
    Leaf,
}

/// The texts of names.
pub fn keys(names: &[Name]) -> Box<[Box<str>]> {
    names.iter().map(|name| name.text.as_str().into()).collect()
}
