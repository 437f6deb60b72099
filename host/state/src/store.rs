//! The store itself: readers for the questions, the writer for the changes. Opened by
//! `monopod`; asked by `engine` and `messaging` through `core::store::Store`.
//!
//! Reads run where they are asked, inside the returned future, on one of a few
//! connections: a lookup takes microseconds, less than handing it to another thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use monopod_core::message::{Delivery, DeliveryId, Timer, TimerId};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Committed, Error, Page, Past, Retained, Store, Verdict};
use monopod_core::topics::{PAGE, Place, Refusal, Replayed, Selection, Stored, TopicStatus, Topics};
use monopod_core::unit::{Key, Range, Record, Unit};
use monopod_core::{BoxFuture, Millis, now};
use rusqlite::Connection;

use crate::meters::{Meters, Stats};
use crate::operate::Wish;
use crate::settings::{Settings, Topology};
use crate::writer::{Answer, Compaction, Handle, Job, Writer, lock};
use crate::{OpenError, database, folder, limits, look, prune, read};

/// Connections for reading. Each is held for microseconds, so a few serve many workers;
/// each may take 2 MiB of page cache.
const READERS: usize = 4;
/// How long a probe may take before the store counts as not writable: twenty slow
/// fsyncs, and less than a readiness check waits.
const PROBE: Duration = Duration::from_secs(2);
/// The name of the lock file.
pub(crate) const LOCK: &str = "state.lock";

/// State in one SQLite file. Dropping it finishes what was handed over; see also
/// [`SqliteStore::close`].
pub struct SqliteStore {
    writer: Option<Handle>,
    thread: Option<JoinHandle<()>>,
    readers: Arc<Vec<Mutex<Connection>>>,
    /// For questions that take long, so that they stand in nobody's way.
    looker: Arc<Mutex<Connection>>,
    topology: Arc<Topology>,
    compaction: Arc<Compaction>,
    next: AtomicUsize,
    meters: Arc<Meters>,
}

impl SqliteStore {
    /// Opens the state in a folder, which is made if it is not there, and locks it
    /// against other processes. Blocks for some milliseconds; longer after an unclean
    /// stop, when the log is read and the file is checked. `committed` is told what is
    /// durable, on the writer's thread.
    pub fn open(settings: Settings, committed: Arc<dyn Committed>) -> Result<Self, OpenError> {
        let Settings { folder, topology } = settings;
        folder::make(&folder)?;
        let lock = folder::lock(&folder, LOCK)?;
        let path = folder.join(database::FILE);
        let connection = database::open(&path)?;
        let readers = (0..READERS)
            .map(|_| database::open_reader(&path).map(Mutex::new))
            .collect::<Result<Vec<_>, _>>()?;
        let looker = Arc::new(Mutex::new(database::open_reader(&path)?));
        let failed = |source| OpenError::Database { path: path.clone(), source };
        warn_of_orphans(&connection, &topology).map_err(|error| failed(error.into()))?;
        let meters = Arc::new(Meters::default());
        let topology = Arc::new(topology);
        let writer = Writer::new(connection, Arc::clone(&topology), committed, Arc::clone(&meters), lock)
            .map_err(|error| failed(error.into()))?;
        let (handle, queue) = Handle::new();
        let thread = std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || writer.run(queue))
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            writer: Some(handle),
            thread: Some(thread),
            readers: Arc::new(readers),
            looker,
            topology,
            compaction: Arc::default(),
            next: AtomicUsize::new(0),
            meters,
        })
    }

    /// Does what was handed over, copies the log into the file and gives the folder
    /// free. Later calls answer `Unavailable`. Without it nothing is lost, but the next
    /// start has a log to read.
    pub async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.ask(Job::Close, 0).await;
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.meters.read(self.writer.as_ref().map_or(0, Handle::queued))
    }

    pub(crate) async fn ask(&self, job: Job, bytes: usize) -> Result<u64, Error> {
        match &self.writer {
            Some(writer) => writer.ask(job, bytes).await,
            None => Err(Error::Unavailable("the state store is closed".into())),
        }
    }

    /// Asks a question that may take long, where it holds up nobody.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection, &Topology) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (looker, topology) = (Arc::clone(&self.looker), Arc::clone(&self.topology));
        let asked = tokio::task::spawn_blocking(move || question(&lock(&looker), &topology)).await;
        let unread = |error: &dyn std::fmt::Display| {
            Error::Unavailable(format!("the state file could not be read: {error}"))
        };
        asked.map_err(|error| unread(&error))?.map_err(|error| unread(&error))
    }

    async fn operate(&self, wish: Wish) -> Result<Replayed, Refusal> {
        let answer = Answer::default();
        self.ask(Job::Operate { wish, answer: Arc::clone(&answer) }, PAGE * size_of::<Place>()).await?;
        let answer = lock(&answer).take();
        answer.unwrap_or_else(|| Err(Error::Unavailable("the wish was not heard".into()).into()))
    }

    /// Asks a reader: one that is free, else the next in turn.
    fn read<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let turn = self.next.fetch_add(1, Relaxed);
        let free = self.readers.iter().cycle().skip(turn % READERS).take(READERS).find_map(|reader| {
            match reader.try_lock() {
                Ok(reader) => Some(reader),
                // A question that panicked leaves a connection that is none the worse.
                Err(TryLockError::Poisoned(reader)) => Some(reader.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        });
        let reader = free.or_else(|| self.readers.get(turn % READERS).map(wait));
        match reader {
            Some(reader) => question(&reader).map_err(|error| {
                tracing::error!(%error, "the state store could not be read");
                Error::Unavailable(format!("the state file could not be read: {error}"))
            }),
            None => Err(Error::Unavailable("the state store has no readers".into())),
        }
    }
}

