//! Instances: who gets a new one, who one that has served before, who waits, who is refused.

use std::time::{Duration, Instant};

use monopod_core::component::{Instances, Limits, Reuse};
use monopod_core::invoke::Error;

use crate::support::{House, limits};

fn serial() -> Instances {
    Instances { reuse: Reuse::Serial, ..Instances::default() }
}

/// One instance at once, that serves again.
fn one() -> Limits {
    Limits { concurrency: 1, ..limits() }
}

#[tokio::test]
async fn a_fresh_instance_remembers_nothing() {
    let house = House::new().await;
    for _ in 0..3 {
        assert_eq!(house.get("/remember").await.unwrap(), "1");
    }
}

#[tokio::test]
async fn a_serial_instance_remembers_what_its_globals_hold_and_nothing_of_the_caller() {
    let house = House::of(vec![("probe", one(), serial())]);
    assert_eq!(house.get("/remember").await.unwrap(), "1");
    assert_eq!(house.get("/remember").await.unwrap(), "2");
    // Identity, unit of work and output belong to the call.
    assert_eq!(house.get_as("/who", "https://issuer", "alice").await.unwrap(), "https://issuer alice");
    assert_eq!(house.get("/who").await.unwrap(), "anonymous");
    assert_eq!(house.post("/count-then-fail/a", "").await.unwrap(), "failed");
    assert_eq!(house.post("/count/a", "").await.unwrap(), "1");
    assert_eq!(house.get("/count/a").await.unwrap(), "1");
    assert_eq!(house.get("/print").await.unwrap(), "printed");
    assert_eq!(house.get("/print").await.unwrap(), "printed");
    assert_eq!(house.get("/remember").await.unwrap(), "3");
}

#[tokio::test]
async fn an_instance_that_failed_was_stopped_or_was_left_never_serves_again() {
    let limits = Limits { deadline: Duration::from_millis(500), ..one() };
    let house = House::of(vec![("probe", limits, serial())]);
    for path in ["/trap", "/streams/unset", "/spin", "/wait", "/recurse", "/streams/trap-midway"] {
        assert_eq!(house.get("/remember").await.unwrap(), "1", "before {path}");
        assert_eq!(house.get("/remember").await.unwrap(), "2", "before {path}");
        house.get(path).await.unwrap_err();
    }
    assert_eq!(house.get("/remember").await.unwrap(), "1");
    // A caller that goes away.
    let left = tokio::time::timeout(Duration::from_millis(50), house.get("/wait")).await;
    left.unwrap_err();
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}

#[tokio::test]
async fn an_instance_that_kept_a_handle_of_its_call_never_serves_again() {
    let house = House::of(vec![("probe", one(), serial())]);
    assert_eq!(house.get("/remember").await.unwrap(), "1");
    assert_eq!(house.get("/streams/keep").await.unwrap(), "kept");
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}

#[tokio::test]
async fn an_instance_is_replaced_when_it_has_served_often_or_long_enough() {
    let house = House::of(vec![("probe", one(), Instances { max_uses: 2, ..serial() })]);
    for expected in ["1", "2", "1", "2", "1"] {
        assert_eq!(house.get("/remember").await.unwrap(), expected);
    }
    let house = House::of(vec![("probe", one(), Instances { max_age: Duration::ZERO, ..serial() })]);
    for _ in 0..3 {
        assert_eq!(house.get("/remember").await.unwrap(), "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_made_ready_before_anybody_calls_and_again_after_they_failed() {
    let limits = Limits { concurrency: 4, ..limits() };
    let house = House::of(vec![("probe", limits, Instances { min: 2, ..serial() })]);
    let ready = async |house: &House| {
        while house.engine.ready_instances(&crate::support::probe()) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let long = Duration::from_secs(60);
    tokio::time::timeout(long, ready(&house)).await.unwrap();
    house.get("/trap").await.unwrap_err();
    tokio::time::timeout(long, ready(&house)).await.unwrap();
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}

#[tokio::test]
async fn several_calls_in_one_instance_need_a_component_that_can() {
    let concurrent = Instances { reuse: Reuse::Concurrent, ..Instances::default() };
    let refused = House::try_of(vec![("probe", limits(), concurrent)]).err().unwrap().to_string();
    assert!(refused.contains("`probe`") && refused.contains("reuse = \"serial\""), "{refused}");
}

#[tokio::test]
async fn a_queue_of_none_refuses_at_once_and_a_queue_deadline_soon() {
    let limits = Limits { deadline: Duration::from_secs(5), ..one() };
    for instances in [
        Instances { queue: Some(0), ..Instances::default() },
        Instances { queue_deadline: Some(Duration::from_millis(20)), ..Instances::default() },
    ] {
        let house = House::of(vec![("probe", limits.clone(), instances)]);
        let began = Instant::now();
        let (first, second) = futures_util::future::join(house.get("/wait"), async {
            (house.get("/hello").await, began.elapsed())
        })
        .await;
        assert!(matches!(first, Err(Error::TimedOut(_))), "{first:?}");
        assert!(matches!(second.0, Err(Error::Overloaded { .. })), "{second:?}");
        assert!(second.1 < Duration::from_secs(4), "{second:?}");
    }
}

#[tokio::test]
async fn a_circle_over_two_components_with_one_instance_each_is_answered_at_once() {
    let long = Limits { deadline: Duration::from_secs(60), ..one() };
    let house =
        House::of(vec![("probe", long.clone(), Instances::default()), ("other", long, Instances::default())]);
    let began = Instant::now();
    assert_eq!(house.get("/via/other/hello").await.unwrap(), "hello");
    let answer = house.get("/via/other/via/probe/hello").await.unwrap();
    assert!(answer.starts_with("stopped:"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_wait_for_each_other_come_apart_before_their_deadline() {
    let own = Limits { deadline: Duration::from_secs(8), ..one() };
    let house =
        House::of(vec![("probe", own.clone(), Instances::default()), ("other", own, Instances::default())]);
    // Each holds its own only instance, and wants the other's after a while.
    let (one, two) = futures_util::future::join(
        house.get("/via/other/burn-then-wait/100"),
        house.get_of("other", "/via/probe/burn-then-wait/100"),
    )
    .await;
    for answer in [one, two] {
        let answer = answer.unwrap();
        assert!(answer == "0" || answer.starts_with("stopped:"), "{answer}");
    }
}
