//! Snapshots that wait for the collector: bounded in number and bytes, the oldest goes first.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Counts, QUEUE, QUEUE_BYTES};

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    put: Notify,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Waiting {
    snapshots: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the first one, counted from the start.
    first: u64,
}

impl Queue {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self { waiting: Mutex::default(), put: Notify::new(), counts }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one behind the others. Without room for it the oldest are dropped; one stays always.
    pub(super) fn put(&self, snapshot: Bytes) {
        let mut waiting = self.lock();
        waiting.bytes += snapshot.len();
        waiting.snapshots.push_back(snapshot);
        let full = |it: &Waiting| it.snapshots.len() > QUEUE || it.bytes > QUEUE_BYTES.as_usize();
        while full(&waiting) && waiting.snapshots.len() > 1 {
            waiting.pop();
            self.counts.dropped.fetch_add(1, Relaxed);
        }
        self.count(&waiting);
        self.put.notify_one();
    }

    /// The oldest, with its number. It stays until it is done with.
    pub(super) fn first(&self) -> Option<(u64, Bytes)> {
        let waiting = self.lock();
        waiting.snapshots.front().map(|snapshot| (waiting.first, snapshot.clone()))
    }

    /// The same, waited for. Cancel-safe; for one task.
    pub(super) async fn next(&self) -> (u64, Bytes) {
        loop {
            match self.first() {
                Some(first) => return first,
                None => self.put.notified().await,
            }
        }
    }

    /// Takes the one of this number out; whether it was still there.
    pub(super) fn done(&self, number: u64) -> bool {
        let mut waiting = self.lock();
        let there = waiting.first == number && !waiting.snapshots.is_empty();
        if there {
            waiting.pop();
            self.count(&waiting);
        }
        there
    }

    fn count(&self, waiting: &Waiting) {
        self.counts.waiting.store(u64::try_from(waiting.snapshots.len()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Waiting {
    fn pop(&mut self) {
        if let Some(snapshot) = self.snapshots.pop_front() {
            self.bytes -= snapshot.len();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_the_newest_stays() {
        let counts = Arc::new(Counts::default());
        let queue = Queue::new(counts.clone());
        for n in 0..QUEUE + 3 {
            queue.put(Bytes::from(n.to_string()));
        }
        assert_eq!(counts.seen().snapshots[2], 3);
        assert_eq!(counts.seen().waiting, QUEUE as u64);
        assert_eq!(queue.first(), Some((3, Bytes::from("3"))));
        // One that was dropped while it was on its way is not taken for another.
        assert!(!queue.done(2));
        assert!(queue.done(3));
        assert_eq!(queue.first(), Some((4, Bytes::from("4"))));
        // By bytes, too: the newest stays in any case.
        queue.put(Bytes::from(vec![0; QUEUE_BYTES.as_usize() + 1]));
        assert_eq!(counts.seen().waiting, 1);
        assert_eq!(counts.seen().snapshots[2], 3 + QUEUE as u64 - 1);
        assert!(queue.done(19));
        assert!(queue.first().is_none() && counts.seen().waiting == 0);
    }
}
