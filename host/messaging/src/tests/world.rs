//! The fakes: a store in memory that keeps the port's promises and fails on demand, and
//! components whose handlers a test writes as closures.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, DeliveryId, Message, Outcome, Timer, TimerId};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Committed, Error as StoreError, Page, Past, Retained, Store, Verdict};
use monopod_core::topics::Stored;
use monopod_core::unit::{Key, Range, Record, Unit};
use monopod_core::{BoxFuture, Millis};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Consumer, Hub, Messaging, Settings, TimerOwner, start};

pub const GROUP: &str = "worker";
pub const ATTEMPTS: u32 = 4;
const EPOCH: Millis = 1_800_000_000_000;

pub type Answer = BoxFuture<'static, Result<Outcome, Error>>;
type Handler<T> = Box<dyn Fn(T) -> Answer + Send + Sync>;

pub fn name(text: &str) -> ComponentName {
    text.parse().unwrap()
}

pub fn topic(text: &str) -> TopicName {
    text.parse().unwrap()
}

pub fn message(topic_name: &str, key: Option<&str>, text: &str, at: Millis) -> Arc<Message> {
    Arc::new(Message {
        id: text.into(),
        topic: topic(topic_name),
        key: key.map(Into::into),
        headers: Vec::new(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        correlation: CorrelationId::new(),
        trace: TraceId::new(),
        owner: Some(owner("ada")),
        published_at: at,
    })
}

pub fn owner(name: &str) -> Owner {
    Owner { issuer: "test".into(), subject: name.into() }
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Dead {
    pub what: String,
    pub reason: String,
    pub attempt: u32,
}

#[derive(Default)]
pub struct Rows {
    sequence: u64,
    pub deliveries: BTreeMap<u64, Delivery>,
    pub timers: BTreeMap<TimerId, Timer>,
    pub dead: Vec<Dead>,
    /// Payloads in the order in which their units were committed.
    pub done: Vec<String>,
    /// Payloads in the order in which their handlers began.
    pub begun: Vec<String>,
    /// Of each key, whether a handler runs.
    running: HashMap<String, usize>,
    pub most_running: usize,
}

/// Store, components and clock in one.
pub struct World {
    pub hub: Hub,
    pub rows: Mutex<Rows>,
    began: Instant,
    skew: AtomicI64,
    /// So many reads or recorded failures from now on find the store unavailable.
    pub reads_fail: AtomicUsize,
    pub records_fail: AtomicUsize,
    pub reads: AtomicUsize,
    /// The next failure recorded panics.
    pub broken: AtomicBool,
    on_message: Handler<Delivery>,
    on_timer: Handler<Timer>,
    pub shutdown: CancellationToken,
}

impl World {
    pub fn new(on_message: impl Fn(Delivery) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Self::with_timers(on_message, |_| Box::pin(async { Ok(Outcome::Done) }))
    }

    pub fn with_timers(
        on_message: impl Fn(Delivery) -> Answer + Send + Sync + 'static,
        on_timer: impl Fn(Timer) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub: Hub::new(),
            rows: Mutex::default(),
            began: Instant::now(),
            skew: AtomicI64::new(0),
            reads_fail: AtomicUsize::new(0),
            records_fail: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            on_message: Box::new(on_message),
            on_timer: Box::new(on_timer),
            shutdown: CancellationToken::new(),
        })
    }

    pub fn start(self: &Arc<Self>, concurrency: u32) -> Arc<Messaging> {
        let this = Arc::clone(self);
        let settings = Settings {
            consumers: vec![Consumer { component: name(GROUP), concurrency, attempts: ATTEMPTS }],
            timers: vec![TimerOwner { component: name(GROUP), attempts: ATTEMPTS }],
            brokers: Vec::new(),
            grace: Duration::from_secs(20),
            clock: Arc::new(move || this.now()),
        };
        start(self.hub.clone(), Arc::clone(self) as _, Arc::clone(self) as _, settings, self.shutdown.clone())
    }

    pub fn now(&self) -> Millis {
        let elapsed = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        EPOCH.checked_add_signed(elapsed + self.skew.load(Ordering::SeqCst)).unwrap()
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Puts the wall clock forward or back.
    pub fn jump(&self, by: Duration, forward: bool) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.skew.fetch_add(if forward { by } else { -by }, Ordering::SeqCst);
    }

    /// Commits a message without telling anybody: as if before the start.
    pub fn store(&self, key: Option<&str>, text: &str) -> DeliveryId {
        self.store_until(key, text, 1, self.now()).0
    }

    pub fn store_until(
        &self,
        key: Option<&str>,
        text: &str,
        attempt: u32,
        visible_at: Millis,
    ) -> (DeliveryId, Arc<Message>) {
        let message = message("jobs", key, text, self.now());
        let mut rows = self.rows.lock().unwrap();
        rows.sequence += 1;
        let id = DeliveryId { group: name(GROUP), sequence: rows.sequence };
        let delivery = Delivery { id: id.clone(), message: Arc::clone(&message), attempt, visible_at };
        rows.deliveries.insert(id.sequence, delivery);
        (id, message)
    }

    /// Commits a message that nobody consumes and tells the hub.
    pub fn pin(&self, message: &Arc<Message>) {
        let sequence = {
            let mut rows = self.rows.lock().unwrap();
            rows.sequence += 1;
            rows.sequence
        };
        self.hub.published(sequence, message, &[]);
    }

    /// Commits a message and tells the hub.
    pub fn publish(&self, key: Option<&str>, text: &str) -> (DeliveryId, Arc<Message>) {
        let (id, message) = self.store_until(key, text, 1, self.now());
        self.hub.published(id.sequence, &message, std::slice::from_ref(&id));
        (id, message)
    }

    pub fn set_timer(&self, id: &str, version: u64, due_at: Millis) {
        let id = TimerId { component: name(GROUP), name: id.into() };
        let timer = Timer {
            id: id.clone(),
            version,
            payload: Bytes::new(),
            due_at,
            attempt: 1,
            correlation: CorrelationId::new(),
            trace: TraceId::new(),
            owner: None,
        };
        self.rows.lock().unwrap().timers.insert(id, timer);
        self.hub.timer_set(due_at);
    }

    pub fn done(&self) -> Vec<String> {
        self.rows.lock().unwrap().done.clone()
    }

    pub fn begun(&self) -> Vec<String> {
        self.rows.lock().unwrap().begun.clone()
    }

    pub fn dead(&self) -> Vec<Dead> {
        self.rows.lock().unwrap().dead.clone()
    }

    /// Waits, in paused time, until it is so; fails after ten minutes of that time.
    pub async fn until(&self, so: impl Fn(&Rows) -> bool) {
        let waited = Instant::now();
        while !so(&self.rows.lock().unwrap()) {
            let rows = self.rows.lock().unwrap().deliveries.len();
            assert!(waited.elapsed() < Duration::from_secs(600), "never so; {rows} deliveries left");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn until_settled(&self) {
        self.until(|rows| rows.deliveries.is_empty() && rows.timers.is_empty()).await;
    }

    fn fails(counter: &AtomicUsize) -> Result<(), StoreError> {
        let failing = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        failing.map_or(Ok(()), |_| Err(StoreError::Unavailable("on demand".into())))
    }

    fn settled(component: ComponentName) -> Error {
        Error::Store { component, source: StoreError::Settled }
    }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.payload.to_vec()).unwrap()
}

/// A running handler, until it ends, panics or is dropped.
struct Running<'a> {
    world: &'a World,
    key: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.world.rows.lock().unwrap().running.remove(&self.key);
    }
}

