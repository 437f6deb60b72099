//! The metrics: every name, kind, label and meaning in one table, and how each is taken from
//! what is seen. Shown as Prometheus text, listed in `docs/metrics.md`.
//!
//! Series are bounded: labels are names of the platform file, fields of the components' schemas,
//! or words of this program.

use std::time::Duration;

use monopod_core::limit::Limit;
use monopod_core::seen::{self, Attempts, Circuit, Failure, Histogram, Kind, Platform};

/// The bounds of the histograms' buckets, in seconds: from a call inside the process to the
/// longest that a person waits. What is counted is known to an eighth.
pub const BOUNDS: [f64; 17] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Grows, from 0 at the start.
    Counter,
    /// A value now.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub sort: Sort,
    /// Its unit, as UCUM writes it; empty: a count.
    pub unit: &'static str,
    /// Its labels, in the order of [`Point::labels`].
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// A metric with its values.
#[derive(Debug)]
pub struct Family {
    /// Which.
    pub metric: &'static Metric,
    /// Its values.
    pub points: Vec<Point>,
}

/// One value.
#[derive(Debug)]
pub struct Point {
    /// The values of the metric's labels.
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram: below each of [`BOUNDS`] (not below the one before) and above the
    /// last; then their sum in seconds.
    Times(Vec<u64>, f64),
}

/// The process itself, measured by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    /// Processor time.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
}

type Points = Vec<(Vec<String>, Value)>;

macro_rules! metrics {
    ($($name:literal $sort:ident $unit:literal [$($label:literal),*] $help:literal = |$p:ident, $process:ident| $points:expr;)+) => {
        /// All of them.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, sort: Sort::$sort, unit: $unit, labels: &[$($label),*], help: $help },)+
        ];

        /// Their values.
        pub fn collect(platform: &Platform, process: Process) -> Vec<Family> {
            let points: Vec<Points> = vec![$({
                let ($p, $process) = (platform, process);
                $points
            },)+];
            METRICS.iter().zip(points).map(|(metric, points)| Family {
                metric,
                points: points.into_iter().map(|(labels, value)| Point { labels, value }).collect(),
            }).collect()
        }
    };
}

