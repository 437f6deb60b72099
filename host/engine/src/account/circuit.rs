//! The circuit breaker of a component: opens after repeated failures, stays open for a
//! time that grows, then lets one call through to see. So a component that traps on every
//! call costs its callers a clear answer at once, and messages wait without using up
//! their attempts.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monopod_core::limit::circuit::{FAILURES, FIRST, MOST, WINDOW};
use monopod_core::seen;

#[derive(Default)]
pub(crate) struct Circuit {
    /// Whether [`Inner`] says anything else than "closed": all that a good call looks at.
    open: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Since when failures are counted, and how many calls had ended then.
    window: Option<(Instant, u64)>,
    failures: u32,
    /// Until when it is left alone.
    open: Option<Instant>,
    /// Whether the one call is under way.
    probing: bool,
    /// Times it opened in a row.
    times: u32,
    /// When it closed last.
    closed: Option<Instant>,
}

/// Leave to make a call. Dropped without a word about how it ended, it counts for nothing.
pub(crate) struct Pass<C: Deref<Target = Circuit>> {
    circuit: C,
    probe: bool,
}

impl Circuit {
    /// Leave to call; otherwise how long not.
    pub(crate) fn pass<C: Deref<Target = Self>>(
        circuit: C,
        now: impl FnOnce() -> Instant,
    ) -> Result<Pass<C>, Duration> {
        if !circuit.open.load(Relaxed) {
            return Ok(Pass { circuit, probe: false });
        }
        let mut inner = circuit.lock();
        let Some(until) = inner.open else {
            drop(inner);
            return Ok(Pass { circuit, probe: false });
        };
        let wait = until.saturating_duration_since(now());
        if !wait.is_zero() {
            return Err(wait);
        }
        if inner.probing {
            // How long the one call takes is not known: soon again.
            return Err(FIRST);
        }
        inner.probing = true;
        drop(inner);
        Ok(Pass { circuit, probe: true })
    }

