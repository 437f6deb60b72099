//! Retention and compaction: messages that are old enough or overtaken go, inbox marks
//! that nothing can meet, values that have expired; then the file gives back what it does
//! not use. Called by the writer, a bounded piece at a time, so that units never wait long
//! behind it.

use std::time::Duration;

use monopod_core::Millis;
use monopod_core::name::TopicName;
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::number;
use crate::settings::Topology;

/// How many rows one piece removes at most: some milliseconds of the writer's time.
pub(crate) const PIECE: u64 = 500;
/// Pages the file may hold unused, 4 KiB each: new rows fill them sooner than they are
/// given back, while the file stays small for who started small.
const SPARE_PAGES: u64 = 1_024;
/// Pages given back in one piece: each is moved within the file, some milliseconds for all.
const PAGES: u64 = 256;

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
                     AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.sequence)
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

/// Looks at no more than [`PIECE`] messages behind `cursor` and removes what each of them,
/// in a compacted topic, has overtaken of its key. What somebody still has to handle
/// stays; the next message of its key takes it along, or the next start. Fewer than
/// [`PIECE`] looked at mean that nothing is left to do.
pub(crate) fn overtaken(
    connection: &Connection,
    topology: &Topology,
    cursor: &mut u64,
) -> rusqlite::Result<(u64, u64)> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, topic, key FROM messages WHERE sequence > ? ORDER BY sequence LIMIT ?",
    )?;
    let mut rows = statement.query([number(*cursor), number(PIECE)])?;
    let (mut seen, mut removed) = (0, 0);
    while let Some(row) = rows.next()? {
        let (sequence, topic, key): (u64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        (*cursor, seen) = (sequence, seen + 1);
        let Some(key) = key.filter(|_| topology.is_compacted(&topic)) else { continue };
        removed += connection
            .prepare_cached(
                "DELETE FROM messages WHERE topic = ?1 AND key = ?2 AND sequence < ?3
                   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = messages.sequence)",
            )?
            .execute(params![topic, key, number(sequence)])? as u64;
    }
    Ok((seen, removed))
}

/// Removes at most [`PIECE`] values that have expired.
pub(crate) fn expired(connection: &Connection, now: Millis) -> rusqlite::Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM kv WHERE rowid IN (
               SELECT rowid FROM kv WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        )?
        .execute(params![number(now), number(PIECE)])?;
    Ok(removed as u64)
}

/// Gives at most [`PAGES`] unused pages back. How many are still to be given.
pub(crate) fn vacuum(connection: &Connection) -> rusqlite::Result<u64> {
    let spare = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0));
    let before = spare()?;
    if before <= SPARE_PAGES {
        return Ok(0);
    }
    let pages = PAGES.min(before - SPARE_PAGES);
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    // Each step gives one page back.
    while rows.next()?.is_some() {}
    drop(rows);
    let after = spare()?;
    // A file of an earlier format, too large to be written anew, cannot give any back.
    Ok(if after < before { after.saturating_sub(SPARE_PAGES) } else { 0 })
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
