//! Opening: what is found again, and every way in which it is refused.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use monopod_core::store::{Error, Store};
use monopod_state::OpenError;
use rusqlite::Connection;

use crate::backend::open_in;
use crate::support::*;

fn refused(folder: &Path) -> OpenError {
    open_in(folder).map(drop).unwrap_err()
}

#[tokio::test]
async fn everything_is_found_again_after_a_drop_without_close() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    it.publish(message("orders", "m1")).await;
    it.store.commit(set("t", 5, "x")).await.unwrap();
    let it = it.reopen().await;
    assert_eq!(it.value("a").await.as_deref(), Some("1"));
    assert_eq!(it.deliveries("mail").await.len(), 1);
    assert_eq!(it.next_timer().await, Some(5));
}

#[tokio::test]
async fn closing_leaves_one_file_and_frees_the_folder() {
    let it = Fixture::new().await;
    it.put("a", "1").await;
    it.store.close().await;
    assert!(matches!(it.store.commit(write("b", "2")).await, Err(Error::Unavailable(_))));
    assert!(it.store.writable().await.is_err());
    it.store.close().await;
    let log = fs::metadata(it.home.path().join("state.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0);
    // The old one is still there, as after a hasty shutdown.
    let (store, _) = open_in(it.home.path()).unwrap();
    assert!(store.get(&key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_is_open_is_writable() {
    let it = Fixture::new().await;
    let before = it.store.stats().commits;
    it.store.writable().await.unwrap();
    assert_eq!(it.store.stats().commits, before + 1, "a real write");
}

#[tokio::test]
async fn a_second_store_on_the_folder_is_refused_with_the_first_ones_pid() {
    let it = Fixture::new().await;
    let error = refused(it.home.path());
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(error.to_string().contains(&format!("process {}, since 20", std::process::id())), "{error}");
    assert!(error.to_string().contains("--state"), "{error}");
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let it = Fixture::new().await;
    let folder = it.home;
    drop(it.store);
    let file = folder.path().join("state.db");
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.execute("UPDATE about SET written_by = '7.1.2'", []).unwrap();
    drop(connection);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Newer { found: 99, known: 2, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("7.1.2, format 99") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

#[test]
fn another_programs_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&file).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Foreign { found: 0, .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    Connection::open(&file).unwrap().pragma_update(None, "application_id", 7).unwrap();
    assert!(refused(folder.path()).to_string().contains("0x00000007"));
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_says_what_to_do() {
    let check = async |name: &str, damage: &dyn Fn(&Path, Vec<u8>)| {
        let it = Fixture::new().await;
        it.put("a", &"x".repeat(100_000)).await;
        it.store.close().await;
        let folder = it.home;
        drop(it.store);
        let file = folder.path().join("state.db");
        damage(&file, fs::read(&file).unwrap());
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains("restore it from a backup"), "{name}: {error}");
    };
    check("no SQLite file", &|file, _| fs::write(file, "this is a text").unwrap()).await;
    check("garbage for a header", &|file, mut bytes| {
        bytes[..100].fill(0xa5);
        fs::write(file, bytes).unwrap();
    })
    .await;
    check("cut off", &|file, bytes| fs::write(file, &bytes[..bytes.len() / 2]).unwrap()).await;
    check("cut off in the header", &|file, bytes| fs::write(file, &bytes[..50]).unwrap()).await;
    check("a schema of noise", &|file, mut bytes| {
        bytes[100..4_096].fill(0xa5);
        fs::write(file, bytes).unwrap();
    })
    .await;
    check("a folder in its place", &|file, _| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn damage_is_found_after_an_unclean_stop() {
    let it = Fixture::new().await;
    for n in 0..200 {
        it.put(&format!("{n}"), &"x".repeat(3_000)).await;
    }
    it.store.close().await;
    let folder = it.home;
    drop(it.store);
    let file = folder.path().join("state.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40_000].fill(0xa5);
    fs::write(&file, bytes).unwrap();
    // A log with nothing whole in it, as a kill in the middle of a write leaves.
    fs::write(folder.path().join("state.db-wal"), [1; 32]).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in [file.clone(), file.join("below")] {
        let error = refused(&bad);
        assert!(matches!(error, OpenError::Folder { .. }), "{error}");
        assert!(error.to_string().contains("may write to"), "{error}");
        assert!(error.source().is_some());
    }
}

#[test]
fn an_empty_file_is_a_new_one() {
    // What a crash leaves between making the file and writing to it.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.db"), "").unwrap();
    open_in(folder.path()).unwrap();
}

#[tokio::test]
async fn a_consumer_that_is_gone_keeps_its_messages() {
    let it = Fixture::new().await;
    it.publish(message("orders", "m1")).await;
    let folder = it.home;
    drop(it.store);
    let settings = monopod_state::Settings {
        folder: folder.path().to_owned(),
        topology: monopod_state::Topology::default(),
    };
    let listener = std::sync::Arc::new(Listener::default());
    let store = monopod_state::SqliteStore::open(settings, listener).unwrap();
    assert_eq!(store.prune(u64::MAX).await.unwrap(), 0);
    assert_eq!(store.deliveries(&"mail".parse().unwrap(), 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_forward_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Connection::open(folder.path().join("state.db")).unwrap();
    first.execute_batch(include_str!("../../src/migrations/001-first.sql")).unwrap();
    first
        .execute_batch(
            "INSERT INTO kv VALUES ('billing', 'things', 'a', 3, CAST('old' AS BLOB));
             INSERT INTO messages VALUES (4, 'm1', 'orders', 'k', 'action-1',
               '4bf92f3577b34da6a3ce929d0e0e4736', 'https://issuer', 'ann', 5, '[[\"x-schema\",\"v1\"]]', CAST('text' AS BLOB));
             INSERT INTO deliveries VALUES ('mail', 4, 5, 2, 'first', 'last');
             INSERT INTO timers VALUES ('billing', 't', 9, 2, 1, NULL, NULL, 'action-1',
               '4bf92f3577b34da6a3ce929d0e0e4736', NULL, NULL, CAST('p' AS BLOB));
             INSERT INTO inbox VALUES ('billing', 'm1', 5);
             UPDATE counter SET number = 4;
             PRAGMA application_id = 1836019311;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(first);
    let (store, _) = open_in(folder.path()).unwrap();
    let record = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((record.version, &record.value[..]), (3, &b"old"[..]));
    let delivery = store.deliveries(&"mail".parse().unwrap(), 0, 9).await.unwrap().remove(0);
    assert_eq!((delivery.id.sequence, delivery.attempt), (4, 2));
    assert_eq!(
        *delivery.message,
        monopod_core::message::Message { payload: "text".into(), published_at: 5, ..message("orders", "m1") }
    );
    assert_eq!(store.timers_due(9, 9).await.unwrap().len(), 1);
    // And the file is one that gives its space back.
    let file = Connection::open(folder.path().join("state.db")).unwrap();
    assert_eq!(file.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}
