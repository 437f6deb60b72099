//! `kill -9` a hundred times at random instants under load, and always on the same state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use monopod_tests::client::Client;
use monopod_tests::host::{Setup, quiet_port};
use monopod_tests::random::Random;

use crate::audit::{self, Found};
use crate::ledger::{Entry, Ledger, Step};
use crate::load::{self, Load};

/// Kills; with `FULL=1` twice as many.
const KILLS: usize = 100;
/// Clients that upload at the same time: enough that a kill always meets several flows, few
/// enough that two processors are not only busy with their TLS.
const CLIENTS: usize = 6;
/// When a kill comes, in milliseconds after the process was started. A start takes about 60, a
/// flow from `startUpload` to its end about 50 to 100, so several flows of each client are over
/// before the latest instant.
const INSTANTS: std::ops::Range<u64> = 0..900;
/// One kill in so many comes while the host has hardly started: it recovers from the kill before.
const EARLY: u64 = 8;
/// When that is.
const EARLY_INSTANTS: std::ops::Range<u64> = 0..120;
/// How long after the last kill an acknowledged upload may take to its end. What waits for a
/// retry after a kill waits for seconds at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the kills met: how many of them met at least one.
#[derive(Debug, Default)]
struct Met {
    starting: usize,
    start: usize,
    put: usize,
    confirm: usize,
    analysis: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hundred_kills_every_acknowledged_upload_has_ended_exactly_once() {
    let kills = if std::env::var("FULL").is_ok_and(|full| full == "1") { 2 * KILLS } else { KILLS };
    let (mut random, seed) = Random::from_environment();
    // At once, so that it is known even if the suite is cut off.
    eprintln!("SEED={seed}");
    println!("note: {kills} kills, SEED={seed} (FULL=1: {})", 2 * KILLS);

    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::trackunit(folder.path());
    // The same address after every start: clients go on where they were.
    setup.listen = quiet_port(&mut random);
    let mut host = setup.start().await;
    let phone = Client::new(host.url(), &setup.ca());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(phone.login(&format!("user{number}")).await);
    }

    let ledger = Arc::new(Ledger::default());
    let mut load = Load::begin(&clients, &ledger, &mut random);
    let mut met = Met::default();
    // The first host is older than the load.
    let mut began = Instant::now();
    for _ in 0..kills {
        let early = random.one_in(EARLY);
        let instant = Duration::from_millis(random.within(if early { EARLY_INSTANTS } else { INSTANTS }));
        let at = began + instant;
        let serves = tokio::time::timeout_at(at.into(), host.serving()).await.is_ok();
        tokio::time::sleep_until(at.into()).await;
        let under_way =
            [&load.under_way.start, &load.under_way.put, &load.under_way.confirm].map(|n| n.load(SeqCst));
        host.kill().await;
        let found = audit::look(&setup.state);
        host = setup.spawn();
        began = host.began();
        met.starting += usize::from(!serves);
        met.start += usize::from(serves && under_way[0] > 0);
        met.put += usize::from(serves && under_way[1] > 0);
        met.confirm += usize::from(serves && under_way[2] > 0);
        met.analysis += usize::from(found.unfinished() > 0);
        load.check().await;
    }
    host.serving().await;
    load.end().await;

    let states = settle(&clients, &ledger).await;
    let entries = ledger.entries();
    quiet(&setup).await;
    host.stop().await;
    let found = audit::look(&setup.state);
    let wrong = audit::violations(&entries, &found, &states);
    report(&entries, &ledger, &met, &found);
    assert!(
        wrong.is_empty(),
        "SEED={seed}, {} wrong, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );

    // What was shown was worth showing: the kills met everything that they are to meet.
    assert!(entries.len() > kills, "there was no load: {} uploads", entries.len());
    for (what, times) in [
        ("the start of the host", met.starting),
        ("startUpload", met.start),
        ("a photo on its way", met.put),
        ("confirmUpload", met.confirm),
        ("an analysis", met.analysis),
    ] {
        assert!(times > 0, "SEED={seed}: no kill met {what}: {met:?}");
    }
}

/// Waits for the end of everything that was confirmed, confirms half of the photos that were
/// acknowledged and never confirmed (they must still be there), and returns all states.
async fn settle(clients: &[Client], ledger: &Arc<Ledger>) -> BTreeMap<String, String> {
    let work = clients.iter().enumerate().map(|(owner, client)| {
        let entries = ledger.entries().into_iter().enumerate().filter(move |(_, entry)| entry.owner == owner);
        async move {
            let mut states = Vec::new();
            for (number, entry) in entries {
                states.push(settle_one(client, ledger, number, &entry).await);
            }
            states
        }
    });
    futures_util::future::join_all(work).await.into_iter().flatten().collect()
}

async fn settle_one(client: &Client, ledger: &Ledger, number: usize, entry: &Entry) -> (String, String) {
    let id = &entry.upload.id;
    if entry.confirm == Step::Unsent && entry.put == Step::Acknowledged && number.is_multiple_of(2) {
        let confirmed = client.confirm(&entry.upload, &entry.photo.bytes).await.unwrap();
        confirmed
            .unwrap_or_else(|refusal| panic!("the photo of {id} was acknowledged and is gone: {refusal}"));
        ledger.confirm(number, Step::Acknowledged);
    } else if entry.confirm != Step::Acknowledged {
        let upload = client.upload(id).await.unwrap();
        let state = upload["state"].as_str();
        let state =
            state.unwrap_or_else(|| panic!("upload {id} was acknowledged when it began, and is gone"));
        if state == "pending" {
            return (id.clone(), state.to_owned());
        }
    }
    let upload = load::ended(client, id, PATIENCE).await;
    (id.clone(), upload["state"].as_str().unwrap_or_default().to_owned())
}

/// Waits until nothing is left to be handled: only then can nothing be doubled any more.
async fn quiet(setup: &Setup) {
    let until = Instant::now() + PATIENCE;
    // If it does not come, the checker finds what is left.
    while audit::pending(&setup.state) > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn report(entries: &[Entry], ledger: &Ledger, met: &Met, found: &Found) {
    let ends = |which: &str| found.ends.values().flatten().filter(|end| **end == which).count();
    println!(
        "note: {} uploads: {} acknowledged ({} confirmed again), {} confirmed without an answer, {} not confirmed; \
         {} starts without an answer; ended: {} completed, {} failed",
        entries.len(),
        ledger.count(Step::Acknowledged),
        ledger.repeated(),
        ledger.count(Step::Unknown),
        ledger.count(Step::Unsent),
        ledger.unanswered_starts(),
        ends("completed"),
        ends("failed"),
    );
    println!(
        "note: of the kills {} met the host starting, {} startUpload, {} a photo on its way, {} confirmUpload, \
         {} an analysis under way",
        met.starting, met.start, met.put, met.confirm, met.analysis
    );
}
