//! Another schema put in place by `monopod reload` while requests come at a fixed rate.

use std::time::Duration;

use monopod_tests::host::Setup;

use super::{NAME, ROUNDS, plain};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::load;

/// Requests a second, over so many connections, for so long.
const RATE: u32 = 5_000;
const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(4);
/// Reloads while they come.
const RELOADS: usize = 4;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// What comes and goes.
const SECOND: &str = "[components.second]\nbundle = \"second\"\n";

/// Measures what failed, and how long the others took.
pub async fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    let herald = monopod_tests::bundles().join("herald");
    super::bundle(
        &bundles,
        "second",
        "extend type Query { second: String @connect(http: {GET: \"/\"}, selection: \"$\") }\n",
    );
    copy(&herald, &bundles.join("herald"));
    let section = "bundle = \"herald\"\n[components.herald.grants]\npublish = [\"announcements\"]\n";
    let setup = super::setup(folder.path(), &bundles, "", &[("herald", section)]);
    let alone = std::fs::read_to_string(&setup.platform).unwrap();
    let host = setup.start().await;
    let base = plain(&host);
    // The first compiles; here it is about those that come later.
    for with in [true, false] {
        reload(&setup, &alone, with).await;
    }
    let (mut quiet, mut beside, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("{RATE} requests a second, without and with reloads, round {round} of {ROUNDS}"));
        let body = r#"{"query":"{greet}"}"#;
        let before = load::open(&base, body, RATE, TIME, CONNECTIONS).await;
        let reloading = async {
            for number in 0..RELOADS {
                tokio::time::sleep(PAUSE).await;
                reload(&setup, &alone, number % 2 == 0).await;
            }
        };
        let (with, ()) = tokio::join!(load::open(&base, body, RATE, TIME, CONNECTIONS), reloading);
        quiet.push(before.p99());
        beside.push(with.p99());
        failed.push((before.failed + with.failed) as f64);
    }
    let about = format!(
        "{RATE} {{greet}} a second, due at fixed times, plain HTTP/1.1; {RELOADS} times in {} s `monopod reload` adds or \
         removes a component with a field; p99 without {:.2} ms, with {:.2} ms",
        TIME.as_secs(),
        median(&quiet),
        median(&beside)
    );
    book.add(
        NAME,
        Figure {
            metric: "requests that failed while schemas were swapped",
            values: failed,
            unit: "requests",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(0.0),
            about: about.clone(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "p99 of requests while schemas are swapped",
            values: beside,
            unit: "ms",
            better: Better::Lower,
            peer: Some(Peer { name: "without swaps".to_owned(), values: quiet }),
            goal: Goal::Ratio(0.5),
            about,
        },
    );
    host.stop().await;
}

/// Changes the file and has it put in place.
async fn reload(setup: &Setup, alone: &str, with: bool) {
    let more = if with { SECOND } else { "" };
    std::fs::write(&setup.platform, format!("{alone}{more}")).unwrap();
    let mut command = tokio::process::Command::new(&setup.program);
    command.args(["reload", "--allow-breaking", "--state"]).arg(&setup.state);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Copies a bundle.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let mut command = std::process::Command::new(monopod_tests::from_environment("MONOPOD_BIN"));
    assert!(command.arg("copy").arg(from).arg(to).status().unwrap().success());
}
