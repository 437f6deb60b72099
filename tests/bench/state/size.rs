//! What size costs: a unit of work over many keys and kept messages; the memory of what waits.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use monopod_core::BoxFuture;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome, TimerId};
use monopod_core::store::Store;
use monopod_core::unit::{Cause, MAX_CHANGES, TimerChange};
use monopod_messaging::{Hub, start};
use monopod_tests::random::Random;
use tokio_util::sync::CancellationToken;

use super::house::{House, Quiet, key, message, unit, work, worker};
use super::topics::settings;
use super::{NAME, ROUNDS, pace};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer};
use crate::machine;

/// The argument with which this program only holds what waits, and says what it takes up.
pub const ARGUMENT: &str = "waiting";
/// Keys of the small store.
const SMALL: u64 = 10_000;
/// Keys, and as many kept messages, of the large one; and with `FULL=1`.
const LARGE: u64 = 1_000_000;
const LARGE_FULL: u64 = 10_000_000;
/// The bytes of each value and message.
const VALUE: usize = 100;
/// How long a round is, and how many units are at once.
const TIME: Duration = Duration::from_secs(3);
const AT_ONCE: u64 = 64;
/// Timers that wait, and as many messages.
const WAITING: u64 = 100_000;

/// Measures both.
pub async fn measure(book: &mut Book) {
    growth(book).await;
    waiting(book);
}

async fn growth(book: &mut Book) {
    let large = if std::env::var_os("FULL").is_some() { LARGE_FULL } else { LARGE };
    let mut houses = Vec::new();
    for keys in [SMALL, large] {
        book.say(&format!("a store with {keys} keys and {keys} messages"));
        houses.push((keys, filled(keys).await));
    }
    let mut costs = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        book.say(&format!("units of work over both, round {round} of {ROUNDS}"));
        for ((keys, house), costs) in houses.iter().zip(&mut costs) {
            let (store, pairs) = (Arc::clone(&house.store), keys / 2);
            let value = Bytes::from(vec![b'v'; VALUE]);
            let rate = pace::rate(AT_ONCE, TIME, move |number| {
                let (store, value) = (Arc::clone(&store), value.clone());
                // Anywhere, and never the same soon: each number has its own.
                let pair = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % pairs;
                async move { work(&store, pair, &value).await }
            });
            costs.push(1e6 / rate.await);
        }
    }
    let [small, big] = costs;
    book.add(NAME, Figure {
        metric: "a unit of work over a large store",
        values: big,
        unit: "us",
        better: Better::Lower,
        peer: Some(Peer { name: format!("{SMALL} keys"), values: small }),
        // At most 1.3 times the cost.
        goal: Goal::Ratio(0.77),
        about: format!(
            "{large} keys and as many kept messages of {VALUE} bytes, {AT_ONCE} units at once on random pairs of keys; \
             FULL=1 has {LARGE_FULL}"
        ),
    });
}

/// A store that has been in use.
async fn filled(keys: u64) -> House {
    let house = House::open(None, Arc::new(Quiet));
    let value = Bytes::from(vec![b'v'; VALUE]);
    let each = MAX_CHANGES as u64 / 2;
    for first in (0..keys).step_by(MAX_CHANGES / 2) {
        let mut unit = unit(Cause::Request);
        for number in first..(first + each).min(keys) {
            unit.writes.insert(key(number), Some(value.clone()));
            unit.messages.push(message(Some(number), value.clone()));
        }
        house.store.commit(unit).await.unwrap();
    }
    house
}

fn waiting(book: &mut Book) {
    let mut values = Vec::new();
    for round in 1..=ROUNDS {
        book.say(&format!(
            "the memory of {WAITING} timers and messages that wait, round {round} of {ROUNDS}"
        ));
        let output = Command::new(std::env::current_exe().unwrap()).arg(ARGUMENT).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        values.push(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap());
    }
    book.add(NAME, Figure {
        metric: "memory of 100,000 timers and 100,000 messages that wait (RSS)",
        values,
        unit: "MB",
        better: Better::Lower,
        peer: None,
        goal: Goal::AtMost(50.0),
        about: format!(
            "{VALUE} bytes each, handlers all busy; a process of its own with state and messaging, less the same before"
        ),
    });
}

/// Prints by how many MB this process is larger when timers and messages wait in it.
pub async fn wait() {
    let hub = Hub::new();
    let house = House::open(Some("worker"), Arc::new(hub.clone()));
    let shutdown = CancellationToken::new();
    let messaging = start(hub, house.store.clone(), Arc::new(Busy), settings(64), shutdown.clone());
    let value = Bytes::from(vec![b'v'; VALUE]);
    // One of each first, so that what is made once is there.
    fill(&house, 0..1, &value).await;
    let before = machine::memory(std::process::id()).0;
    fill(&house, 1..WAITING, &value).await;
    println!("{}", machine::memory(std::process::id()).0 - before);
    shutdown.cancel();
    drop(messaging);
}

async fn fill(house: &House, numbers: std::ops::Range<u64>, value: &Bytes) {
    let (mut random, _) = Random::from_environment();
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(MAX_CHANGES / 2) {
        let mut unit = unit(Cause::Request);
        for &number in some {
            unit.messages.push(message(Some(number), value.clone()));
            let id = TimerId { component: worker(), name: format!("timer-{number}").into() };
            let due_at = monopod_core::now() + 3_600_000 + random.number() % 3_600_000;
            unit.timers.insert(id, TimerChange::Set { due_at, payload: value.clone() });
        }
        house.store.commit(unit).await.unwrap();
    }
}

/// A consumer that is never done.
struct Busy;

impl Components for Busy {
    fn deliver<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(std::future::pending())
    }
}
