//! Messages: handed to the guest's handler, settled with its unit.

use std::sync::Arc;
use std::time::Duration;

use monopod_core::invoke::Error;
use monopod_core::message::{Delivery, Outcome};
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;

use super::call::Work;
use super::counted::counted;
use crate::Shared;
use crate::bindings::exports::monopod::messaging;
use crate::bindings::monopod::messaging::types as wit;
use crate::instances::Live;

impl Shared {
    pub(super) async fn deliver(self: &Arc<Self>, delivery: &Delivery) -> Result<Outcome, Error> {
        let message = &delivery.message;
        let loaded = self.loaded(&delivery.id.group)?;
        if loaded.messages.is_none() {
            return Err(Error::NotServed(delivery.id.group.clone()));
        }
        let context = super::context(message.owner.as_ref(), &message.correlation, message.trace, loaded);
        let cause = Cause::Delivery { id: delivery.id.clone(), message: message.id.clone() };
        let work =
            async { self.enter(loaded, &context).await?.settle(cause, || Handle(delivery.clone())).await };
        counted(loaded, Kind::Message, work).await
    }
}

struct Handle(Delivery);

impl Work for Handle {
    type Answer = Outcome;

    async fn run(self, live: &mut Live) -> wasmtime::Result<Outcome> {
        let loaded = live.store.data().loaded.clone();
        let Some(handler) = &loaded.messages else {
            return Err(wasmtime::Error::msg("it has no handler for messages"));
        };
        let message = &self.0.message;
        let message = wit::Message {
            id: message.id.to_string(),
            topic: message.topic.to_string(),
            key: message.key.as_deref().map(str::to_owned),
            headers: message
                .headers
                .iter()
                .map(|(name, value)| wit::Header { name: name.clone(), value: value.clone() })
                .collect(),
            payload: message.payload.to_vec(),
            correlation_id: message.correlation.as_str().to_owned(),
            published_at: message.published_at,
            attempt: self.0.attempt,
        };
        let guest = handler.load(&mut live.store, &live.instance)?;
        guest.call_handle(&mut live.store, &message).await.map(outcome)
    }
}

/// What a handler answered, in the words of the port.
pub(super) fn outcome(outcome: wit::Outcome) -> Outcome {
    match outcome {
        messaging::handler::Outcome::Done => Outcome::Done,
        messaging::handler::Outcome::Retry(retry) => {
            Outcome::Retry { after: retry.after.map(Duration::from_millis), reason: retry.reason }
        }
        messaging::handler::Outcome::Reject(reason) => Outcome::Reject { reason },
    }
}
