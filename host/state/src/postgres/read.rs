//! The questions asked of the store, and those that an operator asks: the statements of
//! `crate::read` and `crate::look` in Postgres' words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::message::{Delivery, DeliveryId, Timer};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{After, Page, Past, Retained};
use monopod_core::topics::{Lag, PAGE, Place, Selection, Stored, TopicStatus};
use monopod_core::unit::{Key, MAX_SCAN, Range, Record};
use tokio_postgres::Row;

use super::rows::{self, unsigned};
use super::session::{Fault, Param, Session};
use crate::read::{Bounds, FOUND, LOOK, bounds};
use crate::rows::number;
use crate::settings::Topology;

/// The value of a key.
pub(crate) async fn get(session: &Session, key: &Key, now: Millis) -> Result<Option<Record>, Fault> {
    let sql = "SELECT version, value FROM kv WHERE component = $1 AND bucket = $2 AND key = $3
                 AND (expires_at IS NULL OR expires_at > $4)";
    let (component, bucket) = (key.component.as_str(), key.bucket.as_str());
    let row = session.first(sql, &[&component, &bucket, &key.key.as_bytes(), &number(now)]).await?;
    row.map(|row| Ok(Record { version: unsigned(&row, 0)?, value: rows::bytes(&row, 1)? })).transpose()
}

/// The entries of a range.
pub(crate) async fn scan(
    session: &Session,
    range: &Range,
    now: Millis,
) -> Result<Vec<(Arc<str>, Record)>, Fault> {
    let entry = |row: &Row| {
        let record = Record { version: unsigned(row, 1)?, value: rows::bytes(row, 2)? };
        Ok((rows::name(row, 0)?, record))
    };
    walk(session, range, now, "key, version, value", entry).await
}

/// The keys and versions of a range: what a scan has to see again.
pub(crate) async fn scan_versions(
    session: &Session,
    range: &Range,
    now: Millis,
) -> Result<Vec<(Arc<str>, u64)>, Fault> {
    let entry = |row: &Row| Ok((rows::name(row, 0)?, unsigned(row, 1)?));
    walk(session, range, now, "key, version", entry).await
}

async fn walk<T>(
    session: &Session,
    range: &Range,
    now: Millis,
    columns: &str,
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let Bounds { lower, exclusive, upper } = bounds(range);
    let from = if exclusive { ">" } else { ">=" };
    let to = if upper.is_some() { "AND key < $6" } else { "" };
    let order = if range.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {columns} FROM kv WHERE component = $1 AND bucket = $2 AND key {from} $3 {to}
           AND (expires_at IS NULL OR expires_at > $5) ORDER BY key {order} LIMIT $4"
    );
    let (component, bucket) = (range.component.as_str(), range.bucket.as_str());
    let (now, limit) = (number(now), i64::from(range.limit.min(MAX_SCAN)));
    let (lower, upper) = (lower.as_bytes(), upper.as_deref().map(str::as_bytes));
    let mut params: Vec<Param<'_>> = vec![&component, &bucket, &lower, &limit, &now];
    if let Some(upper) = &upper {
        params.push(upper);
    }
    session.query(&sql, &params).await?.iter().map(read).collect()
}

/// What a consumer has not settled.
pub(crate) async fn deliveries(
    session: &Session,
    group: &ComponentName,
    after: u64,
    limit: usize,
) -> Result<Vec<Delivery>, Fault> {
    let sql = format!(
        "SELECT d.sequence, d.attempt, d.visible_at, {} FROM deliveries d JOIN messages m ON m.sequence = d.message
         WHERE d.consumer = $1 AND d.sequence > $2 ORDER BY d.sequence LIMIT $3",
        rows::MESSAGE
    );
    let found = session.query(&sql, &[&group.as_str(), &number(after), &number(limit as u64)]).await?;
    let delivery = |row: &Row| {
        Ok(Delivery {
            id: DeliveryId { group: group.clone(), sequence: unsigned(row, 0)? },
            attempt: rows::attempt(row, 1)?,
            visible_at: unsigned(row, 2)?,
            message: Arc::new(rows::message(row, 3)?),
        })
    };
    found.iter().map(delivery).collect()
}

