//! Timers: handed to the guest's handler, settled with its unit.

use std::time::Instant;

use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::message::{Outcome, Timer};
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;

use super::counted::counted;
use super::message::outcome;
use crate::Shared;
use crate::bindings::exports::monopod::timers;

impl Shared {
    pub(super) async fn fire(&self, timer: &Timer) -> Result<Outcome, Error> {
        let loaded = self.loaded(&timer.id.component)?;
        let Some(handler) = &loaded.timers else {
            return Err(Error::NotServed(timer.id.component.clone()));
        };
        let context = Context {
            principal: super::principal(timer.owner.as_ref()),
            correlation: timer.correlation.clone(),
            trace: timer.trace,
            deadline: Instant::now() + loaded.component.limits.deadline,
            depth: 0,
        };
        let cause = Cause::Timer { id: timer.id.clone(), version: timer.version };
        let work = async {
            let call = self.enter(loaded, &context).await?;
            call.run(cause, |mut store, instance| {
                Box::pin(async move {
                    let timer = timers::handler::Timer {
                        name: timer.id.name.to_string(),
                        payload: timer.payload.to_vec(),
                        correlation_id: timer.correlation.as_str().to_owned(),
                        due_at: timer.due_at,
                        attempt: timer.attempt,
                    };
                    let answer = handler.load(&mut store, &instance)?.call_fire(&mut store, &timer).await?;
                    Ok((outcome(answer), store.into_data().unit))
                })
            })
            .await
        };
        counted(loaded, Kind::Timer, work).await
    }
}
