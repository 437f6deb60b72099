//! kill -9: what was acknowledged is there, and nothing is there by half.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use monopod_core::store::Store;
use monopod_state::OpenError;

use crate::backend::open_in;
use crate::support::*;

/// Tells the child which folder to write to.
const FOLDER: &str = "MONOPOD_STATE_TEST_CHILD";
/// Tasks that commit at the same time, so that batches hold several units.
const TASKS: usize = 8;

/// Not a test by itself: what the next test starts as a process, and kills.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (store, _) = open_in(Path::new(&folder)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(commit_for_ever(store.clone(), task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn commit_for_ever(store: Arc<monopod_state::SqliteStore>, task: usize) {
    for n in 0.. {
        let id = format!("{task}-{n}-{}", std::process::id());
        let mut unit = write(&format!("a/{id}"), "1");
        unit.writes.extend(write(&format!("b/{id}"), &"2".repeat(2_000)).writes);
        unit.messages.push(message("orders", &id));
        unit.timers = set(&id, 1, "x").timers;
        store.commit(unit).await.unwrap();
        println!("\nack {id}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged_and_leaves_nothing_by_half() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    // Each round is killed after another number of answers, on top of what the last left.
    for answers in [1, 13, 60, 200] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = Vec::new();
        while acks.len() < answers {
            let line = lines.next().unwrap().unwrap();
            acks.extend(line.strip_prefix("ack ").map(str::to_owned));
        }
        let error = open_in(folder.path()).map(drop).unwrap_err();
        let pid = child.id().to_string();
        assert!(matches!(&error, OpenError::Locked { pid: found, .. } if *found == pid), "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
        // The last line may be cut: it was not heard.
        let mut rest: Vec<_> = lines.map_while(Result::ok).collect();
        rest.pop();
        acks.extend(rest.iter().filter_map(|line| line.strip_prefix("ack ").map(str::to_owned)));
        acknowledged.extend(acks);

        let (store, _) = open_in(folder.path()).unwrap();
        for id in &acknowledged {
            assert!(store.get(&key(&format!("a/{id}"))).await.unwrap().is_some(), "{id} is lost");
        }
        let mut ids = Vec::new();
        let mut range = range("a/");
        range.limit = 1_000;
        loop {
            let found = store.scan(&range).await.unwrap();
            let Some((last, _)) = found.last() else { break };
            range.after = Some(last.to_string());
            ids.extend(found.iter().map(|(key, _)| key[2..].to_owned()));
        }
        for id in &ids {
            assert!(store.get(&key(&format!("b/{id}"))).await.unwrap().is_some(), "{id} by half");
        }
        let published = store.deliveries(&"mail".parse().unwrap(), 0, usize::MAX).await.unwrap();
        let mut published: Vec<_> =
            published.iter().map(|delivery| delivery.message.id.to_string()).collect();
        let timers = store.timers_due(1, usize::MAX).await.unwrap();
        let mut timers: Vec<_> = timers.iter().map(|timer| timer.id.name.to_string()).collect();
        published.sort_unstable();
        timers.sort_unstable();
        assert_eq!((&published, &timers), (&ids, &ids));
    }
}
