//! What is seen of a running platform: figures of its components, its state, its messages.
//! Gathered by `engine`, `state` and `messaging`, put together by the binary, shown by
//! `operate`. Plain values: taking them costs whoever asks, not whoever is measured.

use std::sync::Arc;
use std::time::Duration;

use crate::limit::Limit;
use crate::name::ComponentName;

/// Where the figures come from. Asked by `operate` for each look.
pub trait Source: Send + Sync {
    /// The figures now. Takes microseconds for each component.
    fn look(&self) -> Platform;
}

/// The whole platform at one moment.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// Its name.
    pub name: Arc<str>,
    /// Since when it serves.
    pub uptime: Duration,
    /// Its components, by name.
    pub components: Vec<Component>,
    /// Its state.
    pub state: State,
    /// Who consumes messages, by name.
    pub consumers: Vec<Consumer>,
    /// The brokers behind its topics, by name.
    pub brokers: Vec<Broker>,
    /// Its timers.
    pub timers: Attempts,
    /// Subscriptions open now.
    pub watchers: u64,
    /// What became of its figures at the collector; none: there is no collector.
    pub telemetry: Option<Telemetry>,
    /// The fields of the GraphQL schema that somebody is asked for, by name.
    pub fields: Vec<Field>,
}

/// A field of the GraphQL schema that somebody is asked for. All counts are since the start, or
/// since the field is in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// `Type.field`.
    pub name: String,
    /// The component that answers it; of a subscription its first topic.
    pub component: String,
    /// Calls that were made for it. One that serves several fields counts for the first of them.
    pub calls: u64,
    /// Values of it in answers: for a subscription events.
    pub values: u64,
    /// Errors in answers, in its value and below it up to the next such field.
    pub errors: u64,
    /// The time of its calls together.
    pub time: Duration,
    /// The bytes that were received for it.
    pub bytes: u64,
    /// The points of cost of its values, by what was really in them.
    pub cost: u64,
}

/// A component at one moment. All counts are since the start.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// Its version, from the bundle.
    pub version: Arc<str>,
    /// Calls that ended, by what they were for; in the order of [`Kind::ALL`].
    pub calls: [u64; Kind::ALL.len()],
    /// Those of them that failed, by why; in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// How long they took, waiting and commit included.
    pub latency: Histogram,
    /// Processor time.
    pub cpu: Duration,
    /// Linear memory of its instances together, in bytes.
    pub memory: u64,
    /// The largest linear memory that one instance has had, in bytes.
    pub memory_most: u64,
    /// Calls that run now.
    pub running: u64,
    /// Instances that wait to be used again.
    pub idle: u64,
    /// Calls that may run at once.
    pub places: u64,
    /// Calls that wait for a place now.
    pub waiting: u64,
    /// How often each limit was reached; in the order of [`Limit::ALL`].
    pub limits: [u64; Limit::ALL.len()],
    /// Whether it is called.
    pub circuit: Circuit,
}

impl Component {
    /// One that has not been called yet.
    pub fn new(name: ComponentName, version: Arc<str>) -> Self {
        Self {
            name,
            version,
            calls: Default::default(),
            failures: Default::default(),
            latency: Histogram::default(),
            cpu: Duration::ZERO,
            memory: 0,
            memory_most: 0,
            running: 0,
            idle: 0,
            places: 0,
            waiting: 0,
            limits: [0; Limit::ALL.len()],
            circuit: Circuit::Closed,
        }
    }

    /// All calls that ended.
    pub fn ended(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// All that failed.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// What a component is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request, from outside or from another component.
    Request,
    /// A message.
    Message,
    /// A timer.
    Timer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Message, Self::Timer];

