//! The writer's thread: batches, transactions, checkpoints, and what a failing disk
//! leads to. Must not panic: it is the only one of its kind.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use monopod_core::store::{Committed, Error, Verdict};
use monopod_core::{Millis, now};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use super::{Job, Reply, Request, lock};
use crate::apply::{self, Done, Effect, Stop, Work};
use crate::meters::{Meters, count};
use crate::prune;
use crate::settings::Topology;

/// Requests in one transaction. A batch of small units takes about as long as its fsync.
const BATCH: usize = 256;
/// Bytes in one transaction, for the same reason: two of the largest units.
const BATCH_BYTES: u32 = 16 << 20;
/// Pages in the write-ahead log before they are copied into the file: 4 MiB, SQLite's
/// own default. A shorter log is read faster, a longer one is copied less often.
const CHECKPOINT_PAGES: u64 = 1_000;

/// The writer.
pub(crate) struct Writer {
    connection: Connection,
    topology: Arc<Topology>,
    listener: Arc<dyn Committed>,
    meters: Arc<Meters>,
    /// The last number given out; see the table `counter`.
    counter: u64,
    /// The last one that is on disk.
    stored: u64,
    /// The length of the log, in pages, at which it is copied next.
    checkpoint_at: u64,
    /// Why nothing is accepted any more.
    broken: Option<String>,
    /// What went wrong last and has not been right since: said once, not for each batch.
    trouble: Option<String>,
    /// Keeps other processes out until the thread ends: as long as anything is written.
    lock: File,
}

/// How one request of a batch ended, to be told when the batch is on disk.
struct Ended {
    reply: Reply,
    result: Result<u64, Error>,
    effects: Vec<Effect>,
    meter: Meter,
}

/// What a request counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meter {
    Unit,
    DeadLetter,
    Other,
}

