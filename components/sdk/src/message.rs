//! Messages and timers as handlers receive and send them, and how a handler fails.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ports::{Error, print};
use crate::time::Millis;

/// A message as a handler receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique; the same on every redelivery.
    pub id: String,
    /// Where it was published.
    pub topic: String,
    /// Messages of one key are handled in order.
    pub key: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub payload: Vec<u8>,
    /// The action it belongs to.
    pub correlation_id: String,
    /// When its unit was committed.
    pub published_at: Millis,
    /// 1 for the first try.
    pub attempt: u32,
}

impl Message {
    /// The payload, read as JSON. What cannot be read never can be: the failure rejects it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Failure::Reject(format!("payload of `{}` cannot be read: {error}", self.topic)))
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A message to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub topic: String,
    /// Messages of one key are handled in order.
    pub key: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub payload: Vec<u8>,
    /// None: inherited from this invocation.
    pub correlation_id: Option<String>,
}

impl Outgoing {
    /// A message with `payload` written as JSON.
    pub fn json(topic: &str, key: &str, payload: &impl Serialize) -> Result<Self, Error> {
        let payload = print(payload)?;
        Ok(Self { topic: topic.into(), key: Some(key.into()), payload, ..Self::default() })
    }

    /// With a header more; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// As part of another action than this invocation's.
    #[must_use]
    pub fn correlation(mut self, id: &str) -> Self {
        self.correlation_id = Some(id.into());
        self
    }
}

/// A timer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// As it was set.
    pub name: String,
    /// As it was set.
    pub payload: Vec<u8>,
    /// The action in which it was set.
    pub correlation_id: String,
    /// When it was due.
    pub due_at: Millis,
    /// 1 for the first try.
    pub attempt: u32,
}

/// How a handler fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It could not be done now: it comes again, until its attempts are used up.
    Retry {
        /// Not before; none: the platform's back-off.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It can never be done: it goes to the dead-letter topic, with this reason.
    Reject(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // What is not granted may be granted by the next platform file, and a store that
            // failed may recover; trying again costs little and loses nothing.
            Error::Unavailable(_) | Error::NotGranted(_) | Error::Other(_) => {
                Self::Retry { after: None, reason: error.to_string() }
            }
            Error::NotFound | Error::Invalid(_) | Error::Damaged(_) => Self::Reject(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_done_is_rejected_and_the_rest_retried() {
        for (error, again) in [
            (Error::Unavailable("x".into()), true),
            (Error::NotGranted("x".into()), true),
            (Error::Other("x".into()), true),
            (Error::NotFound, false),
            (Error::Invalid("x".into()), false),
            (Error::Damaged("x".into()), false),
        ] {
            assert_eq!(matches!(Failure::from(error.clone()), Failure::Retry { .. }), again, "{error}");
        }
    }
}