    /// As metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Message => "message",
            Self::Timer => "timer",
        }
    }
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The guest trapped, or broke a limit.
    Trapped,
    /// It did not answer in time.
    TimedOut,
    /// Too many calls at once.
    Overloaded,
    /// It was not tried: the circuit is open.
    CircuitOpen,
    /// Its unit could not be committed.
    Store,
    /// The guest said so itself: a status of 5xx, "retry", "reject".
    Answered,
    /// The caller went away before it ended.
    Abandoned,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Trapped,
        Self::TimedOut,
        Self::Overloaded,
        Self::CircuitOpen,
        Self::Store,
        Self::Answered,
        Self::Abandoned,
    ];

    /// As metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trapped => "trapped",
            Self::TimedOut => "timed-out",
            Self::Overloaded => "overloaded",
            Self::CircuitOpen => "circuit-open",
            Self::Store => "store",
            Self::Answered => "answered",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Whether a component is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Circuit {
    /// As always.
    #[default]
    Closed,
    /// It failed too often and is left alone for this time.
    Open(Duration),
    /// One call is tried.
    HalfOpen,
}

impl Circuit {
    /// As metrics and people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The store, since it was opened.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Units committed.
    pub units: u64,
    /// Transactions that reached the disk: each took one fsync.
    pub commits: u64,
    /// Units run again because another had overtaken them.
    pub conflicts: u64,
    /// Requests that failed: disk full, errors of the disk.
    pub failures: u64,
    /// Messages published.
    pub published: u64,
    /// Messages and timers given up.
    pub dead_letters: u64,
    /// Requests that wait for the writer now.
    pub queued: u64,
    /// Bytes of the write-ahead log now.
    pub log: u64,
}

/// One who consumes messages.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Which component.
    pub component: ComponentName,
    /// Its attempts.
    pub attempts: Attempts,
    /// Messages not settled yet, as far as known.
    pub lag: u64,
    /// How long the oldest that may be handled now has been waiting.
    pub oldest: Option<Duration>,
}

/// A broker behind topics. All counts are since the start.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its name.
    pub name: ComponentName,
    /// The lines to it: one for each direction that is used.
    pub lines: Vec<Line>,
    /// Messages by what became of them, in the order of [`Broker::OUTCOMES`].
    pub messages: [u64; 5],
    /// Messages that wait to be sent, as far as known.
    pub waiting: u64,
    /// How long the oldest of them has been waiting.
    pub oldest: Option<Duration>,
}

impl Broker {
    /// What becomes of messages: confirmed by the broker, refused or given back by it, handed
    /// over by it and kept, those of them that came again, and put aside there.
    pub const OUTCOMES: [&str; 5] = ["confirmed", "refused", "taken", "redelivered", "put-aside"];
}

/// A line to a broker.
#[derive(Debug, Clone)]
pub struct Line {
    /// Which way: `giving` or `taking`.
    pub side: &'static str,
    /// One of [`Line::STATES`].
    pub state: &'static str,
    /// How long it has been so.
    pub since: Duration,
    /// What is wrong.
    pub why: Option<String>,
}

impl Line {
    /// It holds; it holds and the broker takes nothing; it cannot be reached; what is there is
    /// not what the platform file says.
    pub const STATES: [&str; 4] = ["up", "blocked", "away", "wrong"];
}

/// Snapshots of the figures for a collector, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// By what became of them, in the order of [`Telemetry::OUTCOMES`].
    pub snapshots: [u64; 3],
    /// Those that wait for it now.
    pub waiting: u64,
}

impl Telemetry {
    /// What becomes of snapshots: taken by the collector, refused by it (wholly or in part), or
    /// dropped because it was away or slow for longer than the queue holds.
    pub const OUTCOMES: [&str; 3] = ["sent", "refused", "dropped"];
}

/// Attempts to handle messages or timers, since the start.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    /// Handled and settled.
    pub done: u64,
    /// Failed, to be repeated.
    pub failed: u64,
    /// Put off: overloaded, circuit open, store busy.
    pub set_back: u64,
    /// Given up.
    pub dead: u64,
    /// Under way now.
    pub in_flight: u64,
}

