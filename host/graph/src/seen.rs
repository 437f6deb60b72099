//! What is counted of each field that somebody is asked for, since the start, and what an
//! administrator is told of one operation. Written by `execute`, read by the binary through
//! [`crate::Graph::seen`]. Bounded: there is one set of numbers for each field of the schema.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use monopod_core::seen;

use crate::execute::Spent;
use crate::plan::{Field, Kind};
use crate::schema::{Resolver, Schema};

/// The numbers of one field. Those of different fields have nothing to do with one another, so
/// that none is ever waited for.
#[derive(Default)]
pub(crate) struct Counts {
    calls: AtomicU64,
    values: AtomicU64,
    errors: AtomicU64,
    nanos: AtomicU64,
    bytes: AtomicU64,
    cost: AtomicU64,
}

impl Counts {
    /// A call that was made for the field.
    pub fn called(&self, spent: Spent) {
        self.calls.fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(spent.time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.bytes.fetch_add(spent.bytes, Relaxed);
    }

    /// A value of the field that was written into an answer, with what it cost and how many
    /// errors were in it.
    pub fn wrote(&self, cost: u64, errors: u64) {
        self.values.fetch_add(1, Relaxed);
        self.cost.fetch_add(cost, Relaxed);
        if errors > 0 {
            self.errors.fetch_add(errors, Relaxed);
        }
    }
}

/// Says nothing: a schema is the same however often it was asked.
impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counts")
    }
}

/// All fields that somebody is asked for, in the order of their names.
pub(crate) fn fields(schema: &Schema) -> Vec<seen::Field> {
    let mut fields = Vec::new();
    for (ty, info) in &schema.types {
        for (name, field) in &info.fields {
            let Some(resolver) = &field.resolver else { continue };
            let counts = &field.counts;
            fields.push(seen::Field {
                name: format!("{ty}.{name}"),
                component: answered_by(resolver).to_owned(),
                calls: counts.calls.load(Relaxed),
                values: counts.values.load(Relaxed),
                errors: counts.errors.load(Relaxed),
                time: Duration::from_nanos(counts.nanos.load(Relaxed)),
                bytes: counts.bytes.load(Relaxed),
                cost: counts.cost.load(Relaxed),
            });
        }
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields
}

/// Who answers: a component, or for a subscription the first of its topics.
pub(crate) fn answered_by(resolver: &Resolver) -> &str {
    match resolver {
        Resolver::Connect(connect) => connect.component.as_str(),
        Resolver::Code(code) => code.component.as_str(),
        Resolver::Subscribe(topics) => topics.first().map_or("", |source| source.topic.as_str()),
    }
}

/// What an operation took so far.
pub struct Tally {
    /// The cost of what was written.
    cost: AtomicU64,
    /// What an administrator wants to know: for each wave of calls a list of fields.
    waves: Option<Mutex<Vec<Vec<serde_json::Value>>>>,
}

/// What was asked for one field in one wave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Objects that the field is on.
    pub objects: u64,
    /// Calls that were made for it; others asked for the same.
    pub calls: u64,
    /// Those of them that were for several objects.
    pub batches: u64,
    /// The longest of them, since they ran at once.
    pub time: Duration,
    /// What was received.
    pub bytes: u64,
    /// Calls without an answer.
    pub failed: u64,
}

impl Tally {
    pub fn new(plan: bool) -> Self {
        Self { cost: AtomicU64::new(0), waves: plan.then(Mutex::default) }
    }

    pub fn cost(&self) -> u64 {
        self.cost.load(Relaxed)
    }

    pub fn add(&self, cost: u64) {
        self.cost.fetch_add(cost, Relaxed);
    }

    /// A wave of calls that was answered.
    pub fn wave(&self, fields: &[(&Field, Asked)]) {
        let Some(waves) = &self.waves else { return };
        let told = fields.iter().map(|(field, asked)| {
            let (by, how) = match &field.kind {
                Kind::Resolved { resolver, .. } => (answered_by(resolver), how(resolver)),
                _ => ("", String::new()),
            };
            serde_json::json!({
                "field": field.coordinate, "component": by, "how": how, "objects": asked.objects,
                "calls": asked.calls, "batches": asked.batches, "failed": asked.failed,
                "ms": asked.time.as_micros() as f64 / 1e3, "bytes": asked.bytes,
            })
        });
        waves.lock().unwrap_or_else(PoisonError::into_inner).push(told.collect());
    }

    /// The waves as JSON, if somebody wants them.
    pub fn plan(&self) -> Option<serde_json::Value> {
        let waves = self.waves.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(serde_json::json!({ "waves": *waves }))
    }
}

fn how(resolver: &Resolver) -> String {
    match resolver {
        Resolver::Connect(connect) => {
            let base = connect.outside.as_ref().map_or("", |outside| &*outside.base);
            format!("{} {base}{}", connect.method, connect.path)
        }
        Resolver::Code(_) => "code".to_owned(),
        Resolver::Subscribe(_) => "topics".to_owned(),
    }
}
