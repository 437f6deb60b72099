//! What a guest does to be a nuisance, one after another: its caller gets a clear error in bounded
//! time, a neighbour is answered meanwhile, and afterwards everything is as it was before.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use monopod_core::component::Limits;
use monopod_core::invoke::Error;
use monopod_core::size::Size;

use crate::support::{House, limits};

/// How a guest ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// At its deadline.
    Late,
    /// By a trap, or at a limit.
    Failed,
}

/// Generous: the limit is a second, the machine may be busy.
const BOUNDED: Duration = Duration::from_secs(30);

fn short() -> Limits {
    // One place: were it lost, the next call would wait in vain.
    Limits { deadline: Duration::from_secs(1), concurrency: 1, ..limits() }
}

/// Whether an answer did not come in time, or broke off after it began.
fn is_late<T>(result: &Result<T, Error>) -> bool {
    match result {
        Err(Error::TimedOut(_)) => true,
        Err(Error::Trapped { reason, .. }) => reason.contains("while it responded"),
        _ => false,
    }
}

/// Calls it while a neighbour is called.
async fn endures(house: &House, method: &str, path: &str, ends: Ends) {
    let began = Instant::now();
    let (harmed, neighbour) = join(house.send(method, path, ""), house.neighbour("/hello")).await;
    match ends {
        Ends::Late => assert!(is_late(&harmed), "{path}: {harmed:?}"),
        Ends::Failed => assert!(harmed.is_err(), "{path}: {harmed:?}"),
    }
    assert_eq!(neighbour.unwrap(), "hello", "{path}");
    assert!(began.elapsed() < BOUNDED, "{path}: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_nuisance_ends_in_bounded_time_and_its_neighbour_is_answered() {
    use Ends::{Failed, Late};
    for (path, ends) in [
        ("/spin", Late),
        ("/wait", Late),
        // At their deadline, or before at the limit of host calls.
        ("/raw/storm", Failed),
        ("/raw/held", Late),
        ("/raw/drip", Late),
        ("/raw/empty", Failed),
        ("/raw/spun", Late),
        ("/raw/endless", Failed),
        ("/raw/dropped", Failed),
        ("/raw/short", Failed),
        ("/raw/none", Failed),
        ("/raw/error", Failed),
        ("/raw/handles", Failed),
        ("/raw/random", Failed),
        ("/trap", Failed),
        ("/recurse", Failed),
    ] {
        // A house for each: one that fails again and again may be kept from its callers.
        let house = House::with(short()).await;
        endures(&house, "GET", path, ends).await;
        assert_eq!(house.get("/hello").await.unwrap(), "hello", "{path}: a place is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_spins_where_no_call_has_begun_is_stopped_too() {
    for file in ["starts-for-ever.wat", "allocates-for-ever.wat"] {
        endures(&bare(file), "GET", "/", Ends::Late).await;
    }
}

/// A component that no compiler would make.
fn bare(file: &str) -> House {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile/components").join(file);
    let bytes = wat::parse_file(&text).unwrap();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let wasm = folder.path().join("code.wasm");
    std::fs::write(&wasm, &bytes).unwrap();
    House::bare(&folder, short(), wasm, &monopod_tests::digest(&bytes))
}

#[tokio::test]
async fn a_guest_is_not_heard_out_by_more_than_it_declared() {
    let house = House::new().await;
    // Whatever is made of it, what was declared is what comes.
    match house.get("/raw/long").await {
        Ok(text) => assert!(text.len() <= 4, "{text}"),
        Err(error) => assert!(matches!(error, Error::Trapped { .. }), "{error}"),
    }
}

#[tokio::test]
async fn headers_and_addresses_that_mean_something_else_are_refused_to_the_guest() {
    let house = House::new().await;
    assert_eq!(house.get("/raw/invalid").await.unwrap(), "");
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_size() {
    let house = House::new().await;
    // A trap is as good an answer as a refusal.
    if let Ok(many) = house.get("/raw/headers").await {
        assert!(many.parse::<u32>().unwrap() < 100_000, "{many}");
    }
    if let Ok(large) = house.get("/raw/header-size").await {
        assert_eq!(large, "refused");
    }
}

#[tokio::test]
async fn a_flood_of_messages_or_timers_stops_at_the_units_limit_and_nothing_of_it_is_kept_back() {
    let house = House::new().await;
    for what in ["messages", "timers"] {
        let answer = house.post(&format!("/flood/{what}"), "").await.unwrap();
        assert!(answer.starts_with("1000: ") && answer.contains("`changes`"), "{what}: {answer}");
    }
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn a_body_that_nobody_reads_holds_nobody_up() {
    let house = House::new().await;
    for _ in 0..20 {
        let (status, _) = house.send("POST", "/nobody-reads-this", &"x".repeat(1 << 19)).await.unwrap();
        assert_eq!(status, 404);
    }
    assert_eq!(house.get("/hello").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_is_held_open_locks_nobody_out_and_is_dropped() {
    let house = House::with(Limits { concurrency: 10, ..short() }).await;
    let counting = async {
        for n in 1..=5 {
            assert_eq!(house.post("/count/shared", "").await.unwrap(), n.to_string());
        }
    };
    let (held, ()) = join(house.post("/hold/shared", ""), counting).await;
    assert!(matches!(held, Err(Error::TimedOut(_))), "{held:?}");
    assert_eq!(house.get("/count/shared").await.unwrap(), "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_was_grown_again_and_again_is_given_back() {
    let most = Limits { memory: Size::mebibytes(64), ..limits() };
    let house = House::with(most).await;
    house.get("/grow").await.unwrap();
    let before = resident();
    for _ in 0..40 {
        house.get("/grow").await.unwrap();
    }
    // 40 times 60 MiB were written to. Other tests run beside this one: half of that is a leak.
    let grown = resident().saturating_sub(before);
    assert!(grown < 1_200 << 20, "{} MiB more", grown >> 20);
}

#[tokio::test]
async fn a_fresh_instance_holds_nothing_of_the_one_before() {
    // One place, so that the next call gets the memory of the one before.
    let house = House::with(Limits { concurrency: 1, ..limits() }).await;
    for _ in 0..3 {
        assert_eq!(house.get("/raw/remember").await.unwrap(), "remembered");
        assert_eq!(house.get("/raw/recall").await.unwrap(), "0");
    }
}

#[tokio::test]
async fn a_component_finds_no_folder() {
    // It traps where it finds none, and goes on for ever where it finds one.
    let result = bare("looks-for-folders.wat").get("/").await;
    assert!(matches!(result, Err(Error::Trapped { .. })), "{result:?}");
}

/// The memory of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_traps_on_every_call_takes_nobody_along() {
    let house = House::with(short()).await;
    for _ in 0..50 {
        assert!(house.get("/trap").await.is_err());
    }
    let neighbours = (0..50).map(|_| house.neighbour("/hello"));
    for answer in futures_util::future::join_all(neighbours).await {
        assert_eq!(answer.unwrap(), "hello");
    }
}
