//! Order, concurrency, and that nobody starves.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monopod_core::message::Outcome;
use monopod_core::store::Committed;

use super::world::{World, after, now, retry};

const MS: Duration = Duration::from_millis(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_key_run_in_order_across_retries_while_other_keys_go_on() {
    let world = World::new(|delivery| {
        let first = &*delivery.message.id == "a1" && delivery.attempt < 3;
        if first { now(retry(None)) } else { after(MS, Ok(Outcome::Done)) }
    });
    let _messaging = world.start(4);
    for (key, id) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3"), ("b", "b2")] {
        world.publish(Some(key), id);
    }
    world.until(|rows| rows.done.len() == 2).await;
    assert_eq!(world.done(), ["b1", "b2"]);
    assert!(world.elapsed() < seconds(1));
    world.until_settled().await;
    assert_eq!(world.done()[2..], ["a1", "a2", "a3"]);
    assert_eq!(world.begun(), ["a1", "b1", "b2", "a1", "a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_key_waits_for_no_other() {
    let world = World::new(|delivery| {
        now(if &*delivery.message.id == "1" && delivery.attempt < 3 {
            retry(None)
        } else {
            Ok(Outcome::Done)
        })
    });
    let _messaging = world.start(1);
    for id in ["1", "2", "3"] {
        world.publish(None, id);
    }
    world.until_settled().await;
    assert_eq!(world.done(), ["2", "3", "1"]);
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_as_are_allowed_and_no_more() {
    let world = World::new(|_| after(MS * 10, Ok(Outcome::Done)));
    let _messaging = world.start(7);
    for n in 0..100 {
        world.publish(Some(&format!("k{}", n % 20)), &format!("{n}"));
    }
    world.until_settled().await;
    assert_eq!(world.rows.lock().unwrap().most_running, 7);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_comes_twice_runs_once() {
    let world = World::new(|_| after(MS * 10, Ok(Outcome::Done)));
    let _messaging = world.start(7);
    let (id, message) = world.publish(None, "1");
    world.hub.published(id.sequence, &message, std::slice::from_ref(&id));
    world.publish(Some("a"), "2");
    tokio::time::sleep(MS * 5).await;
    world.hub.published(id.sequence, &message, std::slice::from_ref(&id));
    world.until_settled().await;
    world.hub.published(id.sequence, &message, &[id]);
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(world.begun(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_inbox_and_the_window_cannot_hold_comes_from_the_store_in_order() {
    let world = World::new(|_| after(MS, Ok(Outcome::Done)));
    let _messaging = world.start(50);
    // Without a turn in between for the dispatcher: far more than the inbox keeps.
    for n in 0..5_000 {
        world.publish(Some(&format!("{}", n % 70)), &format!("{n}"));
    }
    world.until_settled().await;
    let mut of_key: BTreeMap<u32, u32> = BTreeMap::new();
    for done in world.done() {
        let n: u32 = done.parse().unwrap();
        let before = of_key.insert(n % 70, n);
        assert_eq!(n, before.map_or(n % 70, |before| before + 70));
    }
    assert_eq!(world.begun().len(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_long_backlog_that_fails_does_not_hold_up_the_others() {
    let world = World::new(|delivery| {
        let stuck = delivery.message.key.as_deref() == Some("stuck");
        now(if stuck && delivery.attempt == 1 { retry(Some(seconds(100))) } else { Ok(Outcome::Done) })
    });
    for n in 0..5_000 {
        world.store(Some("stuck"), &format!("s{n}"));
    }
    world.store(Some("free"), "before");
    let _messaging = world.start(2);
    world.until(|rows| !rows.done.is_empty()).await;
    world.publish(Some("free"), "after");
    world.until(|rows| rows.done.len() == 2).await;
    assert_eq!(world.done(), ["before", "after"]);
    assert!(world.elapsed() < seconds(1), "{:?}", world.elapsed());
    // And the lane finds all of its own again, in order.
    world.until(|rows| rows.done.len() >= 7).await;
    assert_eq!(world.done()[2..7], ["s0", "s1", "s2", "s3", "s4"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_of_one_key_is_worked_off_in_order() {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    for n in 0..3_000 {
        world.store(Some("a"), &format!("{n}"));
    }
    let _messaging = world.start(2);
    world.publish(Some("b"), "b");
    world.publish(Some("a"), "3000");
    world.until_settled().await;
    let done: Vec<_> = world.done().into_iter().filter(|done| done != "b").collect();
    assert_eq!(done, (0..=3_000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn thousands_of_keys_that_wait_do_not_hold_up_a_new_one() {
    let world = World::new(|delivery| {
        let old = delivery.message.key.as_deref() != Some("new");
        now(if old && delivery.attempt == 1 { retry(Some(seconds(500))) } else { Ok(Outcome::Done) })
    });
    for n in 0..3_000 {
        world.store(Some(&format!("k{n}")), &format!("{n}"));
    }
    let messaging = world.start(10);
    world.publish(Some("new"), "new");
    world.until(|rows| !rows.done.is_empty()).await;
    assert_eq!(world.done(), ["new"]);
    assert!(world.elapsed() < seconds(1), "{:?}", world.elapsed());
    tokio::time::sleep(seconds(300)).await;
    assert!(messaging.health().moving(), "waiting for a back-off is no fault");
    world.until_settled().await;
    assert_eq!(world.done().iter().collect::<HashSet<_>>().len(), 3_001);
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_reads_nothing() {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    let _messaging = world.start(10);
    tokio::time::sleep(seconds(1)).await;
    let before = world.reads.load(Ordering::SeqCst);
    for n in 0..100 {
        world.publish(Some("a"), &format!("{n}"));
        tokio::time::sleep(MS).await;
    }
    world.until_settled().await;
    // What is announced is handled without a read; the timers' loop looks now and then.
    assert!(world.reads.load(Ordering::SeqCst) - before <= 2);
}

#[tokio::test(start_paused = true)]
async fn figures_say_what_happens() {
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let world = World::new(|delivery| match &*delivery.message.id {
        "reject" => now(Ok(Outcome::Reject { reason: "no".into() })),
        "retry" if FIRST.fetch_add(1, Ordering::SeqCst) == 0 => now(retry(None)),
        "slow" => after(seconds(30), Ok(Outcome::Done)),
        _ => now(Ok(Outcome::Done)),
    });
    let messaging = world.start(10);
    for id in ["reject", "retry", "good", "slow"] {
        world.publish(None, id);
    }
    world.publish(None, "good");
    tokio::time::sleep(seconds(10)).await;
    let status = messaging.consumers().remove(0);
    let counters = status.counters;
    assert_eq!((counters.done, counters.failed, counters.dead, counters.set_back), (3, 1, 1, 0));
    assert_eq!((status.in_flight, status.lag), (1, 1));
    let oldest = status.oldest.unwrap();
    assert!((9..=11).contains(&oldest.as_secs()), "{oldest:?}");
    world.until_settled().await;
    let status = messaging.consumers().remove(0);
    assert_eq!((status.in_flight, status.lag, status.oldest), (0, 0, None));
}
