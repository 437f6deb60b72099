//! A call in the slow lane: a future, and whether it waits for its turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use monopod_core::BoxFuture;
use tokio::runtime::Handle;

use super::{Line, lock};
use crate::ticker::TICK;

pub(super) struct Task {
    work: Mutex<Option<BoxFuture<'static, ()>>>,
    state: AtomicU8,
    cancelled: AtomicBool,
    line: Arc<Line>,
    /// What its sockets and timers belong to: they are waited for by the I/O workers.
    runtime: Handle,
    /// Nanoseconds it had a thread for; counted only until it is known to be slow.
    spent: AtomicU64,
    slow: AtomicBool,
}

/// Waits for something; nobody holds it but who will wake it.
const WAITING: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// Polled right now.
const RUNNING: u8 = 2;
/// Polled right now, and woken since: to be queued again.
const WOKEN: u8 = 3;

/// Ends the task when it is dropped.
pub(super) struct Moved(Arc<Task>);

impl Drop for Moved {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Release);
        // A thread of the lane drops it: that may take a moment, and has time.
        Task::wake(self.0.clone());
    }
}

impl Task {
    /// Puts `work` into the queue. `slow`: it is known to be.
    pub(super) fn start(
        work: BoxFuture<'static, ()>,
        line: &Arc<Line>,
        runtime: Handle,
        slow: bool,
    ) -> Moved {
        let task = Arc::new(Self {
            work: Mutex::new(Some(work)),
            state: AtomicU8::new(QUEUED),
            cancelled: AtomicBool::new(false),
            line: line.clone(),
            runtime,
            spent: AtomicU64::new(0),
            slow: AtomicBool::new(slow),
        });
        task.queue();
        Moved(task)
    }

    fn queue(self: &Arc<Self>) {
        self.line.0.lanes.push(self.clone());
    }

    pub(super) fn line(&self) -> usize {
        self.line.0.number
    }

    /// Gives it the thread until it waits, gives way or ends; says for how long.
    pub(super) fn turn(self: &Arc<Self>) -> Duration {
        self.state.store(RUNNING, Ordering::Release);
        let began = Instant::now();
        // In here timers and sockets are those of the I/O workers.
        let entered = self.runtime.enter();
        // What the call itself panics over is caught further in; this is for what its drop does.
        let ended = catch_unwind(AssertUnwindSafe(|| self.poll())).unwrap_or(true);
        drop(entered);
        let used = began.elapsed();
        self.judge(used, ended);
        if !ended
            && self.state.compare_exchange(RUNNING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            // Woken while it ran.
            self.state.store(QUEUED, Ordering::Release);
            self.queue();
        }
        used
    }

    /// Whether it has ended, or must.
    fn poll(self: &Arc<Self>) -> bool {
        let mut work = lock(&self.work);
        let ended = match work.as_mut() {
            None => return true,
            Some(_) if self.cancelled.load(Ordering::Acquire) => true,
            Some(future) => {
                let waker = Waker::from(self.clone());
                future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
                    || self.cancelled.load(Ordering::Acquire)
            }
        };
        if ended {
            *work = None;
        }
        ended
    }

    /// Keeps the component's score of slow and quick calls.
    fn judge(&self, used: Duration, ended: bool) {
        if self.slow.load(Ordering::Relaxed) {
            return;
        }
        let used = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        let spent = self.spent.fetch_add(used, Ordering::Relaxed).saturating_add(used);
        if u128::from(spent) >= TICK.as_nanos() {
            self.slow.store(true, Ordering::Relaxed);
            self.line.was_slow();
        } else if ended {
            self.line.was_quick();
        }
    }

    /// Drops what it would have done: the engine ends.
    pub(super) fn abandon(&self) {
        let work = lock(&self.work).take();
        drop(work);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            WAITING => Some(QUEUED),
            RUNNING => Some(WOKEN),
            // It has its next turn already.
            _ => None,
        });
        if woken == Ok(WAITING) {
            self.queue();
        }
    }
}
