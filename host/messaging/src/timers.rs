//! The timers' loop: fires what is due, through the same failure policy as messages.
//!
//! The store is the only list of timers; the loop looks a few seconds ahead in it by the
//! wall clock. So a clock that jumps is noticed within [`LOOK_EVERY`], and neither loses
//! a timer (it stays in the store until its unit is committed) nor fires one twice (what
//! fires or waits is remembered by name and version).

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use monopod_core::message::{Timer, TimerId};
use monopod_core::name::ComponentName;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use crate::attempt::{self, Result, worth_saying};
use crate::backoff::SETBACKS;
use crate::dispatcher::Room;
use crate::hub::Alarm;
use crate::lock;
use crate::status::{Meter, count};

/// How long the loop sleeps at most, by a clock that does not jump: how late a timer can
/// be after the wall clock was put forward.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many timers fire at once, and how many of them of one component, so that one
/// whose timers are slow leaves room for the others.
const FIRING: usize = 64;
const FIRING_OF_COMPONENT: usize = 32;
/// How many timers one look sees beside those that it knows of.
const PAGE: usize = 256;
/// How many set-back timers are remembered. More than these at once wait for one of them.
const SET_BACK: usize = 1_024;
/// Tries for a timer of a component that is not in the settings any more, before it is
/// put with the dead letters: as many as by default.
const ATTEMPTS_OF_UNKNOWN: u32 = 8;

type Named = (TimerId, u64);
type Firing = JoinSet<(Named, Result)>;

pub(crate) struct Timers {
    pub(crate) room: Room,
    pub(crate) alarm: Arc<Alarm>,
    /// Tries for each component.
    pub(crate) attempts: HashMap<ComponentName, u32>,
    pub(crate) meter: Meter,
    pub(crate) moved: Mutex<Instant>,
}

/// What the loop remembers between two looks.
#[derive(Default)]
struct Memory {
    firing: HashSet<Named>,
    /// How many of them each component has.
    of_component: HashMap<ComponentName, usize>,
    /// Set back: how often in a row, and until when.
    set_back: HashMap<Named, (u32, Instant)>,
    /// Something was due and found no room.
    passed_over: bool,
    /// Looks that failed, in a row.
    failures: u32,
}

