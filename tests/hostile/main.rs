//! Guests that mean harm, against a real engine and a real store: the caller gets a clear
//! error in bounded time, nothing of the failed call remains, and neighbours go on.
//! The guest is `tests/guests/probe`, which does what a path names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod advisories;
mod answering;
mod circuit;
mod fields;
mod functions;
mod guests;
mod instances;
mod lane;
mod limits;
mod outgoing;
mod refused;
mod responses;
mod streams;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monopod_core::component::Limits;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::Outcome;
use monopod_core::store::{self, Store};
use support::{House, limits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_spins_is_stopped_at_its_deadline_and_its_neighbour_goes_on() {
    let house = House::with(Limits { deadline: Duration::from_secs(4), ..limits() }).await;
    let started = Instant::now();
    let spinning = futures_util::future::join_all((0..2).map(|_| house.get("/spin")));
    let neighbour = async {
        for _ in 0..10 {
            assert_eq!(house.get("/hello").await.unwrap(), "hello");
        }
        started.elapsed()
    };
    let (spun, answered) = futures_util::future::join(spinning, neighbour).await;
    for result in spun {
        assert!(matches!(result, Err(Error::TimedOut(_))), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert!(answered < Duration::from_secs(4), "the neighbour had to wait for the spinners: {answered:?}");
}

#[tokio::test]
async fn a_trap_fails_one_call_and_leaves_nothing_of_its_unit() {
    let house = House::new().await;
    let result = house.get("/trap").await;
    assert!(matches!(result, Err(Error::Trapped { .. })), "{result:?}");
    assert!(matches!(house.post("/count-then-trap/a", "").await, Err(Error::Trapped { .. })));
    assert_eq!(house.get("/count/a").await.unwrap(), "0");
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn an_answer_of_5xx_commits_nothing() {
    let house = House::new().await;
    assert_eq!(house.post("/count-then-fail/a", "").await.unwrap(), "failed");
    assert_eq!(house.get("/count/a").await.unwrap(), "0");
}

#[tokio::test]
async fn a_unit_sees_its_own_writes_and_no_others_before_commit() {
    let house = House::new().await;
    assert_eq!(house.post("/count-twice/a", "").await.unwrap(), "2");
    for key in ["scan-a", "scan-c", "scan-d"] {
        house.post(&format!("/set/{key}"), "there").await.unwrap();
    }
    // Descending, two at most: d stands, c is removed by the unit, b is its own.
    assert_eq!(house.get("/scan").await.unwrap(), "scan-d scan-b");
}

#[tokio::test]
async fn a_change_that_depends_on_a_version_happens_once() {
    let house = House::new().await;
    assert_eq!(house.get("/versioned/a").await.unwrap(), "none");
    assert_eq!(house.post("/compare/a/none", "first").await.unwrap(), "true");
    assert_eq!(house.post("/compare/a/none", "second").await.unwrap(), "false", "it is there now");
    let seen = house.get("/versioned/a").await.unwrap();
    let (version, value) = seen.split_once(' ').unwrap();
    assert_eq!(value, "first");
    let compare = format!("/compare/a/{version}");
    assert_eq!(house.post(&compare, "second").await.unwrap(), "true");
    assert_eq!(house.post(&compare, "third").await.unwrap(), "false", "somebody was faster");
    assert!(house.get("/versioned/a").await.unwrap().ends_with(" second"));
    let own = house.post("/compare-own/b", "").await.unwrap();
    assert!(own.contains("was written by this invocation"), "{own}");
}

#[tokio::test]
async fn a_value_that_is_set_for_a_while_is_gone_after_it() {
    let house = House::new().await;
    house.post("/set-for/long/3600000", "x").await.unwrap();
    house.post("/set-for/short/1", "x").await.unwrap();
    assert!(house.get("/versioned/long").await.unwrap().ends_with(" x"));
    let began = Instant::now();
    while house.get("/versioned/short").await.unwrap() != "none" {
        assert!(began.elapsed() < Duration::from_secs(10), "it outlived its millisecond");
    }
    let refused = house.send("POST", "/set-for/never/0", "x").await.unwrap();
    assert!(refused.0 >= 400, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_conflict_are_run_again_until_each_counted_once() {
    let house = House::new().await;
    let counts = (0..40).map(|_| house.post("/count/shared", ""));
    for result in futures_util::future::join_all(counts).await {
        result.unwrap();
    }
    assert_eq!(house.get("/count/shared").await.unwrap(), "40");
}

#[tokio::test]
async fn a_denial_names_the_line_that_would_grant() {
    let house = House::new().await;
    for (what, line) in [
        ("bucket", r#"[components.probe.grants] buckets = ["secrets"]"#),
        ("topic", r#"[components.probe.grants] publish = ["tu.secret"]"#),
    ] {
        let answer = house.get(&format!("/denied/{what}")).await.unwrap();
        assert!(answer.contains(line), "{answer}");
    }
    let answer = house.get("/denied/call").await.unwrap();
    assert_ne!(answer, "allowed");
}

#[tokio::test]
async fn components_that_call_in_a_circle_get_an_answer() {
    let house = House::new().await;
    let started = Instant::now();
    let answer = house.get("/circle").await.unwrap();
    assert!(answer.starts_with("stopped:"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(40));
}

#[tokio::test]
async fn a_message_has_its_effect_once_however_often_it_is_delivered() {
    let house = House::new().await;
    let delivery = house.publish_to_probe("done").await;
    assert_eq!(house.engine.deliver(&delivery).await.unwrap(), Outcome::Done);
    let again = house.engine.deliver(&delivery).await;
    assert!(matches!(again, Err(Error::Store { source: store::Error::Settled, .. })), "{again:?}");
    assert_eq!(house.get(&format!("/count/{}", delivery.message.id)).await.unwrap(), "1");
}

#[tokio::test]
async fn a_message_refused_put_off_or_trapped_over_leaves_nothing() {
    let house = House::with(Limits { deadline: Duration::from_millis(200), ..limits() }).await;
    for (payload, check) in [
        ("retry", (|r| matches!(r, Ok(Outcome::Retry { .. }))) as fn(&Result<Outcome, Error>) -> bool),
        ("reject", |r| matches!(r, Ok(Outcome::Reject { .. }))),
        ("trap", |r| matches!(r, Err(Error::Trapped { .. }))),
        ("spin", |r| matches!(r, Err(Error::TimedOut(_)))),
    ] {
        let delivery = house.publish_to_probe(payload).await;
        let result = house.engine.deliver(&delivery).await;
        assert!(check(&result), "{payload}: {result:?}");
        assert_eq!(house.get(&format!("/count/{}", delivery.message.id)).await.unwrap(), "0", "{payload}");
        let waiting = house.store.deliveries(&support::probe(), 0, 100).await.unwrap();
        assert!(waiting.iter().any(|d| d.id == delivery.id), "{payload} was settled");
    }
}

#[tokio::test]
async fn a_timer_fires_with_its_unit_and_only_once() {
    let house = House::new().await;
    house.post("/timer/wake", "").await.unwrap();
    let due = house.store.timers_due(u64::MAX >> 1, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(house.engine.fire(&due[0]).await.unwrap(), Outcome::Done);
    let again = house.engine.fire(&due[0]).await;
    assert!(matches!(again, Err(Error::Store { source: store::Error::Settled, .. })), "{again:?}");
    assert_eq!(house.get("/count/wake").await.unwrap(), "1");
}

#[tokio::test]
async fn identity_reaches_the_guest_typed_and_a_header_does_not() {
    let house = House::new().await;
    assert_eq!(house.get("/who").await.unwrap(), "anonymous");
    assert_eq!(house.get_as("/who", "https://issuer", "alice").await.unwrap(), "https://issuer alice");
}

#[tokio::test]
async fn compiled_code_is_cached_and_a_damaged_cache_is_made_again() {
    use monopod_engine::Compiled;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let house = House::load(&folder, limits());
    assert_eq!(house.compiled, Compiled::Now);
    assert_eq!(House::load(&folder, limits()).compiled, Compiled::Cached);

    let cached = compiled(&folder);
    let good = std::fs::read(&cached).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [flipped, good[..good.len() - 1].to_vec(), good[..10].to_vec(), Vec::new(), vec![7; 5_000]]
    {
        replace(&cached, &damaged);
        let again = House::load(&folder, limits());
        assert_eq!(again.compiled, Compiled::Now);
        assert_eq!(again.get("/hello").await.unwrap(), "hello");
    }
    // Another installation's file, sound as it is, and one that everybody could have written.
    let other = House::load(&Arc::new(tempfile::tempdir().unwrap()), limits());
    std::fs::rename(compiled(&other.folder), &cached).unwrap();
    assert_eq!(House::load(&folder, limits()).compiled, Compiled::Now);
    std::fs::set_permissions(&cached, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(House::load(&folder, limits()).compiled, Compiled::Now);
    assert_eq!(House::load(&folder, limits()).compiled, Compiled::Cached);
    // Another installation's key: its files are not ours.
    std::fs::write(folder.path().join("cache/seal.key"), [9; 32]).unwrap();
    assert_eq!(House::load(&folder, limits()).compiled, Compiled::Now);
}

/// The one file of compiled code.
fn compiled(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let mut files =
        std::fs::read_dir(folder.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "cwasm")).unwrap()
}

/// As a copy that was brought back would: a file that is mapped must not be written to.
fn replace(file: &std::path::Path, content: &[u8]) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[test]
fn starts_at_once_share_a_folder_of_compiled_code() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async {
                    let house = House::load(&folder, limits());
                    assert_eq!(house.get("/hello").await.unwrap(), "hello");
                });
            });
        }
    });
    let house = House::load(&folder, limits());
    assert_eq!(house.compiled, monopod_engine::Compiled::Cached);
    let left = std::fs::read_dir(folder.path().join("cache")).unwrap().count();
    assert_eq!(left, 2, "the key and the code, nothing half written");
}
