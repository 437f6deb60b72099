//! What one caller may cost in a while: a bucket of points for each identity, filled at a steady
//! rate. An operation takes its estimate before it runs; when it has run, what it did not use
//! goes back, and what it used beyond is owed. Asked by every protocol, after the rights.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use monopod_core::identity::{Owner, Principal};

use crate::error::{Failure, code};
use crate::json::Json;
use crate::settings::Budget;

/// Callers that are remembered. One that has not asked for an interval has a full bucket and
/// is forgotten first; beyond that, whoever's bucket is fullest.
const MAX_CALLERS: usize = 10_000;

/// The buckets of all callers.
#[derive(Default)]
pub(crate) struct Budgets(Mutex<HashMap<Option<Owner>, Bucket>>);

#[derive(Clone, Copy)]
struct Bucket {
    /// Points that are there; below zero: owed.
    level: f64,
    at: Instant,
}

impl Bucket {
    fn fill(&mut self, budget: Budget, now: Instant) {
        let units = budget.units as f64;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * units / budget.interval.as_secs_f64()).min(units);
        self.at = now;
    }
}

impl Budgets {
    /// Takes `cost` out of the caller's bucket, or says when there will be enough.
    pub fn take(
        &self,
        budget: Option<Budget>,
        caller: &Principal,
        cost: u64,
        now: Instant,
    ) -> Result<(), Failure> {
        let Some(budget) = budget else { return Ok(()) };
        let (units, cost) = (budget.units as f64, cost as f64);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = caller.owner().cloned();
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(&key) {
            make_room(&mut buckets, budget, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { level: units, at: now });
        bucket.fill(budget, now);
        if bucket.level < cost {
            let seconds = (cost - bucket.level) * budget.interval.as_secs_f64() / units;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few intervals at most"
            )]
            let wait = (seconds.ceil() as u64).max(1);
            let text = "You have used up what you may ask for in a while; try again later.";
            return Err(Failure::new(code::BUDGET_EXCEEDED, text).with("retryAfter", Json::Large(wait)));
        }
        bucket.level -= cost;
        Ok(())
    }

    /// Corrects what was taken by what it was worth. Nobody owes more than a whole budget, so
    /// that everybody may ask again after two intervals.
    pub fn settle(&self, budget: Option<Budget>, caller: &Principal, taken: u64, actual: u64) {
        let Some(budget) = budget else { return };
        if taken == actual {
            return;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&caller.owner().cloned()) {
            let units = budget.units as f64;
            bucket.level = (bucket.level + taken as f64 - actual as f64).clamp(-units, units);
        }
    }
}

fn make_room(buckets: &mut HashMap<Option<Owner>, Bucket>, budget: Budget, now: Instant) {
    buckets.retain(|_, bucket| {
        bucket.fill(budget, now);
        bucket.level < budget.units as f64
    });
    if buckets.len() >= MAX_CALLERS {
        let mut levels: Vec<f64> = buckets.values().map(|bucket| bucket.level).collect();
        let (_, middle, _) = levels.select_nth_unstable_by(MAX_CALLERS / 2, f64::total_cmp);
        let middle = *middle;
        buckets.retain(|_, bucket| bucket.level < middle);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BUDGET: Option<Budget> = Some(Budget { units: 100, interval: Duration::from_secs(10) });

    fn caller(name: &str) -> Principal {
        Principal::Owner(Owner { issuer: "i".into(), subject: name.into() })
    }

    #[test]
    fn a_caller_has_a_budget_that_fills_again_and_that_nobody_else_uses() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        let (ada, bob) = (caller("ada"), caller("bob"));
        budgets.take(BUDGET, &ada, 90, now).unwrap();
        let refused = budgets.take(BUDGET, &ada, 30, now).unwrap_err();
        assert_eq!((&*refused.code, &refused.extensions[0].1), (code::BUDGET_EXCEEDED, &Json::Large(2)));
        budgets.take(BUDGET, &bob, 100, now).unwrap();
        budgets.take(BUDGET, &ada, 30, now + Duration::from_secs(2)).unwrap();
        // What was not used goes back, what was used beyond is owed, and no more than a budget.
        budgets.settle(BUDGET, &ada, 30, 0);
        budgets.take(BUDGET, &ada, 30, now + Duration::from_secs(2)).unwrap();
        budgets.settle(BUDGET, &ada, 0, 1_000_000);
        assert!(budgets.take(BUDGET, &ada, 1, now + Duration::from_secs(11)).is_err());
        budgets.take(BUDGET, &ada, 90, now + Duration::from_secs(22)).unwrap();
        // Without a budget there is none.
        budgets.take(None, &bob, u64::MAX, now).unwrap();
    }

    #[test]
    fn callers_without_number_take_a_bounded_amount_of_memory_and_the_busiest_are_remembered() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        budgets.take(BUDGET, &caller("busy"), 100, now).unwrap();
        for number in 0..3 * MAX_CALLERS {
            budgets.take(BUDGET, &caller(&number.to_string()), 1, now).unwrap();
            assert!(budgets.0.lock().unwrap().len() <= MAX_CALLERS);
        }
        assert!(budgets.take(BUDGET, &caller("busy"), 1, now).is_err());
    }
}
