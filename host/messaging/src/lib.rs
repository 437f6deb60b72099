//! Messaging: topics, consumers' lanes, dead letters, timers, live watchers.
//!
//! Topics are embedded: they and their deliveries are rows of the store, so that
//! publishing is part of a unit of work and survives what the unit survives. Behind a topic
//! there may be a broker besides ([`broker`]). This room
//! moves them: it takes deliveries and timers from the store, has the engine handle
//! them, and records those that failed. What succeeded the engine has settled with its
//! unit. So a kill at any moment loses nothing: what is not settled is read again at
//! the next start, and what is settled cannot be handled twice.
//!
//! The binary makes the [`Hub`] first (the store wants its listener), then the store and
//! the engine, then calls [`start`]. Not here: how anything is stored, what a component
//! is, who may see a message.

mod attempt;
mod backoff;
mod board;
pub mod broker;
mod dispatcher;
mod hub;
mod inbox;
mod lanes;
mod retention;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use monopod_core::event::{Event, Events};
use monopod_core::identity::Owner;
use monopod_core::invoke::Components;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Error, Page, Past, Retained, Store};
use monopod_core::topics::Stored;
use monopod_core::{BoxFuture, BoxStream, Millis};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerStatus};
use crate::dispatcher::{Dispatcher, Room};
use crate::lanes::Lanes;
use crate::status::Meter;
use crate::timers::Timers;

pub use crate::hub::Hub;
pub use crate::status::{ConsumerStatus, Counters, Health, STUCK_AFTER, Stuck, TimerStatus};

/// The wall clock, in milliseconds since 1970: `monopod_core::now`, or a test's.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// A component that consumes topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Which.
    pub component: ComponentName,
    /// Handlers at once; 0 is taken as 1.
    pub concurrency: u32,
    /// Tries for one message, the first included; then it goes to the dead letters.
    pub attempts: u32,
}

/// A component that sets timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerOwner {
    /// Which.
    pub component: ComponentName,
    /// Tries for one timer, the first included; then it goes to the dead letters.
    pub attempts: u32,
}

/// What messaging is to move, and how it ends.
#[derive(Clone)]
pub struct Settings {
    /// Components with topics to consume. Deliveries for others stay in the store.
    pub consumers: Vec<Consumer>,
    /// Components that set timers.
    pub timers: Vec<TimerOwner>,
    /// The brokers behind topics. The store's topology names the same.
    pub brokers: Vec<Broker>,
    /// How long handlers may go on after shutdown. What runs then is dropped and
    /// handled again after the next start.
    pub grace: Duration,
    /// The wall clock.
    pub clock: Clock,
}

/// Messaging at work. It ends by the token that [`start`] was given; dropping this
/// value ends nothing.
pub struct Messaging {
    hub: Hub,
    room: Room,
    dispatchers: Vec<Arc<Dispatcher>>,
    brokers: Vec<broker::Working>,
    timers: Arc<Timers>,
    tasks: TaskTracker,
}

/// Starts moving messages and timers, on the current tokio runtime. When `shutdown` is
/// cancelled nothing new is begun; see [`Messaging::drained`].
pub fn start(
    hub: Hub,
    store: Arc<dyn Store>,
    components: Arc<dyn Components>,
    settings: Settings,
    shutdown: CancellationToken,
) -> Arc<Messaging> {
    let Settings { consumers, timers, brokers, grace, clock } = settings;
    let room = Room { store, components, clock, grace, shutdown };
    let tasks = TaskTracker::new();
    let dispatchers = consumers.into_iter().map(|consumer| {
        // Listens before it reads for the first time: nothing falls between.
        let inbox = hub.listen(&consumer.component);
        let lanes = Mutex::new(Lanes::new(room.now()));
        Arc::new(Dispatcher { room: room.clone(), consumer, inbox, lanes, meter: Meter::default() })
    });
    let dispatchers: Vec<_> = dispatchers.collect();
    let attempts: HashMap<_, _> = timers.into_iter().map(|owner| (owner.component, owner.attempts)).collect();
    let timers = Arc::new(Timers {
        room: room.clone(),
        alarm: Arc::clone(hub.alarm()),
        attempts,
        meter: Meter::default(),
        moved: Mutex::new(Instant::now()),
    });
    for dispatcher in &dispatchers {
        tasks.spawn(Arc::clone(dispatcher).run());
    }
    let brokers = brokers.into_iter().map(|broker| broker::start(&hub, &room, broker, &tasks)).collect();
    tasks.spawn(Arc::clone(&timers).run());
    tasks.spawn(retention::run(room.clone()));
    tasks.close();
    let board = Arc::clone(hub.board());
    // Not among the tasks: it ends when they have, so that watchers see the last events.
    tokio::spawn(async move { board.fan_out().await });
    let (board, all) = (Arc::clone(hub.board()), tasks.clone());
    tokio::spawn(async move {
        all.wait().await;
        board.close();
    });
    Arc::new(Messaging { hub, room, dispatchers, brokers, timers, tasks })
}

impl Messaging {
    /// Waits for shutdown, and then until the running handlers have ended or the grace
    /// is over. Watchers' streams end at the same moment. Cancel-safe.
    pub async fn drained(&self) {
        self.tasks.wait().await;
    }

    /// Whether messages and timers move. Cheap; for a readiness probe.
    pub fn health(&self) -> Health {
        let now = self.room.now();
        let mut health = Health::default();
        let mut stuck = |consumer: Option<&ComponentName>, since: Duration| {
            if since > STUCK_AFTER {
                health.stuck.push(Stuck { consumer: consumer.cloned(), since });
            }
        };
        let mut oldest: Option<Duration> = None;
        for dispatcher in &self.dispatchers {
            let lanes = lock(&dispatcher.lanes);
            stuck(Some(&dispatcher.consumer.component), lanes.stalled(now.instant));
            oldest = oldest.max(lanes.oldest().map(|since| age(since, now.wall)));
        }
        stuck(None, self.timers.stalled(now.instant));
        health.oldest = oldest;
        health
    }

    /// Every consumer, measured, in the order of the settings.
    pub fn consumers(&self) -> Vec<ConsumerStatus> {
        self.dispatchers.iter().map(|dispatcher| dispatcher.status()).collect()
    }

    /// Every broker, measured, in the order of the settings. One that is away does not make
    /// the platform unhealthy: what is published meanwhile waits in the store.
    pub fn brokers(&self) -> Vec<BrokerStatus> {
        self.brokers.iter().map(broker::Working::status).collect()
    }

    /// The timers, measured.
    pub fn timers(&self) -> TimerStatus {
        TimerStatus {
            counters: self.timers.meter.counters(),
            in_flight: self.timers.meter.in_flight.load(Ordering::Relaxed),
        }
    }

    /// How many watchers there are now.
    pub fn watchers(&self) -> u64 {
        self.hub.board().watching()
    }
}

impl Events for Messaging {
    fn watch(&self, topics: &[TopicName], owner: &Owner) -> BoxStream<'static, Event> {
        Box::pin(self.hub.board().watch(topics, owner))
    }

    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, Error>> {
        self.room.store.last(topic, retained)
    }

    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, Error>> {
        self.room.store.since(past)
    }
}

fn age(since: Millis, now: Millis) -> Duration {
    Duration::from_millis(now.saturating_sub(since))
}

/// A thread that panicked under a lock has failed one call; the data are still whole,
/// since nothing here panics halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
