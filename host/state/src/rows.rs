//! Rows to words and back. No statement stands here; the column lists do, so that the
//! order in which they are read is written down once.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::message::{Message, Timer, TimerId};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Error, Row};

/// What [`message`] reads, from its first column on.
pub(crate) const MESSAGE: &str =
    "m.id, m.topic, m.key, m.correlation, m.trace, m.issuer, m.subject, m.published_at, m.headers, m.payload";

/// What [`timer`] reads.
pub(crate) const TIMER: &str =
    "component, name, version, due_at, attempt, correlation, trace, issuer, subject, payload";

/// A message, its columns beginning at `first`.
pub(crate) fn message(row: &Row<'_>, first: usize) -> Result<Message, Error> {
    let at = |column: usize| first + column;
    Ok(Message {
        id: row.get(at(0))?,
        topic: parsed(row, at(1))?,
        key: row.get(at(2))?,
        correlation: correlation(row, at(3))?,
        trace: trace(row, at(4))?,
        owner: owner(row, at(5))?,
        published_at: row.get(at(7))?,
        headers: serde_json::from_str(text(row, at(8))?)
            .map_err(|error| Error::FromSqlConversionFailure(at(8), Type::Text, error.into()))?,
        payload: bytes(row, at(9))?,
    })
}

/// A timer.
pub(crate) fn timer(row: &Row<'_>) -> Result<Timer, Error> {
    Ok(Timer {
        id: TimerId { component: parsed(row, 0)?, name: row.get(1)? },
        version: row.get(2)?,
        due_at: row.get(3)?,
        attempt: row.get(4)?,
        correlation: correlation(row, 5)?,
        trace: trace(row, 6)?,
        owner: owner(row, 7)?,
        payload: bytes(row, 9)?,
    })
}

/// A blob, copied out of the page once.
pub(crate) fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes, Error> {
    let value = row.get_ref(column)?.as_blob().map_err(|error| wrong(column, Type::Blob, error))?;
    Ok(Bytes::copy_from_slice(value))
}

/// A number as SQLite takes it. What does not fit is as far away as can be said.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Issuer and subject for two columns.
pub(crate) fn owner_columns(owner: Option<&Owner>) -> (Option<&str>, Option<&str>) {
    owner.map(|owner| (&*owner.issuer, &*owner.subject)).unzip()
}

fn owner(row: &Row<'_>, first: usize) -> Result<Option<Owner>, Error> {
    let issuer: Option<Arc<str>> = row.get(first)?;
    let subject: Option<Arc<str>> = row.get(first + 1)?;
    Ok(issuer.zip(subject).map(|(issuer, subject)| Owner { issuer, subject }))
}

fn correlation(row: &Row<'_>, column: usize) -> Result<CorrelationId, Error> {
    CorrelationId::parse(text(row, column)?)
        .ok_or_else(|| wrong(column, Type::Text, FromSqlError::InvalidType))
}

fn trace(row: &Row<'_>, column: usize) -> Result<TraceId, Error> {
    TraceId::parse(text(row, column)?).ok_or_else(|| wrong(column, Type::Text, FromSqlError::InvalidType))
}

fn parsed<T>(row: &Row<'_>, column: usize) -> Result<T, Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(row, column)?.parse().map_err(|error: T::Err| wrong(column, Type::Text, error))
}

fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Error> {
    row.get_ref(column)?.as_str().map_err(|error| wrong(column, Type::Text, error))
}

fn wrong(column: usize, kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
