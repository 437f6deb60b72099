//! State and messaging as the binary plugs them together, with a consumer whose effects can
//! be counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use monopod_core::BoxFuture;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Message, Outcome};
use monopod_core::name::ComponentName;
use monopod_core::store::Store;
use monopod_core::topics::{Place, Selection, Stored, Topics};
use monopod_core::unit::{Cause, Unit};
use monopod_messaging::broker::{Broker, Kind, Patience, Rabbit, RabbitTopic, Seal};
use monopod_messaging::{Consumer, Hub, Messaging, Settings};
use monopod_state::{SqliteStore, Topic, Topology};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Waiting for more than this is waiting for ever.
const LONG: Duration = Duration::from_secs(120);
/// Where the effects of `reader` are.
const EFFECTS: &str = "effects";

pub struct House {
    pub store: Arc<SqliteStore>,
    pub messaging: Arc<Messaging>,
    shutdown: CancellationToken,
    _folder: TempDir,
}

/// Handles a message by publishing what it said.
struct Reader(Arc<SqliteStore>);

impl Components for Reader {
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let message = &delivery.message;
            let cause = Cause::Delivery { id: delivery.id.clone(), message: message.id.clone() };
            let group = delivery.id.group.clone();
            let mut unit = Unit::new(
                group.clone(),
                cause,
                message.correlation.clone(),
                message.trace,
                message.owner.clone(),
            );
            let topic = EFFECTS.parse().unwrap();
            let id = uuid::Uuid::now_v7().to_string().into();
            unit.messages.push(Message { topic, id, ..Message::clone(message) });
            let done = self.0.commit(unit).await;
            done.map_err(|source| Error::Store { component: group, source })?;
            Ok(Outcome::Done)
        })
    }
}

impl House {
    /// `topic` has a RabbitMQ behind it, and `reader` consumes it.
    pub fn rabbit(url: String, topic: &str, at: RabbitTopic, attempts: u32) -> Self {
        Self::patient(url, topic, at, attempts, Patience::default())
    }

    /// The same, with a patience of its own.
    pub fn patient(url: String, topic: &str, at: RabbitTopic, attempts: u32, patience: Patience) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (reader, broker): (ComponentName, ComponentName) =
            ("reader".parse().unwrap(), "rabbitmq".parse().unwrap());
        let kept = |broker| Topic {
            retention: Duration::from_secs(86_400),
            compact: false,
            consumers: Default::default(),
            broker,
        };
        let back = monopod_state::Broker { name: broker.clone(), returns: at.queue.is_some() };
        let backed = Topic { consumers: [reader.clone()].into(), ..kept(Some(back)) };
        let topics = [(topic.parse().unwrap(), backed), (EFFECTS.parse().unwrap(), kept(None))];
        let topology = Topology { topics: topics.into() };
        let hub = Hub::new();
        let settings = monopod_state::Settings { folder: folder.path().join("state"), topology };
        let store = Arc::new(SqliteStore::open(settings, Arc::new(hub.clone())).unwrap());
        let rabbit = Rabbit {
            url,
            user: "guest".into(),
            password: None,
            ca: None,
            client: "monopod test".into(),
            topics: BTreeMap::from([(topic.parse().unwrap(), at)]),
            seal: Seal::of([7; 32]),
            patience,
        };
        let settings = Settings {
            consumers: vec![Consumer { component: reader, concurrency: 8, attempts: 3 }],
            timers: Vec::new(),
            brokers: vec![Broker { name: broker, kind: Kind::Rabbit(rabbit), attempts }],
            grace: Duration::from_secs(20),
            clock: Arc::new(monopod_core::now),
        };
        let shutdown = CancellationToken::new();
        let components = Arc::new(Reader(store.clone()));
        let messaging = monopod_messaging::start(hub, store.clone(), components, settings, shutdown.clone());
        Self { store, messaging, shutdown, _folder: folder }
    }

    /// Publishes as a component does.
    pub async fn publish(&self, topic: &str, key: Option<&str>, text: &str) {
        let (correlation, trace) = (CorrelationId::new(), TraceId::new());
        let owner = monopod_core::identity::Owner { issuer: "https://issuer".into(), subject: "anna".into() };
        let mut unit = Unit::new(
            "writer".parse().unwrap(),
            Cause::Request,
            correlation.clone(),
            trace,
            Some(owner.clone()),
        );
        unit.messages.push(Message {
            id: uuid::Uuid::now_v7().to_string().into(),
            topic: topic.parse().unwrap(),
            key: key.map(Into::into),
            headers: vec![("x-schema".into(), "v1".into())],
            payload: Bytes::copy_from_slice(text.as_bytes()),
            correlation,
            trace,
            owner: Some(owner),
            published_at: 0,
        });
        self.store.commit(unit).await.unwrap();
    }

    /// The messages of a topic, in order.
    pub async fn messages(&self, topic: &str) -> Vec<Stored> {
        let of = Selection { topic: topic.parse().unwrap(), from: None, to: None, key: None, id: None };
        let (mut all, mut after) = (Vec::new(), Place::default());
        loop {
            let page = self.store.messages(&of, after, 500).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = last.place();
            all.extend(page);
        }
    }

    pub async fn effects(&self) -> Vec<Stored> {
        self.messages(EFFECTS).await
    }

    /// Looks until it is so.
    pub async fn until(&self, what: &str, mut so: impl AsyncFnMut(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !so(self).await {
            assert!(began.elapsed() < LONG, "{what}: {:?}", self.messaging.brokers());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing waits to be sent or handled, in the store's own count.
    pub async fn settled(&self) -> bool {
        let topics = self.store.topics().await.unwrap();
        topics.iter().flat_map(|topic| &topic.consumers).all(|lag| lag.waiting == 0)
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.messaging.drained().await;
        self.store.close().await;
    }
}
