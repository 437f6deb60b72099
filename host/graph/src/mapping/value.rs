//! Looks compiled values up at run time. Nothing is copied: what is found is a reference
//! into the answer, the payload or the arguments.

use super::{Fields, Root, Value};
use crate::json::{Json, NULL};

/// What paths start from.
#[derive(Clone, Copy)]
pub struct Scope<'s, 'a> {
    /// `$`: `null` while there is no answer.
    pub whole: &'s Json<'a>,
    /// `$args`.
    pub args: &'s Json<'a>,
    /// `$context.correlationId`.
    pub correlation: &'s Json<'a>,
    /// `$this`: what is needed of the object that the field stands on.
    pub this: &'s Json<'a>,
    /// `$batch`: rows, and the same as columns.
    pub batch: (&'s Json<'a>, &'s Json<'a>),
    /// `$status`.
    pub status: &'s Json<'a>,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// Where nothing is known but the arguments.
    pub fn of(args: &'s Json<'a>, correlation: &'s Json<'a>) -> Self {
        let null = shorten(&NULL);
        Self { whole: null, args, correlation, this: null, batch: (null, null), status: null }
    }
}

impl<'s, 'a: 's> Scope<'s, 'a> {
    /// The value from the top: what `$` alone means there is the whole.
    pub fn find(&self, value: &'s Value) -> &'s Json<'a> {
        self.find_in(value, self.whole).0
    }

    /// The value inside `current`, and what is to be taken from it. What is not there is
    /// `null`.
    pub fn find_in(&self, value: &'s Value, current: &'s Json<'a>) -> (&'s Json<'a>, Option<&'s Fields>) {
        match value {
            Value::Literal(literal) => (shorten(literal), None),
            Value::Path { root, keys, fields } => {
                let start = self.start(*root, keys, current);
                let end = keys.iter().try_fold(start, |here, key| here.get(key));
                (end.unwrap_or(shorten(&NULL)), fields.as_ref())
            }
        }
    }

    fn start(&self, root: Root, keys: &[Box<str>], current: &'s Json<'a>) -> &'s Json<'a> {
        match root {
            Root::Current => current,
            Root::Whole => self.whole,
            Root::Args => self.args,
            Root::Correlation => self.correlation,
            Root::This => self.this,
            // One field of all objects is a column, several are rows.
            Root::Batch if keys.is_empty() => self.batch.0,
            Root::Batch => self.batch.1,
            Root::Status => self.status,
        }
    }

    /// Appends a body: keys whose argument was not given are left out.
    pub fn write(&self, value: &'s Value, current: &'s Json<'a>, out: &mut Vec<u8>) {
        let (found, fields) = self.find_in(value, current);
        self.write_found(found, fields, out);
    }

    fn write_found(&self, found: &'s Json<'a>, fields: Option<&'s Fields>, out: &mut Vec<u8>) {
        match (fields, found) {
            (None, _) | (_, Json::Null) => found.write(out),
            (Some(_), Json::Array(items)) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    self.write_found(item, fields, out);
                }
                out.push(b']');
            }
            (Some(Fields(fields)), _) => {
                out.push(b'{');
                let mut first = true;
                for (name, value) in fields {
                    if !self.given(value, found) {
                        continue;
                    }
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    crate::json::write_str(out, name);
                    out.push(b':');
                    self.write(value, found, out);
                }
                out.push(b'}');
            }
        }
    }

    /// Whether a value is there at all, be it `null`.
    fn given(&self, value: &'s Value, current: &'s Json<'a>) -> bool {
        let Value::Path { root, keys, .. } = value else { return true };
        let start = self.start(*root, keys, current);
        keys.iter().try_fold(start, |here, key| here.get(key)).is_some()
    }
}

/// A literal lives as long as the program or the schema, which is longer than any answer.
fn shorten<'s, 'a>(json: &'s Json<'static>) -> &'s Json<'a> {
    json
}
