//! Compares selections with the GraphQL types and compiles them: what passes cannot name a
//! field that does not exist, nor leave out one that must have a value.

use std::collections::BTreeSet;
use std::ops::Range;

use apollo_compiler::ast::Type;
use apollo_compiler::schema::{ExtendedType, ObjectType};

use super::check::{Types, keys};
use super::parse::{Entry, Expression, Selection};
use super::{Fields, Mistake, Root, Value};
use crate::json::Json;

/// The field that says of which type an object of an interface or a union is.
pub const TYPENAME: &str = "__typename";

/// What the mappings of a schema give values.
#[derive(Debug, Default)]
pub struct Covered {
    /// `(type, field)`.
    pub fields: BTreeSet<(String, String)>,
    /// Each place where objects are made.
    pub made: Vec<Made>,
}

/// A place where a selection makes objects of a type.
#[derive(Debug)]
pub struct Made {
    /// The type.
    pub ty: String,
    /// What it gives them.
    pub fields: BTreeSet<String>,
    /// Where it stands in the text.
    pub at: Range<usize>,
}

/// Where mistakes are gathered.
type Bad<'b> = &'b mut Vec<Mistake>;

impl Types<'_> {
    /// Compiles the selection of a field's answer.
    pub fn answer(&self, selection: Selection, covered: &mut Covered) -> Result<Value, Vec<Mistake>> {
        let Some(field) = self.field else { return Err(Vec::new()) };
        let mut bad = Vec::new();
        let value = if self.possible(&field.ty).is_some() {
            self.whole(selection, &field.ty, &field.name, covered, &mut bad)
        } else {
            self.one_value(selection, &field.ty, &field.name)
                .map_err(|mistake| bad.push(mistake))
                .ok()
                .map(|value| self.value(&value, &field.ty, &field.name, covered, &mut bad))
        };
        match value {
            Some(value) if bad.is_empty() => Ok(value),
            _ => Err(bad),
        }
    }

    /// Compiles the selection of a lookup: of the fields `part` of `object`, and no others
    /// but its key.
    pub fn looked_up(
        &self,
        selection: Selection,
        object: &ObjectType,
        part: &BTreeSet<String>,
        key: &[String],
        covered: &mut Covered,
    ) -> Result<Value, Vec<Mistake>> {
        let mut bad = Vec::new();
        let (root, path, entries) = match &selection {
            Selection::Entries(entries) => (Root::Whole, None, entries.as_slice()),
            Selection::Value(Expression::Path(path)) if path.entries.is_some() => {
                self.exists(path, &mut bad);
                (path.root, Some(path), path.entries.as_deref().unwrap_or_default())
            }
            Selection::Value(_) => {
                return Err(vec![
                    Mistake::new(0..1, format!("`{}` is an object", object.name))
                        .help("select its fields: `id …`, or `$.path { id … }`"),
                ]);
            }
        };
        let mut compiled: Vec<(Box<str>, Value)> = Vec::new();
        for Entry { name, value, .. } in entries {
            let text = name.text.as_str();
            let Some(field) =
                object.fields.get(text).filter(|_| part.contains(text) || key.iter().any(|k| k == text))
            else {
                let message = format!("`{text}` is no field of this part of `{}`", object.name);
                bad.push(
                    Mistake::new(name.at.clone(), message).suggest(text, part.iter().map(String::as_str)),
                );
                continue;
            };
            covered.fields.insert((object.name.to_string(), text.to_owned()));
            compiled.push((text.into(), self.value(value, &field.ty, text, covered, &mut bad)));
        }
        let has = |name: &String| compiled.iter().any(|(known, _)| **known == **name);
        for missing in part.iter().filter(|name| !has(name)) {
            let message = format!("nothing is selected for {}.{missing}", object.name);
            bad.push(Mistake::new(0..0, message).help("select it, or answer it by a @connect of its own"));
        }
        for missing in key.iter().filter(|name| self.batch && !has(name)) {
            let message = format!("the key `{missing}` is not selected: which object is an item about?");
            bad.push(Mistake::new(0..0, message).help(format!("select `{missing}`")));
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let keys = path.map(|path| keys(&path.keys)).unwrap_or_default();
        Ok(Value::Path { root, keys, fields: Some(Fields(compiled.into())) })
    }

    fn whole(
        &self,
        selection: Selection,
        ty: &Type,
        name: &str,
        covered: &mut Covered,
        bad: Bad<'_>,
    ) -> Option<Value> {
        match selection {
            Selection::Entries(entries) => {
                let fields = self.fields(ty, &entries, 0..0, covered, bad);
                Some(Value::Path { root: Root::Whole, keys: [].into(), fields: Some(fields) })
            }
            Selection::Value(value) => Some(self.value(&value, ty, name, covered, bad)),
        }
    }

    /// `pong` alone means `$.pong` where one value is wanted.
    fn one_value(&self, selection: Selection, ty: &Type, name: &str) -> Result<Expression, Mistake> {
        let wrong = |at| {
            Mistake::new(at, format!("`{name}` is `{ty}`, a single value without fields"))
                .help("select one path, for example `$.value`")
        };
        match selection {
            Selection::Value(value) => Ok(value),
            Selection::Entries(entries) => match <[Entry; 1]>::try_from(entries) {
                Ok([entry]) if !entry.renamed => Ok(entry.value),
                Ok([entry]) => Err(wrong(entry.name.at)),
                Err(entries) => Err(wrong(entries.get(1).map_or(0..0, |entry| entry.name.at.clone()))),
            },
        }
    }

    /// The object types that a value of type `ty` can have; none if it is a leaf.
    fn possible(&self, ty: &Type) -> Option<Vec<&ObjectType>> {
        let name = ty.inner_named_type();
        let named = |name: &apollo_compiler::Name| self.schema.get_object(name).map(|node| node.as_ref());
        match self.schema.types.get(name)? {
            ExtendedType::Object(object) => Some(vec![object]),
            ExtendedType::Interface(_) => {
                let objects = self.implementers.get(name).map(|all| all.objects.iter().filter_map(named));
                let mut objects: Vec<_> = objects.into_iter().flatten().collect();
                objects.sort_by(|a, b| a.name.cmp(&b.name));
                Some(objects)
            }
            ExtendedType::Union(union) => {
                Some(union.members.iter().filter_map(|member| named(&member.name)).collect())
            }
            _ => None,
        }
    }

    fn fields(
        &self,
        ty: &Type,
        entries: &[Entry],
        at: Range<usize>,
        covered: &mut Covered,
        bad: Bad<'_>,
    ) -> Fields {
        let objects = self.possible(ty).unwrap_or_default();
        let open = self.schema.get_object(ty.inner_named_type()).is_none();
        let mut compiled: Vec<(Box<str>, Value)> = Vec::new();
        for Entry { name, value, .. } in entries {
            let text = name.text.as_str();
            if compiled.iter().any(|(known, _)| **known == *text) {
                bad.push(Mistake::new(name.at.clone(), format!("`{text}` is selected twice")));
                continue;
            }
            if open && text == TYPENAME {
                compiled.push((text.into(), self.typename(value, &objects, bad)));
                continue;
            }
            let having: Vec<_> =
                objects.iter().filter_map(|object| Some((object, object.fields.get(text)?))).collect();
            let Some((_, first)) = having.first() else {
                let known = objects.iter().flat_map(|object| object.fields.keys()).map(|key| key.as_str());
                let message = format!("type `{}` has no field `{text}`", ty.inner_named_type());
                bad.push(Mistake::new(name.at.clone(), message).suggest(text, known));
                continue;
            };
            for (object, field) in &having {
                let coordinate = (object.name.to_string(), text.to_owned());
                if self.answered.alone.contains(&coordinate) {
                    let message = format!("{}.{text} is answered by itself", object.name);
                    bad.push(Mistake::new(name.at.clone(), message).help("leave it out of this selection"));
                }
                if field.ty.inner_named_type() != first.ty.inner_named_type() {
                    let message = format!("`{text}` is of another type in `{}`", object.name);
                    bad.push(Mistake::new(name.at.clone(), message).help("give the field one type"));
                }
                covered.fields.insert(coordinate);
            }
            compiled.push((text.into(), self.value(value, &first.ty, text, covered, bad)));
        }
        self.nothing_left_out(&objects, entries, &at, bad);
        if open && !entries.iter().any(|entry| entry.name.text == TYPENAME) {
            let message = format!("which type an object of `{}` has is not selected", ty.inner_named_type());
            bad.push(
                Mistake::new(at.clone(), message)
                    .help("add `__typename: kind`, or `__typename: $(\"Name\")`"),
            );
        }
        for object in objects {
            let fields = compiled.iter().map(|(name, _)| name.to_string()).collect();
            covered.made.push(Made { ty: object.name.to_string(), fields, at: at.clone() });
        }
        Fields(compiled.into())
    }

    fn nothing_left_out(&self, objects: &[&ObjectType], entries: &[Entry], at: &Range<usize>, bad: Bad<'_>) {
        for object in objects {
            let needed = object.fields.values().filter(|field| field.ty.is_non_null()).filter(|field| {
                let coordinate = (object.name.to_string(), field.name.to_string());
                !self.answered.alone.contains(&coordinate) && !self.answered.lookup.contains(&coordinate)
            });
            for field in needed.filter(|field| !entries.iter().any(|entry| *entry.name.text == *field.name)) {
                let message = format!(
                    "nothing is selected for `{}.{}`, which is `{}` and must have a value",
                    object.name, field.name, field.ty
                );
                let help = format!("select it, or make it `{}`", field.ty.clone().nullable());
                bad.push(Mistake::new(at.clone(), message).help(help));
            }
        }
    }

    fn typename(&self, value: &Expression, objects: &[&ObjectType], bad: Bad<'_>) -> Value {
        match value {
            Expression::Literal(literal) => {
                let name = literal.as_str().unwrap_or_default();
                if !objects.iter().any(|object| object.name == name) {
                    let known = objects.iter().map(|object| object.name.as_str());
                    bad.push(
                        Mistake::new(0..0, format!("{literal} is none of the types")).suggest(name, known),
                    );
                }
                Value::Literal(literal.clone())
            }
            Expression::Path(path) => {
                self.exists(path, bad);
                Value::Path { root: path.root, keys: keys(&path.keys), fields: None }
            }
        }
    }

    fn value(&self, value: &Expression, ty: &Type, name: &str, covered: &mut Covered, bad: Bad<'_>) -> Value {
        let composite = self.possible(ty);
        let path = match value {
            Expression::Literal(literal) => {
                if composite.is_some() && !literal.is_null() {
                    bad.push(Mistake::new(0..0, format!("`{name}` is `{ty}`, an object, not a literal")));
                }
                return Value::Literal(literal.clone());
            }
            Expression::Path(path) => path,
        };
        if matches!(path.root, Root::Status | Root::Batch) {
            bad.push(Mistake::new(path.at.clone(), "this is not known in a selection"));
            return Value::Literal(Json::Null);
        }
        self.exists(path, bad);
        let fields = match (&path.entries, composite) {
            (Some(entries), Some(_)) => Some(self.fields(ty, entries, path.at.clone(), covered, bad)),
            (None, Some(objects)) => {
                let first = objects.first().and_then(|object| object.fields.keys().next());
                let first = first.map_or("…", |key| key.as_str());
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
}