metrics! {
    "monopod_uptime_seconds" Gauge "s" [] "Time since the platform serves." = |p, _s| one(p.uptime.as_secs_f64());
    "process_cpu_seconds_total" Counter "s" [] "Processor time of the process." = |_p, s| one(s.cpu.as_secs_f64());
    "process_resident_memory_bytes" Gauge "By" [] "Resident memory of the process." = |_p, s| one(s.memory as f64);
    "monopod_component_info" Gauge "" ["component", "version"] "1 for each component that runs."
        = |p, _s| p.components.iter().map(|c| (vec![c.name.to_string(), c.version.to_string()], Value::Number(1.0))).collect();
    "monopod_calls_total" Counter "" ["component", "kind"] "Calls that ended, by what they were for: request, message, timer."
        = |p, _s| each(p, &Kind::ALL.map(Kind::name), |c, at| c.calls.get(at).copied());
    "monopod_call_failures_total" Counter "" ["component", "reason"] "Calls that failed, by why: trapped, timed-out, overloaded, circuit-open, store, answered (the guest said so itself), abandoned (the caller went away)."
        = |p, _s| each(p, &Failure::ALL.map(Failure::name), |c, at| c.failures.get(at).copied());
    "monopod_call_seconds" Histogram "s" ["component"] "How long calls took, waiting and commit included."
        = |p, _s| p.components.iter().map(|c| (vec![c.name.to_string()], times(&c.latency))).collect();
    "monopod_cpu_seconds_total" Counter "s" ["component"] "Processor time of the component's calls, host calls included."
        = |p, _s| of(p, |c| c.cpu.as_secs_f64());
    "monopod_memory_bytes" Gauge "By" ["component"] "Linear memory of the component's instances together."
        = |p, _s| of(p, |c| c.memory as f64);
    "monopod_memory_most_bytes" Gauge "By" ["component"] "The largest linear memory that one instance has had."
        = |p, _s| of(p, |c| c.memory_most as f64);
    "monopod_instances" Gauge "" ["component", "state"] "Instances: running, and idle (kept to be used again)."
        = |p, _s| each(p, &["running", "idle"], |c, at| Some(if at == 0 { c.running } else { c.idle }));
    "monopod_places" Gauge "" ["component"] "Calls that may run at once: its `concurrency`."
        = |p, _s| of(p, |c| c.places as f64);
    "monopod_waiting" Gauge "" ["component"] "Calls that wait for a place."
        = |p, _s| of(p, |c| c.waiting as f64);
    "monopod_limit_reached_total" Counter "" ["component", "limit"] "How often a limit was reached, by its name in docs/limits.md. A limit that was never reached has no series."
        = |p, _s| each(p, &names(), |c, at| c.limits.get(at).copied().filter(|hits| *hits > 0));
    "monopod_circuit" Gauge "" ["component", "state"] "1 for the state the component's circuit is in: closed, open, half-open."
        = |p, _s| each(p, &CIRCUIT, |c, at| Some(u64::from(CIRCUIT.get(at) == Some(&c.circuit.name()))));
    "monopod_state_units_total" Counter "" [] "Units of work committed." = |p, _s| count(p.state.units);
    "monopod_state_commits_total" Counter "" [] "Transactions that reached the disk: one fsync each." = |p, _s| count(p.state.commits);
    "monopod_state_conflicts_total" Counter "" [] "Units run again because another had overtaken them." = |p, _s| count(p.state.conflicts);
    "monopod_state_failures_total" Counter "" [] "Writes that failed: disk full, errors of the disk." = |p, _s| count(p.state.failures);
    "monopod_state_queue" Gauge "" [] "Writes that wait for the writer." = |p, _s| count(p.state.queued);
    "monopod_state_log_bytes" Gauge "By" [] "The write-ahead log." = |p, _s| count(p.state.log);
    "monopod_messages_published_total" Counter "" [] "Messages published, dead letters included." = |p, _s| count(p.state.published);
    "monopod_dead_letters_total" Counter "" [] "Messages and timers given up." = |p, _s| count(p.state.dead_letters);
    "monopod_deliveries_total" Counter "" ["component", "outcome"] "Attempts to handle a message: done, failed (to be repeated), set-back (not counted as one: overloaded, circuit open, store busy), dead (given up)."
        = |p, _s| p.consumers.iter().flat_map(|c| attempts(&c.attempts, Some(c.component.as_str()))).collect();
    "monopod_deliveries_running" Gauge "" ["component"] "Messages being handled."
        = |p, _s| p.consumers.iter().map(|c| (vec![c.component.to_string()], Value::Number(c.attempts.in_flight as f64))).collect();
    "monopod_lag" Gauge "" ["component"] "Messages not settled yet, as far as known."
        = |p, _s| p.consumers.iter().map(|c| (vec![c.component.to_string()], Value::Number(c.lag as f64))).collect();
    "monopod_lag_seconds" Gauge "s" ["component"] "How long the oldest message that may be handled has been waiting."
        = |p, _s| p.consumers.iter().map(|c| (vec![c.component.to_string()], Value::Number(c.oldest.unwrap_or_default().as_secs_f64()))).collect();
    "monopod_broker_line" Gauge "" ["broker", "side", "state"] "1 for the state the line is in, giving or taking: up, blocked (the broker takes nothing), away, wrong (not as the platform file says)."
        = |p, _s| p.brokers.iter().flat_map(lines).collect();
    "monopod_broker_messages_total" Counter "" ["broker", "outcome"] "Messages by what became of them: confirmed by the broker, refused or given back by it; taken from it and kept, redelivered (those of them that came again), put-aside (never to be kept)."
        = |p, _s| p.brokers.iter().flat_map(outcomes).collect();
    "monopod_broker_lag" Gauge "" ["broker"] "Messages that wait to be sent to the broker, as far as known."
        = |p, _s| p.brokers.iter().map(|b| (vec![b.name.to_string()], Value::Number(b.waiting as f64))).collect();
    "monopod_broker_lag_seconds" Gauge "s" ["broker"] "How long the oldest message has been waiting for the broker's confirmation."
        = |p, _s| p.brokers.iter().map(|b| (vec![b.name.to_string()], Value::Number(b.oldest.unwrap_or_default().as_secs_f64()))).collect();
    "monopod_timers_total" Counter "" ["outcome"] "Attempts to fire a timer, by outcome as for deliveries."
        = |p, _s| attempts(&p.timers, None);
    "monopod_timers_running" Gauge "" [] "Timers being fired." = |p, _s| count(p.timers.in_flight);
    "monopod_telemetry_snapshots_total" Counter "" ["outcome"] "Snapshots of these figures for the collector of [telemetry], by what became of them: sent, refused (by it, wholly or in part), dropped (it was away or slow for longer than the queue holds)."
        = |p, _s| p.telemetry.iter().flat_map(snapshots).collect();
    "monopod_telemetry_waiting" Gauge "" [] "Snapshots that wait for the collector."
        = |p, _s| p.telemetry.iter().flat_map(|t| count(t.waiting)).collect();
    "monopod_watchers" Gauge "" [] "Subscriptions open." = |p, _s| count(p.watchers);
    "monopod_field_calls_total" Counter "" ["field", "component"] "Calls made for a field of the GraphQL schema, by who answers it: a component, or for a subscription its first topic. One call that serves several fields counts for the first."
        = |p, _s| fields(p, |f| f.calls as f64);
    "monopod_field_seconds_total" Counter "s" ["field", "component"] "How long those calls took together." = |p, _s| fields(p, |f| f.time.as_secs_f64());
    "monopod_field_bytes_total" Counter "By" ["field", "component"] "What was received in those calls." = |p, _s| fields(p, |f| f.bytes as f64);
    "monopod_field_values_total" Counter "" ["field", "component"] "Values of a field in answers; of a subscription events." = |p, _s| fields(p, |f| f.values as f64);
    "monopod_field_errors_total" Counter "" ["field", "component"] "Errors in those values." = |p, _s| fields(p, |f| f.errors as f64);
    "monopod_field_cost_total" Counter "" ["field", "component"] "The points of cost of those values, by what was really in them." = |p, _s| fields(p, |f| f.cost as f64);
}

