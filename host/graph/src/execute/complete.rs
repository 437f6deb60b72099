//! Writes values into the answer: by declared type, in the order of the selection, with
//! the specification's rules for errors and `null`. What a component sends is looked at
//! here for the first time and trusted in nothing.

use crate::error::{self, Failure, Step, code};
use crate::json::Json;
use crate::mapping::value::Scope;
use crate::mapping::{Fields, Value};
use crate::plan::{Field, Kind, Output, Shape, Variables};

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
pub struct Writer<'v, 'a> {
    out: Vec<u8>,
    failures: Vec<Failure>,
    variables: &'v Variables<'a>,
    empty: bool,
}

const HEAD: &[u8] = b"{\"data\":";

impl<'v, 'a> Writer<'v, 'a> {
    /// An answer without fields as yet.
    pub fn new(variables: &'v Variables<'a>) -> Self {
        // Most answers fit; a larger one grows a few times.
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(HEAD);
        out.push(b'{');
        Self { out, failures: Vec::new(), variables, empty: true }
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

    fn begin(&mut self, field: &Field) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&field.prefix);
    }

    /// A root field whose value is JSON already.
    pub fn raw(&mut self, field: &Field, value: &[u8]) -> Result<(), Nulled> {
        self.begin(field);
        self.out.extend_from_slice(value);
        Ok(())
    }

    /// A root field that has no value.
    pub fn failed(&mut self, field: &Field, failure: Failure, path: &Path<'_>) -> Result<(), Nulled> {
        let nullable = match &field.kind {
            Kind::Resolved { output, .. } | Kind::Mapped(output) => output.nullable,
            Kind::TypeName(_) | Kind::Introspection => true,
        };
        self.begin(field);
        self.fail(field, failure, &Path::Key(path, &field.key));
        if nullable { self.null() } else { Err(Nulled) }
    }

    /// A root field with the answer it is mapped from.
    pub fn root(&mut self, field: &Field, selection: &Value, scope: &Scope<'_, '_>) -> Result<(), Nulled> {
        let Kind::Resolved { output, .. } = &field.kind else { return Ok(()) };
        self.begin(field);
        let (value, fields) = scope.find_in(selection, scope.whole);
        self.value(field, output, value, fields, scope, &Path::Key(&Path::Root, &field.key))
    }

    fn null(&mut self) -> Result<(), Nulled> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn fail(&mut self, field: &Field, mut failure: Failure, path: &Path<'_>) {
        if self.failures.len() < MAX_FAILURES {
            failure.path = path.steps();
            self.failures.push(failure.at(field.place));
        }
    }

    /// Writes a value, or `null` in its place if it may be.
    fn value<'s, 'j: 's>(
        &mut self,
        field: &Field,
        output: &Output,
        value: &'s Json<'j>,
        fields: Option<&'s Fields>,
        scope: &Scope<'s, 'j>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        let start = self.out.len();
        let result = if value.is_null() {
            if output.nullable {
                return self.null();
            }
            let message = format!("Cannot return null for non-nullable field {}.", field.coordinate);
            self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
            Err(Nulled)
        } else {
            match (&output.shape, value) {
                (Shape::Leaf(leaf, name), _) => leaf.write(value, &mut self.out).map_err(|_| {
                    let message =
                        format!("{} cannot represent {} as {name}.", field.coordinate, value.kind());
                    self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
                    Nulled
                }),
                (Shape::List(item), Json::Array(items)) => self.list(field, item, items, fields, scope, path),
                (Shape::Object(selected), Json::Object(_)) => {
                    self.object(selected, fields, value, scope, path)
                }
                (shape, _) => {
                    let wanted = if matches!(shape, Shape::List(_)) { "a list" } else { "an object" };
                    let message = format!("{} is {wanted}, but got {}.", field.coordinate, value.kind());
                    self.fail(field, Failure::new(code::UPSTREAM_ERROR, message), path);
                    Err(Nulled)
                }
            }
        };
        if result.is_err() {
            self.out.truncate(start);
            if output.nullable {
                return self.null();
            }
        }
        result
    }

    fn list<'s, 'j: 's>(
        &mut self,
        field: &Field,
        item: &Output,
        items: &'s [Json<'j>],
        fields: Option<&'s Fields>,
        scope: &Scope<'s, 'j>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        self.out.push(b'[');
        for (at, value) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.value(field, item, value, fields, scope, &Path::Index(path, at))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object<'s, 'j: 's>(
        &mut self,
        selected: &[Field],
        fields: Option<&'s Fields>,
        current: &'s Json<'j>,
        scope: &Scope<'s, 'j>,
        path: &Path<'_>,
    ) -> Result<(), Nulled> {
        self.out.push(b'{');
        let mut first = true;
        for field in selected.iter().filter(|field| field.include.holds(self.variables)) {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.prefix);
            let output = match &field.kind {
                Kind::TypeName(name) => {
                    self.out.extend_from_slice(name);
                    continue;
                }
                // Introspection stands at the root alone.
                Kind::Introspection => {
                    self.out.extend_from_slice(b"null");
                    continue;
                }
                Kind::Mapped(output) | Kind::Resolved { output, .. } => output,
            };
            let path = Path::Key(path, &field.key);
            match fields.and_then(|fields| fields.get(&field.name)) {
                Some(mapped) => {
                    let (value, below) = scope.find_in(mapped, current);
                    self.value(field, output, value, below, scope, &path)?;
                }
                // Not selected by this mapping: composition saw to it that it may be null.
                None => self.value(field, output, &Json::Null, None, scope, &path)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}