impl Components for World {
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let key = delivery.message.key.as_ref().map_or(text(delivery), |key| format!("key {key}"));
            {
                let mut rows = self.rows.lock().unwrap();
                rows.begun.push(text(delivery));
                let running = rows.running.entry(key.clone()).or_default();
                *running += 1;
                assert_eq!(*running, 1, "two of {key} at once");
                rows.most_running = rows.most_running.max(rows.running.values().sum());
            }
            let running = Running { world: self, key };
            let outcome = (self.on_message)(delivery.clone()).await;
            drop(running);
            let mut rows = self.rows.lock().unwrap();
            if matches!(outcome, Ok(Outcome::Done)) {
                let settled = rows.deliveries.remove(&delivery.id.sequence);
                settled.ok_or_else(|| Self::settled(delivery.id.group.clone()))?;
                rows.done.push(text(delivery));
            }
            outcome
        })
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let what = format!("{} v{}", timer.id.name, timer.version);
            self.rows.lock().unwrap().begun.push(what.clone());
            let outcome = (self.on_timer)(timer.clone()).await;
            let mut rows = self.rows.lock().unwrap();
            if matches!(outcome, Ok(Outcome::Done)) {
                if rows.timers.get(&timer.id).is_none_or(|there| there.version != timer.version) {
                    return Err(Self::settled(timer.id.component.clone()));
                }
                rows.timers.remove(&timer.id);
                rows.done.push(what);
            }
            outcome
        })
    }
}

