//! The questions asked of the store. Each is a function of a connection: a reader of
//! the pool, or the writer's own, which also sees what its transaction did so far.

use std::fmt::Write as _;
use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::message::{Delivery, DeliveryId, Timer};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{After, Page, Past, Retained};
use monopod_core::topics::Stored;
use monopod_core::unit::{Key, MAX_SCAN, Range, Record};
use rusqlite::{Connection, OptionalExtension, Result, Row, ToSql, params};

use crate::rows::{self, number};

/// How many messages a page of the past is looked for among: about a millisecond of reading.
const LOOK: u32 = 2_000;
/// And how many it has at most: they are in memory until they are sent.
const FOUND: usize = 100;

/// The value of a key.
pub(crate) fn get(connection: &Connection, key: &Key, now: Millis) -> Result<Option<Record>> {
    connection
        .prepare_cached(
            "SELECT version, value FROM kv WHERE component = ? AND bucket = ? AND key = ?
               AND (expires_at IS NULL OR expires_at > ?)",
        )?
        .query_row(params![key.component.as_str(), key.bucket.as_str(), key.key, number(now)], |row| {
            Ok(Record { version: row.get(0)?, value: rows::bytes(row, 1)? })
        })
        .optional()
}

/// The version of a key; 0 for one that is not there.
pub(crate) fn version(connection: &Connection, key: &Key, now: Millis) -> Result<u64> {
    connection
        .prepare_cached(
            "SELECT version FROM kv WHERE component = ? AND bucket = ? AND key = ?
               AND (expires_at IS NULL OR expires_at > ?)",
        )?
        .query_row(params![key.component.as_str(), key.bucket.as_str(), key.key, number(now)], |row| {
            row.get(0)
        })
        .optional()
        .map(Option::unwrap_or_default)
}

/// The entries of a range.
pub(crate) fn scan(connection: &Connection, range: &Range, now: Millis) -> Result<Vec<(Arc<str>, Record)>> {
    walk(connection, range, now, "key, version, value", |row| {
        Ok((row.get(0)?, Record { version: row.get(1)?, value: rows::bytes(row, 2)? }))
    })
}

