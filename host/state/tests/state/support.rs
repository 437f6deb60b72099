//! A store in a folder of its own, with a listener that remembers, and short words for units.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::message::{Delivery, DeliveryId, Message, TimerId};
use monopod_core::name::ComponentName;
use monopod_core::store::{Committed, Retained, Store};
use monopod_core::unit::{Cause, Key, Range, Scan, TimerChange, Unit};
use monopod_core::{Millis, now};
use monopod_state::{Topic, Topology};

use crate::backend::{Home, Opened};

/// What the listener was told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Published(Arc<Message>, Vec<DeliveryId>),
    Redelivered(String),
    TimerSet(Millis),
}

#[derive(Default)]
pub struct Listener(pub Mutex<Vec<Told>>);

impl Committed for Listener {
    fn published(&self, _: u64, message: &Arc<Message>, deliveries: &[DeliveryId]) {
        self.0.lock().unwrap().push(Told::Published(message.clone(), deliveries.to_vec()));
    }
    fn redelivered(&self, consumer: &ComponentName) {
        self.0.lock().unwrap().push(Told::Redelivered(consumer.to_string()));
    }
    fn timer_set(&self, due_at: Millis) {
        self.0.lock().unwrap().push(Told::TimerSet(due_at));
    }
}

pub struct Fixture {
    pub store: Arc<Opened>,
    pub listener: Arc<Listener>,
    pub home: Home,
}

/// `orders` is consumed by `billing` and `mail`, `news` by nobody.
pub fn topology() -> Topology {
    let topic = |consumers: &[&str]| Topic {
        retention: Duration::from_secs(3_600),
        compact: false,
        consumers: consumers.iter().map(|name| name.parse().unwrap()).collect(),
        broker: None,
    };
    let topics = [("orders", topic(&["billing", "mail"])), ("news", topic(&[]))];
    Topology { topics: topics.map(|(name, topic)| (name.parse().unwrap(), topic)).into() }
}

impl Fixture {
    /// When the next timer is due, if there is one.
    pub async fn next_timer(&self) -> Option<Millis> {
        let due = self.store.timers_due(u64::MAX >> 1, 1).await.unwrap();
        due.first().map(|timer| timer.due_at)
    }

    pub async fn new() -> Self {
        Self::with(topology()).await
    }

    pub async fn with(topology: Topology) -> Self {
        let home = Home::new().await;
        let listener = Arc::new(Listener::default());
        let store = home.open(topology, listener.clone()).await;
        Self { store: Arc::new(store), listener, home }
    }

    /// The process ends here and another begins.
    pub async fn reopen(self) -> Self {
        self.reopen_with(topology()).await
    }

    pub async fn reopen_with(self, topology: Topology) -> Self {
        let Self { store, home, .. } = self;
        let store = Arc::into_inner(store).unwrap();
        home.leave(store).await;
        let listener = Arc::new(Listener::default());
        let store = home.open(topology, listener.clone()).await;
        Self { store: Arc::new(store), listener, home }
    }

    pub fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.listener.0.lock().unwrap())
    }

    pub async fn value(&self, name: &str) -> Option<String> {
        let record = self.store.get(&key(name)).await.unwrap()?;
        Some(String::from_utf8(record.value.to_vec()).unwrap())
    }

    pub async fn version(&self, name: &str) -> u64 {
        self.store.get(&key(name)).await.unwrap().map_or(0, |record| record.version)
    }

    pub async fn put(&self, name: &str, value: &str) {
        self.store.commit(write(name, value)).await.unwrap();
    }

    pub async fn publish(&self, message: Message) {
        let mut unit = unit();
        unit.messages.push(message);
        self.store.commit(unit).await.unwrap();
    }

    pub async fn deliveries(&self, group: &str) -> Vec<Delivery> {
        self.store.deliveries(&group.parse().unwrap(), 0, 1_000).await.unwrap()
    }

    pub async fn last(&self, topic: &str) -> Option<Arc<Message>> {
        Some(self.store.last(&topic.parse().unwrap(), &Retained::default()).await.unwrap()?.message)
    }

    pub async fn see(&self, range: Range) -> Scan {
        let found = self.store.scan(&range).await.unwrap();
        Scan { range, seen: found.into_iter().map(|(key, record)| (key, record.version)).collect() }
    }
}

pub fn owner() -> Owner {
    Owner { issuer: "https://issuer".into(), subject: "ann".into() }
}

pub fn caused_by(cause: Cause) -> Unit {
    let correlation = CorrelationId::parse("action-1").unwrap();
    let trace = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    Unit::new("billing".parse().unwrap(), cause, correlation, trace, Some(owner()))
}

pub fn unit() -> Unit {
    caused_by(Cause::Request)
}

pub fn key(name: &str) -> Key {
    Key { component: "billing".parse().unwrap(), bucket: "things".parse().unwrap(), key: name.into() }
}

pub fn range(prefix: &str) -> Range {
    Range {
        component: "billing".parse().unwrap(),
        bucket: "things".parse().unwrap(),
        prefix: prefix.into(),
        after: None,
        between: (None, None),
        descending: false,
        limit: 100,
    }
}

pub fn write(name: &str, value: &str) -> Unit {
    let mut unit = unit();
    unit.writes.insert(key(name), Some(value.to_owned().into()));
    unit
}

pub fn message(topic: &str, id: &str) -> Message {
    Message {
        id: id.into(),
        topic: topic.parse().unwrap(),
        key: Some("k".into()),
        headers: vec![("x-schema".into(), "v1".into())],
        payload: format!("payload of {id}").into(),
        correlation: CorrelationId::parse("action-1").unwrap(),
        trace: TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap(),
        owner: Some(owner()),
        published_at: 0,
    }
}

pub fn handling(delivery: &Delivery) -> Unit {
    caused_by(Cause::Delivery { id: delivery.id.clone(), message: delivery.message.id.clone() })
}

pub fn timer(name: &str) -> TimerId {
    TimerId { component: "billing".parse().unwrap(), name: name.into() }
}

pub fn set(name: &str, due_at: Millis, payload: &str) -> Unit {
    let mut unit = unit();
    unit.timers.insert(timer(name), TimerChange::Set { due_at, payload: payload.to_owned().into() });
    unit
}

/// Later than anything a test waits for.
pub fn tomorrow() -> Millis {
    now() + 86_400_000
}
