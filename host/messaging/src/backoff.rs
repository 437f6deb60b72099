//! How long to wait before the next try: grows with each failure, bounded, with jitter.
//! Only durations; who waits, and what counts as a failure, is decided elsewhere.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Between the counted attempts of a message or timer. With the default of 8 attempts
/// the seven waits add up to about two minutes: longer than a restart of what a handler
/// depends on, shorter than a person's patience with a photo. From 1 s, because sooner
/// mostly meets the same fault again; at most a minute, because after that the dead
/// letter helps more than a further try.
pub(crate) const ATTEMPTS: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };

/// While a component is overloaded, or the store refused or was overtaken: nobody's
/// fault, and over soon. Five seconds at most, so that a cured fault is noticed.
pub(crate) const SETBACKS: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };

/// The longest wait a handler may ask for. Its key stands still meanwhile, so that a
/// later date is a timer's business.
pub(crate) const MOST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// Doubling waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// The wait after the `failures`-th failure in a row (from 1): doubled each time up
    /// to the bound, then 20 % more or less, so that what failed together does not come
    /// back together.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let wait = self.first.saturating_mul(1 << doublings).min(self.most);
        wait.mul_f64(0.8 + 0.4 * random())
    }
}

/// From 0 to 1. The standard library's seed for hash maps is randomness enough to
/// spread retries; it protects nothing.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_vary_by_a_fifth() {
        for (failures, middle) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60), (u32::MAX, 60)]
        {
            for _ in 0..50 {
                let ratio = ATTEMPTS.delay(failures).as_secs_f64() / f64::from(middle);
                assert!((0.79..=1.21).contains(&ratio), "{failures}: {ratio}");
            }
        }
    }

    #[test]
    fn eight_attempts_take_about_two_minutes() {
        let all: Duration = (1..8).map(|failures| ATTEMPTS.delay(failures)).sum();
        assert!((90..=150).contains(&all.as_secs()), "{all:?}");
    }

    #[test]
    fn two_that_fail_together_do_not_come_back_together() {
        let waits: std::collections::HashSet<_> = (0..20).map(|_| ATTEMPTS.delay(5)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
