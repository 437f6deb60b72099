//! The store's port: state, inbox, outbox, timers and the embedded topics, in one place
//! so that one transaction can hold them all. Implemented by `state`; `engine` reads and
//! commits units, `messaging` takes deliveries and timers and settles those that failed.

use std::sync::Arc;

use crate::identity::Owner;
use crate::message::{Delivery, DeliveryId, Message, Timer, TimerId};
use crate::name::{ComponentName, TopicName};
use crate::topics::Stored;
use crate::unit::{Key, Range, Record, Unit};
use crate::{BoxFuture, Millis};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the unit read was changed by another unit since: run it again.
    #[error("the unit was overtaken by another that changed what it had read")]
    Conflict,
    /// The delivery or timer that caused the unit is settled already: drop the unit.
    #[error("what caused the unit is settled already")]
    Settled,
    /// The unit is larger than the store takes, or holds what it does not: trying again does
    /// not help.
    #[error("the unit of work was refused: {0}")]
    Refused(String),
    /// The store cannot answer: full, closed, or failing. Nothing was committed, unless the
    /// commit itself met an I/O error: then the next start shows whether it was.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// A key and what stands under it.
pub type Entry = (Arc<str>, Record);

/// What a failed attempt leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, not before.
    Retry(Millis),
    /// Publish to the dead-letter topic and settle.
    DeadLetter,
}

/// Which retained message a late subscriber wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Of this key.
    pub key: Option<Arc<str>>,
    /// Of this action.
    pub correlation: Option<String>,
    /// Of a chain that this user began. Clients choose their correlation ids, so another
    /// user's message may have the same.
    pub owner: Option<Owner>,
}

/// What a subscriber wants to have again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Of these topics.
    pub topics: Vec<TopicName>,
    /// Of actions that this user began.
    pub owner: Owner,
    /// From where on.
    pub after: After,
}

/// A place in the order of all messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Behind the message with this sequence, whether or not it is still there.
    Sequence(u64),
    /// At the first message that was published at this time or later.
    Time(Millis),
}

/// Some of what was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// In commit order.
    pub messages: Vec<Stored>,
    /// Behind which sequence the next page begins; none: this was the last.
    pub next: Option<u64>,
}

/// The store. All methods are cancel-safe: a commit that was handed over happens or
/// not as a whole, whether or not anybody waits for the answer.
pub trait Store: Send + Sync {
    /// The committed value of a key. Takes microseconds; may be awaited in an I/O worker.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, Error>>;

    /// The committed entries of a range.
    fn scan<'a>(&'a self, range: &'a Range) -> BoxFuture<'a, Result<Vec<Entry>, Error>>;

    /// Commits a unit durably: returns when it survives a power cut. Units that wait
    /// together share one fsync.
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<(), Error>>;

    /// Unsettled deliveries of a consumer with a sequence above `after`, in order of
    /// sequence, at most `limit`, whether or not they are visible yet.
    fn deliveries<'a>(
        &'a self,
        group: &'a ComponentName,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Error>>;

    /// Records a failed attempt of a delivery. `reason` is kept with the dead letter.
    fn delivery_failed(
        &self,
        id: DeliveryId,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), Error>>;

    /// Timers due at or before `until`, soonest first, at most `limit`.
    fn timers_due(&self, until: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<Timer>, Error>>;

    /// Records a failed attempt of a timer.
    fn timer_failed(
        &self,
        id: TimerId,
        version: u64,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), Error>>;

    /// The last retained message of a topic that matches.
    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, Error>>;

    /// A page of the kept messages that `past` describes, in commit order. Looks at a bounded
    /// number of messages, whosever they are, so that a page may be empty and not the last.
    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, Error>>;

    /// Removes messages older than their topic's retention or, in a compacted topic,
    /// overtaken by a later one of their key; inbox marks that no redelivery can meet any
    /// more; values that have expired. Gives space back to the system, a little at a time.
    /// Returns how many messages went.
    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, Error>>;

    /// Whether a write would be accepted now; the reason if not. For readiness.
    fn writable(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// What the writer tells after each durable commit, in commit order. Called on the
/// writer's thread: must return at once and never block.
pub trait Committed: Send + Sync {
    /// `message` was published at this place in the order of all messages; `deliveries` has one
    /// entry for each consumer.
    fn published(&self, sequence: u64, message: &Arc<Message>, deliveries: &[DeliveryId]);
    /// `message` waits for the broker of its topic. Who watches the topic sees it when the
    /// broker has handed it over.
    fn outgoing(&self, message: &Arc<Message>, delivery: &DeliveryId) {
        let _content = message;
        self.redelivered(&delivery.group);
    }
    /// There are new deliveries for `consumer` in the store, of messages that were published
    /// before: who watches their topics has seen them.
    fn redelivered(&self, consumer: &ComponentName);
    /// A timer was set that is due at `due_at`.
    fn timer_set(&self, due_at: Millis);
}
