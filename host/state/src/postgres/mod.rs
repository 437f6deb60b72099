//! State in a PostgreSQL: the second implementation of the store's ports, with the promises of
//! the first. Opened by `monopod` where the platform file has a `[state]` with a database.
//!
//! One process writes at a time, named in the database and fenced off when another has taken
//! over; see `writer`. Readers ask on connections of their own.

mod apply;
mod changes;
#[cfg(test)]
mod model;
mod operate;
mod prune;
mod read;
mod rows;
mod schema;
mod session;
mod settle;
mod tls;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use monopod_core::message::{Delivery, DeliveryId, Timer, TimerId};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Committed, Entry, Error, Page, Past, Retained, Store, Verdict};
use monopod_core::topics::{PAGE, Place, Refusal, Replayed, Selection, Stored, TopicStatus, Topics};
use monopod_core::unit::{Key, Range, Record, Unit};
use monopod_core::{BoxFuture, Millis, now};

use crate::meters::{Meters, Stats};
use crate::operate::Wish;
use crate::settings::Topology;
use crate::store::Kept;
use crate::writer::{Compaction, Handle, Job};
use crate::{OpenError, limits};

use schema::Me;
use session::{Fault, Pool, Session};

pub use session::Server;
pub use tls::{Duplex, Secure};

/// Connections for reading: questions take turns, and share one where they are many.
const READERS: usize = 4;
/// As for the SQLite file: how long a probe may take before the store counts as not writable.
const PROBE: Duration = Duration::from_secs(2);

/// State in one PostgreSQL database. Dropping it finishes what was handed over, in the
/// background; see also [`PostgresStore::close`].
pub struct PostgresStore {
    writer: Handle,
    readers: Pool,
    /// For questions that take long, so that they stand in nobody's way.
    looker: Pool,
    topology: Arc<Topology>,
    compaction: Arc<Compaction>,
    meters: Arc<Meters>,
}

impl PostgresStore {
    /// Opens the state in a database: makes or migrates the tables in its schema `monopod`, and
    /// becomes the process that writes them. On a tokio runtime, which has to live as long.
    pub async fn open(
        server: Server,
        topology: Topology,
        committed: Arc<dyn Committed>,
    ) -> Result<Self, OpenError> {
        let fault = |error: Fault| OpenError::Server { server: server.to_string(), source: error.into() };
        let me = Me::new();
        let session = Session::open(&server, "writer").await.map_err(fault)?;
        warn_of_settings(&session).await.map_err(fault)?;
        schema::open(&session, &server, &me, now()).await?;
        let (meters, topology) = (Arc::new(Meters::default()), Arc::new(topology));
        let writer = writer::Writer {
            server: server.clone(),
            me,
            session: Some(session),
            topology: Arc::clone(&topology),
            listener: committed,
            meters: Arc::clone(&meters),
            batch: 0,
            fenced: None,
            trouble: None,
        };
        let (handle, queue) = Handle::new();
        tokio::spawn(writer.run(queue));
        let readers = Pool::new(server.clone(), "reader", READERS);
        let looker = Pool::new(server, "operator", 1);
        Ok(Self { writer: handle, readers, looker, topology, compaction: Arc::default(), meters })
    }

    /// Does what was handed over and lets another process write. Later calls answer
    /// `Unavailable`. Without it nothing is lost, but the next start waits for the lease.
    pub async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.writer.ask(Job::Close, 0).await;
    }

    /// What was done since it was opened.
    pub fn stats(&self) -> Stats {
        self.meters.read(self.writer.queued())
    }

    async fn read<T, Answer: Future<Output = Result<T, Fault>>>(
        &self,
        question: impl Fn(Arc<Session>) -> Answer,
    ) -> Result<T, Error> {
        self.readers.ask(question).await.map_err(unread)
    }

    async fn look<T, Answer: Future<Output = Result<T, Fault>>>(
        &self,
        question: impl Fn(Arc<Session>) -> Answer,
    ) -> Result<T, Error> {
        self.looker.ask(question).await.map_err(unread)
    }

    async fn operate(&self, wish: Wish) -> Result<Replayed, Refusal> {
        crate::writer::operate(&self.writer, wish).await
    }
}

