//! From inside the process, without a socket: what the host adds to one call, what a second thread
//! adds, what a call between components costs, and how long cached code takes to load.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use monopod_core::component::{Component, Grants, Instances, Limits, Reuse};
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::invoke::Components;
use monopod_core::message::Message;
use monopod_core::name::ComponentName;
use monopod_core::store::Committed;
use monopod_core::{Millis, full, message::DeliveryId};
use monopod_engine::{Engine, Settings};
use monopod_state::{BlobSettings, LocalBlobs, SqliteStore};

use super::bare::Bare;
use super::{NAME, rounds};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::machine;

/// Calls of one thread in a round.
const CALLS: u32 = 20_000;
/// Calls between components in one request, against one that makes a single one.
const ASKED: u32 = 101;
/// Requests of each kind that compare the two.
const ASKING: u32 = 200;
/// Copies of one component whose loading is compared with that of one.
const COPIES: usize = 101;

/// Measures all of it.
pub fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let kept = Instances { reuse: Reuse::Serial, ..Instances::default() };
    let kept = Component { instances: kept, ..component("kept-echo", "echo") };
    let all = [component("echo", "echo"), kept, hello("hello"), hello("callee")];
    let house = House::load(folder.path(), all);
    calls(book, &house);
    asking(book, &house);
    loading(book, folder.path());
}

/// What the host adds to the guest's own work, and what a second thread adds to the first.
fn calls(book: &mut Book, house: &House) {
    let mut bare = Bare::load(&monopod_tests::bundle("echo").wasm);
    let mut own = Vec::new();
    let kinds = [
        (
            "echo",
            [
                "host's own cost of a call, a fresh instance each",
                "calls on two threads, a fresh instance each",
            ],
            7.0,
        ),
        (
            "kept-echo",
            ["host's own cost of a call, instances kept", "calls on two threads, instances kept"],
            0.5,
        ),
    ];
    let mut measured = kinds.map(|_| (Vec::new(), Vec::new(), Vec::new()));
    let rounds = rounds();
    for round in 1..=rounds {
        book.say(&format!("calls inside the process, on one thread and on two, round {round} of {rounds}"));
        let guest = bare.cost("/echo", CALLS);
        own.push(guest);
        for ((name, _, _), (over, one, two)) in kinds.iter().zip(&mut measured) {
            let (rate, cost) = house.rate(1, name, "POST", "/echo", CALLS);
            over.push(cost - guest);
            one.push(rate);
            two.push(house.rate(2, name, "POST", "/echo", CALLS).0);
        }
    }
    let own = median(&own);
    for ((_, [cost, threads], goal), (over, one, two)) in kinds.into_iter().zip(measured) {
        let about = format!(
            "{CALLS} calls one after another of a function that gives back its body, which is empty, in process; costs \
             are of the thread's processor; the guest's own work is {own:.2} us: the same code kept in a bare instance \
             of the same engine"
        );
        book.add(
            NAME,
            Figure {
                metric: cost,
                values: over,
                unit: "us",
                better: Better::Lower,
                peer: None,
                goal: Goal::AtMost(goal),
                about: about.clone(),
            },
        );
        book.add(
            NAME,
            Figure {
                metric: threads,
                values: two,
                unit: "1/s",
                better: Better::Higher,
                peer: Some(Peer { name: "on one thread".to_owned(), values: one }),
                goal: Goal::Ratio(1.9),
                about,
            },
        );
    }
}

fn asking(book: &mut Book, house: &House) {
    let mut added = Vec::new();
    let rounds = rounds();
    for round in 1..=rounds {
        book.say(&format!("calls between components, round {round} of {rounds}"));
        let (_, one) = house.rate(1, "hello", "GET", "/ask/1", ASKING);
        let (_, many) = house.rate(1, "hello", "GET", &format!("/ask/{ASKED}"), ASKING);
        let (_, callee) = house.rate(1, "callee", "GET", "/bytes/1024", CALLS);
        added.push((many - one) / f64::from(ASKED - 1) - callee);
    }
    book.add(NAME, Figure {
        metric: "component to component, 1 KB, over the callee's own work",
        values: added,
        unit: "us",
        better: Better::Lower,
        peer: None,
        goal: Goal::AtMost(10.0),
        about: format!(
            "GET http://callee.internal/ with a fresh instance of the callee, from a component that asks {ASKED} times \
             in one call, less one that asks once; less the same call of the callee from the host"
        ),
    });
}

