//! Retention: messages and inbox marks that are old enough go. Called by the writer,
//! a bounded piece at a time, so that units never wait long behind it.

use std::time::Duration;

use monopod_core::Millis;
use monopod_core::name::TopicName;
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::number;
use crate::settings::Topology;

/// How many rows one piece removes at most: some milliseconds of the writer's time.
pub(crate) const PIECE: u64 = 500;

/// Removes at most [`PIECE`] messages that are too old at `now`; fewer mean that nothing
/// is left to do.
pub(crate) fn messages(connection: &Connection, topology: &Topology, now: Millis) -> rusqlite::Result<u64> {
    let mut removed = 0;
    let mut topic = String::new();
    // One step through the index for each topic; there are tens of them.
    while removed < PIECE
        && let Some(next) = topic_after(connection, &topic)?
    {
        // A name that is none any more was declared under other rules: the default.
        let retention =
            next.parse::<TopicName>().map_or(crate::DEFAULT_RETENTION, |topic| topology.retention(&topic));
        removed += connection
            .prepare_cached(
                "DELETE FROM messages WHERE sequence IN (
                   SELECT m.sequence FROM messages m WHERE m.topic = ?1 AND m.published_at < ?2
                     AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.sequence = m.sequence)
                   ORDER BY m.published_at LIMIT ?3)",
            )?
            .execute(params![next, before(now, retention), number(PIECE - removed)])?
            as u64;
        topic = next;
    }
    Ok(removed)
}

/// Removes at most [`PIECE`] inbox marks that no message can meet any more.
pub(crate) fn marks(connection: &Connection, topology: &Topology, now: Millis) -> rusqlite::Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM inbox WHERE (consumer, message) IN (
               SELECT consumer, message FROM inbox WHERE at < ? ORDER BY at LIMIT ?)",
        )?
        .execute(params![before(now, topology.longest_retention()), number(PIECE)])?;
    Ok(removed as u64)
}

fn topic_after(connection: &Connection, topic: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT topic FROM messages WHERE topic > ? ORDER BY topic LIMIT 1")?
        .query_row([topic], |row| row.get(0))
        .optional()
}

fn before(now: Millis, retention: Duration) -> i64 {
    let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    number(now.saturating_sub(retention))
}