impl Writer {
    /// A writer on `connection`, which must be the only one that writes.
    pub fn new(
        mut connection: Connection,
        topology: Arc<Topology>,
        listener: Arc<dyn Committed>,
        meters: Arc<Meters>,
        lock: File,
    ) -> rusqlite::Result<Self> {
        let counter = apply::counter(&connection)?;
        let watch = Arc::clone(&meters);
        // Called once for each transaction that reached the disk.
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            count(&watch.commits);
            watch.log_pages.store(pages.try_into().unwrap_or(0), Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            topology,
            listener,
            meters,
            counter,
            stored: counter,
            checkpoint_at: CHECKPOINT_PAGES,
            broken: None,
            trouble: None,
            lock,
        })
    }

    /// Serves until the queue is closed and empty.
    pub fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut closing = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let batch = gather(first, &mut queue, &mut closing);
            if !batch.is_empty() {
                self.serve(batch);
                self.checkpoint_if_due();
            }
        }
        if self.broken.is_none() {
            // Leaves one file, and nothing to recover at the next start.
            self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        let Self { connection, lock, .. } = self;
        drop(connection);
        drop(lock);
        for reply in closing {
            reply.send(Ok(0));
        }
    }

    /// One transaction. Nobody is told anything before it is on disk; a unit that was
    /// overtaken by one of its own batch would otherwise run again too early.
    fn serve(&mut self, batch: Vec<Request>) {
        if let Some(reason) = &self.broken {
            return refuse(&self.meters, batch.into_iter().map(|request| request.reply), reason);
        }
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return self.fail(batch.into_iter().map(|request| request.reply), &error);
        }
        let at = now();
        let mut lost = None;
        let mut ended = Vec::with_capacity(batch.len());
        for Request { job, reply, .. } in batch {
            let meter = meter(&job);
            let (result, effects) = match lost {
                // It is answered below, with all the others.
                Some(_) => (Ok(0), Vec::new()),
                None => self.savepoint(job, at).unwrap_or_else(|error| {
                    lost = Some(error);
                    (Ok(0), Vec::new())
                }),
            };
            ended.push(Ended { reply, result, effects, meter });
        }
        if let Err(error) = lost.map_or_else(|| self.commit(), Err) {
            return self.fail(ended.into_iter().map(|ended| ended.reply), &error);
        }
        for Ended { reply, result, effects, meter } in ended {
            self.account(meter, &result, &effects);
            for effect in &effects {
                effect.tell(&*self.listener);
            }
            reply.send(result);
        }
    }

    /// One request in a savepoint of its own, which is rolled back if it does not end
    /// well. An error means that the whole transaction is lost.
    fn savepoint(&mut self, job: Job, at: Millis) -> rusqlite::Result<(Result<u64, Error>, Vec<Effect>)> {
        self.execute("SAVEPOINT request")?;
        let mut work = Work {
            connection: &self.connection,
            topology: &self.topology,
            counter: &mut self.counter,
            at,
            effects: Vec::new(),
        };
        let done = work.job(job);
        let effects = work.effects;
        let result = match done {
            Ok(Done::Applied(number)) => {
                self.execute("RELEASE request")?;
                return Ok((Ok(number), effects));
            }
            Ok(Done::Duplicate) => {
                self.execute("RELEASE request")?;
                return Ok((Err(Error::Settled), Vec::new()));
            }
            Err(Stop::Refused(error)) => error,
            Err(Stop::Engine(error)) if is_fatal(&error) || self.connection.is_autocommit() => {
                return Err(error);
            }
            Err(Stop::Engine(error)) => Error::Unavailable(text(&error)),
        };
        self.execute("ROLLBACK TO request")?;
        self.execute("RELEASE request")?;
        Ok((Err(result), Vec::new()))
    }

    /// Writes the batch to disk: the one fsync. A batch that changed nothing costs none.
    fn commit(&mut self) -> rusqlite::Result<()> {
        if self.counter != self.stored {
            self.connection
                .prepare_cached("UPDATE counter SET number = ? WHERE id = 1")?
                .execute([crate::rows::number(self.counter)])?;
        }
        self.execute("COMMIT")?;
        self.stored = self.counter;
        if self.trouble.take().is_some() {
            tracing::info!("the state store writes again");
        }
        Ok(())
    }

    /// The transaction is lost: all are told so, and whether it makes sense to go on is
    /// decided. After a failed write or fsync the kernel may have dropped pages it had
    /// reported as written, so a later success proves nothing: only a restart, which
    /// reads the log from the disk again, tells what is there.
    fn fail(&mut self, replies: impl Iterator<Item = Reply>, error: &rusqlite::Error) {
        let mut fatal = is_fatal(error);
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the state store could not roll back");
            fatal = true;
        }
        let mut reason = text(error);
        if fatal {
            reason = format!("{reason}; nothing more is written until the process is started again");
            self.broken = Some(reason.clone());
        }
        self.say(&reason);
        refuse(&self.meters, replies, &reason);
    }

    fn say(&mut self, reason: &str) {
        if self.trouble.as_deref() != Some(reason) {
            tracing::error!(reason, "the state store could not write");
            self.trouble = Some(reason.to_owned());
        }
    }

    fn account(&mut self, meter: Meter, result: &Result<u64, Error>, effects: &[Effect]) {
        let published = |effect: &&Effect| matches!(effect, Effect::Published(..) | Effect::Outgoing(..));
        let published = effects.iter().filter(published).count();
        self.meters.published.fetch_add(published as u64, Relaxed);
        match (result, meter) {
            (Ok(_), Meter::Unit) => count(&self.meters.units),
            (Ok(_), Meter::DeadLetter) => count(&self.meters.dead_letters),
            (Ok(_), Meter::Other) => {}
            (Err(Error::Conflict), _) => count(&self.meters.conflicts),
            (Err(Error::Settled), _) => count(&self.meters.settled),
            // The unit's fault, not the store's.
            (Err(Error::Refused(_)), _) => {}
            (Err(Error::Unavailable(reason)), _) => {
                count(&self.meters.failures);
                self.say(reason);
            }
        }
    }

    /// Copies the log into the file when it has grown enough. After the answers, so that
    /// nobody waits for it but who comes next.
    fn checkpoint_if_due(&mut self) {
        let pages = self.meters.log_pages.load(Relaxed);
        if self.broken.is_some() {
            return;
        }
        if pages >= self.checkpoint_at {
            self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
            // A reader may have kept some of it back, or keep the log from starting over.
            self.checkpoint_at = pages + CHECKPOINT_PAGES;
        } else if pages + CHECKPOINT_PAGES < self.checkpoint_at {
            // It has started over.
            self.checkpoint_at = CHECKPOINT_PAGES;
        }
    }

    fn checkpoint(&mut self, sql: &str) {
        let done = self.connection.query_row(sql, [], |_| Ok(()));
        match done {
            Ok(()) => count(&self.meters.checkpoints),
            Err(error) if is_fatal(&error) => self.fail(std::iter::empty(), &error),
            // Full, or a foreign reader in the way: all is in the log, and it is tried again.
            Err(error) => tracing::warn!(%error, "the state store's log could not be copied"),
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Work<'_> {
    fn job(&mut self, job: Job) -> Result<Done, Stop> {
        match job {
            Job::Commit(unit) => self.unit(*unit),
            Job::DeliveryFailed { id, reason, verdict } => self.delivery_failed(&id, &reason, &verdict),
            Job::TimerFailed { id, version, reason, verdict } => {
                self.timer_failed(&id, version, &reason, &verdict)
            }
            Job::PruneMessages { now } => {
                Ok(Done::Applied(prune::messages(self.connection, self.topology, now)?))
            }
            Job::Compact { compaction } => {
                let mut cursor = compaction.cursor.load(Relaxed);
                let (seen, removed) = prune::overtaken(self.connection, self.topology, &mut cursor)?;
                compaction.cursor.store(cursor, Relaxed);
                compaction.removed.fetch_add(removed, Relaxed);
                Ok(Done::Applied(seen))
            }
            Job::PruneExpired { now } => Ok(Done::Applied(prune::expired(self.connection, now)?)),
            Job::Vacuum => Ok(Done::Applied(prune::vacuum(self.connection)?)),
            Job::Operate { wish, answer } => {
                *lock(&answer) = Some(self.operate(wish)?);
                Ok(Done::Applied(0))
            }
            Job::PruneMarks { now } => Ok(Done::Applied(prune::marks(self.connection, self.topology, now)?)),
            Job::Probe => {
                let sql = "UPDATE counter SET probes = probes + 1 WHERE id = 1";
                Ok(Done::Applied(self.connection.prepare_cached(sql)?.execute([])? as u64))
            }
            Job::Close => Ok(Done::Applied(0)),
            #[cfg(test)]
            Job::Tamper(tamper) => Ok(tamper(self.connection).map(|()| Done::Applied(0))?),
        }
    }
}

/// What waits, up to the bounds of a batch. The queue is never waited for here.
fn gather(first: Request, queue: &mut mpsc::Receiver<Request>, closing: &mut Vec<Reply>) -> Vec<Request> {
    let mut batch = Vec::new();
    let mut bytes = 0_u32;
    let mut next = Some(first);
    while let Some(request) = next {
        bytes = bytes.saturating_add(request.bytes);
        if matches!(request.job, Job::Close) {
            // What was handed over before is still done, and nothing is accepted after.
            queue.close();
            closing.push(request.reply);
        } else {
            batch.push(request);
        }
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            break;
        }
        next = queue.try_recv().ok();
    }
    batch
}

fn meter(job: &Job) -> Meter {
    match job {
        Job::Commit(_) => Meter::Unit,
        Job::DeliveryFailed { verdict: Verdict::DeadLetter, .. }
        | Job::TimerFailed { verdict: Verdict::DeadLetter, .. } => Meter::DeadLetter,
        _ => Meter::Other,
    }
}

fn refuse(meters: &Meters, replies: impl Iterator<Item = Reply>, reason: &str) {
    for reply in replies {
        count(&meters.failures);
        reply.send(Err(Error::Unavailable(reason.to_owned())));
    }
}

/// Whether what is on disk can no longer be trusted.
fn is_fatal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn text(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk of the state folder is full; free some space on it".to_owned(),
        _ => format!("the state file could not be written: {error}"),
    }
}