fn loading(book: &mut Book, folder: &Path) {
    let copies = |count: usize| (0..count).map(|at| hello(&format!("copy-{at}")));
    let time = |count: usize| {
        let began = Instant::now();
        let house = House::load(folder, copies(count));
        let took = began.elapsed().as_secs_f64() * 1e3;
        drop(house);
        took
    };
    let mut values = Vec::new();
    for round in 0..=rounds() {
        let each = (time(COPIES) - time(1)) / (COPIES - 1) as f64;
        // The first compiles.
        if round > 0 {
            values.push(each);
        }
    }
    let size = monopod_tests::bundle("hello").wasm.metadata().unwrap().len() / 1_000;
    book.add(NAME, Figure {
        metric: "load of a cached component",
        values,
        unit: "ms",
        better: Better::Lower,
        peer: None,
        goal: Goal::AtMost(0.3),
        about: format!(
            "a component of {size} KB: its compiled code checked against its seal, mapped and linked; {COPIES} of them \
             in one start on all cores, less a start with one"
        ),
    });
}

fn hello(name: &str) -> Component {
    component(name, "hello")
}

/// A component with what the guests of the figures import.
pub(super) fn component(name: &str, bundle: &str) -> Component {
    let bundle = monopod_tests::bundle(bundle);
    Component {
        name: name.parse().unwrap(),
        version: "0.1.0".into(),
        wasm: bundle.wasm,
        digest: bundle.wasm_digest,
        schema: None,
        settings: Default::default(),
        grants: Grants {
            call: ["callee".parse().unwrap()].into(),
            buckets: ["counters".parse().unwrap()].into(),
            ..Grants::default()
        },
        limits: Limits { deadline: Duration::from_secs(60), ..Limits::default() },
        instances: Default::default(),
    }
}

/// An engine over a real store.
pub(super) struct House {
    pub(super) engine: Engine,
}

struct Quiet;

impl Committed for Quiet {
    fn published(&self, _: u64, _: &Arc<Message>, _: &[DeliveryId]) {}
    fn redelivered(&self, _: &ComponentName) {}
    fn timer_set(&self, _: Millis) {}
}

impl House {
    pub(super) fn load(folder: &Path, components: impl IntoIterator<Item = Component>) -> Self {
        // A store of its own for each: one folder is open once at a time.
        let state: PathBuf = folder.join(uuid::Uuid::new_v4().to_string());
        let topology = monopod_state::Topology { topics: Default::default() };
        let settings = monopod_state::Settings { folder: state.clone(), topology };
        let store = SqliteStore::open(settings, Arc::new(Quiet)).unwrap();
        let blobs = BlobSettings { folder: state, public_url: "https://localhost".into() };
        let settings = Settings {
            cache: folder.join("cache"),
            store: Arc::new(store),
            blobs: Arc::new(LocalBlobs::open(blobs).unwrap()),
            outgoing: Arc::new(monopod_tests::nowhere::Nowhere),
            progress: Box::new(|_| {}),
        };
        let (engine, _) = Engine::load(settings, components.into_iter().collect()).unwrap();
        Self { engine }
    }

    /// Calls per second of so many threads, each with a runtime of its own; and microseconds of
    /// processor for one call of the slowest.
    fn rate(&self, threads: u32, component: &str, method: &str, path: &str, calls: u32) -> (f64, f64) {
        let name: ComponentName = component.parse().unwrap();
        let barrier = std::sync::Barrier::new(threads as usize);
        let slowest = std::thread::scope(|scope| {
            let run = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let context = Context::new(Principal::Anonymous, Duration::from_secs(600));
                    for _ in 0..(calls / 10).max(1) {
                        self.call(&name, method, path, &context).await;
                    }
                    barrier.wait();
                    let (began, used) = (Instant::now(), machine::thread());
                    for _ in 0..calls {
                        self.call(&name, method, path, &context).await;
                    }
                    (began.elapsed(), machine::thread() - used)
                })
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            all.into_iter().map(|one| one.join().unwrap()).max_by_key(|(took, _)| *took).unwrap()
        });
        (f64::from(threads * calls) / slowest.0.as_secs_f64(), slowest.1 * 1e6 / f64::from(calls))
    }

    async fn call(&self, name: &ComponentName, method: &str, path: &str, context: &Context) {
        let request = http::Request::builder().method(method).uri(path).body(full("")).unwrap();
        let response = self.engine.http(name, request, context).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
}