    /// For people.
    pub(crate) fn state(&self, now: Instant) -> seen::Circuit {
        let inner = self.lock();
        match inner.open {
            None => seen::Circuit::Closed,
            Some(_) if inner.probing => seen::Circuit::HalfOpen,
            Some(until) => seen::Circuit::Open(until.saturating_duration_since(now)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Deref<Target = Circuit>> Pass<C> {
    /// The call ended without trap or timeout. True if that closed the circuit.
    pub(crate) fn good(mut self, now: impl FnOnce() -> Instant) -> bool {
        if !std::mem::take(&mut self.probe) {
            return false;
        }
        let mut inner = self.circuit.lock();
        *inner = Inner { times: inner.times, closed: Some(now()), ..Inner::default() };
        self.circuit.open.store(false, Relaxed);
        true
    }

    /// The call trapped or did not answer; `ended` calls have ended so far. The time for
    /// which the component is left alone now, if this opened the circuit.
    pub(crate) fn bad(mut self, now: Instant, ended: u64) -> Option<Duration> {
        let probe = std::mem::take(&mut self.probe);
        let mut inner = self.circuit.lock();
        if inner.open.is_some() && !probe {
            // Began before it opened.
            return None;
        }
        if !probe && !inner.count(now, ended) {
            return None;
        }
        let times = if inner.closed.is_some_and(|closed| now.saturating_duration_since(closed) > MOST) {
            0
        } else {
            inner.times
        };
        let wait = jitter(FIRST.saturating_mul(1 << times.min(16)).min(MOST));
        *inner = Inner { open: Some(now + wait), times: times + 1, ..Inner::default() };
        self.circuit.open.store(true, Relaxed);
        Some(wait)
    }
}

impl<C: Deref<Target = Circuit>> Drop for Pass<C> {
    fn drop(&mut self) {
        if self.probe {
            self.circuit.lock().probing = false;
        }
    }
}

impl Inner {
    /// Counts a failure; true if there are enough.
    fn count(&mut self, now: Instant, ended: u64) -> bool {
        let fresh = self.window.filter(|(since, _)| now.saturating_duration_since(*since) <= WINDOW);
        let (_, before) = *self.window.insert(fresh.unwrap_or_else(|| {
            self.failures = 0;
            (now, ended)
        }));
        self.failures += 1;
        let calls = ended.saturating_sub(before);
        self.failures >= FAILURES && u64::from(self.failures) * 2 >= calls
    }
}

/// A fifth more or less: what failed together is not tried together.
fn jitter(time: Duration) -> Duration {
    // The seed of hash maps is randomness enough; it protects nothing.
    let random = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    time.mul_f64(0.8 + 0.4 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(circuit: &Circuit, now: Instant, ended: u64) -> Option<Duration> {
        Circuit::pass(circuit, || now).ok().and_then(|pass| pass.bad(now, ended))
    }

    fn open(circuit: &Circuit, now: Instant) -> Duration {
        (0..100).find_map(|n| fail(circuit, now, n)).unwrap()
    }

    #[test]
    fn it_opens_after_so_many_failures_and_not_before() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        let opened = (1..=20).find(|n| fail(&circuit, now, u64::from(*n)).is_some());
        assert_eq!(opened, Some(FAILURES));
        assert!(matches!(circuit.state(now), seen::Circuit::Open(_)));
        assert!(Circuit::pass(&circuit, || now).is_err());
    }

    #[test]
    fn failures_among_many_good_calls_or_far_apart_do_not_open_it() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        assert!((0..1_000).all(|n| fail(&circuit, now, n * 3).is_none()));
        let circuit = Circuit::default();
        let seconds = |n| now + Duration::from_secs(n * 3);
        assert!((0..1_000).all(|n| fail(&circuit, seconds(n), n).is_none()));
    }

    #[test]
    fn one_call_is_tried_and_decides() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        let wait = open(&circuit, now);
        let later = now + wait;
        let probe = Circuit::pass(&circuit, || later).ok().unwrap();
        assert_eq!(circuit.state(later), seen::Circuit::HalfOpen);
        assert!(Circuit::pass(&circuit, || later).is_err(), "a second call beside the first");
        let longer = probe.bad(later, 0).unwrap();
        assert!(longer > wait, "{longer:?} after {wait:?}");
        let later = later + longer;
        // One whose caller went away says nothing: the next is tried.
        drop(Circuit::pass(&circuit, || later).ok().unwrap());
        assert!(Circuit::pass(&circuit, || later).ok().unwrap().good(|| later));
        assert_eq!(circuit.state(later), seen::Circuit::Closed);
        assert!(Circuit::pass(&circuit, || later).is_ok());
    }

    #[test]
    fn the_time_grows_to_a_bound_and_falls_after_a_good_while() {
        let (circuit, mut now) = (Circuit::default(), Instant::now());
        let mut wait = open(&circuit, now);
        assert!(wait <= FIRST * 2, "{wait:?}");
        for _ in 0..20 {
            now += wait;
            wait = Circuit::pass(&circuit, || now).ok().unwrap().bad(now, 0).unwrap();
        }
        assert!(wait >= MOST.mul_f64(0.79) && wait <= MOST.mul_f64(1.21), "{wait:?}");
        now += wait;
        assert!(Circuit::pass(&circuit, || now).ok().unwrap().good(|| now));
        now += MOST + Duration::from_secs(1);
        assert!(open(&circuit, now) <= FIRST * 2);
    }

    #[test]
    fn calls_that_began_before_it_opened_change_nothing() {
        let (circuit, now) = (Circuit::default(), Instant::now());
        let (bad, good) =
            (Circuit::pass(&circuit, || now).ok().unwrap(), Circuit::pass(&circuit, || now).ok().unwrap());
        open(&circuit, now);
        assert_eq!(bad.bad(now, 0), None);
        assert!(!good.good(|| now));
        assert!(Circuit::pass(&circuit, || now).is_err());
    }
}
