//! The slow lane: calls that take long end well, and hold up nobody else's.

use std::time::Duration;

use monopod_core::component::{Instances, Limits};
use monopod_core::invoke::Error;

use crate::support::{House, limits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_outlives_its_first_tick_ends_as_any_other() {
    let house = House::new().await;
    // Twice and more, so that later ones start in the lane.
    for _ in 0..5 {
        assert_eq!(house.get("/burn/10").await.unwrap(), "burnt");
        // Timers, the store and other components are reached from there, too.
        assert_eq!(house.get("/burn-then-wait/5").await.unwrap(), "0");
        assert_eq!(house.get("/via/probe/burn/5").await.unwrap(), "burnt");
        house.post("/count/a", "").await.unwrap();
    }
    assert_eq!(house.get("/count/a").await.unwrap(), "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_spinning_calls_of_one_component_hold_up_no_slow_call_of_another() {
    let spins = Limits { deadline: Duration::from_secs(30), ..limits() };
    let house =
        House::of(vec![("probe", spins, Instances::default()), ("other", limits(), Instances::default())]);
    // More than any machine that runs this has cores to spare.
    let spinning = futures_util::future::join_all((0..32).map(|_| house.get("/spin")));
    let others = async {
        for _ in 0..5 {
            assert_eq!(house.get_of("other", "/burn/20").await.unwrap(), "burnt");
        }
    };
    match futures_util::future::select(Box::pin(spinning), Box::pin(others)).await {
        futures_util::future::Either::Left(_) => panic!("the spinning calls ended first"),
        futures_util::future::Either::Right(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spinning_call_that_its_caller_left_is_ended_and_its_place_is_free() {
    let limits = Limits { concurrency: 1, deadline: Duration::from_secs(600), ..limits() };
    let house = House::of(vec![("probe", limits, Instances::default())]);
    for _ in 0..3 {
        let left = tokio::time::timeout(Duration::from_millis(30), house.get("/spin")).await;
        left.unwrap_err();
        assert_eq!(house.get("/hello").await.unwrap(), "hello");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_in_the_slow_lane_is_the_callers_error() {
    let house = House::with(Limits { deadline: Duration::from_millis(300), ..limits() }).await;
    for _ in 0..3 {
        assert!(matches!(house.get("/spin").await, Err(Error::TimedOut(_))));
    }
    // Its calls start there now.
    assert!(matches!(house.get("/trap").await, Err(Error::Trapped { .. })));
    assert!(matches!(house.get("/recurse").await, Err(Error::Trapped { .. })));
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}
