//! The operator's port to the topics: looking at them, and delivering again what was
//! published. Implemented by `state`, used by the command line through the binary. No
//! component reaches it, and nothing that serves clients waits for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::Message;
use crate::name::{ComponentName, TopicName};
use crate::store::Error;
use crate::{BoxFuture, Millis};

/// The most messages one question returns, and one step of a replay looks at: a page, and
/// some milliseconds of the writer's time.
pub const PAGE: usize = 500;

/// A topic, measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicStatus {
    /// Which.
    pub topic: TopicName,
    /// Messages kept.
    pub messages: u64,
    /// When the oldest of them was published.
    pub oldest: Option<Millis>,
    /// When the newest of them was published.
    pub newest: Option<Millis>,
    /// Who is given them.
    pub consumers: Vec<Lag>,
}

/// How far a consumer is behind on a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Which consumer.
    pub consumer: ComponentName,
    /// Messages it has not settled.
    pub waiting: u64,
    /// Those of them that failed at least once and will be tried again.
    pub failing: u64,
    /// When the oldest of them was published.
    pub oldest: Option<Millis>,
}

/// Which messages of a topic are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The topic.
    pub topic: TopicName,
    /// Published at or after this.
    pub from: Option<Millis>,
    /// Published before this.
    pub to: Option<Millis>,
    /// Of this key.
    pub key: Option<String>,
    /// With this id.
    pub id: Option<String>,
}

/// A place among the messages of a topic: they are ordered by when they were published,
/// then by sequence. The default is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When.
    pub published_at: Millis,
    /// Grows with every message.
    pub sequence: u64,
}

/// A message with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The store's number of it.
    pub sequence: u64,
    /// The message.
    pub message: Arc<Message>,
}

impl Stored {
    /// Where it stands in its topic.
    pub fn place(&self) -> Place {
        Place { published_at: self.message.published_at, sequence: self.sequence }
    }
}

/// What one step of a replay or a seek did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Deliveries made.
    pub delivered: u64,
    /// Left out: the consumer has handled the message.
    pub handled: u64,
    /// Left out: the message waits for the consumer anyhow.
    pub waiting: u64,
    /// Deliveries taken away by a seek.
    pub dropped: u64,
    /// Where the next step begins; none: this was the last.
    pub next: Option<Place>,
}

/// Why an operator's wish is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It names something that is not there, or cannot be done. The text says what, and
    /// what can.
    #[error("{0}")]
    Wrong(String),
    /// The store cannot do it now.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Topics as an operator sees them.
pub trait Topics: Send + Sync {
    /// All declared topics and all that hold messages, by name. Counts every message: for
    /// a person, not for a probe.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicStatus>, Refusal>>;

    /// The message that stands at `sequence`, if it does.
    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Stored>, Refusal>>;

    /// The first messages of a selection behind `after`, at most `limit` and [`PAGE`].
    fn messages<'a>(
        &'a self,
        of: &'a Selection,
        after: Place,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>>;

    /// The last messages of a selection, newest first, at most `limit` and [`PAGE`].
    fn newest<'a>(&'a self, of: &'a Selection, limit: usize) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>>;

    /// Delivers the selected messages behind `after` once more, to `consumer` or to
    /// everybody who consumes the topic: one step of at most [`PAGE`] messages. Who has
    /// handled a message is not given it again, unless `again`: then its mark is taken
    /// away, and it has a second effect.
    fn replay<'a>(
        &'a self,
        of: &'a Selection,
        consumer: Option<&'a ComponentName>,
        again: bool,
        after: Place,
    ) -> BoxFuture<'a, Result<Replayed, Refusal>>;

    /// Takes from `consumer` what waits for it of `topic` and was published before `to`: one
    /// step of at most [`PAGE`] messages, `next` says whether there are more. They count as
    /// handled. One whose handler runs at this moment may still have its effect.
    fn skip<'a>(
        &'a self,
        topic: &'a TopicName,
        consumer: &'a ComponentName,
        to: Millis,
    ) -> BoxFuture<'a, Result<Replayed, Refusal>>;

    /// Takes the dead letter out of its topic and delivers the message again, under its
    /// own id, to the component that could not handle it; or sets the timer again, due
    /// now. The first attempt of a new row of attempts.
    fn retry(&self, sequence: u64) -> BoxFuture<'_, Result<(), Refusal>>;
}
