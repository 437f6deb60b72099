//! The writer: one thread, one connection, every change. It takes what waits, runs each
//! request in a savepoint of one transaction, commits once, then tells everybody. While
//! one fsync runs the next batch gathers, so nobody waits for company.
//!
//! `store` talks to it through [`Handle`]; nothing else does. The thread ends when the
//! handle is dropped or closed, after it has done what was handed over.

mod batch;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monopod_core::Millis;
use monopod_core::message::{DeliveryId, TimerId};
use monopod_core::store::{Error, Verdict};
use monopod_core::topics::{Refusal, Replayed};
use monopod_core::unit::Unit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub(crate) use batch::Writer;

use crate::operate::Wish;

/// Requests that may wait. At 10,000 units a second that is a tenth of a second of work;
/// who comes later waits to be let in, which is what holds the senders back.
const QUEUE: usize = 1_024;
/// Bytes that may wait, the batch at work included: eight of the largest units.
const QUEUE_BYTES: usize = 64 << 20;
/// What a request takes besides its unit's bytes, so that empty ones are bounded too.
const REQUEST_BYTES: usize = 1 << 10;

/// What the writer is asked to do.
pub(crate) enum Job {
    Commit(Box<Unit>),
    DeliveryFailed {
        id: DeliveryId,
        reason: String,
        verdict: Verdict,
    },
    TimerFailed {
        id: TimerId,
        version: u64,
        reason: String,
        verdict: Verdict,
    },
    PruneMessages {
        now: Millis,
    },
    PruneMarks {
        now: Millis,
    },
    PruneExpired {
        now: Millis,
    },
    Compact {
        compaction: Arc<Compaction>,
    },
    Vacuum,
    /// An operator's wish. The answer counts once the job has ended well.
    Operate {
        wish: Wish,
        answer: Answer,
    },
    /// A write that changes nothing anybody reads: does writing work?
    Probe,
    Close,
    /// Anything at all with the connection: how tests make faults.
    #[cfg(test)]
    Tamper(Tamper),
}

/// What came of an operator's wish.
pub(crate) type Answer = Arc<Mutex<Option<Result<Replayed, Refusal>>>>;

/// How far compaction has come since the start, and what it removed. A piece that is lost
/// is looked at again by the next start.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    pub cursor: AtomicU64,
    pub removed: AtomicU64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
type Tamper = Box<dyn FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send>;

/// A job on its way.
pub(crate) struct Request {
    job: Job,
    bytes: u32,
    reply: Reply,
}

/// Whom to tell how it ended.
struct Reply {
    answer: oneshot::Sender<Result<u64, Error>>,
    /// The request's share of the queue's bytes, given back with the answer.
    _room: OwnedSemaphorePermit,
}

impl Reply {
    fn send(self, result: Result<u64, Error>) {
        // Who asked may have left; what was done is done all the same.
        let _ = self.answer.send(result);
    }
}

/// The way to the writer.
pub(crate) struct Handle {
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

impl Handle {
    /// A way to a writer, and its other end.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (queue, requests) = mpsc::channel(QUEUE);
        (Self { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)) }, requests)
    }

    /// Has `job` done, and waits until it is on disk. `bytes` is what it holds in memory.
    /// Cancel-safe: before it is handed over nothing happens, after that all of it.
    pub async fn ask(&self, job: Job, bytes: usize) -> Result<u64, Error> {
        // More than the whole queue would wait for ever; limits keep units far below.
        let bytes = bytes.saturating_add(REQUEST_BYTES).min(QUEUE_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| closed())?;
        let (answer, told) = oneshot::channel();
        let request = Request { job, bytes, reply: Reply { answer, _room: room } };
        self.queue.send(request).await.map_err(|_| closed())?;
        told.await.unwrap_or_else(|_| Err(closed()))
    }

    /// How many requests wait.
    pub fn queued(&self) -> u64 {
        (self.queue.max_capacity() - self.queue.capacity()) as u64
    }
}

fn closed() -> Error {
    Error::Unavailable("the state store is closed".into())
}
