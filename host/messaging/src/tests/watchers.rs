//! Watchers: everything in commit order, at their own pace, at nobody else's cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use monopod_core::BoxStream;
use monopod_core::event::{Event, Events};
use monopod_core::message::Outcome;

use super::world::{World, message, now, owner, topic};
use crate::Messaging;

fn watched() -> (Arc<World>, Arc<Messaging>) {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    let messaging = world.start(1);
    (world, messaging)
}

fn publish(world: &World, topic: &str, id: &str) {
    world.pin(&message(topic, None, id, 0));
}

async fn next(stream: &mut BoxStream<'static, Event>) -> String {
    match stream.next().await {
        Some(Event::Published(stored)) => stored.message.id.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_what_its_topics_get_from_then_on_in_commit_order() {
    let (world, messaging) = watched();
    publish(&world, "a", "before");
    let mut watcher = messaging.watch(&[topic("a"), topic("b"), topic("a")], &owner("ada"));
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
    let mut watcher = messaging.watch(&[topic("a")], &owner("ada"));
    let waiting = tokio::spawn(async move { next(&mut watcher).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    publish(&world, "a", "1");
    assert_eq!(waiting.await.unwrap(), "1");
    assert!(world.elapsed() < Duration::from_millis(1_010));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_told_how_much_it_missed_and_the_others_miss_nothing() {
    let (world, messaging) = watched();
    let mut slow = messaging.watch(&[topic("a"), topic("b")], &owner("ada"));
    let mut quick = messaging.watch(&[topic("a")], &owner("ada"));
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
    let mut slow = messaging.watch(&[topic("a")], &owner("ada"));
    let large = "x".repeat(1 << 20);
    for _ in 0..10 {
        publish(&world, "a", &large);
    }
    assert!(matches!(slow.next().await, Some(Event::Lagged(6))));
}

#[tokio::test(start_paused = true)]
async fn a_topic_nobody_watches_any_more_is_forgotten() {
    let (world, messaging) = watched();
    let watcher = messaging.watch(&[topic("a"), topic("b")], &owner("ada"));
    let other = messaging.watch(&[topic("a")], &owner("ada"));
    assert_eq!(messaging.watchers(), 2);
    publish(&world, "a", "1");
    drop(watcher);
    drop(other);
    assert_eq!(messaging.watchers(), 0);
    let mut later = messaging.watch(&[topic("a")], &owner("ada"));
    publish(&world, "a", "2");
    assert_eq!(next(&mut later).await, "2");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_watchers_get_every_message() {
    let (world, messaging) = watched();
    let watchers: Vec<_> = (0..10_000)
        .map(|n| {
            let mut watcher = messaging.watch(&[topic("a"), topic(&format!("t{}", n % 50))], &owner("ada"));
            tokio::spawn(async move {
                let mut got = Vec::new();
                while let Some(Event::Published(stored)) = watcher.next().await {
                    got.push(stored.message.id.parse::<u32>().unwrap());
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

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_wakes_only_the_watchers_of_its_owner() {
    let (world, messaging) = watched();
    let mut watchers: Vec<_> = (0..10_000)
        .map(|n| {
            let watcher = messaging.watch(&[topic("a")], &owner(&format!("user-{n}")));
            (watcher, Arc::new(Woken::default()))
        })
        .collect();
    for (watcher, woken) in &mut watchers {
        let waker = Waker::from(Arc::clone(woken));
        assert!(watcher.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    }
    let to = |name: &str, id: &str| {
        let mut message = Arc::unwrap_or_clone(message("a", None, id, 0));
        message.owner = (!name.is_empty()).then(|| owner(name));
        world.pin(&Arc::new(message));
    };
    to("user-7", "1");
    to("stranger", "2");
    to("", "3");
    // The fan-out task has had its turn when it was polled as often as it was told.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let woken: Vec<usize> = watchers
        .iter()
        .map(|(_, woken)| woken.0.load(Ordering::SeqCst))
        .enumerate()
        .filter(|(_, n)| *n > 0)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(woken, [7]);
    assert_eq!(next(&mut watchers[7].0).await, "1");
    assert!(watchers[8].0.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_everybody_has_read_is_forgotten_and_all_rings_together_are_bounded() {
    let (world, messaging) = watched();
    let large = |name: &str| {
        let mut message = Arc::unwrap_or_clone(message("a", None, "large", 0));
        message.owner = Some(owner(name));
        message.payload = vec![b'x'; 1 << 20].into();
        Arc::new(message)
    };
    // A hundred users who read nothing, with four large messages each.
    let mut slow: Vec<_> =
        (0..100).map(|n| messaging.watch(&[topic("a")], &owner(&format!("user-{n}")))).collect();
    let sent: Vec<_> = (0..100).map(|n| large(&format!("user-{n}"))).collect();
    for message in &sent {
        for _ in 0..4 {
            world.pin(message);
        }
    }
    let kept: usize = sent.iter().map(|message| Arc::strong_count(message) - 1).sum();
    assert!((100..=64 + 100).contains(&kept), "{kept}");
    for watcher in &mut slow {
        while watcher.next().now_or_never().is_some() {}
    }
    assert!(sent.iter().all(|message| Arc::strong_count(message) == 1), "what was read is gone");
    let mut quick = messaging.watch(&[topic("a")], &owner("user-0"));
    world.pin(&large("user-0"));
    assert_eq!(next(&mut quick).await, "large");
    assert_eq!(next(&mut slow[0]).await, "large");
}
