//! A component that fails on every call is left alone, tried again, and taken back.

use std::time::{Duration, Instant};

use monopod_core::component::Limits;
use monopod_core::invoke::{Components, Error};
use monopod_core::seen::{Circuit, Failure, Kind};

use crate::support::{House, limits};

/// More failures than open a circuit.
const MANY: usize = 50;

async fn broken() -> House {
    let house = House::new().await;
    for _ in 0..MANY {
        assert!(house.get("/trap").await.is_err());
    }
    house
}

#[tokio::test]
async fn traps_on_every_call_open_the_circuit_and_callers_learn_when_to_come_back() {
    let house = broken().await;
    let refused = house.get("/hello").await;
    let Err(Error::CircuitOpen { retry_after, .. }) = refused else { panic!("{refused:?}") };
    assert!(retry_after <= Duration::from_secs(120), "{retry_after:?}");
    let seen = house.seen();
    assert!(matches!(seen.circuit, Circuit::Open(_)), "{:?}", seen.circuit);
    let trapped = seen.failures[Failure::Trapped as usize];
    assert!((10..MANY as u64).contains(&trapped), "{trapped} calls reached the guest");
    assert_eq!(trapped + seen.failures[Failure::CircuitOpen as usize], MANY as u64 + 1);
    assert_eq!(seen.calls[Kind::Request as usize], MANY as u64 + 1);
    assert_eq!(seen.latency.count(), MANY as u64 + 1);
}

#[tokio::test]
async fn a_good_call_after_the_pause_closes_it_and_a_bad_one_makes_the_pause_longer() {
    let house = broken().await;
    let again = async |path: &str| {
        // Waits as long as it is told to, as a client would.
        let began = Instant::now();
        loop {
            match house.get(path).await {
                Err(Error::CircuitOpen { retry_after, .. }) => {
                    assert!(began.elapsed() < Duration::from_secs(120), "it is never tried again");
                    tokio::time::sleep(retry_after).await;
                }
                other => return other,
            }
        }
    };
    assert!(matches!(again("/trap").await, Err(Error::Trapped { .. })));
    let Circuit::Open(wait) = house.seen().circuit else { panic!("one bad call does not close it") };
    assert!(wait > Duration::from_millis(1_200), "{wait:?}");
    assert_eq!(again("/hello").await.unwrap(), "hello");
    assert_eq!(house.seen().circuit, Circuit::Closed);
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_message_is_not_tried_while_the_circuit_is_open() {
    let house = broken().await;
    let delivery = house.publish_to_probe("done").await;
    let refused = house.engine.deliver(&delivery).await;
    assert!(matches!(refused, Err(Error::CircuitOpen { .. })), "{refused:?}");
    assert_eq!(house.seen().failures[Failure::Trapped as usize], 10);
}

#[tokio::test]
async fn bad_answers_and_bad_input_do_not_open_it() {
    let house = House::new().await;
    for _ in 0..MANY {
        assert_eq!(house.post("/count-then-fail/a", "").await.unwrap(), "failed");
        assert!(house.get("/nowhere").await.is_ok());
    }
    let seen = house.seen();
    assert_eq!(seen.circuit, Circuit::Closed);
    assert_eq!(seen.failures[Failure::Answered as usize], MANY as u64);
    assert_eq!(seen.failed(), MANY as u64);
}

#[tokio::test]
async fn a_call_whose_caller_went_away_is_counted_as_that() {
    let house = House::with(Limits { deadline: Duration::from_secs(120), ..limits() }).await;
    tokio::select! {
        biased;
        ended = house.get("/wait") => panic!("{ended:?}"),
        () = tokio::task::yield_now() => {}
    }
    let seen = house.seen();
    assert_eq!(seen.failures[Failure::Abandoned as usize], 1);
    assert_eq!((seen.running, seen.memory), (0, 0));
}
