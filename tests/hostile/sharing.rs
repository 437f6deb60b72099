//! Several calls in one instance: each is its own, and one that fails takes down what it must and
//! no more. The guest is `tests/guests/shared`; its calls wait for each other inside.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use http_body_util::BodyExt;
use monopod_core::component::{Instances, Limits, Reuse};
use monopod_core::full;
use monopod_core::invoke::Error;
use monopod_core::size::Size;

use crate::support::{House, limits};

/// One instance, for all calls.
fn one() -> Instances {
    Instances { reuse: Reuse::Concurrent, max: Some(1), ..Instances::default() }
}

fn soon(deadline: u64) -> Limits {
    Limits { deadline: Duration::from_millis(deadline), ..limits() }
}

fn house() -> House {
    House::sharing(limits(), one())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_overlap_in_one_instance() {
    let house = house();
    let answers = join_all((0..20).map(|_| house.get("/meet/20"))).await;
    for answer in answers {
        assert_eq!(answer.unwrap(), "met 20");
    }
    assert_eq!(house.get("/remember").await.unwrap(), "21");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_keeps_its_identity_and_its_unit() {
    let house = house();
    let (alice, bob) = join(
        house.get_as("/claim/a/3", "https://issuer", "alice"),
        join(
            house.get_as("/claim/b/3", "https://issuer", "bob"),
            house.get_as("/claim-then-fail/c/3", "https://issuer", "carol"),
        ),
    )
    .await;
    // Who it is before and after the others ran, and its own change alone.
    assert_eq!(alice.unwrap(), "alice alice alice nothing");
    assert_eq!(bob.0.unwrap(), "bob bob nothing bob");
    assert_eq!(bob.1.unwrap(), "failed");
    for (key, value) in [("a", "alice"), ("b", "bob"), ("c", "nothing")] {
        assert_eq!(house.get(&format!("/read/{key}")).await.unwrap(), value);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_one_instance_that_conflict_are_run_again_until_each_counted_once() {
    let house = house();
    for result in join_all((0..10).map(|_| house.get("/count/shared"))).await {
        result.unwrap();
    }
    assert_eq!(house.get("/read/shared").await.unwrap(), "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_ends_the_calls_of_its_instance_with_a_word_and_no_other() {
    let house = House::sharing(limits(), Instances { max: Some(2), ..one() });
    let began = Instant::now();
    let (waited, trapped) = join(house.get("/wait/2"), house.get("/trap/2")).await;
    for result in [waited, trapped] {
        let Err(Error::Trapped { reason, .. }) = &result else { panic!("{result:?}") };
        assert!(reason.contains("several calls shared"), "{reason}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "they waited for the deadline");
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_spins_or_waits_for_ever_is_stopped_and_its_instance_never_serves_again() {
    for path in ["/spin/2", "/wait/2"] {
        let house = House::sharing(soon(1_500), one());
        let began = Instant::now();
        let (beside, stopped) = join(house.get("/wait/2"), house.get(path)).await;
        for result in [beside, stopped] {
            assert!(matches!(result, Err(Error::TimedOut(_) | Error::Trapped { .. })), "{path}: {result:?}");
        }
        assert_eq!(house.get("/remember").await.unwrap(), "1", "{path}");
        assert!(began.elapsed() < Duration::from_secs(20), "{path}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processor_time_of_a_call_is_bounded_in_a_shared_instance() {
    let limits = Limits { cpu: Duration::from_millis(100), ..limits() };
    let house = House::sharing(limits, one());
    let spun = house.get("/spin/1").await;
    assert!(matches!(spun, Err(Error::Trapped { .. })), "{spun:?}");
    assert_eq!(house.reached(monopod_core::limit::Limit::Cpu), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_does_not_end_its_neighbours() {
    let house = House::sharing(limits(), Instances { max: Some(2), ..one() });
    let leaving = async {
        let left = tokio::time::timeout(Duration::from_secs(1), house.get("/wait/2")).await;
        left.unwrap_err();
        // Its instance takes no more.
        house.get("/remember").await
    };
    let (paused, remembered) = join(house.get("/pause/2/3000"), leaving).await;
    assert_eq!(paused.unwrap(), "paused");
    assert_eq!(remembered.unwrap(), "1");
}

#[tokio::test]
async fn a_shared_instance_is_replaced_when_it_has_served_often_or_long_enough() {
    let house = House::sharing(limits(), Instances { max_uses: 2, ..one() });
    for expected in ["1", "2", "1", "2", "1"] {
        assert_eq!(house.get("/remember").await.unwrap(), expected);
    }
    let house = House::sharing(limits(), Instances { max_age: Duration::ZERO, ..one() });
    for _ in 0..3 {
        assert_eq!(house.get("/remember").await.unwrap(), "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_instances_are_made_ready_before_anybody_calls() {
    let house = House::sharing(limits(), Instances { min: 1, ..one() });
    let ready = async {
        while house.engine.ready_instances(&crate::support::probe()) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_are_bounded_and_the_queue_too() {
    let limits = Limits { concurrency: 2, ..soon(3_000) };
    let house = House::sharing(limits, Instances { queue: Some(0), ..one() });
    let (waiting, third) = join(join(house.get("/wait/2"), house.get("/wait/2")), house.get("/hello")).await;
    assert!(matches!(third, Err(Error::Overloaded { .. })), "{third:?}");
    for result in [waiting.0, waiting.1] {
        assert!(matches!(result, Err(Error::TimedOut(_))), "{result:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_goes_out_while_its_guest_still_works() {
    let house = house();
    let mut body = house.open("GET", "/gate", full("")).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first ");
    assert_eq!(house.get("/open").await.unwrap(), "open");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_guest_waits_while_nobody_reads_its_response() {
    let house = House::sharing(limits(), Instances { max: Some(2), ..one() });
    let response = house.open("GET", "/stream/50000000", full("")).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    // Others go on meanwhile, and see how far it got.
    for _ in 0..20 {
        let written: usize = house.get("/written").await.unwrap().parse().unwrap();
        assert!(written < 2_000_000, "{written} bytes were written, and nobody read them");
    }
    drop(body);
    assert_eq!(house.get("/remember").await.unwrap(), "1", "its reader left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_never_ends_ends_at_the_deadline_shared_or_not() {
    for instances in [one(), Instances::default()] {
        let house = House::sharing(Limits { body: Size::mebibytes(1024), ..soon(1_000) }, instances);
        let response = house.open("GET", "/endless", full("")).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.map(|_| ()).unwrap_err();
        let unread = house.open("GET", "/endless", full("")).await.unwrap();
        assert_eq!(house.get("/hello").await.unwrap(), "hello");
        drop(unread);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_reach_the_client() {
    for instances in [one(), Instances::default()] {
        let house = House::sharing(limits(), instances);
        let body = house.open("GET", "/trailers", full("")).await.unwrap().into_body();
        let all = body.collect().await.unwrap();
        assert_eq!(all.trailers().unwrap()["x-sum"], "4");
        assert_eq!(all.to_bytes(), "body");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_call_leaves_behind_is_nobodys_and_changes_nothing() {
    let house = house();
    assert_eq!(house.get_as("/late", "https://issuer", "alice").await.unwrap(), "done");
    assert_eq!(house.get("/open").await.unwrap(), "open");
    let said = house.get("/late-said").await.unwrap();
    assert!(said.starts_with("anonymous ") && said.contains("change state first"), "{said}");
    assert_eq!(house.get("/read/late").await.unwrap(), "nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_with_a_task_left_over_ends_soon_after_its_calls() {
    let house = House::sharing(soon(1_000), one());
    assert_eq!(house.get("/late").await.unwrap(), "done");
    let gone = async {
        while house.engine.ready_instances(&crate::support::probe()) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    assert_eq!(house.get("/remember").await.unwrap(), "1");
}
