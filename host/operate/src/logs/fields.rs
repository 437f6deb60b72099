//! Picks the fields out of an event or span.

use std::error::Error;
use std::fmt::Debug;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// The longest value, in bytes: a line stays readable, and its cost bounded.
const MAX_VALUE: usize = 4_096;

/// The names of the fields that say whom an event is about.
pub(super) const ABOUT: [&str; 3] = ["component", "correlation", "trace"];

/// Whom it is about. In the order of [`ABOUT`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct About(pub(super) [Option<String>; 3]);

impl About {
    /// Takes from `other` what is missing here. True if nothing is missing any more.
    pub(super) fn complete(&mut self, other: &Self) -> bool {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        self.0.iter().all(Option::is_some)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        ABOUT.iter().zip(&mut self.0).find_map(|(about, slot)| (*about == name).then_some(slot))
    }
}

/// All that an event says.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) about: About,
    pub(super) message: String,
    pub(super) other: Vec<(&'static str, Value)>,
}

impl Fields {
    fn text(&mut self, field: &Field, text: String) {
        let text = bounded(text);
        if let Some(slot) = self.about.slot(field.name()) {
            *slot = Some(text);
        } else if field.name() == "message" {
            self.message = text;
        } else {
            self.other.push((field.name(), Value::String(text)));
        }
    }

    fn value(&mut self, field: &Field, value: Value) {
        if field.name() == "message" || ABOUT.contains(&field.name()) {
            self.text(field, value.to_string());
        } else {
            self.other.push((field.name(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        self.text(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format!("{value:?}"));
    }
}

/// Only whom it is about: all that is kept of a span.
impl Visit for About {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(slot) = self.slot(field.name()) {
            *slot = Some(bounded(value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(slot) = self.slot(field.name()) {
            *slot = Some(bounded(format!("{value:?}")));
        }
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_VALUE {
        text.truncate(text.floor_char_boundary(MAX_VALUE));
        text.push('…');
    }
    text
}
