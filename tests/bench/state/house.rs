//! A store as the binary opens it, and the units that are measured on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::message::{Delivery, Message};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Committed, Store};
use monopod_core::unit::{Cause, Key, Unit};
use monopod_state::{Settings, SqliteStore, Topic, Topology};
use tempfile::TempDir;

/// The bytes of a value or message.
pub const KILOBYTE: usize = 1024;

/// A store in a folder of its own, with the topic `things`.
pub struct House {
    pub store: Arc<SqliteStore>,
    folder: TempDir,
}

impl House {
    /// `consumer` is given what is published to `things`; without one it is only kept.
    pub fn open(consumer: Option<&str>, committed: Arc<dyn Committed>) -> Self {
        let folder = tempfile::tempdir_in(monopod_tests::checkout().join("target")).unwrap();
        let topic = Topic {
            retention: Duration::from_secs(86_400),
            compact: false,
            consumers: consumer.into_iter().map(|name| name.parse().unwrap()).collect(),
            broker: None,
        };
        let topology = Topology { topics: [(things(), topic)].into() };
        let settings = Settings { folder: folder.path().to_owned(), topology };
        Self { store: Arc::new(SqliteStore::open(settings, committed).unwrap()), folder }
    }

    /// Where its file is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

pub fn things() -> TopicName {
    "things".parse().unwrap()
}

pub fn worker() -> ComponentName {
    "worker".parse().unwrap()
}

/// The address of the value with this number.
pub fn key(number: u64) -> Key {
    Key { component: worker(), bucket: "values".parse().unwrap(), key: format!("key-{number:012}").into() }
}

/// A unit in which nothing has happened yet.
pub fn unit(cause: Cause) -> Unit {
    Unit::new(worker(), cause, CorrelationId::new(), TraceId::new(), None)
}

/// What settles a message, and does nothing else.
pub fn settlement(delivery: &Delivery) -> Unit {
    unit(Cause::Delivery { id: delivery.id.clone(), message: delivery.message.id.clone() })
}

/// A message to `things`.
pub fn message(key: Option<u64>, payload: Bytes) -> Message {
    Message {
        id: uuid::Uuid::now_v7().to_string().into(),
        topic: things(),
        key: key.map(|key| key.to_string().into()),
        headers: Vec::new(),
        payload,
        correlation: CorrelationId::new(),
        trace: TraceId::new(),
        owner: None,
        published_at: 0,
    }
}

/// One unit as it is measured: reads a value, writes it and a second one, publishes a message.
pub async fn work(store: &SqliteStore, number: u64, value: &Bytes) {
    let (first, second) = (key(2 * number), key(2 * number + 1));
    let found = store.get(&first).await.unwrap();
    let mut unit = unit(Cause::Request);
    unit.reads.insert(first.clone(), found.map_or(0, |record| record.version));
    unit.writes.insert(first, Some(value.clone()));
    unit.writes.insert(second, Some(value.clone()));
    unit.messages.push(message(Some(number), value.clone()));
    store.commit(unit).await.unwrap();
}

/// Hears what is committed, and does nothing.
pub struct Quiet;

impl Committed for Quiet {
    fn published(&self, _: u64, _: &Arc<Message>, _: &[monopod_core::message::DeliveryId]) {}
    fn redelivered(&self, _: &ComponentName) {}
    fn timer_set(&self, _: monopod_core::Millis) {}
}
