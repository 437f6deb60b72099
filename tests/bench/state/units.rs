//! Units of work: how many, how long one takes, how many share an fsync, and what SQLite does by
//! itself with a transaction for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::house::{House, Quiet, work};
use super::{NAME, ROUNDS, pace};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, percentile};

/// Units at once.
const AT_ONCE: u64 = 64;
/// How long a round is.
const TIME: Duration = Duration::from_secs(3);
/// Units per second of the round that is timed.
const PACE: u32 = 10_000;
/// The bytes of a value: a small JSON document, such as a session.
const VALUE: usize = 300;
/// Keys that come again: as many as a busy small system has.
const KEYS: u64 = 50_000;

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    let (mut rates, mut bare, mut shared, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let value = Bytes::from(vec![b'v'; VALUE]);
    for round in 1..=ROUNDS {
        book.say(&format!("units of work, and SQLite by itself, round {round} of {ROUNDS}"));
        let house = House::open(None, Arc::new(Quiet));
        let job = {
            let (store, value) = (Arc::clone(&house.store), value.clone());
            move |number: u64| {
                let (store, value) = (Arc::clone(&store), value.clone());
                async move { work(&store, number % KEYS, &value).await }
            }
        };
        let before = house.store.stats();
        rates.push(pace::rate(AT_ONCE, TIME, job.clone()).await);
        let after = house.store.stats();
        shared.push((after.units - before.units) as f64 / (after.commits - before.commits) as f64);
        times.push(percentile(&pace::times(PACE, TIME, job).await, 0.99));
        let (folder, value) = (house.folder().to_owned(), value.clone());
        bare.push(tokio::task::spawn_blocking(move || alone(&folder, &value)).await.unwrap());
    }
    let about = format!(
        "1 read, 2 writes and 1 message of {VALUE} bytes each, a real file, fsync on, no guest; {KEYS} pairs of keys"
    );
    book.add(
        NAME,
        Figure {
            metric: "units of work, 64 at once",
            values: rates.clone(),
            unit: "1/s",
            better: Better::Higher,
            peer: None,
            goal: Goal::AtLeast(10_000.0),
            about: about.clone(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "units of work, 64 at once, against SQLite",
            values: rates,
            unit: "1/s",
            better: Better::Higher,
            peer: Some(Peer {
                name: "SQLite (WAL, synchronous=FULL), a transaction for each".to_owned(),
                values: bare,
            }),
            goal: Goal::Ratio(15.0),
            about: format!("{about}; the peer's rows are the same four, one connection, prepared statements"),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "units that share an fsync, 64 at once",
            values: shared,
            unit: "units",
            better: Better::Higher,
            peer: None,
            goal: Goal::AtLeast(25.0),
            about: about.clone(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "a unit of work at 10,000 a second, p99",
            values: times,
            unit: "ms",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(20.0),
            about: format!("{about}; begun at a fixed rate, timed from when each was to begin"),
        },
    );
}

/// The same rows by hand: per second, one transaction after another.
fn alone(folder: &std::path::Path, value: &[u8]) -> f64 {
    let file = folder.join("alone.db");
    let mut connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB, version INTEGER) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS messages (sequence INTEGER PRIMARY KEY, id TEXT, topic TEXT, payload BLOB);",
        )
        .unwrap();
    let began = Instant::now();
    let mut done = 0_u64;
    while began.elapsed() < TIME {
        let unit = connection.transaction().unwrap();
        let number = done % KEYS;
        let version: Option<i64> = unit
            .prepare_cached("SELECT version FROM kept WHERE key = ?1")
            .unwrap()
            .query_row([format!("key-{number}")], |row| row.get(0))
            .optional()
            .unwrap();
        for side in ["", "-too"] {
            let mut write = unit.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3)").unwrap();
            write.execute(params![format!("key-{number}{side}"), value, version.unwrap_or(0) + 1]).unwrap();
        }
        let id = uuid::Uuid::now_v7().to_string();
        unit.prepare_cached("INSERT INTO messages (id, topic, payload) VALUES (?1, 'things', ?2)")
            .unwrap()
            .execute(params![id, value])
            .unwrap();
        unit.commit().unwrap();
        done += 1;
    }
    done as f64 / began.elapsed().as_secs_f64()
}
