//! What only a look behind the writer shows: batches that are made on purpose, and
//! faults of the disk.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use monopod_core::Millis;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::message::{DeliveryId, Message};
use monopod_core::name::ComponentName;
use monopod_core::store::{Committed, Error, Store};
use monopod_core::unit::{Cause, Key, Range, Scan, Unit};
use rusqlite::Connection;
use tempfile::TempDir;

use super::Job;
use crate::{Settings, SqliteStore, Topology};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Committed for Told {
    fn published(&self, _: u64, message: &Arc<Message>, _: &[DeliveryId]) {
        self.0.lock().unwrap().push(message.id.to_string());
    }
    fn redelivered(&self, _: &ComponentName) {}
    fn timer_set(&self, _: Millis) {}
}

fn open(folder: &TempDir) -> (SqliteStore, Arc<Told>) {
    let told = Arc::new(Told::default());
    let settings = Settings { folder: folder.path().to_owned(), topology: Topology::default() };
    (SqliteStore::open(settings, told.clone()).unwrap(), told)
}

fn unit() -> Unit {
    let correlation = CorrelationId::parse("c").unwrap();
    Unit::new("comp".parse().unwrap(), Cause::Request, correlation, TraceId::new(), None)
}

fn key(name: &str) -> Key {
    Key { component: "comp".parse().unwrap(), bucket: "b".parse().unwrap(), key: name.into() }
}

fn write(name: &str, size: usize) -> Unit {
    let mut unit = unit();
    unit.writes.insert(key(name), Some(vec![1; size].into()));
    unit
}

fn publish(mut unit: Unit, id: &str) -> Unit {
    unit.messages.push(Message {
        id: id.into(),
        topic: "news".parse().unwrap(),
        key: None,
        headers: Vec::new(),
        payload: "x".into(),
        correlation: unit.correlation.clone(),
        trace: unit.trace,
        owner: None,
        published_at: 0,
    });
    unit
}

async fn tamper(
    store: &SqliteStore,
    with: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
) -> Result<u64, Error> {
    store.ask(Job::Tamper(Box::new(with)), 0).await
}

/// Commits `units` in one batch: they are handed over while the writer is held.
async fn together(store: &SqliteStore, units: Vec<Unit>) -> Vec<Result<(), Error>> {
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let hold = tamper(store, move |_| {
        let _ = entered.send(());
        let _ = held.recv();
        Ok(())
    });
    let mut hold = std::pin::pin!(hold);
    // Only then the others: a writer that starts late would take some of them along.
    tokio::select! {
        _ = &mut hold => panic!("the writer was not held"),
        entered = inside => entered.unwrap(),
    }
    let all = futures_util::future::join_all(units.into_iter().map(|unit| store.commit(unit)));
    let go = async {
        // Polled after the others: all of them have been handed over.
        tokio::task::yield_now().await;
        drop(release);
    };
    let (_, results, ()) = tokio::join!(hold, all, go);
    results
}

#[tokio::test]
async fn units_that_wait_together_share_one_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let (store, told) = open(&folder);
    let before = store.stats();
    // Fewer than tokio lets one task do in one go, so that they are handed over in order.
    let units = (0..50).map(|n| publish(write(&n.to_string(), 10), &n.to_string())).collect();
    assert!(together(&store, units).await.iter().all(Result::is_ok));
    let after = store.stats();
    assert_eq!(after.units - before.units, 50);
    // The held one was committed by itself; it changed nothing, so it cost none.
    assert_eq!(after.commits - before.commits, 1);
    let expect: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(*told.0.lock().unwrap(), expect, "told in commit order");
}

#[tokio::test]
async fn of_two_units_in_one_batch_that_conflict_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (store, told) = open(&folder);
    let by_read = |n: &str| {
        let mut unit = publish(write("same", 1), n);
        unit.reads.insert(key("same"), 0);
        unit
    };
    let range = Range {
        component: "comp".parse().unwrap(),
        bucket: "b".parse().unwrap(),
        prefix: "s/".into(),
        after: None,
        between: (None, None),
        descending: false,
        limit: 10,
    };
    let by_scan = |n: &str| {
        let mut unit = publish(write(&format!("s/{n}"), 1), n);
        unit.scans.push(Scan { range: range.clone(), seen: Vec::new() });
        unit
    };
    let before = store.stats();
    let units = vec![by_read("1"), by_read("2"), by_scan("3"), by_scan("4"), write("free", 1)];
    let results = together(&store, units).await;
    let won: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, false, true, false, true], "{results:?}");
    assert!(results.iter().flat_map(|result| result.as_ref().err()).all(|e| matches!(e, Error::Conflict)));
    assert_eq!(*told.0.lock().unwrap(), ["1", "3"]);
    assert_eq!(store.stats().commits - before.commits, 1);
    assert_eq!(store.scan(&range).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_unit_that_only_read_costs_no_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    let before = store.stats().commits;
    let mut only_read = unit();
    only_read.reads.insert(key("a"), 0);
    store.commit(only_read).await.unwrap();
    assert_eq!(store.stats().commits, before);
}

