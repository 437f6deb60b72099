//! Messages and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Millis;
use crate::context::{CorrelationId, TraceId};
use crate::identity::Owner;
use crate::name::{ComponentName, TopicName};

/// A message on a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Unique; the same on every redelivery. A UUID of version 7.
    pub id: Arc<str>,
    /// Where it was published.
    pub topic: TopicName,
    /// Messages of one key are handled one after another, in order.
    pub key: Option<Arc<str>>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub payload: Bytes,
    /// The action it belongs to.
    pub correlation: CorrelationId,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Who began that action; only they may see it from outside.
    pub owner: Option<Owner>,
    /// When its unit was committed.
    pub published_at: Millis,
}

/// One message for one consumer. `group` is the consuming component.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Which row of the store this is.
    pub id: DeliveryId,
    /// What is delivered.
    pub message: Arc<Message>,
    /// 1 for the first try.
    pub attempt: u32,
    /// Not before.
    pub visible_at: Millis,
}

/// Names a delivery: the consumer, and the message's place in the store's order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId {
    /// The consuming component.
    pub group: ComponentName,
    /// Grows with every message published.
    pub sequence: u64,
}

/// A timer that a component set.
#[derive(Debug, Clone)]
pub struct Timer {
    /// Whose it is, and which.
    pub id: TimerId,
    /// Told apart from an earlier timer of the same name by this.
    pub version: u64,
    /// What it carries.
    pub payload: Bytes,
    /// When it fires.
    pub due_at: Millis,
    /// 1 for the first try.
    pub attempt: u32,
    /// The action in which it was set.
    pub correlation: CorrelationId,
    /// The trace in which it was set.
    pub trace: TraceId,
    /// Who began that action.
    pub owner: Option<Owner>,
}

/// Names a timer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    /// Whose it is.
    pub component: ComponentName,
    /// 1 to 256 bytes.
    pub name: Arc<str>,
}

/// How a handler ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its unit of work is committed, the message settled.
    Done,
    /// Nothing is committed; try again.
    Retry {
        /// Not before; none: the platform's back-off.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// Nothing is committed; never try again.
    Reject {
        /// Why.
        reason: String,
    },
}