/// Times in buckets: eight for each doubling, so that a value is known to an eighth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// How many fell into each bucket.
    pub counts: Vec<u64>,
    /// Their sum.
    pub sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; Self::BUCKETS], sum: Duration::ZERO }
    }
}

impl Histogram {
    /// The unit of the first buckets, as a power of two of nanoseconds: 128 ns.
    const UNIT: u32 = 7;
    /// Buckets for each doubling, as a power of two.
    const STEP: u32 = 3;
    /// Enough for an hour, the longest deadline; what is longer falls into the last.
    pub const BUCKETS: usize = 264;

    /// The bucket of a time.
    pub fn bucket(time: Duration) -> usize {
        let units = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) >> Self::UNIT;
        let bucket = match units.checked_ilog2() {
            Some(log) if log >= Self::STEP => {
                let part = (units >> (log - Self::STEP)) & ((1 << Self::STEP) - 1);
                (u64::from(log - Self::STEP + 1) << Self::STEP) + part
            }
            _ => units,
        };
        usize::try_from(bucket).unwrap_or(usize::MAX).min(Self::BUCKETS - 1)
    }

    /// Where a bucket ends.
    pub fn end(bucket: usize) -> Duration {
        let next = u64::try_from(bucket).unwrap_or(u64::MAX).saturating_add(1);
        let units = match (next >> Self::STEP, next & ((1 << Self::STEP) - 1)) {
            (0, part) => part,
            (log, part) => (part + (1 << Self::STEP)) << (log - 1).min(40),
        };
        Duration::from_nanos(units << Self::UNIT)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time below which a share of `part` (0 to 1) of them lies; none if there are none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut sum = 0;
        self.counts.iter().enumerate().find_map(|(bucket, count)| {
            sum += count;
            (sum >= wanted).then(|| Self::end(bucket))
        })
    }

    /// How many took no longer than `time`, to the precision of the buckets.
    pub fn within(&self, time: Duration) -> u64 {
        let fits = |(bucket, _): &(usize, &u64)| Self::end(*bucket) <= time;
        self.counts.iter().enumerate().take_while(fits).map(|(_, count)| count).sum()
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Self { counts: counts.collect(), sum: self.sum.saturating_sub(earlier.sum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_within_an_eighth() {
        let mut last = 0;
        for nanos in
            (0..200).map(|n| n * 64).chain((10..42).map(|e| 1_u64 << e)).chain((10..42).map(|e| (1 << e) - 1))
        {
            let time = Duration::from_nanos(nanos);
            let bucket = Histogram::bucket(time);
            assert!(time < Histogram::end(bucket) || bucket == Histogram::BUCKETS - 1, "{time:?}: {bucket}");
            if bucket > 0 && bucket < Histogram::BUCKETS - 1 {
                let begin = Histogram::end(bucket - 1);
                assert!(time >= begin, "{time:?} is before {begin:?}");
                assert!((Histogram::end(bucket) - begin).as_nanos() <= 128.max(begin.as_nanos() / 8 + 1));
            }
            last = last.max(bucket);
        }
        assert_eq!(Histogram::bucket(Duration::MAX), Histogram::BUCKETS - 1);
        assert!(Histogram::end(Histogram::BUCKETS - 1) >= Duration::from_secs(3_600));
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=100 {
            histogram.counts[Histogram::bucket(Duration::from_millis(millis))] += 1;
        }
        let near = |part, millis: f64| {
            let found = histogram.quantile(part).unwrap().as_secs_f64() * 1e3;
            assert!((found / millis - 1.0).abs() < 0.13, "{part}: {found} ms");
        };
        near(0.5, 50.0);
        near(0.99, 99.0);
        near(0.0, 1.0);
        near(1.0, 100.0);
        assert_eq!(histogram.within(Duration::from_secs(1)), 100);
        assert_eq!(histogram.since(&histogram).count(), 0);
    }
}
