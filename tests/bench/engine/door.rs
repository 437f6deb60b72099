//! Over plain HTTP/1.1 and `wrk`: hello with a fresh and with a kept instance, and a function that
//! echoes, against `wasmtime serve` and a native server.

use super::{NAME, plain, rounds, serve};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::native;
use crate::wrk::{self, CONNECTIONS, Side};

/// Seconds of one side in a round.
const SECONDS: u32 = 4;

/// A POST of 300 bytes.
const ECHO: &str = r#"wrk.method = "POST"
wrk.body = '{"text":"' .. string.rep("x", 289) .. '"}'
wrk.headers["Content-Type"] = "application/json"
"#;

/// Measures all that `wrk` can.
pub async fn measure(book: &mut Book) {
    if let Err(why) = wrk::is_here().await {
        return book.say(&format!("requests per second are not measured: {why}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    let echoes = "[components.NAME.grants]\nbuckets = [\"counters\"]\n";
    let components =
        [("fresh", "hello", ""), ("kept", "hello", KEPT), ("echo", "echo", ""), ("kept-echo", "echo", KEPT)]
            .map(|(name, guest, instances)| {
                super::bundle(&bundles, name, guest, &[]);
                let grants = if guest == "echo" { echoes } else { "" };
                let more = format!("{grants}{instances}").replace("NAME", name);
                (name.to_owned(), format!("bundle = \"{name}\"\nexpose = \"/{name}\"\n{more}"))
            });
    let setup = super::setup(folder.path(), &bundles, components);
    let host = setup.start().await;
    let (native, native_url) = native::start().await;
    let (ours, native_pid) = (plain(&host), native.id().unwrap());

    let mut fresh = Side::new(host.pid(), format!("{ours}/fresh/hello"), None).await;
    let mut kept = Side::new(host.pid(), format!("{ours}/kept/hello"), None).await;
    let mut axum = Side::new(native_pid, format!("{native_url}/hello"), None).await;
    let mut served = Vec::new();
    let mut serves = Vec::new();
    if serve::is_here() {
        let component = monopod_tests::bundle("hello").wasm;
        for reuse in [1, 1_000] {
            let (child, url) = serve::start(&component, reuse, &[]).await;
            served.push(Side::new(child.id().unwrap(), format!("{url}/hello"), None).await);
            serves.push(child);
        }
    } else {
        book.say("WASMTIME names no program: `make bench` builds it; measured without");
    }
    let rounds = rounds();
    for round in 1..=rounds {
        book.say(&format!("hello per second and its peers, round {round} of {rounds}"));
        for side in [&mut fresh, &mut kept, &mut axum].into_iter().chain(&mut served) {
            side.run(SECONDS).await;
        }
    }
    let peer = |name: &str, side: &Side| Peer { name: name.to_owned(), values: side.rate.clone() };
    if let [once, often] = served.as_slice() {
        add(book, "hello, a fresh instance each", &fresh, peer(serve::NAME, once), Goal::Ratio(4.0));
        let name = format!("{}, reuse 1000", serve::NAME);
        add(book, "hello, instances kept", &kept, peer(&name, often), Goal::Ratio(1.4));
    }
    let native_peer = peer(native::NAME, &axum);
    add(book, "hello, a fresh instance each, against native", &fresh, native_peer, Goal::Ratio(0.6));
    add(book, "hello, instances kept, against native", &kept, peer(native::NAME, &axum), Goal::Ratio(0.88));
    drop(serves);

    let script = folder.path().join("echo.lua");
    std::fs::write(&script, ECHO).unwrap();
    let mut sides = [
        Side::new(host.pid(), format!("{ours}/echo"), Some(&script)).await,
        Side::new(host.pid(), format!("{ours}/kept-echo"), Some(&script)).await,
        Side::new(native_pid, format!("{native_url}/echo"), Some(&script)).await,
    ];
    for round in 1..=rounds {
        book.say(&format!("300 bytes echoed per second, round {round} of {rounds}"));
        for side in &mut sides {
            side.run(SECONDS).await;
        }
    }
    let [fresh, kept, axum] = sides;
    let name = format!("{}, echo", native::NAME);
    add(book, "function, 300 bytes, instances kept", &kept, peer(&name, &axum), Goal::Ratio(0.95));
    add(book, "function, 300 bytes, a fresh instance each", &fresh, peer(&name, &axum), Goal::None);
    host.stop().await;
}

fn add(book: &mut Book, metric: &'static str, side: &Side, peer: Peer, goal: Goal) {
    let about = format!(
        "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, plain HTTP/1.1; `monopod up` with four components, no token, no state; \
         {:.1} us of processor for each request",
        median(&side.cost)
    );
    let values = side.rate.clone();
    book.add(
        NAME,
        Figure { metric, values, unit: "1/s", better: Better::Higher, peer: Some(peer), goal, about },
    );
}

/// The lines of the platform file that keep instances.
const KEPT: &str = "[components.NAME.instances]\nreuse = \"serial\"\n";
