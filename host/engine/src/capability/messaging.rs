//! `monopod:messaging`: publishing, as part of the unit of work.

use monopod_core::context::CorrelationId;
use monopod_core::message::Message;
use monopod_core::unit::{MAX_KEY, MAX_VALUE};

use crate::bindings::monopod::messaging::publisher::{Error, Host, Outgoing};
use crate::bindings::monopod::messaging::types;
use crate::guest::Guest;

/// The most headers of one message.
const MAX_HEADERS: usize = 32;
/// The most bytes of one message's headers, names and values together.
const MAX_HEADER_BYTES: usize = 8 << 10;

impl types::Host for Guest {}

impl Guest {
    fn publish(&mut self, message: Outgoing) -> Result<String, Error> {
        let Some(topic) = self.loaded.component.grants.publish.get(message.topic.as_str()).cloned() else {
            return Err(Error::NotGranted(self.denied("publish", &message.topic)));
        };
        let header_bytes: usize = message.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
        if message.payload.len() > MAX_VALUE {
            return Err(Error::TooLarge(format!(
                "a payload has at most {MAX_VALUE} bytes, this one {}",
                message.payload.len()
            )));
        }
        if message.headers.len() > MAX_HEADERS || header_bytes > MAX_HEADER_BYTES {
            return Err(Error::TooLarge(format!(
                "a message has at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together"
            )));
        }
        if message.key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(Error::TooLarge(format!("a key has at most {MAX_KEY} bytes")));
        }
        let correlation = match message.correlation_id {
            None => self.context.correlation.clone(),
            Some(id) => CorrelationId::parse(&id).ok_or_else(|| {
                Error::Other(
                    "a correlation id has 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`".into(),
                )
            })?,
        };
        self.reserve(message.payload.len() + header_bytes).map_err(Error::TooLarge)?;
        // Version 7 sorts by time, which keeps the store's index on it compact.
        let id = uuid::Uuid::now_v7().to_string();
        self.unit.messages.push(Message {
            id: id.as_str().into(),
            topic,
            key: message.key.map(Into::into),
            headers: message.headers.into_iter().map(|h| (h.name.to_ascii_lowercase(), h.value)).collect(),
            payload: message.payload.into(),
            correlation,
            trace: self.context.trace,
            owner: self.unit.owner.clone(),
            published_at: 0,
        });
        Ok(id)
    }
}

impl Host for Guest {
    fn publish(&mut self, message: Outgoing) -> wasmtime::Result<Result<String, Error>> {
        Ok(Self::publish(self, message))
    }
}
