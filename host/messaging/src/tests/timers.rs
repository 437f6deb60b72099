//! Timers: once each, on time, whatever the clock does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monopod_core::message::Outcome;

use super::world::{ATTEMPTS, World, after, now, overloaded, retry};

fn quiet() -> std::sync::Arc<World> {
    World::new(|_| now(Ok(Outcome::Done)))
}

#[tokio::test(start_paused = true)]
async fn a_timer_fires_once_and_when_it_is_due() {
    let world = quiet();
    let messaging = world.start(1);
    world.set_timer("late", 1, world.now() + 90_000);
    world.set_timer("soon", 1, world.now() + 1_500);
    world.until(|rows| rows.done.len() == 1).await;
    assert_eq!(world.done(), ["soon v1"]);
    assert!((1_500..1_550).contains(&world.elapsed().as_millis()), "{:?}", world.elapsed());
    world.until_settled().await;
    assert!((90_000..90_050).contains(&world.elapsed().as_millis()), "{:?}", world.elapsed());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.begun(), ["soon v1", "late v1"]);
    assert_eq!(messaging.timers().counters.done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_timer_set_before_the_start_fires_after_it() {
    let world = quiet();
    world.set_timer("old", 1, world.now() - 5_000);
    let _messaging = world.start(1);
    world.until_settled().await;
    assert!(world.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_timer_set_while_the_loop_sleeps_is_not_late() {
    let world = quiet();
    let _messaging = world.start(1);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    world.set_timer("soon", 1, world.now() + 20);
    world.until_settled().await;
    assert!(world.elapsed() < Duration::from_millis(1_150), "{:?}", world.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_timer_replaced_fires_as_its_last_version_only() {
    let world = quiet();
    let _messaging = world.start(1);
    world.set_timer("deadline", 1, world.now() + 1_000);
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.set_timer("deadline", 2, world.now() + 9_000);
    world.until_settled().await;
    assert_eq!(world.begun(), ["deadline v2"]);
    assert!((9_500..9_550).contains(&world.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn a_timer_replaced_while_it_fires_has_the_effect_of_the_new_one_only() {
    let world = World::with_timers(
        |_| now(Ok(Outcome::Done)),
        |_| after(Duration::from_millis(500), Ok(Outcome::Done)),
    );
    let messaging = world.start(1);
    world.set_timer("deadline", 1, world.now());
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.set_timer("deadline", 2, world.now() + 1_000);
    world.until_settled().await;
    assert_eq!(world.begun(), ["deadline v1", "deadline v2"]);
    assert_eq!(world.done(), ["deadline v2"]);
    assert_eq!(messaging.timers().counters.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_put_forward_fires_what_is_due_by_it_once() {
    let world = quiet();
    let _messaging = world.start(1);
    world.set_timer("a", 1, world.now() + 3_600_000);
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.jump(Duration::from_secs(7_200), true);
    world.until_settled().await;
    assert!(world.elapsed() <= Duration::from_secs(16), "{:?}", world.elapsed());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.begun(), ["a v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_put_back_fires_nothing_twice_and_loses_nothing() {
    let world =
        World::with_timers(|_| now(Ok(Outcome::Done)), |_| after(Duration::from_secs(2), Ok(Outcome::Done)));
    let _messaging = world.start(1);
    world.set_timer("firing", 1, world.now());
    world.set_timer("coming", 1, world.now() + 3_000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.jump(Duration::from_secs(60), false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.begun(), ["firing v1"]);
    world.until_settled().await;
    assert_eq!(world.done(), ["firing v1", "coming v1"]);
    assert!((65..=67).contains(&world.elapsed().as_secs()), "{:?}", world.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_fails_is_tried_again_and_then_a_dead_letter() {
    let world = World::with_timers(|_| now(Ok(Outcome::Done)), |_| now(retry(None)));
    let messaging = world.start(1);
    world.set_timer("a", 1, world.now());
    world.until_settled().await;
    assert_eq!(world.begun().len(), ATTEMPTS as usize);
    assert_eq!((world.dead()[0].reason.as_str(), world.dead()[0].attempt), ("not yet", ATTEMPTS));
    assert!((5..9).contains(&world.elapsed().as_secs()), "{:?}", world.elapsed());
    assert_eq!(messaging.timers().counters.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_whose_component_is_overloaded_waits_without_an_attempt() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let world = World::with_timers(
        |_| now(Ok(Outcome::Done)),
        |timer| {
            assert_eq!(timer.attempt, 1);
            now(if CALLS.fetch_add(1, Ordering::SeqCst) < 15 { Err(overloaded()) } else { Ok(Outcome::Done) })
        },
    );
    let messaging = world.start(1);
    world.set_timer("a", 1, world.now());
    world.until_settled().await;
    assert_eq!(world.done(), ["a v1"]);
    assert_eq!(messaging.timers().counters.set_back, 15);
}

#[tokio::test(start_paused = true)]
async fn many_timers_due_together_fire_a_bounded_number_at_once() {
    static AT_ONCE: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    let world = World::with_timers(
        |_| now(Ok(Outcome::Done)),
        |_| {
            Box::pin(async {
                MOST.fetch_max(AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                AT_ONCE.fetch_sub(1, Ordering::SeqCst);
                Ok(Outcome::Done)
            })
        },
    );
    for n in 0..1_000 {
        world.set_timer(&format!("t{n}"), 1, world.now() + 100);
    }
    let messaging = world.start(1);
    world.until_settled().await;
    assert_eq!(world.begun().len(), 1_000);
    assert_eq!(MOST.load(Ordering::SeqCst), 32);
    assert!(world.elapsed() < Duration::from_secs(1), "{:?}", world.elapsed());
    assert_eq!(messaging.timers().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn many_timers_to_come_keep_the_loop_asleep() {
    let world = quiet();
    for n in 0..1_000 {
        world.set_timer(&format!("t{n}"), 1, world.now() + 4_000);
    }
    let _messaging = world.start(1);
    tokio::time::sleep(Duration::from_millis(3_900)).await;
    assert!(world.reads.load(Ordering::SeqCst) < 10);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_delays_timers_and_is_reported() {
    let world = quiet();
    world.set_timer("a", 1, world.now());
    world.reads_fail.store(usize::MAX, Ordering::SeqCst);
    let messaging = world.start(1);
    tokio::time::sleep(Duration::from_secs(90)).await;
    let health = messaging.health();
    assert!(health.to_string().contains("timers have not moved for"), "{health}");
    world.reads_fail.store(0, Ordering::SeqCst);
    world.until_settled().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(messaging.health().moving());
}
