//! What an operator asks of the topics. Each is a function of a reader's connection, run
//! where it may take a while: these questions look at many rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use monopod_core::name::TopicName;
use monopod_core::topics::{Lag, PAGE, Place, Selection, Stored, TopicStatus};
use rusqlite::{Connection, OptionalExtension, Result, ToSql};

use crate::rows::{self, number};
use crate::settings::Topology;

/// Every topic that is declared or holds messages.
pub(crate) fn topics(connection: &Connection, topology: &Topology) -> Result<Vec<TopicStatus>> {
    let mut found: BTreeMap<TopicName, TopicStatus> = BTreeMap::new();
    for name in topology.topics.keys() {
        let status = found.entry(name.clone()).or_insert_with(|| empty(name.clone()));
        let lag =
            |consumer: &_| Lag { consumer: Clone::clone(consumer), waiting: 0, failing: 0, oldest: None };
        status.consumers = topology.receivers(name).map(lag).collect();
    }
    let mut kept = connection.prepare_cached(
        "SELECT topic, count(*), min(published_at), max(published_at) FROM messages GROUP BY topic",
    )?;
    let mut rows = kept.query([])?;
    while let Some(row) = rows.next()? {
        // A name that is none any more was declared under other rules; nobody can ask for it.
        let Ok(name) = row.get::<_, String>(0)?.parse::<TopicName>() else { continue };
        let status = found.entry(name.clone()).or_insert_with(|| empty(name));
        (status.messages, status.oldest, status.newest) = (row.get(1)?, row.get(2)?, row.get(3)?);
    }
    let mut waiting = connection.prepare_cached(
        "SELECT m.topic, d.consumer, count(*), sum(d.attempt > 1), min(m.published_at)
         FROM deliveries d JOIN messages m ON m.sequence = d.message GROUP BY 1, 2",
    )?;
    let mut rows = waiting.query([])?;
    while let Some(row) = rows.next()? {
        let (topic, consumer): (String, String) = (row.get(0)?, row.get(1)?);
        let (Some(status), Ok(consumer)) = (found.get_mut(topic.as_str()), consumer.parse()) else {
            continue;
        };
        status.consumers.retain(|lag| lag.consumer != consumer);
        let lag = Lag { consumer, waiting: row.get(2)?, failing: row.get(3)?, oldest: row.get(4)? };
        status.consumers.push(lag);
    }
    Ok(found.into_values().collect())
}

fn empty(topic: TopicName) -> TopicStatus {
    TopicStatus { topic, messages: 0, oldest: None, newest: None, consumers: Vec::new() }
}

/// The message that stands there.
pub(crate) fn message(connection: &Connection, sequence: u64) -> Result<Option<Stored>> {
    let sql = format!("SELECT {} FROM messages m WHERE m.sequence = ?", rows::MESSAGE);
    connection
        .prepare_cached(&sql)?
        .query_row([number(sequence)], |row| rows::message(row, 0))
        .optional()
        .map(|found| found.map(|message| Stored { sequence, message: Arc::new(message) }))
}

/// Messages of a selection in order, behind a place.
pub(crate) fn messages(
    connection: &Connection,
    of: &Selection,
    after: Place,
    limit: usize,
) -> Result<Vec<Stored>> {
    select(connection, of, Some(after), limit, rows::MESSAGE, |row| {
        Ok(Stored { sequence: row.get(0)?, message: Arc::new(rows::message(row, 2)?) })
    })
}

/// The same without their contents: where each stands.
pub(crate) fn places(
    connection: &Connection,
    of: &Selection,
    after: Place,
    limit: usize,
) -> Result<Vec<Place>> {
    select(connection, of, Some(after), limit, "NULL", |row| {
        Ok(Place { sequence: row.get(0)?, published_at: row.get(1)? })
    })
}

/// The last messages of a selection, newest first.
pub(crate) fn newest(connection: &Connection, of: &Selection, limit: usize) -> Result<Vec<Stored>> {
    select(connection, of, None, limit, rows::MESSAGE, |row| {
        Ok(Stored { sequence: row.get(0)?, message: Arc::new(rows::message(row, 2)?) })
    })
}

/// In order behind `after`; from the end, if there is none.
fn select<T>(
    connection: &Connection,
    of: &Selection,
    after: Option<Place>,
    limit: usize,
    columns: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let topic = of.topic.as_str();
    let (from, to) = (of.from.map(number), of.to.map(number));
    let place = after.map(|after| (number(after.published_at), number(after.sequence)));
    let limit = number(limit.min(PAGE) as u64);
    let mut sql = format!("SELECT m.sequence, m.published_at, {columns} FROM messages m WHERE m.topic = ?1");
    let mut bound: Vec<&dyn ToSql> = vec![&topic];
    let mut also = |text: &str, value| {
        bound.push(value);
        // Writing to a String cannot fail.
        let _ = write!(sql, " AND {text} ?{}", bound.len());
    };
    if let Some(from) = &from {
        also("m.published_at >=", from);
    }
    if let Some(to) = &to {
        also("m.published_at <", to);
    }
    if let Some(key) = &of.key {
        also("m.key =", key);
    }
    if let Some(id) = &of.id {
        also("m.id =", id);
    }
    if let Some((at, sequence)) = &place {
        also("m.published_at >=", at);
        let at_least = bound.len();
        bound.push(sequence);
        let _ = write!(sql, " AND (m.published_at > ?{at_least} OR m.sequence > ?{})", bound.len());
    }
    let order = if after.is_some() { "ASC" } else { "DESC" };
    bound.push(&limit);
    let _ = write!(sql, " ORDER BY m.published_at {order}, m.sequence {order} LIMIT ?{}", bound.len());
    connection.prepare_cached(&sql)?.query_map(&*bound, read)?.collect()
}
