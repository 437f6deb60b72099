//! Watching topics from outside. Implemented by `messaging`, used by subscriptions.

use std::sync::Arc;

use crate::message::Message;
use crate::name::TopicName;
use crate::store::{Error, Retained};
use crate::{BoxFuture, BoxStream};

/// What a watcher gets.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was published.
    Published(Arc<Message>),
    /// The watcher was too slow; so many messages were left out. It should close.
    Lagged(u64),
}

/// Live topics.
pub trait Events: Send + Sync {
    /// Everything published to these topics from now on, in commit order. A watcher
    /// that does not keep up gets `Lagged`. It filters for itself whom a message may
    /// be shown to.
    fn watch(&self, topics: &[TopicName]) -> BoxStream<'static, Event>;

    /// The last retained message of a topic that matches: what a late watcher missed.
    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Arc<Message>>, Error>>;
}
