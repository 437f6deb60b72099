//! So much for each second, with room for a burst: the generic cell rate algorithm in one
//! atomic word. Used for the share of the processors and for the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A second in nanoseconds, with 32 binary places.
const SECOND: u64 = 1_000_000_000 << 32;

/// A rate.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Nanoseconds for each unit, with 32 binary places: a division for each use would cost
    /// more than all the rest.
    unit: u64,
    burst: u64,
    /// When all that was used so far would have been used at the rate, in nanoseconds
    /// since the first look at the clock.
    used_until: AtomicU64,
}

impl Rate {
    /// `rate` units for each second, of which as many as come in `burst` may be used at once.
    pub(crate) fn new(rate: u64, burst: Duration) -> Self {
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        Self { unit: SECOND / rate.max(1), burst, used_until: AtomicU64::new(0) }
    }

    /// Uses `units`, if they may be used now.
    pub(crate) fn take(&self, units: u64, now: Instant) -> bool {
        let now = nanos(now);
        let cost = self.cost(units);
        let take = |until: u64| {
            let until = until.max(now).saturating_add(cost);
            (until <= now.saturating_add(self.burst)).then_some(until)
        };
        self.used_until.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Uses `units` in any case: they are spent already.
    pub(crate) fn spend(&self, units: u64, now: Instant) {
        let (now, cost) = (nanos(now), self.cost(units));
        let before = self.used_until.load(Relaxed);
        if before >= now {
            self.used_until.fetch_add(cost, Relaxed);
            return;
        }
        // Another may be faster and is then added to; what a race loses is microseconds.
        let new = now.saturating_add(cost);
        if self.used_until.compare_exchange(before, new, Relaxed, Relaxed).is_err() {
            self.used_until.fetch_add(cost, Relaxed);
        }
    }

    /// How long until something may be used again; none: now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let allowed = nanos(now).saturating_add(self.burst);
        let wait = self.used_until.load(Relaxed).saturating_sub(allowed);
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// How long `units` take at the rate.
    fn cost(&self, units: u64) -> u64 {
        u64::try_from((u128::from(units) * u128::from(self.unit)) >> 32).unwrap_or(u64::MAX >> 1)
    }
}

/// An instant as a number: nanoseconds since the first one asked for.
fn nanos(at: Instant) -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*FIRST.get_or_init(Instant::now));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate_and_one_burst_is_given() {
        let rate = Rate::new(1_000, Duration::from_secs(2));
        let start = Instant::now() + Duration::from_secs(1);
        let mut given = 0;
        for millis in 0..10_000 {
            let now = start + Duration::from_millis(millis);
            given += (0..10).filter(|_| rate.take(1, now)).count();
        }
        assert!((11_900..=12_100).contains(&given), "{given}");
    }

    #[test]
    fn who_spends_too_much_waits_until_it_is_paid_back() {
        let rate = Rate::new(100, Duration::from_secs(1));
        let now = Instant::now() + Duration::from_secs(1);
        rate.spend(100, now);
        assert_eq!(rate.wait(now), None);
        rate.spend(50, now);
        let wait = rate.wait(now).unwrap();
        assert!(wait.abs_diff(Duration::from_millis(500)) < Duration::from_millis(1), "{wait:?}");
        assert_eq!(rate.wait(now + Duration::from_millis(501)), None);
    }
}