impl Timers {
    /// As [`crate::dispatcher::Dispatcher::run`].
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let mut firing = Firing::new();
            if AssertUnwindSafe(self.serve(&mut firing)).catch_unwind().await.is_ok() {
                return self.drain(firing).await;
            }
            tracing::error!("the timers' loop failed and begins anew");
            firing.shutdown().await;
            self.meter.in_flight.store(0, Ordering::Relaxed);
            tokio::select! {
                () = self.room.shutdown.cancelled() => return,
                () = tokio::time::sleep(SETBACKS.delay(u32::MAX)) => {}
            }
        }
    }

    /// For how long the loop has got nowhere.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*lock(&self.moved))
    }

    async fn serve(self: &Arc<Self>, firing: &mut Firing) {
        let mut memory = Memory::default();
        while !self.room.shutdown.is_cancelled() {
            // Endings are taken in before a look, never during one: what ends meanwhile
            // is still known as firing when the page arrives that may yet show it.
            while let Some(ended) = firing.try_join_next() {
                self.ended(&mut memory, ended);
            }
            let next = self.look(&mut memory, firing).await;
            self.rest(&mut memory, firing, next).await;
        }
    }

    /// Waits until it is time to look again, or there is a reason to.
    async fn rest(&self, memory: &mut Memory, firing: &mut Firing, next: Instant) {
        loop {
            tokio::select! {
                () = self.room.shutdown.cancelled() => return,
                Some(ended) = firing.join_next() => {
                    if self.ended(memory, ended) || memory.passed_over {
                        return;
                    }
                }
                () = self.alarm.earlier() => return,
                () = tokio::time::sleep_until(next) => return,
            }
        }
    }

    /// Fires what is due and says when to look again.
    async fn look(self: &Arc<Self>, memory: &mut Memory, firing: &mut Firing) -> Instant {
        let room = &self.room;
        self.alarm.looking();
        let horizon = (room.clock)().saturating_add(millis(LOOK_EVERY));
        let limit = memory.firing.len() + memory.set_back.len() + PAGE;
        let page = tokio::select! {
            () = room.shutdown.cancelled() => return Instant::now(),
            page = room.store.timers_due(horizon, limit) => page,
        };
        let timers = match page {
            Ok(timers) => timers,
            Err(error) => {
                memory.failures += 1;
                if worth_saying(memory.failures) {
                    let failures = memory.failures;
                    tracing::warn!(%error, failures, "timers could not be read from the store");
                }
                return Instant::now() + SETBACKS.delay(memory.failures);
            }
        };
        memory.failures = 0;
        let now = room.now();
        let whole = timers.len() < limit;
        let (due, coming): (Vec<_>, Vec<_>) = timers.into_iter().partition(|timer| timer.due_at <= now.wall);
        if whole {
            // A timer that was cancelled or replaced while it was set back.
            let there: HashSet<_> = due.iter().map(|timer| (&timer.id, timer.version)).collect();
            memory.set_back.retain(|(id, version), _| there.contains(&(id, *version)));
        }
        let mut next = now.instant + LOOK_EVERY;
        if let Some(soonest) = coming.iter().map(|timer| timer.due_at - now.wall).min() {
            next = next.min(now.instant + Duration::from_millis(soonest));
        }
        memory.passed_over = false;
        for timer in due {
            let named = (timer.id.clone(), timer.version);
            let set_back_until = memory.set_back.get(&named).map(|(_, until)| *until);
            if memory.firing.contains(&named) {
                // Its ending wakes the loop.
            } else if let Some(until) = set_back_until.filter(|until| *until > now.instant) {
                next = next.min(until);
            } else if memory.has_room(&named) {
                self.fire(memory, firing, named, timer);
            } else {
                memory.passed_over = true;
            }
        }
        if !whole && coming.is_empty() && !memory.passed_over {
            // All of a full page fires or is set back: there is more, and room for it.
            next = now.instant;
        }
        self.alarm.looked(now.wall.saturating_add(millis(next.saturating_duration_since(now.instant))));
        if !memory.passed_over && memory.set_back.is_empty() {
            *lock(&self.moved) = now.instant;
        }
        next
    }

    fn fire(self: &Arc<Self>, memory: &mut Memory, firing: &mut Firing, named: Named, timer: Timer) {
        *memory.of_component.entry(timer.id.component.clone()).or_default() += 1;
        memory.firing.insert(named.clone());
        count(&self.meter.in_flight);
        let span = tracing::info_span!(
            "fire",
            component = %timer.id.component,
            correlation = %timer.correlation,
            trace = %timer.trace,
        );
        let this = Arc::clone(self);
        firing.spawn(async move { (named, this.attempt(&timer).await) }.instrument(span));
    }

    async fn attempt(&self, timer: &Timer) -> Result {
        let room = &self.room;
        let attempts = self.attempts.get(&timer.id.component).copied().unwrap_or(ATTEMPTS_OF_UNKNOWN);
        let result = attempt::make(room.components.fire(timer), timer.attempt, attempts).await;
        self.note(timer, &result);
        if let Some((verdict, reason)) = attempt::verdict(&result, (room.clock)()) {
            let write = || {
                room.store.timer_failed(timer.id.clone(), timer.version, reason.to_owned(), verdict.clone())
            };
            attempt::record(write, &room.shutdown).await;
        }
        result
    }

    fn note(&self, timer: &Timer, result: &Result) {
        let (timer, attempt) = (&*timer.id.name, timer.attempt);
        match result {
            Result::Done => count(&self.meter.done),
            Result::Settled => tracing::debug!(timer, "the timer was settled or replaced meanwhile"),
            Result::SetBack(why) => {
                count(&self.meter.set_back);
                tracing::debug!(timer, why, "the timer waits");
            }
            Result::Retry(wait, why) => {
                count(&self.meter.failed);
                tracing::warn!(timer, attempt, again_in_ms = millis(*wait), why, "the timer failed");
            }
            Result::Dead(why) => {
                count(&self.meter.dead);
                tracing::error!(timer, attempt, why, "the timer goes to the dead letters");
            }
        }
    }

    /// Takes in an ending. True if there is a reason to look again: a new due time.
    fn ended(&self, memory: &mut Memory, ended: std::result::Result<(Named, Result), JoinError>) -> bool {
        let (named, result) = match ended {
            Ok(ended) => ended,
            // A handler's panic is caught in its attempt; so it was the store that failed,
            // and what it knows is to be read anew.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return false,
        };
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
        memory.firing.remove(&named);
        if let Some(count) = memory.of_component.get_mut(&named.0.component) {
            *count -= 1;
        }
        if let Result::SetBack(_) = result {
            let times = memory.set_back.get(&named).map_or(1, |(times, _)| times.saturating_add(1));
            memory.set_back.insert(named, (times, Instant::now() + SETBACKS.delay(times)));
            return true;
        }
        memory.set_back.remove(&named);
        *lock(&self.moved) = Instant::now();
        matches!(result, Result::Retry(..))
    }

    async fn drain(&self, mut firing: Firing) {
        let all = async { while firing.join_next().await.is_some() {} };
        if tokio::time::timeout(self.room.grace, all).await.is_err() {
            tracing::warn!(left = firing.len(), "timers did not end in time; they fire again");
            firing.shutdown().await;
        }
    }
}

impl Memory {
    fn has_room(&self, named: &Named) -> bool {
        let of_component = self.of_component.get(&named.0.component).copied().unwrap_or(0);
        self.firing.len() < FIRING
            && of_component < FIRING_OF_COMPONENT
            && (self.set_back.len() < SET_BACK || self.set_back.contains_key(named))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
