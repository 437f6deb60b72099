//! The hub: what the store's writer thread tells after each commit goes from here to
//! the watchers, the consumers' dispatchers and the timers' loop. It is made before the
//! store, which wants its listener when it opens, and long before messaging starts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use monopod_core::Millis;
use monopod_core::message::{DeliveryId, Message};
use monopod_core::name::ComponentName;
use monopod_core::store::Committed;
use tokio::sync::Notify;

use crate::board::Board;
use crate::inbox::Inbox;
use crate::{read, write};

/// The store's listener. Clones are the same hub.
#[derive(Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Default)]
struct Inner {
    board: Arc<Board>,
    inboxes: RwLock<HashMap<ComponentName, Arc<Inbox>>>,
    alarm: Arc<Alarm>,
}

impl Hub {
    /// A hub nobody listens to yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    pub(crate) fn alarm(&self) -> &Arc<Alarm> {
        &self.0.alarm
    }

    /// From now on `group` is told of its deliveries; earlier ones are in the store.
    pub(crate) fn listen(&self, group: &ComponentName) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        write(&self.0.inboxes).insert(group.clone(), Arc::clone(&inbox));
        inbox
    }
}

impl Committed for Hub {
    fn published(&self, sequence: u64, message: &Arc<Message>, deliveries: &[DeliveryId]) {
        self.0.board.publish(sequence, message);
        if !deliveries.is_empty() {
            let inboxes = read(&self.0.inboxes);
            for id in deliveries {
                if let Some(inbox) = inboxes.get(&id.group) {
                    inbox.push(id, message);
                }
            }
        }
    }

    fn outgoing(&self, message: &Arc<Message>, delivery: &DeliveryId) {
        if let Some(inbox) = read(&self.0.inboxes).get(&delivery.group) {
            inbox.push(delivery, message);
        }
    }

    fn redelivered(&self, consumer: &ComponentName) {
        if let Some(inbox) = read(&self.0.inboxes).get(consumer) {
            inbox.miss();
        }
    }

    fn timer_set(&self, due_at: Millis) {
        self.0.alarm.set(due_at);
    }
}

/// Wakes the timers' loop when a timer was set that is due before the loop would look.
pub(crate) struct Alarm {
    /// When the loop looks next by itself.
    next_look: AtomicU64,
    earlier: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { next_look: AtomicU64::new(Millis::MAX), earlier: Notify::new() }
    }
}

impl Alarm {
    fn set(&self, due_at: Millis) {
        if due_at < self.next_look.load(Ordering::Acquire) {
            self.earlier.notify_one();
        }
    }

    /// The loop is about to look: every timer set from now on wakes it.
    pub(crate) fn looking(&self) {
        self.next_look.store(Millis::MAX, Ordering::Release);
    }

    /// The loop has looked, and will again at `next`. A timer set since `looking` has
    /// woken it already, whether or not the look saw it.
    pub(crate) fn looked(&self, next: Millis) {
        self.next_look.store(next, Ordering::Release);
    }

    /// Waits for a timer that the last look did not count on. Cancel-safe.
    pub(crate) async fn earlier(&self) {
        self.earlier.notified().await;
    }
}
