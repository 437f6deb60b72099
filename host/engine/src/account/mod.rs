//! What a component uses up and how its calls end: counted for people, and for the limits
//! that hold over all its calls. Written by every call, so without a lock and spread over
//! shards; read when somebody looks.

mod circuit;
mod clock;
mod rate;

use std::ops::Deref;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use monopod_core::component::Limits;
use monopod_core::limit::Limit;
use monopod_core::seen::{self, Failure, Histogram, Kind};

pub(crate) use circuit::{Circuit, Pass};
pub(crate) use clock::{Metered, tick};
pub(crate) use rate::Rate;

use crate::shard::Sharded;

/// How far a component may run ahead of its share of the processors: a burst of work
/// after a pause is not held up.
const SHARE_BURST: Duration = Duration::from_secs(1);
/// How far it may run ahead of its log rate: a stack trace, not a flood.
const LOG_BURST: Duration = Duration::from_secs(4);
/// Processor time of a shard that its component's share is not told of yet, at most: a ten
/// thousandth of the burst, and some ten calls.
const UNTOLD: u64 = 100_000;

/// The accounts of one component.
pub(crate) struct Account {
    shards: Sharded<Shard>,
    limits: [AtomicU64; Limit::ALL.len()],
    memory_most: AtomicU64,
    /// Its share of the processors, in nanoseconds.
    pub(crate) share: Rate,
    /// Its log, in bytes.
    pub(crate) log: Rate,
    pub(crate) circuit: Circuit,
}

/// What one group of threads counts.
struct Shard {
    calls: [AtomicU64; Kind::ALL.len()],
    failures: [AtomicU64; Failure::ALL.len()],
    cpu: AtomicU64,
    /// Of that, what the share is not told of yet.
    untold: AtomicU64,
    /// Grown here and given back there: only the sum of all shards is a size.
    memory: AtomicI64,
    latency: AtomicU64,
    buckets: [AtomicU64; Histogram::BUCKETS],
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            failures: Default::default(),
            cpu: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            memory: AtomicI64::new(0),
            latency: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; Histogram::BUCKETS],
        }
    }
}

impl Account {
    pub(crate) fn new(limits: &Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let nanos = u64::try_from(cores).unwrap_or(1).saturating_mul(10_000_000);
        Self {
            shards: Sharded::new(Shard::default),
            limits: [const { AtomicU64::new(0) }; Limit::ALL.len()],
            memory_most: AtomicU64::new(0),
            // A hundredth of a core is ten million nanoseconds for each second.
            share: Rate::new(nanos.saturating_mul(limits.cpu_share.into()), SHARE_BURST),
            log: Rate::new(limits.log.get(), LOG_BURST),
            circuit: Circuit::default(),
        }
    }

    /// Counts a limit that was reached.
    pub(crate) fn hit(&self, limit: Limit) {
        if let Some(hits) = self.limits.get(limit.index()) {
            hits.fetch_add(1, Relaxed);
        }
    }

    /// Counts processor time.
    pub(crate) fn spent(&self, time: Duration, now: Instant) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let shard = self.shards.mine();
        shard.cpu.fetch_add(nanos, Relaxed);
        let untold = shard.untold.fetch_add(nanos, Relaxed).saturating_add(nanos);
        if untold >= UNTOLD {
            // Another thread of the shard may have been faster; each nanosecond is told once.
            self.share.spend(shard.untold.swap(0, Relaxed), now);
        }
    }

    /// Counts memory that an instance took (or, below zero, gave back).
    pub(crate) fn memory(&self, bytes: i64) {
        self.shards.mine().memory.fetch_add(bytes, Relaxed);
    }

    /// An instance has grown to `bytes`.
    pub(crate) fn grown(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.memory_most.load(Relaxed) < bytes {
            self.memory_most.fetch_max(bytes, Relaxed);
        }
    }

    /// All calls that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.shards.iter().flat_map(|shard| &shard.calls).map(|calls| calls.load(Relaxed)).sum()
    }

    fn end(&self, kind: Kind, took: Duration, failure: Option<Failure>) {
        let shard = self.shards.mine();
        let add = |counter: Option<&AtomicU64>, n: u64| {
            if let Some(counter) = counter {
                counter.fetch_add(n, Relaxed);
            }
        };
        add(shard.calls.get(kind as usize), 1);
        add(shard.buckets.get(Histogram::bucket(took)), 1);
        add(Some(&shard.latency), u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(failure) = failure {
            add(shard.failures.get(failure as usize), 1);
        }
    }

    /// What `operate` shows. The caller fills in what is not counted here.
    pub(crate) fn fill(&self, seen: &mut seen::Component, now: Instant) {
        let mut memory = 0;
        for shard in self.shards.iter() {
            let sum = |into: &mut [u64], from: &[AtomicU64]| {
                for (into, from) in into.iter_mut().zip(from) {
                    *into += from.load(Relaxed);
                }
            };
            sum(&mut seen.calls, &shard.calls);
            sum(&mut seen.failures, &shard.failures);
            sum(&mut seen.latency.counts, &shard.buckets);
            seen.latency.sum += Duration::from_nanos(shard.latency.load(Relaxed));
            seen.cpu += Duration::from_nanos(shard.cpu.load(Relaxed));
            memory += shard.memory.load(Relaxed);
        }
        seen.memory = u64::try_from(memory).unwrap_or(0);
        seen.memory_most = self.memory_most.load(Relaxed);
        for (into, from) in seen.limits.iter_mut().zip(&self.limits) {
            *into = from.load(Relaxed);
        }
        seen.circuit = self.circuit.state(now);
    }
}

/// A call that is counted when it ends; as abandoned if nobody says how it did.
pub(crate) struct Tally<A: Deref<Target = Account>> {
    account: A,
    kind: Kind,
    began: Instant,
    ended: bool,
}

impl<A: Deref<Target = Account>> Tally<A> {
    /// Of a call that began at `began`.
    pub(crate) fn new(account: A, kind: Kind, began: Instant) -> Self {
        Self { account, kind, began, ended: false }
    }

    /// It ended, well or by this failure.
    pub(crate) fn end(mut self, failure: Option<Failure>) {
        self.ended = true;
        self.account.end(self.kind, self.began.elapsed(), failure);
    }
}

impl<A: Deref<Target = Account>> Drop for Tally<A> {
    fn drop(&mut self) {
        if !self.ended {
            self.account.end(self.kind, self.began.elapsed(), Some(Failure::Abandoned));
        }
    }
}
