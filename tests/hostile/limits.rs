//! One test for each limit of `core::limit`, by the name that stands in its table: the limit
//! acts, the caller is told which key it was, and it is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use monopod_core::component::Limits;
use monopod_core::invoke::Error;
use monopod_core::limit::{CORE_INSTANCES, INSTANCES, Limit, OUTPUT, RANDOM, READS};
use monopod_core::size::Size;

use crate::support::{House, limits};

/// A house whose guest has these limits.
async fn with(change: impl FnOnce(&mut Limits)) -> House {
    let mut limits = limits();
    change(&mut limits);
    House::with(limits).await
}

/// The guest trapped over `limit`: the reason names the key, and it was counted.
#[track_caller]
fn trapped(house: &House, limit: Limit, result: Result<String, Error>) {
    let Err(Error::Trapped { reason, .. }) = result else { panic!("{limit:?}: {result:?}") };
    named(limit, &reason);
    assert!(house.reached(limit) > 0, "{limit:?} was not counted");
}

#[track_caller]
fn named(limit: Limit, text: &str) {
    assert!(text.contains(limit.about().said), "{limit:?}: {text}");
    if let Some(key) = limit.about().key {
        assert!(text.contains(&format!("`{key}` in [components.probe.limits]")), "{limit:?}: {text}");
    }
}

#[tokio::test]
async fn memory_stops_growing_at_the_limit() {
    let house = with(|limits| limits.memory = Size::mebibytes(16)).await;
    let kept: u64 = house.get("/grow").await.unwrap().trim_end_matches(" MiB").parse().unwrap();
    assert!((4..16).contains(&kept), "{kept} MiB of 16");
    assert!(house.reached(Limit::Memory) > 0);
    let seen = house.seen();
    assert!((4 << 20..=16 << 20).contains(&seen.memory_most), "{}", seen.memory_most);
    // The guest of a response that streamed ends a moment after it.
    let returned = async {
        while house.seen().memory > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), returned).await.expect("memory did not return");
}

#[tokio::test]
async fn tables_stop_growing_at_the_limit() {
    // Its own functions do not fit: it cannot even be instantiated.
    let house = with(|limits| limits.tables = 1).await;
    let result = house.get("/hello").await;
    assert!(matches!(result, Err(Error::Trapped { .. })), "{result:?}");
    assert!(house.reached(Limit::Tables) > 0);
}

