//! The unit of work: everything one invocation does through its capabilities,
//! gathered here and committed in one transaction, or dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::Millis;
use crate::context::{CorrelationId, TraceId};
use crate::identity::Owner;
use crate::message::{DeliveryId, Message, TimerId};
use crate::name::{BucketName, ComponentName};

/// The longest key of a bucket, in bytes: SQLite pages hold several, and so do logs.
pub const MAX_KEY: usize = 512;
/// The largest value and message payload. Larger things are blobs.
pub const MAX_VALUE: usize = 1 << 20;
/// The most writes, messages and timers of one unit: one writer serves everybody.
pub const MAX_CHANGES: usize = 1_000;
/// The most bytes of one unit, for the same reason.
pub const MAX_UNIT: usize = 8 << 20;
/// The most entries one scan returns.
pub const MAX_SCAN: u32 = 1_000;

/// A key with its component and bucket: the whole address of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose bucket.
    pub component: ComponentName,
    /// Which bucket.
    pub bucket: BucketName,
    /// Which key.
    pub key: Arc<str>,
}

/// A value as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The value.
    pub value: Bytes,
    /// Grows with every commit that writes it; never 0.
    pub version: u64,
}

/// Which keys a scan visits, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Whose bucket.
    pub component: ComponentName,
    /// Which bucket.
    pub bucket: BucketName,
    /// Keys that begin with this.
    pub prefix: String,
    /// Behind this key, exclusive, in the order of the scan.
    pub after: Option<String>,
    /// Not below this key, and below that one, whatever the order.
    pub between: (Option<String>, Option<String>),
    /// From the greatest key down.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
}

/// A scan that a unit made, with the keys and versions it saw: seen again
/// unchanged when it commits, or the unit conflicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What was asked.
    pub range: Range,
    /// What was there.
    pub seen: Vec<(Arc<str>, u64)>,
}

/// What made an invocation happen, and is settled with its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A request: somebody waits for the answer, nothing is settled.
    Request,
    /// A message.
    Delivery {
        /// The delivery to settle.
        id: DeliveryId,
        /// The message's id, for the inbox mark.
        message: Arc<str>,
    },
    /// A broker handed over the messages of this unit. One whose id it handed over before is
    /// left out; the others go to the consumers of their topic, and not back to the broker.
    Received,
    /// A timer.
    Timer {
        /// The timer to remove.
        id: TimerId,
        /// The version that fired.
        version: u64,
    },
}

/// A change to a timer.
#[derive(Debug, Clone, PartialEq)]
pub enum TimerChange {
    /// Set or replace it.
    Set {
        /// When it fires.
        due_at: Millis,
        /// What it carries.
        payload: Bytes,
    },
    /// Remove it, if it is there.
    Cancel,
}

/// What one invocation did, as yet uncommitted.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Who did it.
    pub component: ComponentName,
    /// What made it happen.
    pub cause: Cause,
    /// Keys read from the store, with the version seen; 0 for "not there".
    pub reads: BTreeMap<Key, u64>,
    /// Scans made, with what they saw.
    pub scans: Vec<Scan>,
    /// Values written; none for removed.
    pub writes: BTreeMap<Key, Option<Bytes>>,
    /// When values of `writes` end by themselves. From then on they are not there.
    pub expiries: BTreeMap<Key, Millis>,
    /// Messages to publish, in order. `published_at` is set by the commit.
    pub messages: Vec<Message>,
    /// Timers set and cancelled.
    pub timers: BTreeMap<TimerId, TimerChange>,
    /// The action it belongs to: inherited by its timers.
    pub correlation: CorrelationId,
    /// The trace it belongs to.
    pub trace: TraceId,
    /// Who began that action.
    pub owner: Option<Owner>,
}

impl Unit {
    /// A unit in which nothing has happened yet.
    pub fn new(
        component: ComponentName,
        cause: Cause,
        correlation: CorrelationId,
        trace: TraceId,
        owner: Option<Owner>,
    ) -> Self {
        Self {
            component,
            cause,
            reads: BTreeMap::new(),
            scans: Vec::new(),
            writes: BTreeMap::new(),
            expiries: BTreeMap::new(),
            messages: Vec::new(),
            timers: BTreeMap::new(),
            correlation,
            trace,
            owner,
        }
    }

    /// Whether committing it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.cause == Cause::Request
            && self.writes.is_empty()
            && self.messages.is_empty()
            && self.timers.is_empty()
    }
}
