//! The instances that calls run in: how many there are, who waits for one, and which of them
//! serve again. Used by `invoke`; knows nothing of what a call does.
//!
//! What a guest that is reused may rely on stands in docs/instances.md.

mod keeper;
mod live;
mod places;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use monopod_core::component::{Component, Instances, Reuse};
use monopod_core::limit::QUEUE;

pub(crate) use keeper::keep;
pub(crate) use live::Live;
pub(crate) use places::{Place, Places, Refused};

/// The instances of one component.
pub(crate) struct Pool {
    pub(crate) places: Places,
    policy: Instances,
    /// Those that wait for a call, the one used last at the end.
    idle: Mutex<Vec<Live>>,
}

impl Pool {
    pub(crate) fn new(component: &Component) -> Self {
        let policy = component.instances.clone();
        let places = most(component);
        let queue = policy.queue.unwrap_or_else(|| places.saturating_mul(QUEUE));
        Self { places: Places::new(places, queue), policy, idle: Mutex::default() }
    }

    /// An instance that is ready, if there is one. The one used last: its memory is still warm, and
    /// those that are not needed grow old and go.
    pub(crate) fn take(&self, now: Instant) -> Option<Live> {
        if self.policy.reuse == Reuse::Fresh {
            return None;
        }
        let mut worn = Vec::new();
        let live = loop {
            // Taken out under the lock, dropped outside of it.
            match self.idle().pop() {
                Some(live) if live.is_worn(&self.policy, now) => worn.push(live),
                other => break other,
            }
        };
        drop(worn);
        live
    }

    /// Takes back an instance whose call went well and left nothing behind.
    pub(crate) fn put(&self, mut live: Live, now: Instant) {
        live.used(now);
        if self.policy.reuse != Reuse::Fresh && !live.is_worn(&self.policy, now) {
            self.idle().push(live);
        }
    }

    /// Gives back those that wait for a call.
    pub(crate) fn clear(&self) {
        // Taken out under the lock, dropped outside of it.
        let gone = std::mem::take(&mut *self.idle());
        drop(gone);
    }

    /// How many wait for a call.
    pub(crate) fn ready(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Live>> {
        // A panic while it was held left the list as it was.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many instances of a component there are at most.
pub(crate) fn most(component: &Component) -> u32 {
    component.instances.max.unwrap_or(component.limits.concurrency).min(component.limits.concurrency)
}
