//! Messages: handed to the guest's handler, settled with its unit.

use std::time::{Duration, Instant};

use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::message::{Delivery, Outcome};
use monopod_core::seen::Kind;
use monopod_core::unit::Cause;

use super::counted::counted;
use crate::Shared;
use crate::bindings::exports::monopod::messaging;
use crate::bindings::monopod::messaging::types as wit;

impl Shared {
    pub(super) async fn deliver(&self, delivery: &Delivery) -> Result<Outcome, Error> {
        let message = &delivery.message;
        let loaded = self.loaded(&delivery.id.group)?;
        let Some(handler) = &loaded.messages else {
            return Err(Error::NotServed(delivery.id.group.clone()));
        };
        let context = Context {
            principal: super::principal(message.owner.as_ref()),
            correlation: message.correlation.clone(),
            trace: message.trace,
            deadline: Instant::now() + loaded.component.limits.deadline,
            depth: 0,
        };
        let cause = Cause::Delivery { id: delivery.id.clone(), message: message.id.clone() };
        let work = async {
            let call = self.enter(loaded, &context).await?;
            call.run(cause, |mut store, instance| {
                Box::pin(async move {
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
                        attempt: delivery.attempt,
                    };
                    let answer =
                        handler.load(&mut store, &instance)?.call_handle(&mut store, &message).await?;
                    Ok((outcome(answer), store.into_data().unit))
                })
            })
            .await
        };
        counted(loaded, Kind::Message, work).await
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
