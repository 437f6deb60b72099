//! Watchers: everything in commit order, at their own pace, at nobody else's cost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use monopod_core::BoxStream;
use monopod_core::event::{Event, Events};
use monopod_core::message::Outcome;
use monopod_core::store::Committed;

use super::world::{World, message, now, topic};
use crate::Messaging;

fn watched() -> (Arc<World>, Arc<Messaging>) {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    let messaging = world.start(1);
    (world, messaging)
}

fn publish(world: &World, topic: &str, id: &str) {
    world.hub.published(&message(topic, None, id, 0), &[]);
}

async fn next(stream: &mut BoxStream<'static, Event>) -> String {
    match stream.next().await {
        Some(Event::Published(message)) => message.id.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_what_its_topics_get_from_then_on_in_commit_order() {
    let (world, messaging) = watched();
    publish(&world, "a", "before");
    let mut watcher = messaging.watch(&[topic("a"), topic("b"), topic("a")]);
    for (topic, id) in [("b", "1"), ("a", "2"), ("c", "other"), ("a", "3"), ("b", "4")] {
        publish(&world, topic, id);
    }
    for id in ["1", "2", "3", "4"] {
        assert_eq!(next(&mut watcher).await, id);
    }
    assert!(watcher.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_watcher_is_woken() {
    let (world, messaging) = watched();
    let mut watcher = messaging.watch(&[topic("a")]);
    let waiting = tokio::spawn(async move { next(&mut watcher).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    publish(&world, "a", "1");
    assert_eq!(waiting.await.unwrap(), "1");
    assert!(world.elapsed() < Duration::from_millis(1_010));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_told_how_much_it_missed_and_the_others_miss_nothing() {
    let (world, messaging) = watched();
    let mut slow = messaging.watch(&[topic("a"), topic("b")]);
    let mut quick = messaging.watch(&[topic("a")]);
    for n in 0..1_500 {
        publish(&world, "a", &n.to_string());
        assert_eq!(next(&mut quick).await, n.to_string());
    }
    assert!(matches!(slow.next().await, Some(Event::Lagged(476))));
    assert_eq!(next(&mut slow).await, "476");
}

#[tokio::test(start_paused = true)]
async fn large_messages_do_not_pile_up_for_a_slow_watcher() {
    let (world, messaging) = watched();
    let mut slow = messaging.watch(&[topic("a")]);
    let large = "x".repeat(1 << 20);
    for _ in 0..10 {
        publish(&world, "a", &large);
    }
    assert!(matches!(slow.next().await, Some(Event::Lagged(6))));
}

#[tokio::test(start_paused = true)]
async fn a_topic_nobody_watches_any_more_is_forgotten() {
    let (world, messaging) = watched();
    let watcher = messaging.watch(&[topic("a"), topic("b")]);
    let other = messaging.watch(&[topic("a")]);
    assert_eq!(messaging.watchers(), 2);
    publish(&world, "a", "1");
    drop(watcher);
    drop(other);
    assert_eq!(messaging.watchers(), 0);
    let mut later = messaging.watch(&[topic("a")]);
    publish(&world, "a", "2");
    assert_eq!(next(&mut later).await, "2");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_watchers_get_every_message() {
    let (world, messaging) = watched();
    let watchers: Vec<_> = (0..10_000)
        .map(|n| {
            let mut watcher = messaging.watch(&[topic("a"), topic(&format!("t{}", n % 50))]);
            tokio::spawn(async move {
                let mut got = Vec::new();
                while let Some(Event::Published(message)) = watcher.next().await {
                    got.push(message.id.parse::<u32>().unwrap());
                }
                got
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for n in 0..20 {
        publish(&world, "a", &n.to_string());
        tokio::task::yield_now().await;
    }
    world.shutdown.cancel();
    for watcher in watchers {
        assert_eq!(watcher.await.unwrap(), (0..20).collect::<Vec<_>>());
    }
}
