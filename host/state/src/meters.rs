//! What the store counts, for metrics. Written by the writer thread, read by anybody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Units committed, empty ones included.
    pub units: u64,
    /// Transactions that reached the disk. Each took one fsync, so `units / commits`
    /// is how many units shared one.
    pub commits: u64,
    /// Units told to run again because another had overtaken them.
    pub conflicts: u64,
    /// Units dropped because their cause was settled already.
    pub settled: u64,
    /// Requests that failed: disk full, engine errors.
    pub failures: u64,
    /// Messages published, dead letters included.
    pub published: u64,
    /// Messages that went to a dead-letter topic, timers included.
    pub dead_letters: u64,
    /// Checkpoints of the write-ahead log.
    pub checkpoints: u64,
    /// Pages in the write-ahead log now, 4 KiB each.
    pub log_pages: u64,
    /// Requests waiting for the writer now.
    pub queued: u64,
}

/// The same, as it is being counted.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub units: AtomicU64,
    pub commits: AtomicU64,
    pub conflicts: AtomicU64,
    pub settled: AtomicU64,
    pub failures: AtomicU64,
    pub published: AtomicU64,
    pub dead_letters: AtomicU64,
    pub checkpoints: AtomicU64,
    pub log_pages: AtomicU64,
}

impl Meters {
    pub fn read(&self, queued: u64) -> Stats {
        Stats {
            units: self.units.load(Relaxed),
            commits: self.commits.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            settled: self.settled.load(Relaxed),
            failures: self.failures.load(Relaxed),
            published: self.published.load(Relaxed),
            dead_letters: self.dead_letters.load(Relaxed),
            checkpoints: self.checkpoints.load(Relaxed),
            log_pages: self.log_pages.load(Relaxed),
            queued,
        }
    }
}

/// One more.
pub(crate) fn count(meter: &AtomicU64) {
    meter.fetch_add(1, Relaxed);
}
