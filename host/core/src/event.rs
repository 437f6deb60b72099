//! Watching topics from outside. Implemented by `messaging`, used by subscriptions.

use crate::identity::Owner;
use crate::name::TopicName;
use crate::store::{Error, Page, Past, Retained};
use crate::topics::Stored;
use crate::{BoxFuture, BoxStream};

/// What a watcher gets.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was published.
    Published(Stored),
    /// The watcher was too slow; so many messages were left out. It should close.
    Lagged(u64),
}

/// Live topics.
pub trait Events: Send + Sync {
    /// Everything published to these topics from now on in actions that `owner` began, in
    /// commit order; nobody else's messages wake the watcher. One that does not keep up gets
    /// `Lagged`.
    fn watch(&self, topics: &[TopicName], owner: &Owner) -> BoxStream<'static, Event>;

    /// The last retained message of a topic that matches: what a late watcher missed.
    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, Error>>;

    /// A page of what is kept behind a place: what a watcher missed who comes back.
    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, Error>>;
}