const CIRCUIT: [&str; 3] =
    [Circuit::Closed.name(), Circuit::Open(Duration::ZERO).name(), Circuit::HalfOpen.name()];

fn names() -> Vec<&'static str> {
    Limit::ALL.iter().map(|limit| limit.about().name).collect()
}

fn one(value: f64) -> Points {
    vec![(Vec::new(), Value::Number(value))]
}

fn count(value: u64) -> Points {
    one(value as f64)
}

/// A value of each component.
fn of(platform: &Platform, value: impl Fn(&seen::Component) -> f64) -> Points {
    platform.components.iter().map(|c| (vec![c.name.to_string()], Value::Number(value(c)))).collect()
}

/// A value of each field of the GraphQL schema that somebody is asked for.
fn fields(platform: &Platform, value: impl Fn(&seen::Field) -> f64) -> Points {
    let point = |field: &seen::Field| {
        (vec![field.name.clone(), field.component.clone()], Value::Number(value(field)))
    };
    platform.fields.iter().map(point).collect()
}

/// A value of each component for each of `words`.
fn each(
    platform: &Platform,
    words: &[&str],
    value: impl Fn(&seen::Component, usize) -> Option<u64>,
) -> Points {
    let mut points = Vec::new();
    for component in &platform.components {
        for (at, word) in words.iter().enumerate() {
            if let Some(value) = value(component, at) {
                points.push((
                    vec![component.name.to_string(), (*word).to_owned()],
                    Value::Number(value as f64),
                ));
            }
        }
    }
    points
}

