//! What an operator is told: figures of the last minute and the state of things now, from
//! two looks at the platform. The answer of `/admin/status`, and what `monopod ps` shows.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monopod_core::limit::Limit;
use monopod_core::seen::{self, Circuit, Failure, Platform};
use serde::{Deserialize, Serialize};

use crate::metrics::Process;

/// How often the platform is looked at, so that there is something to compare with.
pub(crate) const LOOK: Duration = Duration::from_secs(10);
/// How many looks are kept: a minute's. Each takes some two kilobytes for a component.
const KEPT: usize = 6;

/// Fields that are shown: what fits on a screen beside the components.
const MOST_FIELDS: usize = 10;

/// The platform, for an operator. Times are in seconds, sizes in bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub platform: String,
    /// The version of this program.
    pub version: String,
    /// Since when it serves.
    pub uptime: f64,
    /// The time that everything "recent" is about: up to a minute.
    pub window: f64,
    /// Resident memory of the process.
    pub memory: u64,
    /// Processor time of the process, of one core, in the window: 1 is one core all the time.
    pub cpu: f64,
    /// Its components, by name.
    pub components: Vec<Component>,
    /// Its state.
    pub state: State,
    /// Its messages and timers.
    pub messages: Messages,
    /// The brokers behind its topics, by name.
    pub brokers: Vec<Broker>,
    /// The fields of the GraphQL schema that took the most time recently, at most ten.
    pub fields: Vec<Field>,
}

/// A field of the GraphQL schema, recently.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// `Type.field`.
    pub name: String,
    /// Who answers it.
    pub component: String,
    /// Calls made for it, for each second.
    pub calls_per_second: f64,
    /// How long one of them took in the middle.
    pub mean: Option<f64>,
    /// Values of it in answers, for each second.
    pub values_per_second: f64,
    /// Errors in them.
    pub errors: u64,
    /// What was received for it.
    pub bytes: u64,
    /// The points of cost of its values.
    pub cost: u64,
}

/// A broker. All counts are since the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Broker {
    /// Its name.
    pub name: String,
    /// The lines to it: one for each direction that is used.
    pub lines: Vec<Line>,
    /// Messages that it has confirmed.
    pub sent: u64,
    /// Messages that it handed over and that were kept.
    pub taken: u64,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// How long the oldest of them has been waiting.
    pub oldest: Option<f64>,
}

/// A line to a broker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Line {
    /// `giving` or `taking`.
    pub side: String,
    /// `up`, `blocked`, `away` or `wrong`.
    pub state: String,
    /// How long it has been so.
    pub since: f64,
    /// What is wrong.
    pub why: Option<String>,
}

/// A component.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `serving`, `open` (left alone after failures) or `half-open` (one call is tried).
    pub state: String,
    /// When the next call is tried, if it is open.
    pub retry_after: Option<f64>,
    /// Calls that ended, for each second, recently.
    pub calls_per_second: f64,
    /// Calls that failed, recently.
    pub failures: u64,
    /// The same by why; only what happened.
    pub reasons: Vec<Count>,
    /// Half of the recent calls took no longer.
    pub p50: Option<f64>,
    /// All but a hundredth.
    pub p99: Option<f64>,
    /// Processor time, of one core, recently.
    pub cpu: f64,
    /// Linear memory of its instances now.
    pub memory: u64,
    /// The most one instance has had.
    pub memory_most: u64,
    /// Calls that run now.
    pub running: u64,
    /// Instances kept to be used again.
    pub idle: u64,
    /// Calls that may run at once.
    pub places: u64,
    /// Calls that wait for a place.
    pub waiting: u64,
    /// Limits reached recently, by name; only those.
    pub limits: Vec<Count>,
    /// Messages not settled yet; none: it consumes no topic.
    pub lag: Option<u64>,
    /// All calls since the start.
    pub calls: u64,
    /// All failures since the start.
    pub all_failures: u64,
}

/// How often something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// The state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Units of work committed for each second, recently.
    pub units_per_second: f64,
    /// How many units shared one fsync, recently.
    pub units_per_fsync: Option<f64>,
    /// Writes that wait.
    pub queue: u64,
    /// The write-ahead log.
    pub log: u64,
    /// Writes that failed, recently.
    pub failures: u64,
}

/// Messages and timers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Messages {
    /// Handled for each second, recently.
    pub per_second: f64,
    /// Not settled yet.
    pub lag: u64,
    /// How long the oldest that may be handled has been waiting.
    pub oldest: Option<f64>,
    /// Timers fired for each second, recently.
    pub timers_per_second: f64,
    /// Messages and timers given up since the start.
    pub dead_letters: u64,
    /// Subscriptions open.
    pub watchers: u64,
}