fn wait(reader: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deliveries of consumers that the platform file no longer names stay, and keep their
/// messages: taking a consumer out for a while must not lose its work. It is said, so
/// that it does not stay unseen.
fn warn_of_orphans(connection: &Connection, topology: &Topology) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT d.consumer, m.topic, count(*) FROM deliveries d JOIN messages m USING (sequence) GROUP BY 1, 2",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (consumer, topic, waiting): (String, String, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let named = |topic: &TopicName| topology.receivers(topic).any(|known| known.as_str() == consumer);
        if !topic.parse().is_ok_and(|topic| named(&topic)) {
            tracing::warn!(
                consumer,
                topic,
                waiting,
                "messages wait for a component that no longer consumes this topic; they are kept"
            );
        }
    }
    Ok(())
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer ends when nothing can be handed over any more. It is waited for, so
        // that whoever opens the folder next finds it free.
        drop(self.writer.take());
        if let Some(thread) = self.thread.take()
            // The listener may hold the last reference; a thread cannot wait for itself.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move { self.read(|reader| read::get(reader, key, now())) })
    }

    fn scan<'a>(&'a self, range: &'a Range) -> BoxFuture<'a, Result<Vec<(Arc<str>, Record)>, Error>> {
        Box::pin(async move { self.read(|reader| read::scan(reader, range, now())) })
    }

    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = limits::check(&unit).map_err(Error::Refused)?;
            self.ask(Job::Commit(Box::new(unit)), bytes).await.map(drop)
        })
    }

    fn deliveries<'a>(
        &'a self,
        group: &'a ComponentName,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Error>> {
        Box::pin(async move { self.read(|reader| read::deliveries(reader, group, after, limit)) })
    }

    fn delivery_failed(
        &self,
        id: DeliveryId,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = reason.len();
            self.ask(Job::DeliveryFailed { id, reason, verdict }, bytes).await.map(drop)
        })
    }

    fn timers_due(&self, until: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<Timer>, Error>> {
        Box::pin(async move { self.read(|reader| read::timers_due(reader, until, limit)) })
    }

    fn timer_failed(
        &self,
        id: TimerId,
        version: u64,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = reason.len();
            self.ask(Job::TimerFailed { id, version, reason, verdict }, bytes).await.map(drop)
        })
    }

    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, Error>> {
        Box::pin(async move { self.read(|reader| read::last(reader, topic, retained)) })
    }

    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move { self.read(|reader| read::since(reader, past)) })
    }

    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut messages = 0;
            loop {
                let removed = self.ask(Job::PruneMessages { now }, 0).await?;
                messages += removed;
                if removed < prune::PIECE {
                    break;
                }
            }
            while self.ask(Job::PruneMarks { now }, 0).await? >= prune::PIECE {}
            while self.ask(Job::PruneExpired { now }, 0).await? >= prune::PIECE {}
            if self.topology.topics.values().any(|topic| topic.compact) {
                let compaction = || Job::Compact { compaction: Arc::clone(&self.compaction) };
                while self.ask(compaction(), 0).await? >= prune::PIECE {}
                messages += self.compaction.removed.swap(0, Relaxed);
            }
            while self.ask(Job::Vacuum, 0).await? > 0 {}
            Ok(messages)
        })
    }

    fn writable(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match tokio::time::timeout(PROBE, self.ask(Job::Probe, 0)).await {
                Ok(result) => result.map(drop),
                Err(_) => Err(Error::Unavailable(format!("a write took longer than {PROBE:?}"))),
            }
        })
    }
}

impl Topics for SqliteStore {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicStatus>, Refusal>> {
        Box::pin(async move { Ok(self.look(look::topics).await?) })
    }

    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Stored>, Refusal>> {
        Box::pin(async move { Ok(self.look(move |c, _| look::message(c, sequence)).await?) })
    }

    fn messages<'a>(
        &'a self,
        of: &'a Selection,
        after: Place,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>> {
        let of = of.clone();
        Box::pin(async move { Ok(self.look(move |c, _| look::messages(c, &of, after, limit)).await?) })
    }

    fn newest<'a>(&'a self, of: &'a Selection, limit: usize) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>> {
        let of = of.clone();
        Box::pin(async move { Ok(self.look(move |c, _| look::newest(c, &of, limit)).await?) })
    }

    fn replay<'a>(
        &'a self,
        of: &'a Selection,
        consumer: Option<&'a ComponentName>,
        again: bool,
        after: Place,
    ) -> BoxFuture<'a, Result<Replayed, Refusal>> {
        Box::pin(async move {
            self.topology.may_replay(&of.topic, consumer)?;
            let of = of.clone();
            let messages = self.look(move |c, _| look::places(c, &of, after, PAGE)).await?;
            self.operate(Wish::Replay { messages, consumer: consumer.cloned(), again }).await
        })
    }

    fn skip<'a>(
        &'a self,
        topic: &'a TopicName,
        consumer: &'a ComponentName,
        to: Millis,
    ) -> BoxFuture<'a, Result<Replayed, Refusal>> {
        Box::pin(async move {
            self.topology.may_replay(topic, Some(consumer))?;
            self.operate(Wish::Skip { topic: topic.clone(), consumer: consumer.clone(), to }).await
        })
    }

    fn retry(&self, sequence: u64) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move { self.operate(Wish::Retry { sequence }).await.map(drop) })
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
