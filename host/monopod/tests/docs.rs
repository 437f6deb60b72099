//! Pages that are made from the code: compared with what is committed. `UPDATE=1` writes
//! them anew.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use monopod_core::limit::{BOUNDS, Limit, circuit};
use monopod_operate::metrics::{METRICS, Sort};
use monopod_operate::telemetry::{QUEUE, QUEUE_BYTES};
use serde_json::Value;

/// The one key of `[limits]` that bounds tries and not what is used up.
const TRIES: &str = "attempts";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn compare(file: &str, made: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{file} is out of date: UPDATE=1 writes it anew");
}

/// The keys of `[components.<name>.limits]`.
fn keys() -> serde_json::Map<String, Value> {
    let schema = monopod_config::schema();
    schema["$defs"]["Limits"]["properties"].as_object().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// From least to most.
fn range(key: &Value) -> String {
    match &key["examples"] {
        Value::Array(bounds) => format!("{} to {}", text(&bounds[0]), text(&bounds[1])),
        _ => format!("{} to {}", key["minimum"], key["maximum"]),
    }
}

#[test]
fn the_page_of_limits_is_that_of_the_code() {
    let keys = keys();
    let mut page =
        "<!-- Made from host/core/src/limit.rs by host/monopod/tests/docs.rs; UPDATE=1 writes it anew. -->\n\
        # Limits\n\n\
        What a component may use up. All limits are on by default. A key stands in the platform file:\n\n    \
        [components.photos.limits]\n    memory = \"128MiB\"\n\n\
        Each time a limit is reached it is counted in `monopod_limit_reached_total{component, limit}` and shown by\n\
        `monopod ps`. The log and the error say what was reached and which key it is; a trapped call leaves nothing\n\
        of its unit of work. Every limit has a test that reaches it.\n\n\
        | limit | default | range | bounds | at the limit |\n|---|---|---|---|---|\n"
        .to_owned();
    let mut said = String::new();
    for limit in Limit::ALL {
        let about = limit.about();
        let (default, range) = match (about.key, &about.fixed) {
            (Some(key), _) => (text(&keys[key]["default"]), range(&keys[key])),
            (None, Some(fixed)) => (fixed.to_string(), "fixed".to_owned()),
            (None, None) => unreachable!("{limit:?}"),
        };
        let name = if about.key.is_some() { format!("`{}`", about.name) } else { about.name.to_owned() };
        writeln!(page, "| {name} | {default} | {range} | {} | {} |", about.what, about.then).unwrap();
        let (file, test) = about.test.split_once("::").unwrap();
        writeln!(said, "| {} | {} … | [`{test}`](../{file}) |", about.name, about.said).unwrap();
    }
    let mut bounds = String::new();
    for bound in BOUNDS {
        writeln!(bounds, "| {} | {} | {} |", bound.what, bound.most, bound.then).unwrap();
    }
    let attempts = &keys[TRIES];
    write!(
        page,
        "\n`{TRIES}` ({}, {}) is how often a message or timer is tried before it becomes a dead letter.\n\
        What else bounds requests to servers outside is in [outgoing.md](outgoing.md); how large a component may be at\n\
        load, in [components.md](components.md).\n\
        The largest `memory`, `tables` and the sum of `concurrency` of all components size the pool of instances.\n\n\
        ## What is said, and the test that shows it\n\n| limit | the message begins | test |\n|---|---|---|\n{said}\n\
        ## Processor time\n\n\
        `cpu` and `cpu-share` are measured by the clock of the thread from the first tick (1 ms) on that finds a call\n\
        running; before that by the wall clock, and never for more than that tick. Host calls count. A component\n\
        above its share is not refused: its guests pause at the next tick and its next calls wait, until it is under\n\
        its share again; it may run ahead by one second of it. `host-calls` is looked at with each tick.\n\n\
        ## A component that keeps failing\n\n\
        {} traps or timeouts within {:?}, if they are at least half of its calls, open the component's circuit: calls\n\
        are refused at once (503 with `Retry-After`, GraphQL code `UNAVAILABLE` with `retryAfter`), messages and\n\
        timers wait without using up attempts. After {:?}, doubled each time up to {:?} and varied by a fifth, one\n\
        call is tried: if it goes well the circuit closes. A caller that had less than half of the component's\n\
        `deadline` left does not count as the component's timeout. Answers of 5xx do not count either: the guest\n\
        lives and says what is wrong.\n\n\
        ## Subscriptions and brokers\n\n\
        Bounds of the host's own on messages; no key changes them. `monopod ps`, `monopod topics` and the metrics\n\
        show what waits.\n\n\
        | bounds | most | there |\n|---|---|---|\n{bounds}",
        text(&attempts["default"]),
        range(attempts),
        circuit::FAILURES,
        circuit::WINDOW,
        circuit::FIRST,
        circuit::MOST,
    )
    .unwrap();
    compare("docs/limits.md", &page);
}

#[test]
fn every_key_is_a_limit_and_every_limit_has_its_test() {
    let keys: BTreeSet<String> = keys().keys().filter(|key| *key != TRIES).cloned().collect();
    let limits: BTreeSet<String> =
        Limit::ALL.iter().filter_map(|l| l.about().key.map(str::to_owned)).collect();
    assert_eq!(keys, limits);
    for limit in Limit::ALL {
        let (file, test) = limit.about().test.split_once("::").unwrap();
        let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        let at = source.find(&format!("fn {test}()"));
        let before = at.map(|at| source[..at].lines().rev().take(2).collect::<Vec<_>>().join("\n"));
        let is_test = before.is_some_and(|lines| lines.contains("test]") || lines.contains("test("));
        assert!(is_test, "{limit:?}: {file} has no test `{test}`");
    }
}

#[test]
fn the_page_of_metrics_is_that_of_the_code() {
    let mut page = format!(
        "<!-- Made from host/operate/src/metrics.rs by host/monopod/tests/docs.rs; UPDATE=1 writes it anew. -->\n\
        # Metrics\n\n\
        To be fetched, as Prometheus text at `/metrics`: on the socket in the state folder (`curl --unix-socket .monopod/seen.sock\n\
        http://monopod/metrics`), on `[admin] listen`, and alone on `[admin] metrics`. Labels are names of the\n\
        platform file, fields of the composed schema or words of this table, so that the number of series is bounded.\n\n\
        To be pushed, to a collector that speaks OTLP (HTTP, protobuf), as the platform file says:\n\n    \
        [telemetry]\n    endpoint = \"https://collector.example:4318\"   # /v1/metrics is appended\n    \
        interval = \"60s\"\n    [telemetry.secrets]\n    authorization = \"collector.token\"           # a file; [telemetry.headers] for plain ones\n\n\
        The names are the same, counters and histograms are cumulative, and the resource has `service.name` (the\n\
        platform's), `service.version` and `service.instance.id`. A collector that is away or slow costs a queue of\n\
        {QUEUE} snapshots or {QUEUE_BYTES}; beyond it the oldest is dropped and counted. Traces are not pushed: log lines have\n\
        the trace id, and calls pass `traceparent` on.\n\n\
        | metric | kind | labels | meaning |\n|---|---|---|---|\n"
    );
    for metric in METRICS {
        let sort = match metric.sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        writeln!(page, "| `{}` | {sort} | {} | {} |", metric.name, metric.labels.join(", "), metric.help)
            .unwrap();
    }
    compare("docs/metrics.md", &page);
}
