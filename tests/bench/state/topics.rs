//! The embedded broker: from a unit that publishes to the handler's own unit, both on disk.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use monopod_core::BoxFuture;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome};
use monopod_core::store::Store;
use monopod_core::unit::{Cause, Unit};
use monopod_messaging::{Consumer, Hub, Settings, start};
use monopod_state::SqliteStore;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::house::{House, KILOBYTE, message, settlement, unit, worker};
use super::{NAME, ROUNDS, pace};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, percentile};

/// Publishers at once; so many messages may be handled at once, too.
const AT_ONCE: u32 = 256;
/// How long is published in a round.
const TIME: Duration = Duration::from_secs(3);
/// Messages per second of the round that is timed: half of the goal.
const PACE: u32 = 10_000;
/// Keys of the messages: lanes that are handled beside one another.
const KEYS: u64 = 5_000;

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    let (mut rates, mut times) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("messages from publisher to handler, round {round} of {ROUNDS}"));
        rates.push(saturated().await);
        times.push(percentile(&timed().await, 0.99));
    }
    let about =
        "1 KB, its own unit of work for each publisher and each handler, fsync on, no guest; 5,000 keys";
    book.add(
        NAME,
        Figure {
            metric: "messages, published to handled",
            values: rates,
            unit: "1/s",
            better: Better::Higher,
            peer: None,
            goal: Goal::AtLeast(20_000.0),
            about: format!("{about}; {AT_ONCE} publishers, until the last is settled"),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "a message at 10,000 a second, published to handled, p99",
            values: times,
            unit: "ms",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(10.0),
            about: format!("{about}; published at a fixed rate, timed from when each was to be published"),
        },
    );
}

/// Messages per second, from the first published to the last settled.
async fn saturated() -> f64 {
    let running = Running::start();
    let began = Instant::now();
    let store = Arc::clone(&running.house.store);
    let payload = Bytes::from(vec![b'm'; KILOBYTE]);
    let rate = pace::rate(u64::from(AT_ONCE), TIME, move |number| {
        let (store, payload) = (Arc::clone(&store), payload.clone());
        async move { store.commit(publishing(number, payload)).await.unwrap() }
    });
    let published = (rate.await * began.elapsed().as_secs_f64()).round();
    running.handler.until(published).await;
    let taken = began.elapsed().as_secs_f64();
    running.stop().await;
    published / taken
}

/// Milliseconds of each message, from when it was to be published to when it was settled.
async fn timed() -> Vec<f64> {
    let running = Running::start();
    let (store, began) = (Arc::clone(&running.house.store), running.handler.began);
    let start = began.elapsed();
    let published = pace::times(PACE, TIME, move |number| {
        let planned = start + Duration::from_secs_f64(number as f64 / f64::from(PACE));
        let mut payload = vec![b'm'; KILOBYTE];
        payload[..16].copy_from_slice(&planned.as_nanos().to_be_bytes());
        let store = Arc::clone(&store);
        async move { store.commit(publishing(number, payload.into())).await.unwrap() }
    });
    let published = published.await.len() as f64;
    running.handler.until(published).await;
    let times = std::mem::take(&mut *running.handler.times.lock().unwrap());
    running.stop().await;
    times
}

fn publishing(number: u64, payload: Bytes) -> Unit {
    let mut unit = unit(Cause::Request);
    unit.messages.push(message(Some(number % KEYS), payload));
    unit
}

/// A consumer that settles what it is given, and takes the time.
struct Handler {
    store: Arc<SqliteStore>,
    began: Instant,
    handled: AtomicU64,
    one_more: Notify,
    times: Mutex<Vec<f64>>,
}

impl Handler {
    async fn until(&self, messages: f64) {
        while (self.handled.load(Relaxed) as f64) < messages {
            self.one_more.notified().await;
        }
    }
}

impl Components for Handler {
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let done = self.store.commit(settlement(delivery)).await;
            done.map_err(|source| Error::Store { component: worker(), source })?;
            let head: [u8; 16] = delivery.message.payload[..16].try_into().unwrap();
            let planned = u128::from_be_bytes(head) as f64 / 1e6;
            self.times.lock().unwrap().push(self.began.elapsed().as_secs_f64() * 1e3 - planned);
            self.handled.fetch_add(1, Relaxed);
            self.one_more.notify_one();
            Ok(Outcome::Done)
        })
    }
}

/// Store and messaging as the binary plugs them together.
struct Running {
    house: House,
    handler: Arc<Handler>,
    messaging: Arc<monopod_messaging::Messaging>,
    shutdown: CancellationToken,
}

impl Running {
    fn start() -> Self {
        let hub = Hub::new();
        let house = House::open(Some("worker"), Arc::new(hub.clone()));
        let handler = Arc::new(Handler {
            store: Arc::clone(&house.store),
            began: Instant::now(),
            handled: AtomicU64::new(0),
            one_more: Notify::new(),
            times: Mutex::default(),
        });
        let shutdown = CancellationToken::new();
        let messaging = start(hub, house.store.clone(), handler.clone(), settings(AT_ONCE), shutdown.clone());
        Self { house, handler, messaging, shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.messaging.drained().await;
        self.house.store.close().await;
    }
}

/// Messaging with `worker` alone.
pub fn settings(concurrency: u32) -> Settings {
    Settings {
        consumers: vec![Consumer { component: worker(), concurrency, attempts: 3 }],
        timers: vec![monopod_messaging::TimerOwner { component: worker(), attempts: 3 }],
        brokers: Vec::new(),
        grace: Duration::from_secs(10),
        clock: Arc::new(monopod_core::now),
    }
}
