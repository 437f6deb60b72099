//! Where calls run: the places a component has, and the queue in front of them.
//! Used by `invoke`; knows nothing of what a call does.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use monopod_core::limit::{Limit, QUEUE};
use monopod_core::seen;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::account::Account;

/// The places of one component: how many calls may run at once.
pub(crate) struct Places {
    free: Semaphore,
    waiting: AtomicU32,
    most_waiting: u32,
    all: usize,
}

/// A place that is taken, until it is dropped.
pub(crate) type Place<'a> = SemaphorePermit<'a>;

impl Places {
    pub(crate) fn new(concurrency: u32) -> Self {
        let places = usize::try_from(concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            free: Semaphore::new(places),
            waiting: AtomicU32::new(0),
            most_waiting: concurrency.saturating_mul(QUEUE),
            all: places,
        }
    }

    /// Waits for a place, at most for `time`; otherwise says which bound was met.
    pub(crate) async fn enter(&self, time: Duration, account: &Account) -> Result<Place<'_>, &'static str> {
        if let Ok(place) = self.free.try_acquire() {
            return Ok(place);
        }
        account.hit(Limit::Concurrency);
        let Some(_waiting) = self.wait() else {
            account.hit(Limit::Queue);
            return Err("too many calls wait for it already");
        };
        match tokio::time::timeout(time, self.free.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err("no instance became free before the deadline"),
        }
    }

    /// For people.
    pub(crate) fn fill(&self, seen: &mut seen::Component) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        seen.places = count(self.all);
        seen.running = count(self.all.saturating_sub(self.free.available_permits()));
        seen.waiting = self.waiting.load(Relaxed).into();
    }

    /// Counts a waiting call; none when enough wait already.
    fn wait(&self) -> Option<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let guard = Waiting(&self.waiting);
        (before < self.most_waiting).then_some(guard)
    }
}

struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