fn lines(broker: &seen::Broker) -> Points {
    let of = |line: &seen::Line, state: &str| {
        let labels = [broker.name.as_str(), line.side, state].map(str::to_owned);
        (labels.into(), Value::Number(f64::from(u8::from(line.state == state))))
    };
    broker.lines.iter().flat_map(|line| seen::Line::STATES.map(|state| of(line, state))).collect()
}

fn outcomes(broker: &seen::Broker) -> Points {
    let each = seen::Broker::OUTCOMES.iter().zip(broker.messages);
    each.map(|(outcome, n)| (vec![broker.name.to_string(), (*outcome).to_owned()], Value::Number(n as f64)))
        .collect()
}

fn snapshots(telemetry: &seen::Telemetry) -> Points {
    let each = seen::Telemetry::OUTCOMES.iter().zip(telemetry.snapshots);
    each.map(|(outcome, n)| (vec![(*outcome).to_owned()], Value::Number(n as f64))).collect()
}

fn attempts(attempts: &Attempts, component: Option<&str>) -> Points {
    [
        ("done", attempts.done),
        ("failed", attempts.failed),
        ("set-back", attempts.set_back),
        ("dead", attempts.dead),
    ]
    .into_iter()
    .map(|(outcome, n)| {
        let labels = component.into_iter().chain([outcome]).map(str::to_owned).collect();
        (labels, Value::Number(n as f64))
    })
    .collect()
}

fn times(histogram: &Histogram) -> Value {
    let mut below = 0;
    let mut buckets: Vec<u64> = BOUNDS
        .iter()
        .map(|bound| {
            let within = histogram.within(Duration::from_secs_f64(*bound));
            within - std::mem::replace(&mut below, within)
        })
        .collect();
    buckets.push(histogram.count().saturating_sub(below));
    Value::Times(buckets, histogram.sum.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_has_a_series_for_each_state_of_each_line_and_for_each_outcome() {
        let line = |side, state| seen::Line { side, state, since: Duration::ZERO, why: None };
        let broker = seen::Broker {
            name: "rabbitmq".parse().unwrap(),
            lines: vec![line("giving", "blocked"), line("taking", "up")],
            messages: [1, 2, 3, 4, 5],
            waiting: 6,
            oldest: Some(Duration::from_secs(7)),
        };
        let platform = Platform { brokers: vec![broker], ..Platform::default() };
        let mut said = Vec::new();
        for family in collect(&platform, Process::default()) {
            for point in &family.points {
                if let Value::Number(n) = point.value
                    && family.metric.name.starts_with("monopod_broker_")
                    && n > 0.0
                {
                    said.push(format!("{} {} {n}", family.metric.name, point.labels.join(" ")));
                }
            }
        }
        let expected = "\
monopod_broker_line rabbitmq giving blocked 1
monopod_broker_line rabbitmq taking up 1
monopod_broker_messages_total rabbitmq confirmed 1
monopod_broker_messages_total rabbitmq refused 2
monopod_broker_messages_total rabbitmq taken 3
monopod_broker_messages_total rabbitmq redelivered 4
monopod_broker_messages_total rabbitmq put-aside 5
monopod_broker_lag rabbitmq 6
monopod_broker_lag_seconds rabbitmq 7";
        assert_eq!(said.join("\n"), expected);
    }

    #[test]
    fn names_and_labels_are_those_that_prometheus_takes() {
        let word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let mut names = std::collections::BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{}", metric.name);
            assert!(word(metric.name) && metric.labels.iter().all(|label| word(label)), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.sort == Sort::Counter, "{}", metric.name);
        }
    }
}
