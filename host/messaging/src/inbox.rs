//! What the writer's thread tells a consumer's dispatcher: new deliveries, or that
//! there were more than it kept. Bounded, never blocks, loses nothing: what does not
//! fit is in the store, and the dispatcher reads it from there.

use std::sync::{Arc, Mutex};

use monopod_core::message::{Delivery, DeliveryId, Message};
use tokio::sync::Notify;

use crate::lock;

/// How many deliveries wait here at most. The dispatcher empties it at each turn, so
/// this is what one writer commits while a dispatcher reads a page from the store.
const KEPT: usize = 256;

/// And how many bytes of content.
const KEPT_BYTES: usize = 1 << 20;

/// The inbox of one consumer.
#[derive(Default)]
pub(crate) struct Inbox {
    news: Mutex<News>,
    changed: Notify,
}

/// What came in since the last look.
#[derive(Default)]
pub(crate) struct News {
    /// New deliveries in order of sequence.
    pub(crate) fresh: Vec<Delivery>,
    /// After these there were others, which have to be read from the store.
    pub(crate) missed: bool,
    bytes: usize,
}

impl Inbox {
    /// A message was published to the consumer. On the writer's thread, in order.
    pub(crate) fn push(&self, id: &DeliveryId, message: &Arc<Message>) {
        let mut news = lock(&self.news);
        // Once something is missing, all that follows is: order is worth more than speed.
        news.missed |= news.fresh.len() >= KEPT || news.bytes >= KEPT_BYTES;
        if !news.missed {
            news.bytes += message.payload.len();
            let (message, visible_at) = (Arc::clone(message), message.published_at);
            news.fresh.push(Delivery { id: id.clone(), message, attempt: 1, visible_at });
        }
        drop(news);
        self.changed.notify_one();
    }

    /// There are deliveries in the store that are not told here.
    pub(crate) fn miss(&self) {
        lock(&self.news).missed = true;
        self.changed.notify_one();
    }

    /// Takes everything.
    pub(crate) fn take(&self) -> News {
        std::mem::take(&mut *lock(&self.news))
    }

    /// Waits for a `push` since the last wait. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
