//! What messaging tells about itself: health by measured progress, and counters.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monopod_core::name::ComponentName;

/// So long may there be something to do without anything moving before messaging calls
/// itself stuck. Several times what one invocation may take by default, so that a slow
/// handler alone does not look like a fault.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Whether messages and timers move. Measured: there was something to do, and since when
/// has nothing been done? A task that is alive but stands still is not healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// How long the oldest message that may be handled now has been waiting. By the wall
    /// clock; for people. None: none waits.
    pub oldest: Option<Duration>,
    /// Who has had something to do for longer than [`STUCK_AFTER`] and got nowhere.
    pub stuck: Vec<Stuck>,
}

/// One who gets nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The consumer; none: the timers.
    pub consumer: Option<ComponentName>,
    /// For how long.
    pub since: Duration,
}

impl Health {
    /// Whether everything moves.
    pub fn moving(&self) -> bool {
        self.stuck.is_empty()
    }
}

/// One line for a person or a probe.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stuck.is_empty() {
            return f.write_str("messages and timers move");
        }
        for (n, stuck) in self.stuck.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            match &stuck.consumer {
                Some(name) => write!(f, "messages for `{name}`")?,
                None => f.write_str("timers")?,
            }
            write!(f, " have not moved for {} s", stuck.since.as_secs())?;
        }
        Ok(())
    }
}

/// Counters of a consumer or of the timers, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Handled and settled.
    pub done: u64,
    /// Attempts that failed and will be repeated.
    pub failed: u64,
    /// Tries put off because the component was overloaded, or the store busy or away.
    pub set_back: u64,
    /// Given up, or rejected: published to the dead-letter topic.
    pub dead: u64,
}

/// A consumer, measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Which.
    pub component: ComponentName,
    /// What has happened.
    pub counters: Counters,
    /// Handlers running now.
    pub in_flight: u64,
    /// Messages not settled yet, running ones included, as far as known: a lower bound
    /// while a backlog is being read.
    pub lag: u64,
    /// How long the oldest message that may be handled now has been waiting.
    pub oldest: Option<Duration>,
}

/// The timers, measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimerStatus {
    /// What has happened.
    pub counters: Counters,
    /// Firing now.
    pub in_flight: u64,
}

/// The counters as they are kept.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) done: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) set_back: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) in_flight: AtomicU64,
}

impl Meter {
    pub(crate) fn counters(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            done: of(&self.done),
            failed: of(&self.failed),
            set_back: of(&self.set_back),
            dead: of(&self.dead),
        }
    }
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