/// The keys and versions of a range: what a scan has to see again.
pub(crate) fn scan_versions(
    connection: &Connection,
    range: &Range,
    now: Millis,
) -> Result<Vec<(Arc<str>, u64)>> {
    walk(connection, range, now, "key, version", |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Walks a range between exact bounds, so that it touches no key outside of it.
fn walk<T>(
    connection: &Connection,
    range: &Range,
    now: Millis,
    columns: &str,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let limit = range.limit.min(MAX_SCAN);
    let Bounds { lower, exclusive, upper } = bounds(range);
    let from = if exclusive { ">" } else { ">=" };
    let to = if upper.is_some() { "AND key < ?6" } else { "" };
    let order = if range.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {columns} FROM kv WHERE component = ?1 AND bucket = ?2 AND key {from} ?3 {to}
           AND (expires_at IS NULL OR expires_at > ?5) ORDER BY key {order} LIMIT ?4"
    );
    let (component, bucket) = (range.component.as_str(), range.bucket.as_str());
    let now = number(now);
    let mut bound: Vec<&dyn ToSql> = vec![&component, &bucket, &lower, &limit, &now];
    if let Some(upper) = &upper {
        bound.push(upper);
    }
    connection.prepare_cached(&sql)?.query_map(&*bound, read)?.collect()
}

/// Which keys a range holds, as one interval.
pub(crate) struct Bounds {
    pub lower: String,
    /// Whether `lower` itself is outside.
    pub exclusive: bool,
    /// Always outside.
    pub upper: Option<String>,
}

/// Prefix, window and the place where an earlier scan ended, put together.
pub(crate) fn bounds(range: &Range) -> Bounds {
    let (from, before) = &range.between;
    let mut lower = range.prefix.as_str();
    if let Some(from) = from.as_deref().filter(|from| *from > lower) {
        lower = from;
    }
    let after = range.after.as_deref();
    let passed = after.filter(|_| range.descending).map(str::to_owned);
    // Of everything that ends it, what comes first.
    let upper = [successor(&range.prefix), before.clone(), passed].into_iter().flatten().min();
    let mut exclusive = false;
    match after {
        Some(after) if !range.descending && after >= lower => (lower, exclusive) = (after, true),
        _ => {}
    }
    Bounds { lower: lower.to_owned(), exclusive, upper }
}

/// The least text above all that begin with `prefix`; none if there is no such text.
/// UTF-8 sorts as its characters do, so the last character that has a next one is raised.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// What a consumer has not settled.
pub(crate) fn deliveries(
    connection: &Connection,
    group: &ComponentName,
    after: u64,
    limit: usize,
) -> Result<Vec<Delivery>> {
    let sql = format!(
        "SELECT d.sequence, d.attempt, d.visible_at, {} FROM deliveries d JOIN messages m ON m.sequence = d.message
         WHERE d.consumer = ? AND d.sequence > ? ORDER BY d.sequence LIMIT ?",
        rows::MESSAGE
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![group.as_str(), number(after), number(limit as u64)], |row| {
            Ok(Delivery {
                id: DeliveryId { group: group.clone(), sequence: row.get(0)? },
                attempt: row.get(1)?,
                visible_at: row.get(2)?,
                message: Arc::new(rows::message(row, 3)?),
            })
        })?
        .collect()
}

/// Timers that are due.
pub(crate) fn timers_due(connection: &Connection, until: Millis, limit: usize) -> Result<Vec<Timer>> {
    let sql = format!(
        "SELECT {} FROM timers WHERE due_at <= ? ORDER BY due_at, component, name LIMIT ?",
        rows::TIMER
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![number(until), number(limit as u64)], rows::timer)?
        .collect()
}

/// The last message of a topic that matches.
pub(crate) fn last(
    connection: &Connection,
    topic: &TopicName,
    retained: &Retained,
) -> Result<Option<Stored>> {
    let topic = topic.as_str();
    let mut bound: Vec<&dyn ToSql> = vec![&topic];
    let mut sql = format!("SELECT m.sequence, {} FROM messages m WHERE m.topic = ?1", rows::MESSAGE);
    let mut also = |column: &str, value| {
        bound.push(value);
        // Writing to a String cannot fail.
        let _ = write!(sql, " AND m.{column} = ?{}", bound.len());
    };
    // Without a key or an action the index by age finds the last one at once.
    let mut order = "m.published_at DESC, m.sequence DESC";
    if let Some(key) = &retained.key {
        also("key", key);
        order = "m.sequence DESC";
    }
    if let Some(correlation) = &retained.correlation {
        also("correlation", correlation);
        order = "m.sequence DESC";
    }
    let owner = retained.owner.as_ref().map(|owner| (&*owner.issuer, &*owner.subject));
    if let Some((issuer, subject)) = &owner {
        also("issuer", issuer);
        also("subject", subject);
    }
    connection
        .prepare_cached(&format!("{sql} ORDER BY {order} LIMIT 1"))?
        .query_row(&*bound, stored)
        .optional()
}

fn stored(row: &Row<'_>) -> Result<Stored> {
    Ok(Stored { sequence: row.get(0)?, message: Arc::new(rows::message(row, 1)?) })
}

/// A page of what is kept for one user behind a place.
pub(crate) fn since(connection: &Connection, past: &Past) -> Result<Page> {
    let after = match past.after {
        After::Sequence(sequence) => number(sequence),
        After::Time(time) => match first(connection, &past.topics, time)? {
            Some(first) => first - 1,
            None => return Ok(Page::default()),
        },
    };
    // By the order of all messages, which needs no index: so the look is bounded and not the find.
    let end: Option<i64> = connection
        .prepare_cached(
            "SELECT sequence FROM messages WHERE sequence > ? ORDER BY sequence LIMIT 1 OFFSET ?",
        )?
        .query_row(params![after, LOOK], |row| row.get(0))
        .optional()?;
    let (upto, topics) = (end.unwrap_or(i64::MAX), names(&past.topics)?);
    let sql = format!(
        "SELECT m.sequence, {} FROM messages m NOT INDEXED WHERE m.sequence > ? AND m.sequence <= ?
           AND m.subject = ? AND m.issuer = ? AND m.topic IN (SELECT value FROM json_each(?))
         ORDER BY m.sequence LIMIT ?",
        rows::MESSAGE
    );
    let owner = &past.owner;
    let messages: Vec<Stored> = connection
        .prepare_cached(&sql)?
        .query_map(params![after, upto, owner.subject, owner.issuer, topics, FOUND as u64], stored)?
        .collect::<Result<_>>()?;
    let full = messages.last().filter(|_| messages.len() == FOUND).map(|last| last.sequence);
    let next = full.or_else(|| end.and_then(|end| u64::try_from(end).ok()));
    Ok(Page { messages, next })
}

/// The place of the first message of these topics from a time on.
fn first(connection: &Connection, topics: &[TopicName], time: Millis) -> Result<Option<i64>> {
    let mut first: Option<i64> = None;
    let mut ask = connection.prepare_cached(
        "SELECT sequence FROM messages WHERE topic = ? AND published_at >= ? ORDER BY published_at, sequence LIMIT 1",
    )?;
    for topic in topics {
        let found = ask.query_row(params![topic.as_str(), number(time)], |row| row.get(0)).optional()?;
        first = first.into_iter().chain(found).min();
    }
    Ok(first)
}

/// Names as one parameter, so that one statement serves however many there are.
fn names(topics: &[TopicName]) -> Result<String> {
    let names: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
    serde_json::to_string(&names).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_character() {
        let check = |prefix: &str, expect: Option<&str>| {
            assert_eq!(successor(prefix).as_deref(), expect, "{prefix:?}");
        };
        check("", None);
        check("ab", Some("ac"));
        check("a\u{7f}", Some("a\u{80}"));
        check("a\u{d7ff}", Some("a\u{e000}"));
        check("a\u{10ffff}", Some("b"));
        check("\u{10ffff}", None);
    }
}
