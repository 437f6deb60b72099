//! Retention and compaction, a bounded piece at a time, so that units never wait long behind
//! it. Called by the writer. Space is the database's own business (autovacuum).

use std::time::Duration;

use monopod_core::Millis;
use monopod_core::name::TopicName;

use super::rows::unsigned;
use super::session::{Fault, Session};
use crate::prune::{PIECE, before};
use crate::rows::number;
use crate::settings::Topology;

/// Removes at most [`PIECE`] messages that are too old at `now`; fewer mean that nothing
/// is left to do.
pub(crate) async fn messages(session: &Session, topology: &Topology, now: Millis) -> Result<u64, Fault> {
    let mut removed = 0;
    let mut topic = String::new();
    // One step through the index for each topic; there are tens of them.
    while removed < PIECE {
        let sql = "SELECT topic FROM messages WHERE topic > $1 ORDER BY topic LIMIT 1";
        let Some(row) = session.first(sql, &[&topic]).await? else { break };
        topic = row.try_get(0)?;
        // A name that is none any more was declared under other rules: the default.
        let known = topic.parse::<TopicName>();
        let retention: Duration = known.map_or(crate::DEFAULT_RETENTION, |topic| topology.retention(&topic));
        let sql = "DELETE FROM messages WHERE sequence IN (
                     SELECT m.sequence FROM messages m WHERE m.topic = $1 AND m.published_at < $2
                       AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.sequence)
                     ORDER BY m.published_at LIMIT $3)";
        removed += session.execute(sql, &[&topic, &before(now, retention), &number(PIECE - removed)]).await?;
    }
    Ok(removed)
}

/// Removes at most [`PIECE`] inbox marks that no message can meet any more.
pub(crate) async fn marks(session: &Session, topology: &Topology, now: Millis) -> Result<u64, Fault> {
    let sql = "DELETE FROM inbox WHERE (consumer, message) IN (
                 SELECT consumer, message FROM inbox WHERE at < $1 ORDER BY at LIMIT $2)";
    session.execute(sql, &[&before(now, topology.longest_retention()), &number(PIECE)]).await
}

/// Looks at no more than [`PIECE`] messages behind `cursor` and removes what each of them, in
/// a compacted topic, has overtaken of its key. How many it looked at, and how many went.
pub(crate) async fn overtaken(
    session: &Session,
    topology: &Topology,
    cursor: &mut u64,
) -> Result<(u64, u64), Fault> {
    let sql = "SELECT sequence, topic, key FROM messages WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    let (mut seen, mut removed) = (0, 0);
    for row in session.query(sql, &[&number(*cursor), &number(PIECE)]).await? {
        let (topic, key): (&str, Option<&[u8]>) = (row.try_get(1)?, row.try_get(2)?);
        (*cursor, seen) = (unsigned(&row, 0)?, seen + 1);
        let Some(key) = key.filter(|_| topology.is_compacted(topic)) else { continue };
        let sql = "DELETE FROM messages m WHERE m.topic = $1 AND m.key = $2 AND m.sequence < $3
                     AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.sequence)";
        removed += session.execute(sql, &[&topic, &key, &number(*cursor)]).await?;
    }
    Ok((seen, removed))
}

/// Removes at most [`PIECE`] values that have expired.
pub(crate) async fn expired(session: &Session, now: Millis) -> Result<u64, Fault> {
    let sql = "DELETE FROM kv WHERE (component, bucket, key) IN (
                 SELECT component, bucket, key FROM kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
    session.execute(sql, &[&number(now), &number(PIECE)]).await
}
