//! Execution of queries and mutations. Root fields of a query run at once and equal calls
//! are made once; those of a mutation run one after another. The answer is written into
//! one buffer in the order of the selection.
//!
//! Called by the protocols with a plan that passed authorization. Dropping the future
//! ends the calls under way.

pub mod call;
pub mod complete;
mod introspect;

use apollo_compiler::ast::OperationType;
use bytes::Bytes;
use futures_util::future::join_all;
use monopod_core::context::Context;
use monopod_core::invoke::Components;

use crate::error::{self, Failure};
use crate::json::Json;
use crate::mapping::value::Scope;
use crate::plan::scan::exceeded;
use crate::plan::{Field, Kind, Plan, Variables, arguments};
use crate::schema::{Connect, Resolver, Schema};
use call::Call;
use complete::{Nulled, Path, Writer};

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
    pub components: &'r dyn Components,
}

/// What a root field needs before it can be written.
enum Slot<'r, 'a> {
    /// Nothing: `__typename` and the like.
    Ready,
    /// The outcome of a call, by its place, with the field's arguments.
    Called(usize, &'r Connect, Json<'a>),
    /// There will be no value.
    Failed(Failure),
}

impl<'r, 'a: 'r> Run<'r, 'a> {
    /// Executes a query or a mutation; the whole response, ready to be sent.
    pub async fn execute(&self) -> Vec<u8> {
        match self.plan.kind {
            OperationType::Mutation => self.serially().await,
            _ => self.concurrently().await,
        }
    }

    fn included(&self) -> impl Iterator<Item = &'r Field> {
        let variables = self.variables;
        self.plan.fields.iter().filter(move |field| field.include.holds(variables))
    }

    async fn concurrently(&self) -> Vec<u8> {
        let mut calls: Vec<Call<'r>> = Vec::new();
        let mut slots = Vec::with_capacity(self.plan.fields.len());
        for field in self.included() {
            let slot = match self.prepare(field) {
                None => Slot::Ready,
                Some(Err(failure)) => Slot::Failed(failure),
                Some(Ok((call, connect, args))) => {
                    let at = calls.iter().position(|known| *known == call).unwrap_or_else(|| {
                        calls.push(call);
                        calls.len() - 1
                    });
                    Slot::Called(at, connect, args)
                }
            };
            slots.push((field, slot));
        }
        let max = self.schema.settings.max_calls;
        if calls.len() > max {
            return error::response(&[exceeded("calls", max, "calls to components")]);
        }
        let outcomes = match calls.as_slice() {
            [only] => vec![only.send(self.components, self.context).await],
            several => join_all(several.iter().map(|call| call.send(self.components, self.context))).await,
        };
        let mut writer = Writer::new(self.variables);
        let mut whole = Ok(());
        for (field, slot) in &slots {
            whole = match slot {
                Slot::Ready => self.ready(field, &mut writer),
                Slot::Failed(failure) => writer.failed(field, failure.clone(), &Path::Root),
                Slot::Called(at, connect, args) => match outcomes.get(*at) {
                    Some(outcome) => self.called(field, connect, args, outcome, &mut writer),
                    None => Ok(()),
                },
            };
            if whole.is_err() {
                break;
            }
        }
        writer.finish(whole)
    }

    async fn serially(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.variables);
        let mut whole = Ok(());
        for (number, field) in self.included().enumerate() {
            if number >= self.schema.settings.max_calls {
                // Everything before has happened already, so this field alone fails.
                let max = self.schema.settings.max_calls;
                whole = writer.failed(field, exceeded("calls", max, "calls to components"), &Path::Root);
            } else {
                whole = match self.prepare(field) {
                    None => self.ready(field, &mut writer),
                    Some(Err(failure)) => writer.failed(field, failure, &Path::Root),
                    Some(Ok((call, connect, args))) => {
                        let outcome = call.send(self.components, self.context).await;
                        self.called(field, connect, &args, &outcome, &mut writer)
                    }
                };
            }
            if whole.is_err() {
                // A field that must have a value failed: the rest is not begun.
                break;
            }
        }
        writer.finish(whole)
    }

    /// The call that a field needs; none if it needs none.
    fn prepare(&self, field: &'r Field) -> Option<Result<(Call<'r>, &'r Connect, Json<'a>), Failure>> {
        let Kind::Resolved { resolver, arguments, .. } = &field.kind else { return None };
        let Resolver::Connect(connect) = &**resolver else { return None };
        let args = match arguments::resolve(arguments, self.variables) {
            Ok(args) => args,
            Err(message) => return Some(Err(Failure::new(error::code::BAD_USER_INPUT, message))),
        };
        let correlation = Json::String(self.context.correlation.as_str().into());
        let scope = Scope { whole: &Json::Null, args: &args, correlation: &correlation };
        let call = Call::new(connect, &scope);
        Some(call.map(|call| (call, &**connect, args)))
    }

    fn ready(&self, field: &Field, writer: &mut Writer<'_, '_>) -> Result<(), Nulled> {
        match &field.kind {
            Kind::TypeName(name) => writer.raw(field, name),
            Kind::Introspection => match introspect::answer(self.schema, self.plan, self.variables, field) {
                Ok(value) => writer.raw(field, &value),
                Err(failure) => writer.failed(field, failure, &Path::Root),
            },
            // A subscription is not executed here, and only the root is.
            Kind::Mapped(_) | Kind::Resolved { .. } => writer.raw(field, b"null"),
        }
        .map(drop)
    }

    fn called(
        &self,
        field: &Field,
        connect: &Connect,
        args: &Json<'a>,
        outcome: &Result<Bytes, Failure>,
        writer: &mut Writer<'_, '_>,
    ) -> Result<(), Nulled> {
        let body = match outcome {
            Ok(body) => body,
            Err(failure) => return writer.failed(field, failure.clone(), &Path::Root),
        };
        // An answer without a body is no value.
        let parsed = if body.is_empty() { Ok(Json::Null) } else { Json::parse(body) };
        match parsed {
            Ok(whole) => {
                let correlation = Json::String(self.context.correlation.as_str().into());
                let scope = Scope { whole: &whole, args, correlation: &correlation };
                writer.root(field, &connect.selection, &scope)
            }
            Err(error) => {
                let failure = call::unreadable(&connect.component, &error, self.context);
                writer.failed(field, failure, &Path::Root)
            }
        }
    }
}
