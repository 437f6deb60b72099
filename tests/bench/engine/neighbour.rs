//! A component under a fixed load, and beside it one that means harm: what the good one's slowest
//! answers take, against the same host when nobody means harm.
//!
//! The load is an open loop, made by `vegeta`: a request is sent when its time has come, whatever
//! became of those before. Every harm is tried once; the worst is measured in rounds.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use super::{NAME, plain, rounds};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer};
use monopod_tests::host::Setup;

/// The figure.
const METRIC: &str = "a neighbour's p99 beside the worst hostile guest";
/// The environment variable with the load generator; the task program sets it.
const PROGRAM: &str = "VEGETA";
/// Requests of the good component in a second: some 5 % of what the host can.
const RATE: &str = "1000/s";
/// Calls of the hostile one in a second: with a deadline of ten seconds there are soon as many of
/// them at once as the component may have.
const HARM: &str = "50/s";
/// Seconds for each percentile: 4,000 requests, 40 of them above it.
const SECONDS: &str = "4s";
/// How long harm is done: a moment before the good one is measured, and after.
const HARMED: &str = "7s";
/// What is done: the guest `probe` knows how.
const HARMS: [(&str, &str); 9] = [
    ("GET", "/spin"),
    ("GET", "/burn/12"),
    ("GET", "/raw/storm"),
    ("GET", "/raw/spun"),
    ("GET", "/streams/drip"),
    ("GET", "/grow"),
    ("GET", "/recurse"),
    ("GET", "/print"),
    ("POST", "/flood/messages"),
];

/// Measures it, or says why it cannot.
pub async fn measure(book: &mut Book) {
    let Some(vegeta) = std::env::var_os(PROGRAM).map(PathBuf::from).filter(|program| program.is_file())
    else {
        return book
            .missing(METRIC, &format!("{PROGRAM} names no program: `make bench` builds it, which needs Go"));
    };
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    super::bundle(&bundles, "good", "hello", &[]);
    super::bundle(&bundles, "probe", "probe", &[]);
    let probe = "bundle = \"probe\"\nexpose = \"/probe\"\n[components.probe.grants]\npublish = [\"probe.out\"]\n\
                 consume = [\"probe.in\"]\nbuckets = [\"counters\"]\ntimers = true\n[topics.\"probe.in\"]\n\
                 [topics.\"probe.out\"]\n";
    let components = [("good", "bundle = \"good\"\nexpose = \"/good\"\n"), ("probe", probe)];
    let components = components.map(|(name, section)| (name.to_owned(), section.to_owned()));
    let setup = super::setup(folder.path(), &bundles, components);

    let mut worst = (HARMS[0], 0.0);
    for harm in HARMS {
        let (quiet, harmed) = beside(&vegeta, &setup, folder.path(), harm).await;
        book.say(&format!("beside {} {}: p99 {harmed:.0} us, undisturbed {quiet:.0} us", harm.0, harm.1));
        if harmed / quiet > worst.1 {
            worst = (harm, harmed / quiet);
        }
    }
    let (mut alone, mut beside_it) = (Vec::new(), Vec::new());
    let (harm, rounds) = (worst.0, rounds());
    for round in 1..=rounds {
        book.say(&format!("a neighbour beside {} {}, round {round} of {rounds}", harm.0, harm.1));
        let (quiet, harmed) = beside(&vegeta, &setup, folder.path(), harm).await;
        alone.push(quiet);
        beside_it.push(harmed);
    }
    let about = format!(
        "vegeta, {RATE} of hello with a fresh instance each, for {SECONDS}; beside it {HARM} of {} {} with the default \
         limits, the worst of {} harms tried; plain HTTP/1.1, the generator on the same cores; a new host each time, \
         undisturbed first",
        harm.0,
        harm.1,
        HARMS.len()
    );
    book.add(
        NAME,
        Figure {
            metric: METRIC,
            values: beside_it,
            unit: "us",
            better: Better::Lower,
            peer: Some(Peer { name: "undisturbed".to_owned(), values: alone }),
            // 1.5 times as slow at most.
            goal: Goal::Ratio(0.667),
            about,
        },
    );
}

/// The p99 of the good component in microseconds: undisturbed, and beside `harm`.
async fn beside(vegeta: &Path, setup: &Setup, folder: &Path, (method, path): (&str, &str)) -> (f64, f64) {
    let host = setup.start().await;
    let base = plain(&host);
    let good = format!("GET {base}/good/hello");
    // Connections, caches, the processor's clock.
    let _warm = percentile(vegeta, folder, &good, "1s").await;
    let quiet = percentile(vegeta, folder, &good, SECONDS).await;
    let harming = attack(vegeta, &format!("{method} {base}/probe{path}"), HARM, HARMED, None).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let harmed = percentile(vegeta, folder, &good, SECONDS).await;
    drop(harming);
    // Not stopped in order: calls that spin would be waited for.
    host.kill().await;
    (quiet, harmed)
}

async fn percentile(vegeta: &Path, folder: &Path, target: &str, seconds: &str) -> f64 {
    let file = folder.join("attack.bin");
    let mut attack = attack(vegeta, target, RATE, seconds, Some(&file)).await;
    assert!(attack.wait().await.unwrap().success(), "vegeta {target}");
    let report = Command::new(vegeta).args(["report", "-type=json"]).arg(&file).output().await.unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["success"], 1.0, "{target} was not always answered: {report}");
    report["latencies"]["99th"].as_f64().unwrap() / 1e3
}

/// Starts a load; dropping it ends it.
async fn attack(vegeta: &Path, target: &str, rate: &str, seconds: &str, file: Option<&Path>) -> Child {
    let mut command = Command::new(vegeta);
    command.args(["attack", "-rate", rate, "-duration", seconds, "-timeout=30s", "-workers=16"]);
    match file {
        Some(file) => command.arg("-output").arg(file),
        None => command.stdout(Stdio::null()),
    };
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{target}\n").as_bytes()).await.unwrap();
    child
}
