//! Writes values into the answer: by declared type, in the order of the selection, with
//! the specification's rules for errors and `null`. What a component sends is looked at
//! here for the first time and trusted in nothing.

use super::Run;
use super::level::{Level, Parent, Slot, is_asked_for};
use crate::error::{self, Failure, Step, code};
use crate::json::{Json, NULL};
use crate::plan::authorize::Denials;
use crate::plan::{Field, Kind, OneOf, Output, Shape, Variables};

/// The most entries of `errors`: a list of bad items must not be answered with a longer one.
const MAX_FAILURES: usize = 100;

/// A value that must be there is not: the nearest value above that may be `null` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nulled;

/// Where in the answer, as a chain on the stack: it costs nothing unless there is an error.
#[derive(Clone, Copy)]
pub enum Path<'p> {
    /// `data` itself.
    Root,
    /// A field of an object.
    Key(&'p Path<'p>, &'p str),
    /// An item of a list.
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn steps(&self) -> Vec<Step> {
        let (mut steps, above) = match self {
            Self::Root => return Vec::new(),
            Self::Key(above, key) => (above.steps(), Step::Key((*key).into())),
            Self::Index(above, index) => (above.steps(), Step::Index(*index)),
        };
        steps.push(above);
        steps
    }
}

/// An answer that is being written.
pub struct Writer {
    out: Vec<u8>,
    failures: Vec<Failure>,
    empty: bool,
    /// What it cost so far, by what was really written.
    cost: u64,
    /// The same, and the errors, since the last field that somebody was asked for.
    here: Here,
}

#[derive(Default)]
struct Here {
    cost: u64,
    errors: u64,
}

const HEAD: &[u8] = b"{\"data\":";

impl Writer {
    /// An answer without fields as yet.
    pub fn new() -> Self {
        // Most answers fit; a larger one grows a few times.
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(HEAD);
        out.push(b'{');
        Self { out, failures: Vec::new(), empty: true, cost: 0, here: Here::default() }
    }

    /// The cost of what was written.
    pub fn cost(&self) -> u64 {
        self.cost.saturating_add(self.here.cost)
    }

    /// Ends the answer. `whole` is an error if `data` itself is `null`.
    pub fn finish(self, whole: Result<(), Nulled>) -> Vec<u8> {
        let Self { mut out, failures, .. } = self;
        if whole.is_ok() {
            out.push(b'}');
        } else {
            out.truncate(HEAD.len());
            out.extend_from_slice(b"null");
        }
        if failures.is_empty() {
            out.push(b'}');
            return out;
        }
        // Errors come first, as the specification recommends: nobody overlooks them there.
        let mut with_errors = Vec::with_capacity(out.len() + 256);
        with_errors.extend_from_slice(b"{\"errors\":");
        error::write_list(&failures, &mut with_errors);
        with_errors.push(b',');
        with_errors.extend_from_slice(out.get(1..).unwrap_or_default());
        with_errors.push(b'}');
        with_errors
    }
}

/// Writes fields into an answer, from what the waves found.
pub struct Pen<'p> {
    to: &'p mut Writer,
    variables: &'p Variables<'p>,
    denied: &'p Denials,
    level: Option<&'p Level<'p>>,
}

impl<'p> Pen<'p> {
    /// A pen for this answer.
    pub fn new(to: &'p mut Writer, run: &'p Run<'p, 'p>, level: Option<&'p Level<'p>>) -> Self {
        Self { to, variables: run.variables, denied: run.denied, level }
    }

    fn begin(&mut self, field: &Field) {
        if !std::mem::take(&mut self.to.empty) {
            self.to.out.push(b',');
        }
        self.to.out.extend_from_slice(&field.prefix);
    }

    /// A root field whose value is JSON already.
    pub fn raw(&mut self, field: &Field, value: &[u8]) -> Result<(), Nulled> {
        self.begin(field);
        self.to.here.cost += field.weight;
        self.to.out.extend_from_slice(value);
        Ok(())
    }

    /// A root field that has no value.
    pub fn failed(&mut self, field: &Field, failure: Failure, path: &Path<'_>) -> Result<(), Nulled> {
        self.begin(field);
        self.fail(field, failure, &Path::Key(path, &field.key));
        if field.nullable() { self.null() } else { Err(Nulled) }
    }

    /// A root field that was asked for.
    pub fn root(&mut self, field: &Field) -> Result<(), Nulled> {
        let Kind::Resolved { output, .. } = &field.kind else { return Ok(()) };
        self.begin(field);
        self.found(field, output, &NULL, &Path::Key(&Path::Root, &field.key))
    }

    /// Writes what was found for a field of an object, and counts it.
    fn found(
        &mut self,
        field: &Field,
        output: &Output,
        current: &Json<'_>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        let above = std::mem::replace(&mut self.to.here, Here { cost: field.weight, errors: 0 });
        let written = self.slot(field, output, current, path);
        let Here { cost, errors } = std::mem::replace(&mut self.to.here, above);
        self.to.cost = self.to.cost.saturating_add(cost);
        if let Some(counts) = &field.counts {
            counts.wrote(cost, errors);
        }
        written
    }

