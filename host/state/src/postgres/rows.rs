//! Rows to words and back. The column lists stand here, so that the order in which they are
//! read is written down once.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::message::{Message, Timer, TimerId};
use monopod_core::topics::Stored;
use tokio_postgres::Row;

use super::session::Fault;

/// What [`message`] reads, from its first column on.
pub(crate) const MESSAGE: &str =
    "m.id, m.topic, m.key, m.correlation, m.trace, m.issuer, m.subject, m.published_at, m.headers, m.payload";

/// What [`timer`] reads.
pub(crate) const TIMER: &str =
    "component, name, version, due_at, attempt, correlation, trace, issuer, subject, payload";

/// A message, its columns beginning at `first`.
pub(crate) fn message(row: &Row, first: usize) -> Result<Message, Fault> {
    let at = |column: usize| first + column;
    let key: Option<&[u8]> = row.try_get(at(2))?;
    let headers: &str = row.try_get(at(8))?;
    Ok(Message {
        id: name(row, at(0))?,
        topic: parsed(row, at(1))?,
        key: key.map(text).transpose()?,
        correlation: correlation(row, at(3))?,
        trace: trace(row, at(4))?,
        owner: owner(row, at(5))?,
        published_at: unsigned(row, at(7))?,
        headers: serde_json::from_str(headers).map_err(wrong)?,
        payload: bytes(row, at(9))?,
    })
}

/// A message with its sequence before it.
pub(crate) fn stored(row: &Row) -> Result<Stored, Fault> {
    Ok(Stored { sequence: unsigned(row, 0)?, message: Arc::new(message(row, 1)?) })
}

/// A timer.
pub(crate) fn timer(row: &Row) -> Result<Timer, Fault> {
    Ok(Timer {
        id: TimerId { component: parsed(row, 0)?, name: name(row, 1)? },
        version: unsigned(row, 2)?,
        due_at: unsigned(row, 3)?,
        attempt: attempt(row, 4)?,
        correlation: correlation(row, 5)?,
        trace: trace(row, 6)?,
        owner: owner(row, 7)?,
        payload: bytes(row, 9)?,
    })
}

/// A value.
pub(crate) fn bytes(row: &Row, column: usize) -> Result<Bytes, Fault> {
    Ok(Bytes::copy_from_slice(row.try_get(column)?))
}

/// A count, a time or a sequence: never below 0.
pub(crate) fn unsigned(row: &Row, column: usize) -> Result<u64, Fault> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(wrong)
}

/// The same, where there may be none.
pub(crate) fn maybe(row: &Row, column: usize) -> Result<Option<u64>, Fault> {
    let number: Option<i64> = row.try_get(column)?;
    number.map(u64::try_from).transpose().map_err(wrong)
}

pub(crate) fn attempt(row: &Row, column: usize) -> Result<u32, Fault> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(wrong)
}

/// What guests and clients name.
pub(crate) fn name(row: &Row, column: usize) -> Result<Arc<str>, Fault> {
    text(row.try_get(column)?)
}

fn text(bytes: &[u8]) -> Result<Arc<str>, Fault> {
    std::str::from_utf8(bytes).map(Arc::from).map_err(wrong)
}

pub(crate) fn parsed<T>(row: &Row, column: usize) -> Result<T, Fault>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(wrong)
}

fn owner(row: &Row, first: usize) -> Result<Option<Owner>, Fault> {
    let issuer: Option<&[u8]> = row.try_get(first)?;
    let subject: Option<&[u8]> = row.try_get(first + 1)?;
    issuer
        .zip(subject)
        .map(|(issuer, subject)| Ok(Owner { issuer: text(issuer)?, subject: text(subject)? }))
        .transpose()
}

fn correlation(row: &Row, column: usize) -> Result<CorrelationId, Fault> {
    CorrelationId::parse(row.try_get(column)?).ok_or_else(|| wrong("not a correlation id"))
}

fn trace(row: &Row, column: usize) -> Result<TraceId, Fault> {
    TraceId::parse(row.try_get(column)?).ok_or_else(|| wrong("not a trace id"))
}

/// A row that this program has not written.
fn wrong(error: impl std::fmt::Display) -> Fault {
    Fault::Refused(format!("a row cannot be read: {error}"))
}