impl Store for World {
    fn get<'a>(&'a self, _: &'a Key) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn scan<'a>(&'a self, _: &'a Range) -> BoxFuture<'a, Result<Vec<(Arc<str>, Record)>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn commit(&self, _: Unit) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn deliveries<'a>(
        &'a self,
        group: &'a ComponentName,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(async move {
            assert_eq!(group, &name(GROUP));
            self.reads.fetch_add(1, Ordering::SeqCst);
            // The snapshot is older than the answer, as it may be with a real store.
            let page: Vec<_> = {
                let rows = self.rows.lock().unwrap();
                rows.deliveries.range(after + 1..).take(limit).map(|(_, row)| row.clone()).collect()
            };
            tokio::task::yield_now().await;
            Self::fails(&self.reads_fail).map(|()| page)
        })
    }

    fn delivery_failed(
        &self,
        id: DeliveryId,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            Self::fails(&self.records_fail)?;
            assert!(!self.broken.swap(false, Ordering::SeqCst), "the store is broken");
            let mut rows = self.rows.lock().unwrap();
            let row = rows.deliveries.get_mut(&id.sequence).ok_or(StoreError::Settled)?;
            match verdict {
                Verdict::Retry(at) => {
                    row.attempt += 1;
                    row.visible_at = at;
                }
                Verdict::DeadLetter => {
                    let (what, attempt) = (text(row), row.attempt);
                    rows.deliveries.remove(&id.sequence);
                    rows.dead.push(Dead { what, reason, attempt });
                }
            }
            Ok(())
        })
    }

    fn timers_due(&self, until: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<Timer>, StoreError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let mut due: Vec<_> = {
                let rows = self.rows.lock().unwrap();
                rows.timers.values().filter(|timer| timer.due_at <= until).cloned().collect()
            };
            due.sort_by_key(|timer| timer.due_at);
            due.truncate(limit);
            tokio::task::yield_now().await;
            Self::fails(&self.reads_fail).map(|()| due)
        })
    }

    fn timer_failed(
        &self,
        id: TimerId,
        version: u64,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            Self::fails(&self.records_fail)?;
            let mut rows = self.rows.lock().unwrap();
            let row = rows.timers.get_mut(&id).filter(|timer| timer.version == version);
            let row = row.ok_or(StoreError::Settled)?;
            match verdict {
                Verdict::Retry(at) => {
                    row.attempt += 1;
                    row.due_at = at;
                }
                Verdict::DeadLetter => {
                    let (what, attempt) = (row.id.name.to_string(), row.attempt);
                    rows.timers.remove(&id);
                    rows.dead.push(Dead { what, reason, attempt });
                }
            }
            Ok(())
        })
    }

    fn last<'a>(
        &'a self,
        _: &'a TopicName,
        _: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn since<'a>(&'a self, _: &'a Past) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async { Ok(Page::default()) })
    }

    fn prune(&self, _: Millis) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    fn writable(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A handler's answer after some time.
pub fn after(time: Duration, outcome: Result<Outcome, Error>) -> Answer {
    Box::pin(async move {
        tokio::time::sleep(time).await;
        outcome
    })
}

pub fn now(outcome: Result<Outcome, Error>) -> Answer {
    Box::pin(async move { outcome })
}

pub fn retry(after: Option<Duration>) -> Result<Outcome, Error> {
    Ok(Outcome::Retry { after, reason: "not yet".into() })
}

pub fn overloaded() -> Error {
    Error::Overloaded { component: name(GROUP), reason: "too many at once" }
}
