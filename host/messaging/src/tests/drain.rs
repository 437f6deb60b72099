//! The end: what runs may finish, nothing new begins.

use std::time::Duration;

use futures_util::StreamExt;
use monopod_core::event::{Event, Events};
use monopod_core::message::Outcome;

use super::world::{World, after, message, owner, topic};

#[tokio::test(start_paused = true)]
async fn running_handlers_end_and_waiting_messages_stay_for_the_next_start() {
    let world = World::with_timers(
        |_| after(Duration::from_secs(5), Ok(Outcome::Done)),
        |_| after(Duration::from_secs(9), Ok(Outcome::Done)),
    );
    let messaging = world.start(1);
    world.publish(None, "runs");
    world.publish(None, "waits");
    world.set_timer("fires", 1, world.now());
    world.set_timer("comes", 1, world.now() + 1_500);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.shutdown.cancel();
    world.publish(None, "comes too late");
    messaging.drained().await;
    assert_eq!(world.elapsed().as_secs(), 9);
    assert_eq!(world.done(), ["runs", "fires v1"]);
    assert_eq!(world.begun().len(), 2);
    assert_eq!(world.rows.lock().unwrap().deliveries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_grace_is_cut_off() {
    let world = World::new(|_| after(Duration::from_secs(3_600), Ok(Outcome::Done)));
    let messaging = world.start(1);
    world.publish(None, "long");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.shutdown.cancel();
    messaging.drained().await;
    assert_eq!(world.elapsed().as_secs(), 21);
    assert!(world.done().is_empty());
}

#[tokio::test(start_paused = true)]
async fn watchers_see_the_last_events_and_then_the_end() {
    let world = World::new(|_| after(Duration::from_secs(1), Ok(Outcome::Done)));
    let messaging = world.start(1);
    let mut watcher = messaging.watch(&[topic("a")], &owner("ada"));
    world.publish(None, "runs");
    tokio::task::yield_now().await;
    world.shutdown.cancel();
    world.pin(&message("a", None, "last", 0));
    let Some(Event::Published(last)) = watcher.next().await else { panic!() };
    assert_eq!(&*last.message.id, "last");
    assert!(watcher.next().await.is_none());
    messaging.drained().await;
}
