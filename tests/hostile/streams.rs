//! Bodies that stream: both ways, with limits, to their end or not.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use monopod_core::component::{Instances, Limits};
use monopod_core::size::Size;
use monopod_core::{Body, full};

use crate::support::{House, limits};

const CHUNK: usize = 64 << 10;

/// Room for one large body, and for one call.
fn one() -> Limits {
    Limits { body: Size::mebibytes(16), concurrency: 1, ..limits() }
}

fn house(limits: Limits) -> House {
    House::of(vec![("probe", limits, Instances::default())])
}

/// A body of `chunks` chunks, of which nobody knows the length before.
fn streamed(chunks: usize) -> Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    StreamBody::new(futures_util::stream::iter((0..chunks).map(move |_| Ok(Frame::data(chunk.clone())))))
        .boxed_unsync()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_come_out_and_go_through() {
    let house = house(one());
    let size = 10 << 20;
    let response = house.open("GET", &format!("/streams/stream/{size}"), full("")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), size);
    let response = house.open("POST", "/streams/pipe", streamed(160)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_waits_and_leaves_when_it_is_dropped() {
    let house = house(one());
    for _ in 0..3 {
        let response = house.open("GET", "/streams/stream/10000000", full("")).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        // The only place is free again.
        drop(body);
        assert_eq!(house.get("/hello").await.unwrap(), "hello");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_never_ends_or_drips_ends_at_the_deadline_even_when_nobody_reads() {
    let house = house(Limits { deadline: Duration::from_millis(400), ..one() });
    for path in ["/streams/endless", "/streams/drip"] {
        let response = house.open("GET", path, full("")).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.map(|_| ()).expect_err(path);
        assert_eq!(house.get("/hello").await.unwrap(), "hello");

        let unread = house.open("GET", path, full("")).await.unwrap();
        assert_eq!(house.get("/hello").await.unwrap(), "hello", "{path} held its place");
        drop(unread);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_in_the_middle_breaks_the_response_off() {
    let house = house(one());
    let response = house.open("GET", "/streams/trap-midway", full("")).await.unwrap();
    response.into_body().collect().await.map(|_| ()).unwrap_err();
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_change_after_the_response_is_refused_and_one_before_holds_it() {
    let house = house(one());
    let answer = house.get("/streams/late-write").await.unwrap();
    assert!(answer.contains("change state first"), "{answer}");
    assert_eq!(house.get("/count/late").await.unwrap(), "0");
    // With a change before it the response waits for the commit, so that more may follow.
    assert_eq!(house.get("/streams/write-first").await.unwrap(), "true true");
    assert_eq!(house.get("/count/first").await.unwrap(), "1");
    assert_eq!(house.get("/count/second").await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_on_bodies_holds_while_they_stream() {
    let house = house(Limits { body: Size::mebibytes(1), ..one() });
    // Only as it comes it is found to be too large; the guest reads all of it first.
    let refused = house.open("POST", "/echo", streamed(40)).await.unwrap();
    assert_eq!(refused.status(), 413);
    let broken = house.open("GET", "/streams/stream/10000000", full("")).await.unwrap();
    broken.into_body().collect().await.map(|_| ()).unwrap_err();
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_guest_that_does_not_read_its_request_answers_all_the_same() {
    let house = house(one());
    let response = house.open("POST", "/timer/wake", streamed(100)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_conflict_are_run_again_with_a_request_that_streamed() {
    let house = house(Limits { concurrency: 10, ..one() });
    let calls = (0..20).map(|_| async {
        let response = house.open("POST", "/count-read/shared", streamed(2)).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    });
    futures_util::future::join_all(calls).await;
    // Each run read all of its request.
    assert_eq!(house.get("/count/shared").await.unwrap(), (20 * 2 * CHUNK).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_between_components_streams_both_ways() {
    let house =
        House::of(vec![("probe", one(), Instances::default()), ("other", one(), Instances::default())]);
    let answer = house.get("/via/other/large/1000000").await.unwrap();
    assert_eq!(answer.len(), 1_000_000);
}
