//! What fails: retried, counted or not, and at last a dead letter that says why.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monopod_core::invoke::Error;
use monopod_core::message::Outcome;
use monopod_core::store::Error as StoreError;

use super::world::{ATTEMPTS, Dead, GROUP, World, name, now, overloaded, retry};

fn dead(what: &str, reason: &str, attempt: u32) -> Dead {
    Dead { what: what.into(), reason: reason.into(), attempt }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_goes_to_the_dead_letters_at_once_with_the_reason() {
    let world = World::new(|delivery| {
        let reject = Outcome::Reject { reason: "not a photo".into() };
        now(Ok(if &*delivery.message.id == "bad" { reject } else { Outcome::Done }))
    });
    let _messaging = world.start(2);
    world.publish(Some("a"), "bad");
    world.publish(Some("a"), "good");
    world.until_settled().await;
    assert_eq!(world.dead(), [dead("bad", "not a photo", 1)]);
    assert_eq!(world.done(), ["good"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_keeps_failing_is_given_up_after_its_attempts_and_its_key_goes_on() {
    let world = World::new(|delivery| {
        let trap = Error::Trapped { component: name(GROUP), reason: "unreachable".into() };
        now(if &*delivery.message.id == "bad" { Err(trap) } else { Ok(Outcome::Done) })
    });
    let _messaging = world.start(2);
    world.publish(Some("a"), "bad");
    world.publish(Some("a"), "good");
    world.until_settled().await;
    assert_eq!(world.dead(), [dead("bad", "component `worker` failed: unreachable", ATTEMPTS)]);
    assert_eq!(world.begun(), ["bad", "bad", "bad", "bad", "good"]);
    // 1 + 2 + 4 seconds, a fifth more or less.
    let waited = world.elapsed().as_secs_f64();
    assert!((5.5..8.5).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_says_itself_when_to_try_again() {
    let world = World::new(|delivery| {
        now(if delivery.attempt == 1 { retry(Some(Duration::from_secs(77))) } else { Ok(Outcome::Done) })
    });
    let _messaging = world.start(2);
    world.publish(None, "a");
    world.until_settled().await;
    assert_eq!(world.elapsed().as_secs(), 77);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_counts_as_an_attempt() {
    let world = World::new(|_| now(Err(Error::TimedOut(name(GROUP)))));
    let _messaging = world.start(2);
    world.publish(None, "a");
    world.until_settled().await;
    assert_eq!(world.dead(), [dead("a", "component `worker` did not answer in time", ATTEMPTS)]);
}

#[tokio::test(start_paused = true)]
async fn being_overloaded_or_overtaken_does_not_count_as_an_attempt() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let store = |source| Error::Store { component: name(GROUP), source };
    let world = World::new(move |delivery| {
        assert_eq!(delivery.attempt, 1);
        now(match CALLS.fetch_add(1, Ordering::SeqCst) {
            0..10 => Err(overloaded()),
            10..20 => Err(store(StoreError::Conflict)),
            20..30 => Err(store(StoreError::Unavailable("disk full".into()))),
            _ => Ok(Outcome::Done),
        })
    });
    let messaging = world.start(2);
    world.publish(Some("a"), "a1");
    world.publish(Some("a"), "a2");
    world.until_settled().await;
    assert_eq!(world.done(), ["a1", "a2"]);
    assert_eq!(messaging.consumers()[0].counters.set_back, 30);
    assert_eq!(messaging.consumers()[0].counters.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_by_another_is_dropped_without_a_word() {
    let world =
        World::new(|_| now(Err(Error::Store { component: name(GROUP), source: StoreError::Settled })));
    let messaging = world.start(2);
    world.publish(Some("a"), "a1");
    world.publish(Some("a"), "a2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.begun(), ["a1", "a2"]);
    assert_eq!(messaging.consumers()[0].lag, 0);
    assert!(world.dead().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_cannot_be_recorded_is_recorded_when_the_store_is_back() {
    let world = World::new(|delivery| {
        let reject = Outcome::Reject { reason: "no".into() };
        now(Ok(if &*delivery.message.id == "bad" { reject } else { Outcome::Done }))
    });
    world.records_fail.store(20, Ordering::SeqCst);
    let _messaging = world.start(2);
    world.publish(Some("a"), "bad");
    world.publish(Some("a"), "good");
    world.until_settled().await;
    assert_eq!(world.dead(), [dead("bad", "no", 1)]);
    assert_eq!(world.begun(), ["bad", "good"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_asked_again() {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    world.store(Some("a"), "a1");
    world.reads_fail.store(20, Ordering::SeqCst);
    let _messaging = world.start(2);
    world.publish(Some("a"), "a2");
    world.until_settled().await;
    assert_eq!(world.done(), ["a1", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_host_fails_one_attempt() {
    let world = World::new(|delivery| {
        Box::pin(async move {
            assert_ne!((&*delivery.message.id, delivery.attempt), ("a", 1));
            Ok(Outcome::Done)
        })
    });
    let _messaging = world.start(2);
    world.publish(None, "a");
    world.publish(None, "b");
    world.until_settled().await;
    assert_eq!(world.done(), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_store_costs_no_message() {
    let world =
        World::new(|delivery| now(if delivery.attempt == 1 { retry(None) } else { Ok(Outcome::Done) }));
    world.broken.store(true, Ordering::SeqCst);
    let messaging = world.start(1);
    world.publish(Some("a"), "a1");
    world.publish(Some("a"), "a2");
    world.until_settled().await;
    assert_eq!(world.done(), ["a1", "a2"]);
    assert_eq!((messaging.consumers()[0].in_flight, messaging.consumers()[0].lag), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_gets_nowhere_is_reported_stuck_until_it_moves() {
    static OVERLOADED: AtomicU32 = AtomicU32::new(1);
    let world = World::new(|_| {
        now(if OVERLOADED.load(Ordering::SeqCst) == 1 { Err(overloaded()) } else { Ok(Outcome::Done) })
    });
    let messaging = world.start(2);
    // A long rest before does not count.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    world.publish(None, "a");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(messaging.health().moving());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let health = messaging.health();
    assert!(!health.moving());
    assert_eq!(health.stuck[0].consumer, Some(name(GROUP)));
    assert!(health.to_string().starts_with("messages for `worker` have not moved for "), "{health}");
    OVERLOADED.store(0, Ordering::SeqCst);
    world.until_settled().await;
    assert!(messaging.health().moving());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_reported_stuck() {
    let world = World::new(|_| Box::pin(std::future::pending()));
    let messaging = world.start(2);
    world.publish(None, "a");
    tokio::time::sleep(Duration::from_secs(70)).await;
    let health = messaging.health();
    assert!(!health.moving());
    assert_eq!(health.oldest.map(|oldest| oldest.as_secs()), Some(70));
}
