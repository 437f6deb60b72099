//! What one wave of calls gave: for each field on each object its value, or why there is
//! none. Levels form a chain from the last wave to the first, each borrowing from those above.

use std::collections::HashMap;

use super::Run;
use crate::error::Failure;
use crate::json::Json;
use crate::mapping::Fields;
use crate::mapping::answer::TYPENAME;
use crate::mapping::value::Scope;
use crate::plan::{Field, Kind, Output, Shape};
use crate::schema::Resolver;

/// A value with the mapping that reads it.
#[derive(Clone, Copy)]
pub struct Parent<'l> {
    /// The value.
    pub json: &'l Json<'l>,
    /// What is taken from it.
    pub fields: Option<&'l Fields>,
    /// What else the mapping can see.
    pub scope: Scope<'l, 'l>,
}

impl<'l> Parent<'l> {
    /// The value of a field, by the mapping; none if it leaves the field out. What was not
    /// mapped, as answers of code are not, has its fields by their names.
    pub fn get(&self, name: &str) -> Option<Self> {
        let Some(fields) = self.fields else { return Some(Self { json: self.json.get(name)?, ..*self }) };
        let mapped = fields.get(name)?;
        let (json, fields) = self.scope.find_in(mapped, self.json);
        Some(Self { json, fields, scope: self.scope })
    }

    /// Of which type the object is, where that is not known from the schema.
    pub fn typename(&self) -> Option<&'l str> {
        self.get(TYPENAME)?.json.as_str()
    }
}

/// A field of an object that somebody has to be asked for.
#[derive(Clone, Copy)]
pub struct Need<'l> {
    /// The field.
    pub field: &'l Field,
    /// The object.
    pub parent: Parent<'l>,
}

/// What was found for a field of an object.
pub enum Slot<'l> {
    /// Its value.
    Value(Parent<'l>),
    /// Why there is none.
    Failed(Failure),
}

/// Objects and fields are told apart by where they are: answers and plans do not move while
/// they are read.
type Place = (usize, usize);

fn place(json: &Json<'_>, field: &Field) -> Place {
    (std::ptr::from_ref(json).addr(), std::ptr::from_ref(field).addr())
}

/// One wave's findings.
pub struct Level<'l> {
    above: Option<&'l Level<'l>>,
    slots: HashMap<Place, Slot<'l>>,
    /// The findings in their order, for what lies below them.
    order: Vec<(&'l Field, Parent<'l>)>,
}

impl<'l> Level<'l> {
    /// An empty level below another.
    pub fn new(above: Option<&'l Level<'l>>) -> Self {
        Self { above, slots: HashMap::new(), order: Vec::new() }
    }

    /// A level with one finding.
    pub fn one(json: &Json<'_>, field: &'l Field, slot: Slot<'l>) -> Self {
        let mut level = Self::new(None);
        level.slots.insert(place(json, field), slot);
        level
    }

    /// Adds what was found for a field.
    pub fn put(&mut self, need: &Need<'l>, slot: Slot<'l>) {
        if let Slot::Value(value) = &slot {
            self.order.push((need.field, *value));
        }
        self.slots.insert(place(need.parent.json, need.field), slot);
    }

    /// What was found for a field of an object, here or in an earlier wave.
    pub fn find(&self, json: &Json<'_>, field: &Field) -> Option<&Slot<'l>> {
        let place = place(json, field);
        let mut level = Some(self);
        while let Some(here) = level {
            if let Some(slot) = here.slots.get(&place) {
                return Some(slot);
            }
            level = here.above;
        }
        None
    }

    /// What has to be asked for below the findings of this wave.
    pub fn gather<'n>(&'n self, run: &Run<'_, '_>) -> Vec<Need<'n>>
    where
        'l: 'n,
    {
        let mut needs = Vec::new();
        for (field, value) in &self.order {
            if let Kind::Resolved { output, .. } = &field.kind {
                gather(output, *value, run, &mut needs);
            }
        }
        needs
    }
}

/// Whether the field's value comes from a resolver and not from the object's mapping.
pub fn is_asked_for(field: &Field, object: &Parent<'_>) -> bool {
    let Kind::Resolved { resolver, .. } = &field.kind else { return false };
    let lookup = matches!(&**resolver, Resolver::Connect(connect) if connect.lookup);
    !lookup || object.get(&field.name).is_none()
}

/// Walks a value as far as anything in it has a resolver, and lists what has to be asked for.
pub fn gather<'n>(output: &'n Output, value: Parent<'n>, run: &Run<'_, '_>, needs: &mut Vec<Need<'n>>) {
    if !output.deep {
        return;
    }
    let selected = match (&output.shape, value.json) {
        (Shape::List(item), Json::Array(items)) => {
            for json in items {
                gather(item, Parent { json, ..value }, run, needs);
            }
            return;
        }
        (Shape::Object(selected), Json::Object(_)) => selected,
        (Shape::Abstract(types), Json::Object(_)) => {
            let name = value.typename();
            let Some((_, selected)) = types.iter().find(|(ty, _)| Some(&**ty) == name) else { return };
            selected
        }
        _ => return,
    };
    for field in selected.iter().filter(|field| field.include.holds(run.variables)) {
        if run.denied.of(field).is_some() {
            continue;
        }
        if is_asked_for(field, &value) {
            needs.push(Need { field, parent: value });
        } else if let Kind::Mapped(output) | Kind::Resolved { output, .. } = &field.kind
            && let Some(below) = value.get(&field.name)
        {
            gather(output, below, run, needs);
        }
    }
}
