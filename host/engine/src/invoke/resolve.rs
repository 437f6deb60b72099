//! Fields of GraphQL: one call for all objects of a level.

use std::sync::Arc;

use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::name::ComponentName;
use monopod_core::resolve::{Answer, Field, Problem, Value};
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;

use super::call::{self, Work};
use super::counted::{Told, counted};
use crate::Shared;
use crate::bindings::exports::monopod::graph::resolver as wit;
use crate::bindings::monopod::graph::types::Argument;
use crate::instances::Live;

impl call::Answer for Answer {
    // Errors at single places are answers; an error of the whole leaves nothing.
    fn commits(&self) -> bool {
        self.is_ok()
    }
}

impl Told for Answer {
    fn failed(&self) -> bool {
        self.is_err()
    }
}

impl Shared {
    pub(super) async fn resolve(
        self: &Arc<Self>,
        component: &ComponentName,
        field: &Field,
        context: &Context,
    ) -> Result<Answer, Error> {
        let loaded = self.loaded(component)?;
        if loaded.fields.is_none() {
            return Err(Error::NotServed(component.clone()));
        }
        let work = async {
            let call = self.enter(loaded, context).await?;
            // Kept, in case it is asked again.
            let given = Arc::new(wit::Field {
                parent_type: field.parent_type.clone(),
                name: field.name.clone(),
                arguments: field
                    .arguments
                    .iter()
                    .map(|(name, value)| Argument { name: name.clone(), value: to_guest(value) })
                    .collect(),
                parents: field.parents.iter().map(|values| values.iter().map(to_guest).collect()).collect(),
                selected: field.selected.clone(),
            });
            call.settle(Cause::Request, || Resolve(given.clone())).await
        };
        counted(loaded, Kind::Request, work).await
    }
}

struct Resolve(Arc<wit::Field>);

impl Work for Resolve {
    type Answer = Answer;

    async fn run(self, live: &mut Live) -> wasmtime::Result<Answer> {
        let loaded = live.store.data().loaded.clone();
        let Some(resolver) = &loaded.fields else {
            return Err(wasmtime::Error::msg("it resolves no fields"));
        };
        let guest = resolver.load(&mut live.store, &live.instance)?;
        let answer = guest.call_resolve(&mut live.store, &self.0).await?;
        Ok(answer
            .map_err(problem)
            .map(|values| values.into_iter().map(|each| each.map(from_guest).map_err(problem)).collect()))
    }
}

fn to_guest(value: &Value) -> wit::Value {
    match value {
        Value::Null => wit::Value::Null,
        Value::Boolean(value) => wit::Value::Boolean(*value),
        Value::Integer(value) => wit::Value::Integer(*value),
        Value::Float(value) => wit::Value::Float(*value),
        Value::Text(text) => wit::Value::Text(text.clone()),
        Value::Json(text) => wit::Value::Json(text.clone()),
    }
}

fn from_guest(value: wit::Value) -> Value {
    match value {
        wit::Value::Null => Value::Null,
        wit::Value::Boolean(value) => Value::Boolean(value),
        wit::Value::Integer(value) => Value::Integer(value),
        wit::Value::Float(value) => Value::Float(value),
        wit::Value::Text(text) => Value::Text(text),
        wit::Value::Json(text) => Value::Json(text),
    }
}

fn problem(problem: wit::Problem) -> Problem {
    Problem { message: problem.message, code: problem.code }
}