    fn slot(
        &mut self,
        field: &Field,
        output: &Output,
        current: &Json<'_>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        let failure = match self.level.and_then(|level| level.find(current, field)) {
            Some(Slot::Value(value)) => return self.value(field, output, *value, path),
            Some(Slot::Failed(failure)) => failure.clone(),
            // Every field that is written was gathered before, by the same rules.
            None => Failure::new(code::UPSTREAM_ERROR, "The field was not answered."),
        };
        self.fail(field, failure, path);
        if output.nullable { self.null() } else { Err(Nulled) }
    }

    fn null(&mut self) -> Result<(), Nulled> {
        self.to.out.extend_from_slice(b"null");
        Ok(())
    }

    fn fail(&mut self, field: &Field, mut failure: Failure, path: &Path<'_>) {
        self.to.here.errors += 1;
        if self.to.failures.len() < MAX_FAILURES {
            failure.path = path.steps();
            self.to.failures.push(failure.at(field.place));
        }
    }

    /// Writes a value, or `null` in its place if it may be.
    fn value(
        &mut self,
        field: &Field,
        output: &Output,
        value: Parent<'_>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        let start = self.to.out.len();
        let result = if value.json.is_null() {
            if output.nullable {
                return self.null();
            }
            let message = format!("Cannot return null for non-nullable field {}.", field.coordinate);
            self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
            Err(Nulled)
        } else {
            match (&output.shape, value.json) {
                (Shape::Leaf(leaf, name), json) => leaf.write(json, &mut self.to.out).map_err(|_| {
                    let message = format!("{} cannot represent {} as {name}.", field.coordinate, json.kind());
                    self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
                    Nulled
                }),
                (Shape::List(item), Json::Array(items)) => self.list(field, item, items, value, path),
                (Shape::Object(selected), Json::Object(_)) => self.object(selected, value, path),
                (Shape::Abstract(types), Json::Object(_)) => self.one_of(field, types, value, path),
                (shape, json) => {
                    let wanted = if matches!(shape, Shape::List(_)) { "a list" } else { "an object" };
                    let message = format!("{} is {wanted}, but got {}.", field.coordinate, json.kind());
                    self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
                    Err(Nulled)
                }
            }
        };
        if result.is_err() {
            self.to.out.truncate(start);
            if output.nullable {
                return self.null();
            }
        }
        result
    }

    fn list<'l>(
        &mut self,
        field: &Field,
        item: &Output,
        items: &'l [Json<'l>],
        value: Parent<'l>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        self.to.out.push(b'[');
        for (at, json) in items.iter().enumerate() {
            if at > 0 {
                self.to.out.push(b',');
            }
            self.value(field, item, Parent { json, ..value }, &Path::Index(path, at))?;
        }
        self.to.out.push(b']');
        Ok(())
    }

    fn one_of(
        &mut self,
        field: &Field,
        types: &[OneOf],
        value: Parent<'_>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        let name = value.typename();
        match types.iter().find(|(ty, _)| Some(&**ty) == name) {
            Some((_, selected)) => self.object(selected, value, path),
            None => {
                let message = format!("{} is an object of no type that it can have.", field.coordinate);
                self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
                Err(Nulled)
            }
        }
    }

    fn object(&mut self, selected: &[Field], value: Parent<'_>, path: &Path<'_>) -> Result<(), Nulled> {
        self.to.out.push(b'{');
        let mut first = true;
        for field in selected.iter().filter(|field| field.include.holds(self.variables)) {
            if !std::mem::take(&mut first) {
                self.to.out.push(b',');
            }
            self.to.out.extend_from_slice(&field.prefix);
            if let Some(denied) = self.denied.of(field) {
                self.fail(field, denied.clone(), &Path::Key(path, &field.key));
                if !field.nullable() {
                    return Err(Nulled);
                }
                self.null()?;
                continue;
            }
            let output = match &field.kind {
                Kind::TypeName(name) => {
                    self.to.out.extend_from_slice(name);
                    continue;
                }
                // Introspection stands at the root alone.
                Kind::Introspection => {
                    self.to.out.extend_from_slice(b"null");
                    continue;
                }
                Kind::Mapped(output) | Kind::Resolved { output, .. } => output,
            };
            let path = Path::Key(path, &field.key);
            if is_asked_for(field, &value) {
                self.found(field, output, value.json, &path)?;
                continue;
            }
            self.to.here.cost += field.weight;
            match value.get(&field.name) {
                Some(below) => self.value(field, output, below, &path)?,
                // Not selected by this mapping: composition saw to it that it may be null.
                None => self.value(field, output, Parent { json: &NULL, ..value }, &path)?,
            }
        }
        self.to.out.push(b'}');
        Ok(())
    }
}
