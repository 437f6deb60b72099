//! Execution of queries and mutations. The fields of a query that have resolvers are called
//! for in waves: those of the root at once, then those below what the first gave, and so on;
//! in each wave equal calls are made once, and objects that can be looked up together are.
//! Root fields of a mutation run one after another, what is below each of them in waves. The
//! answer is written into one buffer in the order of the selection.
//!
//! Called by the protocols with a plan that passed authorization. Dropping the future
//! ends the calls under way.

pub mod call;
mod code;
pub mod complete;
pub mod introspect;
mod level;
mod outside;
mod wave;

use std::time::Duration;

use apollo_compiler::ast::OperationType;
use monopod_core::BoxFuture;
use monopod_core::context::Context;

use crate::error::{self, Failure};
use crate::graph::Ports;
use crate::json::{Json, NULL};
use crate::mapping::Value;
use crate::mapping::value::Scope;
use crate::plan::authorize::Denials;
use crate::plan::scan::exceeded;
use crate::plan::{Field, Kind, Plan, Variables};
use crate::protocol::{Prepared, Wants};
use crate::schema::Schema;
use crate::seen::Tally;
use complete::{Nulled, Path, Pen, Writer};
use level::{Level, Need, Parent, gather};
use wave::{Wave, args};

/// One operation that is executed.
pub struct Run<'r, 'a> {
    /// Whose plan it is.
    pub schema: &'r Schema,
    /// The operation.
    pub plan: &'r Plan,
    /// Its variables, coerced.
    pub variables: &'r Variables<'a>,
    /// For whom, until when.
    pub context: &'r Context,
    /// Who answers.
    pub ports: &'r Ports,
    /// What the caller may not have.
    pub denied: &'r Denials,
    /// What it was estimated to cost; taken from the caller's budget, if there is one.
    estimate: u64,
    wants: Wants,
    tally: Tally,
}

/// What one call took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// From the request to the end of the answer.
    pub time: Duration,
    /// Of the answer.
    pub bytes: u64,
}

impl<'r, 'a> Run<'r, 'a> {
    /// An operation that may be executed.
    pub fn new(
        ports: &'r Ports,
        schema: &'r Schema,
        prepared: &'r Prepared<'a>,
        context: &'r Context,
    ) -> Self {
        let Prepared { plan, variables, denied, estimate, wants } = prepared;
        let (estimate, wants, tally) = (*estimate, *wants, Tally::new(wants.plan));
        Self { schema, plan, variables, context, ports, denied, estimate, wants, tally }
    }
}

/// More calls than an operation may make; nothing of it can be answered.
struct TooMany;

impl Run<'_, '_> {
    /// Executes a query or a mutation; the whole response, ready to be sent.
    pub async fn execute(&self) -> Vec<u8> {
        let out = self.answer().await;
        self.finish(out, self.estimate, None)
    }

