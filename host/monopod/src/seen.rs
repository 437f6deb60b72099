//! Puts together what the rooms count: the figures behind `/admin`, `/metrics`, `monopod ps`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use monopod_core::seen::{self, Attempts, Platform, Source};
use monopod_graph::Graph;
use monopod_messaging::broker::{self, BrokerStatus};
use monopod_messaging::{Counters, Messaging};
use monopod_operate::telemetry::Counts;
use monopod_state::SqliteStore;

use crate::live::Live;

/// A page of the write-ahead log, in bytes.
const PAGE: u64 = 4 << 10;

/// The rooms that count.
pub struct Rooms {
    pub name: Arc<str>,
    pub began: Instant,
    pub engine: Arc<Live>,
    pub store: Arc<SqliteStore>,
    pub messaging: Arc<Messaging>,
    /// Of the collector, if there is one.
    pub telemetry: Option<Arc<Counts>>,
    pub graph: Option<Graph>,
}

impl Source for Rooms {
    fn look(&self) -> Platform {
        let stats = self.store.stats();
        let timers = self.messaging.timers();
        let consumers = self.messaging.consumers().into_iter().map(|consumer| seen::Consumer {
            attempts: attempts(consumer.counters, consumer.in_flight),
            component: consumer.component,
            lag: consumer.lag,
            oldest: consumer.oldest,
        });
        Platform {
            name: self.name.clone(),
            uptime: self.began.elapsed(),
            components: self.engine.now().seen(),
            state: seen::State {
                units: stats.units,
                commits: stats.commits,
                conflicts: stats.conflicts,
                failures: stats.failures,
                published: stats.published,
                dead_letters: stats.dead_letters,
                queued: stats.queued,
                log: stats.log_pages * PAGE,
            },
            consumers: consumers.collect(),
            brokers: self.messaging.brokers().into_iter().map(broker).collect(),
            timers: attempts(timers.counters, timers.in_flight),
            watchers: self.messaging.watchers(),
            telemetry: self.telemetry.as_ref().map(|counts| counts.seen()),
            fields: self.graph.as_ref().map(Graph::seen).unwrap_or_default(),
        }
    }
}

fn broker(status: BrokerStatus) -> seen::Broker {
    let BrokerStatus { name, lines, sent, refused, taken, redelivered, put_aside, waiting, oldest } = status;
    let line = |(side, line, since): (broker::Side, broker::Line, Duration)| {
        let (state, why) = line.said();
        seen::Line { side: side.name(), state, since, why: why.map(str::to_owned) }
    };
    seen::Broker {
        name,
        lines: lines.into_iter().map(line).collect(),
        messages: [sent, refused, taken, redelivered, put_aside],
        waiting,
        oldest,
    }
}

fn attempts(counters: Counters, in_flight: u64) -> Attempts {
    let Counters { done, failed, set_back, dead } = counters;
    Attempts { done, failed, set_back, dead, in_flight }
}
