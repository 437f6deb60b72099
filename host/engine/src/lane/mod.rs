//! The slow lane: where guests go on that outlive their first tick.
//!
//! A call begins in the I/O worker that asked for it, without a spawn; most end there. One
//! that is still at work after a whole tick is moved, as the future it is, to threads of low
//! priority, so that a worker goes back to its sockets. Those take turns between components
//! with every tick: many slow calls of one component hold up no other's. A component whose
//! calls are slow as a rule starts there. Used by `invoke`; knows nothing of what a call does.

mod queue;
mod run;
mod task;

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use queue::Lanes;
pub(crate) use run::Run;

/// A call that ran through this many ticks in an I/O worker is moved. The first may come at once,
/// or while the worker's thread did not even have a processor; only with the second it is sure
/// that a whole tick went by and the guest is still at work.
const TICKS: u32 = 2;
/// What a slow call adds to its component's score, and what the score may reach. A quick one
/// takes one off.
const SLOW: u32 = 2;
const MOST_SLOW: u32 = 8;
/// From this score on, calls start in the slow lane: two slow ones with no quick one between.
const STARTS_SLOW: u32 = 4;

thread_local! {
    /// Whether this thread is one of the slow lane.
    static HERE: Cell<bool> = const { Cell::new(false) };
    /// Set by the guest that is being polled on this thread, when it should be moved.
    static OUTLIVED: Cell<bool> = const { Cell::new(false) };
}

/// What a guest does when a tick finds it at work.
pub(crate) enum Tick {
    /// Goes on.
    Continue,
    /// Gives way: to be moved, or to let others have their turn.
    Yield,
}

/// A tick found a guest at work that has seen `ticks` of them.
pub(crate) fn tick(ticks: &mut u32) -> Tick {
    *ticks = ticks.saturating_add(1);
    if HERE.get() {
        return Tick::Yield;
    }
    if *ticks < TICKS {
        return Tick::Continue;
    }
    OUTLIVED.set(true);
    Tick::Yield
}

/// A component's way into the slow lane. A clone leads to the same.
#[derive(Clone)]
pub(crate) struct Line(Arc<Inner>);

struct Inner {
    lanes: Arc<Lanes>,
    number: usize,
    /// How slow its calls have been lately.
    score: AtomicU32,
}

impl Line {
    pub(crate) fn new(lanes: &Arc<Lanes>) -> Self {
        Self(Arc::new(Inner { lanes: lanes.clone(), number: lanes.add_line(), score: AtomicU32::new(0) }))
    }

    fn starts_slow(&self) -> bool {
        self.0.score.load(Relaxed) >= STARTS_SLOW
    }

    fn was_slow(&self) {
        // Two at once may lose one's count: the next makes up for it.
        self.0.score.store((self.0.score.load(Relaxed) + SLOW).min(MOST_SLOW), Relaxed);
    }

    fn was_quick(&self) {
        // Looked at first: written only by the few calls after a slow one.
        let score = self.0.score.load(Relaxed);
        if score > 0 {
            self.0.score.store(score - 1, Relaxed);
        }
    }
}

/// The value behind a lock. A panic while it was held left nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