    /// Settles what it cost, and says what the caller may and wants to know of that.
    fn finish(&self, mut out: Vec<u8>, taken: u64, event: Option<u64>) -> Vec<u8> {
        let settings = &self.schema.settings;
        let actual = self.tally.cost();
        self.ports.budgets.settle(settings.budget, &self.context.principal, taken, actual);
        let cost = self.wants.cost || settings.show_cost;
        if event.is_none() && !cost && !self.wants.plan {
            return out;
        }
        let mut more = serde_json::Map::new();
        if let Some(event) = event {
            more.insert("eventId".to_owned(), event.to_string().into());
        }
        if cost {
            more.insert("cost".to_owned(), serde_json::json!({"estimated": self.estimate, "actual": actual}));
        }
        more.extend(self.tally.plan().map(|plan| ("plan".to_owned(), plan)));
        // Every response is an object that is not empty.
        out.truncate(out.len().saturating_sub(1));
        out.extend_from_slice(format!(r#","extensions":{}}}"#, serde_json::Value::Object(more)).as_bytes());
        out
    }

    async fn answer(&self) -> Vec<u8> {
        let fields: Vec<&Field> =
            self.plan.fields.iter().filter(|field| field.include.holds(self.variables)).collect();
        let mut writer = Writer::new();
        let mut made = 0;
        if self.plan.kind != OperationType::Mutation {
            return match self.root(&fields, &mut writer, &mut made).await {
                Ok(whole) => self.written(writer, whole),
                Err(TooMany) => error::response(&[self.too_many()]),
            };
        }
        let mut whole = Ok(());
        for field in fields {
            whole = match self.root(&[field], &mut writer, &mut made).await {
                Ok(whole) => whole,
                // Everything before has happened already, so this field alone fails.
                Err(TooMany) => Pen::new(&mut writer, self, None).failed(field, self.too_many(), &Path::Root),
            };
            if whole.is_err() {
                // A field that must have a value failed: the rest is not begun.
                break;
            }
        }
        self.written(writer, whole)
    }

    fn written(&self, writer: Writer, whole: Result<(), Nulled>) -> Vec<u8> {
        self.tally.add(writer.cost());
        writer.finish(whole)
    }

    /// Writes the response to an event of a subscription: its one field, whose value is
    /// there, with everything below it. `id` is told to the client.
    pub async fn event(
        &self,
        field: &Field,
        value: Result<(&Value, Scope<'_, '_>), Failure>,
        id: Option<u64>,
    ) -> Vec<u8> {
        let mut writer = Writer::new();
        let (mut needs, slot) = (
            Vec::new(),
            match value {
                Ok((selection, scope)) => {
                    let (json, fields) = scope.find_in(selection, scope.whole);
                    level::Slot::Value(Parent { json, fields, scope })
                }
                Err(failure) => level::Slot::Failed(failure),
            },
        );
        if let (level::Slot::Value(value), Kind::Resolved { output, .. }) = (&slot, &field.kind) {
            gather(output, *value, self, &mut needs);
        }
        let level = Level::one(&NULL, field, slot);
        let whole = self.below(needs, &level, &[field], &mut writer, &mut 0).await;
        let out = self.written(writer, whole);
        // Opening it took the estimate; each event is charged as it comes, and refused to nobody.
        self.finish(out, 0, id)
    }

    fn too_many(&self) -> Failure {
        exceeded("calls", self.schema.settings.max_calls, "calls to components")
    }

    /// Calls for these root fields and everything below them, and writes them.
    async fn root(
        &self,
        fields: &[&Field],
        writer: &mut Writer,
        made: &mut usize,
    ) -> Result<Result<(), Nulled>, TooMany> {
        let root = Json::Null;
        let scope = Scope::of(&root, &root);
        let needs: Vec<_> = fields
            .iter()
            .filter(|field| matches!(field.kind, Kind::Resolved { .. }) && self.denied.of(field).is_none())
            .map(|field| Need { field, parent: Parent { json: &NULL, fields: None, scope } })
            .collect();
        let args = args(&needs, self.variables);
        let wave = Wave::prepare(self, &needs, &args);
        if *made + wave.calls() > self.schema.settings.max_calls {
            return Err(TooMany);
        }
        *made += wave.calls();
        let replies = wave.send(self).await;
        wave.account(&replies, &self.tally);
        let answers = wave.read(self, &replies);
        let level = wave.level(self, None, &answers);
        let below = level.gather(self);
        Ok(self.below(below, &level, fields, writer, made).await)
    }

    /// One wave more, until there is nothing left to call for; then the fields are written,
    /// while everything that was answered is still there.
    fn below<'f>(
        &'f self,
        needs: Vec<Need<'f>>,
        above: &'f Level<'f>,
        fields: &'f [&'f Field],
        writer: &'f mut Writer,
        made: &'f mut usize,
    ) -> BoxFuture<'f, Result<(), Nulled>> {
        Box::pin(async move {
            if needs.is_empty() {
                return self.write(fields, above, writer);
            }
            let args = args(&needs, self.variables);
            let mut wave = Wave::prepare(self, &needs, &args);
            let max = self.schema.settings.max_calls.saturating_sub(*made);
            if wave.calls() > max {
                // What has been answered is given; what would take more fails by itself.
                wave.give_up(&self.too_many());
            }
            *made += wave.calls();
            let replies = wave.send(self).await;
            wave.account(&replies, &self.tally);
            let answers = wave.read(self, &replies);
            let level = wave.level(self, Some(above), &answers);
            let below = level.gather(self);
            self.below(below, &level, fields, writer, made).await
        })
    }

    fn write(&self, fields: &[&Field], level: &Level<'_>, writer: &mut Writer) -> Result<(), Nulled> {
        let mut pen = Pen::new(writer, self, Some(level));
        for field in fields {
            if let Some(denied) = self.denied.of(field) {
                pen.failed(field, denied.clone(), &Path::Root)?;
                continue;
            }
            match &field.kind {
                Kind::TypeName(name) => pen.raw(field, name)?,
                Kind::Introspection => {
                    match introspect::answer(self.schema, self.plan, self.variables, field) {
                        Ok(value) => pen.raw(field, &value)?,
                        Err(failure) => pen.failed(field, failure, &Path::Root)?,
                    }
                }
                // The root maps nothing.
                Kind::Mapped(_) => pen.raw(field, b"null")?,
                Kind::Resolved { .. } => pen.root(field)?,
            }
        }
        Ok(())
    }
}
