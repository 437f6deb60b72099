//! Timers: handed to the guest's handler, settled with its unit.

use std::sync::Arc;

use monopod_core::invoke::Error;
use monopod_core::message::{Outcome, Timer};
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;

use super::call::Work;
use super::counted::counted;
use super::message::outcome;
use crate::Shared;
use crate::bindings::exports::monopod::timers;
use crate::instances::Live;

impl Shared {
    pub(super) async fn fire(self: &Arc<Self>, timer: &Timer) -> Result<Outcome, Error> {
        let loaded = self.loaded(&timer.id.component)?;
        if loaded.timers.is_none() {
            return Err(Error::NotServed(timer.id.component.clone()));
        }
        let context = super::context(timer.owner.as_ref(), &timer.correlation, timer.trace, loaded);
        let cause = Cause::Timer { id: timer.id.clone(), version: timer.version };
        let work = async { self.enter(loaded, &context).await?.settle(cause, || Fire(timer.clone())).await };
        counted(loaded, Kind::Timer, work).await
    }
}

struct Fire(Timer);

impl Work for Fire {
    type Answer = Outcome;

    async fn run(self, live: &mut Live) -> wasmtime::Result<Outcome> {
        let loaded = live.store.data().loaded.clone();
        let Some(handler) = &loaded.timers else {
            return Err(wasmtime::Error::msg("it has no handler for timers"));
        };
        let timer = timers::handler::Timer {
            name: self.0.id.name.to_string(),
            payload: self.0.payload.to_vec(),
            correlation_id: self.0.correlation.as_str().to_owned(),
            due_at: self.0.due_at,
            attempt: self.0.attempt,
        };
        let guest = handler.load(&mut live.store, &live.instance)?;
        guest.call_fire(&mut live.store, &timer).await.map(outcome)
    }
}
