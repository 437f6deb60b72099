//! Timers by the hundred thousand, over a real store: each fires once, whatever the clock does
//! and however often the process begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use monopod_core::BoxFuture;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Outcome, Timer, TimerId};
use monopod_core::name::ComponentName;
use monopod_core::store::{Committed, Store};
use monopod_core::unit::{Cause, Key, MAX_CHANGES, MAX_SCAN, Range, TimerChange, Unit};
use monopod_messaging::{Hub, Settings, TimerOwner, start};
use monopod_state::{SqliteStore, Topology};
use monopod_tests::random::Random;
use tokio_util::sync::CancellationToken;

/// How many timers; each firing is a commit, so the short form has fewer.
const TIMERS: usize = 10_000;
const TIMERS_FULL: usize = 100_000;
/// How often messaging ends in the middle and begins anew.
const RESTARTS: usize = 3;
const HOUR: u64 = 3_600_000;
/// For all of them, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

fn name() -> ComponentName {
    "clock".parse().unwrap()
}

fn unit(cause: Cause) -> Unit {
    Unit::new(name(), cause, CorrelationId::new(), TraceId::new(), None)
}

fn key(timer: &str) -> Key {
    Key { component: name(), bucket: "fired".parse().unwrap(), key: timer.into() }
}

/// A component whose timers count themselves, as a guest would: read, add one, write.
struct Counting {
    store: Arc<SqliteStore>,
    fired: AtomicU64,
}

impl Components for Counting {
    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let failed = |source| Error::Store { component: name(), source };
            let key = key(&timer.id.name);
            let before = self.store.get(&key).await.map_err(failed)?;
            let mut unit = unit(Cause::Timer { id: timer.id.clone(), version: timer.version });
            let times = before.as_ref().map_or(0, |record| record.value.len()) + 1;
            unit.reads.insert(key.clone(), before.map_or(0, |record| record.version));
            unit.writes.insert(key, Some(vec![b'x'; times].into()));
            self.store.commit(unit).await.map_err(failed)?;
            self.fired.fetch_add(1, Ordering::Relaxed);
            Ok(Outcome::Done)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_timers_fires_once_whatever_the_clock_does() {
    let (mut random, seed) = Random::from_environment();
    eprintln!("SEED={seed}");
    let full = std::env::var_os("FULL").is_some();
    let timers = if full { TIMERS_FULL } else { TIMERS };
    if !full {
        println!("note: {TIMERS} of {TIMERS_FULL} timers; FULL=1 runs all");
    }
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::new();
    let settings =
        monopod_state::Settings { folder: folder.path().to_owned(), topology: Topology::default() };
    let store = Arc::new(SqliteStore::open(settings, Arc::new(hub.clone())).unwrap());
    // Due within an hour from the beginning.
    let noon = 1_800_000_000_000;
    let clock = Arc::new(AtomicU64::new(noon));
    for first in (0..timers).step_by(MAX_CHANGES) {
        let mut unit = unit(Cause::Request);
        for n in first..(first + MAX_CHANGES).min(timers) {
            let id = TimerId { component: name(), name: format!("t-{n:06}").into() };
            let due_at = noon + 1 + random.number() % HOUR;
            unit.timers.insert(id, TimerChange::Set { due_at, payload: "x".into() });
        }
        store.commit(unit).await.unwrap();
    }
    let components = Arc::new(Counting { store: store.clone(), fired: AtomicU64::new(0) });
    let fired = || components.fired.load(Ordering::Relaxed);
    let began = Instant::now();
    for part in 1..=RESTARTS + 1 {
        let shutdown = CancellationToken::new();
        let now = clock.clone();
        let settings = Settings {
            consumers: Vec::new(),
            timers: vec![TimerOwner { component: name(), attempts: 8 }],
            brokers: Vec::new(),
            grace: Duration::ZERO,
            clock: Arc::new(move || now.load(Ordering::Relaxed)),
        };
        let messaging = start(hub.clone(), store.clone(), components.clone(), settings, shutdown.clone());
        // The counter misses those whose end nobody waited for; the store does not.
        let over = async || match part {
            _ if part <= RESTARTS => fired() >= (timers * part / (RESTARTS + 2)) as u64,
            _ => store.timers_due(u64::MAX, 1).await.unwrap().is_empty(),
        };
        // Forward over all of them, then a day back while they fire, and forward again.
        let jumps = [noon + 2 * HOUR, noon - 24 * HOUR, noon + 3 * HOUR];
        let mut jumps = jumps.iter().cycle();
        while !over().await {
            clock.store(*jumps.next().unwrap(), Ordering::Relaxed);
            // It would notice within seconds by itself.
            hub.timer_set(0);
            let (before, since) = (fired(), Instant::now());
            while fired() < before + 500 && since.elapsed() < Duration::from_secs(1) && !over().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {timers} have fired", fired());
        }
        // In the middle of what is under way: grace is none.
        shutdown.cancel();
        messaging.drained().await;
    }
    assert_eq!(store.timers_due(u64::MAX, 10).await.unwrap().len(), 0, "some are left");
    let mut range = Range {
        component: name(),
        bucket: "fired".parse().unwrap(),
        prefix: String::new(),
        after: None,
        between: (None, None),
        descending: false,
        limit: MAX_SCAN,
    };
    let mut found = 0;
    loop {
        let page = store.scan(&range).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        range.after = Some(last.to_string());
        assert!(page.iter().all(|(_, record)| &record.value[..] == b"x"), "one fired twice");
        found += page.len();
    }
    assert_eq!(found, timers);
}