/// Timers that are due.
pub(crate) async fn timers_due(session: &Session, until: Millis, limit: usize) -> Result<Vec<Timer>, Fault> {
    let sql = format!(
        "SELECT {} FROM timers WHERE due_at <= $1 ORDER BY due_at, component, name LIMIT $2",
        rows::TIMER
    );
    let found = session.query(&sql, &[&number(until), &number(limit as u64)]).await?;
    found.iter().map(rows::timer).collect()
}

/// The last message of a topic that matches.
pub(crate) async fn last(
    session: &Session,
    topic: &TopicName,
    retained: &Retained,
) -> Result<Option<Stored>, Fault> {
    let topic = topic.as_str();
    let key = retained.key.as_deref().map(str::as_bytes);
    let owner = retained.owner.as_ref().map(|owner| (owner.issuer.as_bytes(), owner.subject.as_bytes()));
    let mut query =
        Query::new(format!("SELECT m.sequence, {} FROM messages m WHERE m.topic = $1", rows::MESSAGE));
    query.params.push(&topic);
    // Without a key or an action the index by age finds the last one at once.
    let mut order = "m.published_at DESC, m.sequence DESC";
    if let Some(key) = &key {
        query.also("m.key =", key);
        order = "m.sequence DESC";
    }
    if let Some(correlation) = &retained.correlation {
        query.also("m.correlation =", correlation);
        order = "m.sequence DESC";
    }
    if let Some((issuer, subject)) = &owner {
        query.also("m.issuer =", issuer);
        query.also("m.subject =", subject);
    }
    let sql = format!("{} ORDER BY {order} LIMIT 1", query.sql);
    session.first(&sql, &query.params).await?.as_ref().map(rows::stored).transpose()
}

/// A statement that grows with what is asked.
struct Query<'a> {
    sql: String,
    params: Vec<Param<'a>>,
}

impl<'a> Query<'a> {
    fn new(sql: String) -> Self {
        Self { sql, params: Vec::new() }
    }

    fn also(&mut self, condition: &str, value: Param<'a>) {
        self.params.push(value);
        // Writing to a String cannot fail.
        let _ = write!(self.sql, " AND {condition} ${}", self.params.len());
    }
}

/// A page of what is kept for one user behind a place.
pub(crate) async fn since(session: &Session, past: &Past) -> Result<Page, Fault> {
    let topics: Vec<&str> = past.topics.iter().map(TopicName::as_str).collect();
    let after = match past.after {
        After::Sequence(sequence) => number(sequence),
        After::Time(time) => {
            // One step through the index for each topic.
            let sql = "SELECT min(f.sequence) FROM unnest($1::text[]) AS t (topic) CROSS JOIN LATERAL (
                         SELECT sequence FROM messages m WHERE m.topic = t.topic AND m.published_at >= $2
                         ORDER BY m.published_at, m.sequence LIMIT 1) f";
            let row = session.first(sql, &[&topics, &number(time)]).await?;
            match row.map(|row| row.try_get::<_, Option<i64>>(0)).transpose()?.flatten() {
                Some(first) => first - 1,
                None => return Ok(Page::default()),
            }
        }
    };
    let sql = "SELECT sequence FROM messages WHERE sequence > $1 ORDER BY sequence LIMIT 1 OFFSET $2";
    let end = session.first(sql, &[&after, &i64::from(LOOK)]).await?;
    let end: Option<i64> = end.map(|row| row.try_get(0)).transpose()?;
    let sql = format!(
        "SELECT m.sequence, {} FROM messages m WHERE m.sequence > $1 AND m.sequence <= $2
           AND m.subject = $3 AND m.issuer = $4 AND m.topic = ANY ($5) ORDER BY m.sequence LIMIT $6",
        rows::MESSAGE
    );
    let (subject, issuer) = (past.owner.subject.as_bytes(), past.owner.issuer.as_bytes());
    let upto = end.unwrap_or(i64::MAX);
    let params: [Param<'_>; 6] = [&after, &upto, &subject, &issuer, &topics, &number(FOUND as u64)];
    let found = session.query(&sql, &params).await?;
    let messages: Vec<Stored> = found.iter().map(rows::stored).collect::<Result<_, _>>()?;
    let full = messages.last().filter(|_| messages.len() == FOUND).map(|last| last.sequence);
    let next = full.or_else(|| end.and_then(|end| u64::try_from(end).ok()));
    Ok(Page { messages, next })
}