/// A look that was kept.
struct Look {
    at: Instant,
    platform: Platform,
    process: Process,
}

/// The looks of the last minute; at first the start, when nothing had been counted.
pub(crate) struct History(Mutex<VecDeque<Look>>);

impl History {
    pub(crate) fn begin(process: Process) -> Self {
        let start = Look { at: Instant::now(), platform: Platform::default(), process };
        Self(Mutex::new([start].into()))
    }

    pub(crate) fn keep(&self, platform: Platform, process: Process) {
        let mut looks = self.lock();
        while looks.len() >= KEPT {
            looks.pop_front();
        }
        looks.push_back(Look { at: Instant::now(), platform, process });
    }

    /// The status, compared with the oldest look.
    pub(crate) fn status(&self, now: &Platform, process: Process) -> Status {
        let looks = self.lock();
        let Some(Look { at, platform, process: before }) = looks.front() else { return Status::default() };
        status(now, platform, at.elapsed().max(Duration::from_millis(1)), process, *before)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(now: &Platform, then: &Platform, window: Duration, process: Process, before: Process) -> Status {
    let seconds = window.as_secs_f64();
    let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
    let commits = now.state.commits.saturating_sub(then.state.commits);
    let units = now.state.units.saturating_sub(then.state.units);
    let done = |p: &Platform| p.consumers.iter().map(|c| c.attempts.done).sum::<u64>();
    Status {
        platform: now.name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: now.uptime.as_secs_f64(),
        window: seconds,
        memory: process.memory,
        cpu: process.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds,
        components: now
            .components
            .iter()
            .map(|component| {
                let earlier = then.components.iter().find(|other| other.name == component.name);
                let consumer = now.consumers.iter().find(|consumer| consumer.component == component.name);
                let new;
                let earlier = match earlier {
                    Some(earlier) => earlier,
                    None => {
                        new = seen::Component::new(component.name.clone(), component.version.clone());
                        &new
                    }
                };
                one(component, earlier, seconds, consumer.map(|consumer| consumer.lag))
            })
            .collect(),
        state: State {
            units_per_second: units as f64 / seconds,
            units_per_fsync: (commits > 0).then(|| units as f64 / commits as f64),
            queue: now.state.queued,
            log: now.state.log,
            failures: now.state.failures.saturating_sub(then.state.failures),
        },
        messages: Messages {
            per_second: rate(done(now), done(then)),
            lag: now.consumers.iter().map(|c| c.lag).sum(),
            oldest: now.consumers.iter().filter_map(|c| c.oldest).max().map(|d| d.as_secs_f64()),
            timers_per_second: rate(now.timers.done, then.timers.done),
            dead_letters: now.state.dead_letters,
            watchers: now.watchers,
        },
        brokers: now.brokers.iter().map(broker).collect(),
        fields: fields(&now.fields, &then.fields, seconds),
    }
}

/// The fields that were in answers, the slowest together first.
fn fields(now: &[seen::Field], then: &[seen::Field], seconds: f64) -> Vec<Field> {
    let recent = now.iter().filter_map(|field| {
        let earlier = then.iter().find(|other| other.name == field.name);
        let since = |of: fn(&seen::Field) -> u64| of(field).saturating_sub(earlier.map_or(0, of));
        let (calls, values) = (since(|field| field.calls), since(|field| field.values));
        let time = field.time.saturating_sub(earlier.map_or(Duration::ZERO, |field| field.time));
        (calls + values > 0).then(|| {
            let shown = Field {
                name: field.name.clone(),
                component: field.component.clone(),
                calls_per_second: calls as f64 / seconds,
                mean: (calls > 0).then(|| time.as_secs_f64() / calls as f64),
                values_per_second: values as f64 / seconds,
                errors: since(|field| field.errors),
                bytes: since(|field| field.bytes),
                cost: since(|field| field.cost),
            };
            (time, shown)
        })
    });
    let mut recent: Vec<_> = recent.collect();
    recent.sort_by(|(a, _), (b, _)| b.cmp(a));
    recent.into_iter().take(MOST_FIELDS).map(|(_, field)| field).collect()
}

fn broker(now: &seen::Broker) -> Broker {
    let line = |line: &seen::Line| Line {
        side: line.side.to_owned(),
        state: line.state.to_owned(),
        since: line.since.as_secs_f64(),
        why: line.why.clone(),
    };
    let [sent, _, taken, ..] = now.messages;
    Broker {
        name: now.name.to_string(),
        lines: now.lines.iter().map(line).collect(),
        sent,
        taken,
        waiting: now.waiting,
        oldest: now.oldest.map(|oldest| oldest.as_secs_f64()),
    }
}

fn one(now: &seen::Component, then: &seen::Component, seconds: f64, lag: Option<u64>) -> Component {
    let recent = now.latency.since(&then.latency);
    let counts = |words: Vec<&'static str>, now: &[u64], then: &[u64]| -> Vec<Count> {
        let differences = now.iter().zip(then).map(|(now, then)| now.saturating_sub(*then));
        let counts = words.into_iter().zip(differences).filter(|(_, count)| *count > 0);
        counts.map(|(name, count)| Count { name: name.to_owned(), count }).collect()
    };
    let limits = Limit::ALL.iter().map(|limit| limit.about().name).collect();
    Component {
        name: now.name.to_string(),
        version: now.version.to_string(),
        state: match now.circuit {
            Circuit::Closed => "serving".to_owned(),
            other => other.name().to_owned(),
        },
        retry_after: match now.circuit {
            Circuit::Open(wait) => Some(wait.as_secs_f64()),
            Circuit::Closed | Circuit::HalfOpen => None,
        },
        calls_per_second: now.ended().saturating_sub(then.ended()) as f64 / seconds,
        failures: now.failed().saturating_sub(then.failed()),
        reasons: counts(Failure::ALL.map(Failure::name).to_vec(), &now.failures, &then.failures),
        p50: recent.quantile_if_any(0.5),
        p99: recent.quantile_if_any(0.99),
        cpu: now.cpu.saturating_sub(then.cpu).as_secs_f64() / seconds,
        memory: now.memory,
        memory_most: now.memory_most,
        running: now.running,
        idle: now.idle,
        places: now.places,
        waiting: now.waiting,
        limits: counts(limits, &now.limits, &then.limits),
        lag,
        calls: now.ended(),
        all_failures: now.failed(),
    }
}

trait Quantile {
    fn quantile_if_any(&self, part: f64) -> Option<f64>;
}

impl Quantile for seen::Histogram {
    fn quantile_if_any(&self, part: f64) -> Option<f64> {
        self.quantile(part).map(|time| time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recent_is_the_difference_of_two_looks() {
        let look = |calls: u64, trapped: u64, memory_hits: u64| {
            let mut component = seen::Component::new("photos".parse().unwrap(), "1.0.0".into());
            component.calls[0] = calls;
            component.failures[Failure::Trapped as usize] = trapped;
            component.limits[Limit::Memory.index()] = memory_hits;
            component.cpu = Duration::from_millis(calls);
            component.latency.counts[seen::Histogram::bucket(Duration::from_millis(20))] = calls;
            let state = seen::State { units: calls, commits: calls / 10, ..seen::State::default() };
            Platform { components: vec![component], state, ..Platform::default() }
        };
        let made = status(
            &look(1_100, 5, 2),
            &look(100, 5, 1),
            Duration::from_secs(10),
            Process::default(),
            Process::default(),
        );
        let component = &made.components[0];
        assert_eq!((component.calls_per_second, component.cpu), (100.0, 0.1));
        assert_eq!((component.failures, component.all_failures), (0, 5));
        assert_eq!(component.reasons, []);
        assert_eq!(component.limits, [Count { name: "memory".into(), count: 1 }]);
        assert!((0.02..0.023).contains(&component.p99.unwrap()));
        assert_eq!((made.state.units_per_second, made.state.units_per_fsync), (100.0, Some(10.0)));
        let text = serde_json::to_string(&made).unwrap();
        let read: Status = serde_json::from_str(&text).unwrap();
        assert_eq!(read.components[0].calls, 1_100);
    }

    #[test]
    fn the_slowest_fields_are_shown_and_those_that_nobody_asked_for_are_not() {
        let field = |number: u64, calls: u64| seen::Field {
            name: format!("Query.f{number:02}"),
            component: "c".to_owned(),
            calls,
            values: 2 * calls,
            errors: number,
            time: Duration::from_millis(number * calls),
            bytes: 10 * calls,
            cost: calls,
        };
        let then: Vec<_> = (0..12).map(|number| field(number, 10)).collect();
        let now: Vec<_> = (0..12).map(|number| field(number, if number == 11 { 10 } else { 30 })).collect();
        let shown = fields(&now, &then, 10.0);
        let names: Vec<_> = shown.iter().map(|field| field.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[9]), (MOST_FIELDS, "Query.f10", "Query.f01"));
        let Field { calls_per_second, mean, values_per_second, errors, bytes, cost, .. } = shown[0].clone();
        assert_eq!((calls_per_second, values_per_second), (2.0, 4.0));
        assert!((mean.unwrap() - 0.010).abs() < 1e-9);
        // Errors are those of the window.
        assert_eq!((errors, bytes, cost), (0, 200, 20));
    }
}
