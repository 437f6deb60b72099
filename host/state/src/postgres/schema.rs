//! The tables: made, brought to the newest format, refused if a later version made them. And
//! who may write them: one process at a time. Called when the store opens.

use monopod_core::Millis;

use super::rows::unsigned;
use super::session::{Fault, Server, Session};
use crate::OpenError;

/// The formats, oldest first. An entry is never changed once released: a change is a new entry.
const MIGRATIONS: &[&str] = &[include_str!("migrations/001-first.sql")];

/// `monopod.` in hexadecimal: the lock under which one process at a time migrates.
const LOCK: i64 = 0x6d6f_6e6f_706f_642e;

/// How long a process may write after it last said that it lives. It says so with each commit
/// and every [`RENEW`]; the database's clock counts.
pub(crate) const LEASE_SECONDS: f64 = 4.0;
/// A third of the lease: two in a row may fail.
pub(crate) const RENEW: std::time::Duration = std::time::Duration::from_millis(1_300);

/// How long the marks of earlier processes are kept: a week, in milliseconds.
const KEPT: i64 = 7 * 86_400_000;

/// Who opens the store.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    pub id: String,
    /// For people: process and machine.
    pub holder: String,
}

impl Me {
    pub fn new() -> Self {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let machine = match machine.trim() {
            "" => "an unknown machine",
            name => name,
        };
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            holder: format!("process {} on {machine}", std::process::id()),
        }
    }
}

/// Makes the database ours, and this process the one that writes it.
pub(crate) async fn open(session: &Session, server: &Server, me: &Me, now: Millis) -> Result<(), OpenError> {
    let fault = |error: Fault| OpenError::Server { server: server.to_string(), source: error.into() };
    let opened = async {
        session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        // Waits for another process that migrates. Ends with the transaction.
        session.first("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        match migrate(session, server).await? {
            Ok(()) => {}
            refused => return Ok(refused),
        }
        let taken = take(session, server, me, now).await?;
        if taken.is_ok() {
            session.run("COMMIT").await?;
        }
        Ok(taken)
    };
    opened.await.map_err(fault)?
}

type Opened = Result<Result<(), OpenError>, Fault>;

async fn migrate(session: &Session, server: &Server) -> Opened {
    let there = "SELECT to_regnamespace('monopod') IS NOT NULL, to_regclass('monopod.about') IS NOT NULL";
    let row = session.first(there, &[]).await?;
    let (schema, about) = match row {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (false, false),
    };
    if schema && !about {
        return Ok(Err(OpenError::ForeignSchema { server: server.to_string() }));
    }
    if !schema {
        session.run("CREATE SCHEMA monopod").await?;
    }
    let mut format = 0_i32;
    if about {
        let sql = "SELECT format, written_by FROM about";
        if let Some(row) = session.first(sql, &[]).await? {
            format = row.try_get(0)?;
            let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
            if format > known {
                let written_by = row.try_get(1)?;
                let server = server.to_string();
                return Ok(Err(OpenError::NewerSchema { server, found: format, known, written_by }));
            }
        }
    }
    for (step, sql) in (1_i32..).zip(MIGRATIONS) {
        if step > format {
            session.run(sql).await?;
            session.run(&format!("UPDATE about SET format = {step}")).await?;
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    session.execute("UPDATE about SET written_by = $1 WHERE written_by <> $1", &[&version]).await?;
    Ok(Ok(()))
}

async fn take(session: &Session, server: &Server, me: &Me, now: Millis) -> Opened {
    let sql = "SELECT owner FROM counter WHERE owner IS NOT NULL AND until > clock_timestamp() FOR UPDATE";
    if let Some(row) = session.first(sql, &[]).await? {
        let owner: &str = row.try_get(0)?;
        let row = session.first("SELECT holder, since FROM writers WHERE id = $1", &[&owner]).await?;
        let (holder, since) = match row {
            Some(row) => (row.try_get(0)?, crate::folder::time(unsigned(&row, 1)?)),
            None => ("an unknown process".to_owned(), None),
        };
        return Ok(Err(OpenError::Held {
            server: server.to_string(),
            holder,
            since: since.unwrap_or_else(|| "an unknown time".to_owned()),
        }));
    }
    let now = crate::rows::number(now);
    // Of processes that are long gone. Not of the one before: it may ask yet.
    let sql = "DELETE FROM writers WHERE since < $1 AND id NOT IN (SELECT owner FROM counter WHERE owner IS NOT NULL)";
    session.execute(sql, &[&(now - KEPT)]).await?;
    let sql = "INSERT INTO writers (id, holder, since, batch) VALUES ($1, $2, $3, 0)";
    session.execute(sql, &[&me.id, &me.holder, &now]).await?;
    let sql = "UPDATE counter SET owner = $1, until = clock_timestamp() + make_interval(secs => $2)";
    session.execute(sql, &[&me.id, &LEASE_SECONDS]).await?;
    Ok(Ok(()))
}