fn unread(fault: Fault) -> Error {
    Error::Unavailable(format!("the state could not be read: {fault}"))
}

/// A server that does not write to disk cannot keep what it has promised.
async fn warn_of_settings(session: &Session) -> Result<(), Fault> {
    for name in ["fsync", "full_page_writes"] {
        let value = session.first("SELECT current_setting($1)", &[&name]).await?;
        let value: Option<String> = value.map(|row| row.try_get(0)).transpose()?;
        if value.as_deref() != Some("on") {
            tracing::warn!(
                setting = name,
                "the database may lose what it has committed: turn this setting on"
            );
        }
    }
    Ok(())
}

impl Store for PostgresStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move {
            let now = now();
            self.read(|session| async move { read::get(&session, key, now).await }).await
        })
    }

    fn scan<'a>(&'a self, range: &'a Range) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            let now = now();
            self.read(|session| async move { read::scan(&session, range, now).await }).await
        })
    }

    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = limits::check(&unit).map_err(Error::Refused)?;
            self.writer.ask(Job::Commit(Box::new(unit)), bytes).await.map(drop)
        })
    }

    fn deliveries<'a>(
        &'a self,
        group: &'a ComponentName,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Error>> {
        Box::pin(async move {
            self.read(|session| async move { read::deliveries(&session, group, after, limit).await }).await
        })
    }

    fn delivery_failed(
        &self,
        id: DeliveryId,
        reason: String,
        verdict: Verdict,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = reason.len();
            self.writer.ask(Job::DeliveryFailed { id, reason, verdict }, bytes).await.map(drop)
        })
    }

    fn timers_due(&self, until: Millis, limit: usize) -> BoxFuture<'_, Result<Vec<Timer>, Error>> {
        Box::pin(async move {
            self.read(|session| async move { read::timers_due(&session, until, limit).await }).await
        })
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
            self.writer.ask(Job::TimerFailed { id, version, reason, verdict }, bytes).await.map(drop)
        })
    }

    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, Error>> {
        Box::pin(async move {
            self.read(|session| async move { read::last(&session, topic, retained).await }).await
        })
    }

    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move { self.read(|session| async move { read::since(&session, past).await }).await })
    }

    fn prune(&self, now: Millis) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(crate::writer::prune(&self.writer, &self.topology, &self.compaction, now))
    }

    fn writable(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match tokio::time::timeout(PROBE, self.writer.ask(Job::Probe, 0)).await {
                Ok(result) => result.map(drop),
                Err(_) => Err(Error::Unavailable(format!("a write took longer than {PROBE:?}"))),
            }
        })
    }
}

impl Topics for PostgresStore {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicStatus>, Refusal>> {
        Box::pin(async move {
            Ok(self.look(|session| async move { read::topics(&session, &self.topology).await }).await?)
        })
    }

    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Stored>, Refusal>> {
        Box::pin(async move {
            Ok(self.look(|session| async move { read::message(&session, sequence).await }).await?)
        })
    }

    fn messages<'a>(
        &'a self,
        of: &'a Selection,
        after: Place,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>> {
        Box::pin(async move {
            Ok(self
                .look(|session| async move { read::messages(&session, of, Some(after), limit).await })
                .await?)
        })
    }

    fn newest<'a>(&'a self, of: &'a Selection, limit: usize) -> BoxFuture<'a, Result<Vec<Stored>, Refusal>> {
        Box::pin(async move {
            Ok(self.look(|session| async move { read::messages(&session, of, None, limit).await }).await?)
        })
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
            let messages =
                self.look(|session| async move { read::places(&session, of, after, PAGE).await }).await?;
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

impl Kept for PostgresStore {
    fn stats(&self) -> Stats {
        self.stats()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close())
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