#[tokio::test]
async fn a_guest_that_recurses_for_ever_is_told_its_stack() {
    let house = House::new().await;
    assert!(house.get("/greedy/stack/100").await.is_ok());
    trapped(&house, Limit::Stack, house.get("/greedy/stack/1000000000").await);
    // One that overflows the stack it keeps in its own memory is stopped as well.
    assert!(matches!(house.get("/recurse").await, Err(Error::Trapped { .. })));
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn the_pool_of_instances_is_bounded() {
    let most = usize::try_from(INSTANCES).unwrap();
    let house = with(|limits| {
        limits.concurrency = INSTANCES * 2;
        limits.deadline = Duration::from_secs(120);
    })
    .await;
    let mut calls: FuturesUnordered<_> = (0..=most).map(|_| house.get("/wait")).collect();
    // All the others wait; the one too many is answered.
    let answer = calls.next().await.unwrap();
    assert!(matches!(answer, Err(Error::Overloaded { .. })), "{answer:?}");
    assert_eq!(house.reached(Limit::Instances), 1);
    assert_eq!(house.seen().running, u64::from(INSTANCES));
    drop(calls);
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_component_of_too_many_modules_is_refused() {
    // A component of empty core modules, each instantiated once.
    let modules = u8::try_from(CORE_INSTANCES).unwrap() + 1;
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..modules {
        wasm.extend_from_slice(b"\x01\x08\0asm\x01\0\0\0");
    }
    wasm.extend_from_slice(&[2, 1 + 3 * modules, modules]);
    wasm.extend((0..modules).flat_map(|module| [0, module, 0]));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let file = folder.path().join("code.wasm");
    std::fs::write(&file, &wasm).unwrap();
    let refused = House::try_load(&folder, limits(), file, &monopod_tests::digest(&wasm)).err().unwrap();
    assert!(refused.to_string().contains(&CORE_INSTANCES.to_string()), "{refused}");
}

#[tokio::test]
async fn a_call_that_waits_too_long_is_stopped() {
    let house = with(|limits| limits.deadline = Duration::from_millis(200)).await;
    let started = Instant::now();
    assert!(matches!(house.get("/wait").await, Err(Error::TimedOut(_))));
    assert!(started.elapsed() < Duration::from_secs(40));
    assert_eq!(house.reached(Limit::Deadline), 1);
}

#[tokio::test]
async fn a_call_that_computes_too_long_is_stopped_before_its_deadline() {
    let house = with(|limits| {
        limits.cpu = Duration::from_millis(50);
        limits.deadline = Duration::from_secs(600);
    })
    .await;
    trapped(&house, Limit::Cpu, house.get("/spin").await);
    let used = house.seen().cpu;
    assert!((Duration::from_millis(40)..Duration::from_secs(5)).contains(&used), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_held_to_its_share_of_the_processors() {
    let house = with(|limits| {
        limits.cpu_share = 1;
        limits.cpu = Duration::from_secs(60);
        limits.deadline = Duration::from_secs(300);
    })
    .await;
    let cores = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    // Twice the burst of a second: the second half has to be earned at the rate.
    let (started, share) = (Instant::now(), f64::from(cores) / 100.0);
    while house.seen().cpu.as_secs_f64() < share * 2.0 {
        house.get("/greedy/compute/2000000").await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    assert!(house.reached(Limit::CpuShare) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_places_wait_and_are_counted() {
    let house = with(|limits| limits.concurrency = 1).await;
    let paths: Vec<_> = (0..8).map(|n| format!("/count/{n}")).collect();
    let calls = paths.iter().map(|path| house.post(path, ""));
    for result in futures_util::future::join_all(calls).await {
        assert_eq!(result.unwrap(), "1");
    }
    assert!(house.reached(Limit::Concurrency) > 0);
}

#[tokio::test]
async fn calls_beyond_the_queue_are_refused_and_counted() {
    let house = with(|limits| {
        limits.concurrency = 1;
        limits.deadline = Duration::from_millis(500);
    })
    .await;
    let calls = (0..40).map(|_| house.get("/wait"));
    let results = futures_util::future::join_all(calls).await;
    let refused = results.iter().filter(|r| matches!(r, Err(Error::Overloaded { .. }))).count();
    assert!(refused >= 30, "{refused} of 40 refused");
    assert!(house.reached(Limit::Queue) >= 30);
}

#[tokio::test]
async fn a_storm_of_host_calls_is_stopped() {
    let house = with(|limits| limits.host_calls = 1_000).await;
    assert_eq!(house.get("/greedy/host-calls/500").await.unwrap(), "called");
    trapped(&house, Limit::HostCalls, house.get("/greedy/host-calls/1000000000").await);
}

#[tokio::test]
async fn the_host_takes_no_more_in_one_call_than_its_limit() {
    let house = House::new().await;
    trapped(&house, Limit::HostCallSize, house.get("/greedy/value/20000000").await);
}

#[tokio::test]
async fn handles_that_are_never_closed_end_at_the_limit() {
    let house = with(|limits| limits.handles = 200).await;
    assert_eq!(house.get("/greedy/handles/100").await.unwrap(), "open");
    trapped(&house, Limit::Handles, house.get("/greedy/handles/1000").await);
}

#[tokio::test]
async fn random_bytes_are_bounded() {
    let house = House::new().await;
    let most = RANDOM.get();
    assert_eq!(house.get(&format!("/greedy/random/{most}")).await.unwrap(), most.to_string());
    trapped(&house, Limit::Random, house.get(&format!("/greedy/random/{}", most + 1)).await);
}

#[tokio::test]
async fn bodies_are_bounded_both_ways_and_counted() {
    let house = with(|limits| limits.body = Size::bytes(1_000)).await;
    assert_eq!(house.get("/large/1000").await.unwrap().len(), 1_000);
    trapped(&house, Limit::Body, house.get("/large/1001").await);
    assert_eq!(house.post("/echo", &"x".repeat(1_000)).await.unwrap(), "1000");
    let refused = house.send("POST", "/echo", &"x".repeat(1_001)).await.unwrap();
    assert_eq!(refused.0, 413);
    assert_eq!(house.reached(Limit::Body), 2);
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_size() {
    let house = with(|limits| {
        limits.headers = 20;
        limits.header_size = Size::bytes(2_000);
    })
    .await;
    assert_eq!(house.get("/greedy/headers/10").await.unwrap(), "many");
    trapped(&house, Limit::Headers, house.get("/greedy/headers/30").await);
    assert_eq!(house.get("/greedy/header-size/1000").await.unwrap(), "large");
    trapped(&house, Limit::HeaderSize, house.get("/greedy/header-size/2000").await);
    // Far more is refused where it is made: what the guest does about it is its business.
    assert_ne!(house.get("/greedy/headers/20000").await.unwrap_or_default(), "many");
}

#[tokio::test]
async fn a_component_is_held_to_its_log_rate() {
    let house = with(|limits| limits.log = Size::bytes(100)).await;
    assert_eq!(house.get("/greedy/log/1").await.unwrap(), "logged");
    assert_eq!(house.reached(Limit::Log), 0);
    // Each call alone prints less than a call may.
    for _ in 0..5 {
        assert_eq!(house.get("/greedy/log/10").await.unwrap(), "logged");
    }
    assert!(house.reached(Limit::Log) > 0);
    assert_eq!(house.reached(Limit::Output), 0);
}

#[tokio::test]
async fn what_one_call_prints_is_cut_and_counted() {
    let house = House::new().await;
    assert_eq!(house.get("/print").await.unwrap(), "printed");
    assert_eq!(house.reached(Limit::Output), 1);
    assert!(OUTPUT.get() < 100_000);
}

#[tokio::test]
async fn changes_of_a_unit_are_bounded_by_the_key() {
    let house = with(|limits| limits.changes = 5).await;
    assert_eq!(house.get("/greedy/changes/5").await.unwrap(), "5");
    named(Limit::Changes, &house.get("/greedy/changes/6").await.unwrap());
    assert_eq!(house.reached(Limit::Changes), 1);
}

#[tokio::test]
async fn the_size_of_a_unit_is_bounded_by_the_key() {
    let house = with(|limits| limits.unit = Size::bytes(10_000)).await;
    assert_eq!(house.get("/greedy/unit/9").await.unwrap(), "9");
    named(Limit::Unit, &house.get("/greedy/unit/10").await.unwrap());
    assert_eq!(house.reached(Limit::Unit), 1);
}

#[tokio::test]
async fn what_a_unit_reads_is_bounded() {
    let house = House::new().await;
    assert_eq!(house.get(&format!("/greedy/reads/{READS}")).await.unwrap(), READS.to_string());
    named(Limit::Reads, &house.get(&format!("/greedy/reads/{}", READS + 1)).await.unwrap());
    assert_eq!(house.reached(Limit::Reads), 1);
}