/// Every topic that is declared or holds messages.
pub(crate) async fn topics(session: &Session, topology: &Topology) -> Result<Vec<TopicStatus>, Fault> {
    let mut found: BTreeMap<TopicName, TopicStatus> = crate::look::declared(topology);
    let kept = "SELECT topic, count(*), min(published_at), max(published_at) FROM messages GROUP BY topic";
    for row in session.query(kept, &[]).await? {
        // A name that is none any more was declared under other rules; nobody can ask for it.
        let Ok(name) = row.try_get::<_, &str>(0)?.parse::<TopicName>() else { continue };
        let status = found.entry(name.clone()).or_insert_with(|| crate::look::empty(name));
        status.messages = unsigned(&row, 1)?;
        (status.oldest, status.newest) = (rows::maybe(&row, 2)?, rows::maybe(&row, 3)?);
    }
    let waiting =
        "SELECT m.topic, d.consumer, count(*), count(*) FILTER (WHERE d.attempt > 1), min(m.published_at)
                   FROM deliveries d JOIN messages m ON m.sequence = d.message GROUP BY 1, 2 ORDER BY 1, 2";
    for row in session.query(waiting, &[]).await? {
        let (topic, consumer): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (Some(status), Ok(consumer)) = (found.get_mut(topic), consumer.parse()) else { continue };
        status.consumers.retain(|lag| lag.consumer != consumer);
        let (waiting, failing) = (unsigned(&row, 2)?, unsigned(&row, 3)?);
        status.consumers.push(Lag { consumer, waiting, failing, oldest: rows::maybe(&row, 4)? });
    }
    Ok(found.into_values().collect())
}

/// The message that stands there.
pub(crate) async fn message(session: &Session, sequence: u64) -> Result<Option<Stored>, Fault> {
    let sql = format!("SELECT m.sequence, {} FROM messages m WHERE m.sequence = $1", rows::MESSAGE);
    session.first(&sql, &[&number(sequence)]).await?.as_ref().map(rows::stored).transpose()
}

/// Messages of a selection in order behind `after`; from the end, if there is none.
pub(crate) async fn messages(
    session: &Session,
    of: &Selection,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Stored>, Fault> {
    select(session, of, after, limit, rows::MESSAGE).await?.iter().map(rows::stored).collect()
}

/// Where the messages of a selection stand.
pub(crate) async fn places(
    session: &Session,
    of: &Selection,
    after: Place,
    limit: usize,
) -> Result<Vec<Place>, Fault> {
    let place = |row: &Row| Ok(Place { sequence: unsigned(row, 0)?, published_at: unsigned(row, 1)? });
    select(session, of, Some(after), limit, "m.published_at").await?.iter().map(place).collect()
}

async fn select(
    session: &Session,
    of: &Selection,
    after: Option<Place>,
    limit: usize,
    columns: &str,
) -> Result<Vec<Row>, Fault> {
    let topic = of.topic.as_str();
    let (from, to) = (of.from.map(number), of.to.map(number));
    let (key, id) = (of.key.as_deref().map(str::as_bytes), of.id.as_deref().map(str::as_bytes));
    let place = after.map(|after| (number(after.published_at), number(after.sequence)));
    let limit = number(limit.min(PAGE) as u64);
    let mut query = Query::new(format!("SELECT m.sequence, {columns} FROM messages m WHERE m.topic = $1"));
    query.params.push(&topic);
    if let Some(from) = &from {
        query.also("m.published_at >=", from);
    }
    if let Some(to) = &to {
        query.also("m.published_at <", to);
    }
    if let Some(key) = &key {
        query.also("m.key =", key);
    }
    if let Some(id) = &id {
        query.also("m.id =", id);
    }
    if let Some((at, sequence)) = &place {
        query.params.push(at);
        let at = query.params.len();
        query.params.push(sequence);
        let _ = write!(query.sql, " AND (m.published_at, m.sequence) > (${at}, ${})", at + 1);
    }
    let order = if after.is_some() { "ASC" } else { "DESC" };
    query.params.push(&limit);
    let last = query.params.len();
    let _ = write!(query.sql, " ORDER BY m.published_at {order}, m.sequence {order} LIMIT ${last}");
    session.query(&query.sql, &query.params).await
}
