//! What was not settled is read again at the start.

use std::time::Duration;

use monopod_core::message::Outcome;

use super::world::{World, now, retry};

#[tokio::test(start_paused = true)]
async fn a_start_takes_up_what_is_unsettled_in_order_and_then_what_is_new() {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    for id in ["1", "2", "3"] {
        world.store(Some("a"), id);
    }
    let _messaging = world.start(4);
    world.publish(Some("a"), "4");
    world.until_settled().await;
    assert_eq!(world.done(), ["1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_back_off_and_its_attempts_outlast_a_restart() {
    let world = World::new(|_| now(retry(None)));
    let minute = 60_000;
    world.store_until(Some("a"), "late", 4, world.now() + minute);
    world.store(Some("a"), "behind it");
    let _messaging = world.start(4);
    world.until(|rows| rows.dead.len() == 1).await;
    assert_eq!(world.elapsed().as_secs(), 60);
    assert_eq!(world.dead()[0].attempt, 4);
    assert_eq!(world.begun()[0], "late");
}

#[tokio::test(start_paused = true)]
async fn a_handler_cut_off_runs_again_after_the_next_start_and_has_its_effect_once() {
    let first = World::new(|_| Box::pin(std::future::pending()));
    first.publish(Some("a"), "1");
    let messaging = first.start(4);
    first.publish(Some("a"), "2");
    first.until(|rows| !rows.begun.is_empty()).await;
    first.shutdown.cancel();
    messaging.drained().await;
    assert_eq!(first.begun(), ["1"]);

    let second = World::new(|_| now(Ok(Outcome::Done)));
    let left = first.rows.lock().unwrap().deliveries.clone();
    assert_eq!(left.len(), 2);
    second.rows.lock().unwrap().deliveries = left;
    let _messaging = second.start(4);
    second.until_settled().await;
    assert_eq!(second.done(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn publishing_while_the_backlog_is_read_loses_and_doubles_nothing() {
    let world = World::new(|_| now(Ok(Outcome::Done)));
    for n in 0..1_000 {
        world.store(Some(&format!("{}", n % 300)), &format!("{n}"));
    }
    let _messaging = world.start(8);
    for n in 1_000..2_000 {
        world.publish(Some(&format!("{}", n % 300)), &format!("{n}"));
        tokio::task::yield_now().await;
    }
    world.until_settled().await;
    assert_eq!(world.begun().len(), 2_000);
    let done: Vec<usize> = world.done().iter().map(|done| done.parse().unwrap()).collect();
    for key in 0..300 {
        assert!(done.iter().filter(|n| **n % 300 == key).is_sorted());
    }
    assert!(world.elapsed() < Duration::from_secs(1));
}