#[tokio::test]
async fn when_the_commit_fails_nobody_is_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (store, told) = open(&folder);
    // A reference to nothing that is looked at only when the transaction ends.
    let break_commit = tamper(&store, |connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO deliveries (consumer, sequence, message, visible_at, attempt) VALUES ('x', 999, 999, 0, 1)",
        )
    });
    assert!(matches!(break_commit.await, Err(Error::Unavailable(_))));
    let (release, held) = mpsc::channel::<()>();
    let hold = tamper(&store, move |connection| {
        let _ = held.recv();
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO deliveries (consumer, sequence, message, visible_at, attempt) VALUES ('x', 999, 999, 0, 1)",
        )
    });
    // Wherever the batches are cut: a unit that fails has left nothing, and one that
    // succeeds is there.
    let units = ["a", "b", "c"].map(|name| store.commit(publish(write(name, 10), name)));
    let (broken, results, ()) =
        tokio::join!(hold, futures_util::future::join_all(units), async { drop(release) });
    assert!(matches!(broken, Err(Error::Unavailable(_))));
    let mut there = Vec::new();
    for (name, result) in ["a", "b", "c"].into_iter().zip(results) {
        assert_eq!(store.get(&key(name)).await.unwrap().is_some(), result.is_ok(), "{name}");
        there.extend(result.is_ok().then_some(name));
    }
    assert_eq!(*told.0.lock().unwrap(), there);
    // It goes on.
    store.commit(write("d", 10)).await.unwrap();
    store.writable().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (store, told) = open(&folder);
    store.commit(write("before", 10)).await.unwrap();
    tamper(&store, |c| c.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))).await.unwrap();
    match store.commit(publish(write("large", 900_000), "m")).await {
        Err(Error::Unavailable(text)) => {
            assert!(text.contains("full") && text.contains("free some"), "{text}")
        }
        other => panic!("{other:?}"),
    }
    assert!(store.get(&key("large")).await.unwrap().is_none());
    assert!(told.0.lock().unwrap().is_empty());
    tamper(&store, |c| c.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))).await.unwrap();
    store.commit(write("large", 900_000)).await.unwrap();
    assert!(store.get(&key("before")).await.unwrap().is_some());
}

#[tokio::test]
async fn after_an_input_output_error_nothing_more_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, told) = open(&folder);
    store.commit(write("before", 10)).await.unwrap();
    let broken = tamper(&store, |_| {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(rusqlite::Error::SqliteFailure(error, None))
    });
    assert!(matches!(broken.await, Err(Error::Unavailable(_))));
    for _ in 0..2 {
        match store.commit(publish(write("after", 10), "m")).await {
            Err(Error::Unavailable(text)) => assert!(text.contains("started again"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(store.writable().await.is_err(), "and readiness says so");
    assert!(told.0.lock().unwrap().is_empty());
    // Reading goes on, and the next start finds what was acknowledged.
    assert!(store.get(&key("before")).await.unwrap().is_some());
    drop(store);
    let (store, _) = open(&folder);
    assert!(store.get(&key("before")).await.unwrap().is_some());
    store.commit(write("after", 10)).await.unwrap();
}

#[tokio::test]
async fn a_log_that_grows_is_copied_and_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open(&folder);
    for n in 0..60_u8 {
        // SQLite does not write again what has not changed.
        let mut unit = unit();
        unit.writes.insert(key(&format!("{}", n % 3)), Some(vec![n; 500_000].into()));
        store.commit(unit).await.unwrap();
    }
    let stats = store.stats();
    assert!(stats.checkpoints >= 5, "{stats:?}");
    let log = std::fs::metadata(folder.path().join("state.db-wal")).unwrap().len();
    assert!(log < 16 << 20, "{log} bytes");
}
