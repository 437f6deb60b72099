//! Operations that are made to hurt: how soon each is refused, and what the others notice.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{NAME, ROUNDS, plain};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, percentile};
use crate::load::{self, Connection};

/// Each is sent so often in a round.
const SENT: usize = 20;
/// What the neighbours do: so many a second, over so many connections, for so long.
const RATE: u32 = 1_000;
const NEIGHBOURS: usize = 8;
const TIME: Duration = Duration::from_secs(3);
/// Between two hostile operations: a hundred a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Their names, and what is sent.
fn operations() -> [(&'static str, String); 3] {
    let bomb: String = (0..30)
        .map(|n| format!("fragment F{n} on Query {{ ...F{next} ...F{next} }}\n", next = n + 1))
        .chain(["fragment F30 on Query { greet }\n{ ...F0 }".to_owned()])
        .collect();
    let aliases: String = (0..10_000).map(|n| format!("a{n}:greet ")).collect();
    [
        ("a bomb of 2^30 fragments, refused", bomb),
        ("100 KB of [, refused", format!("{{greet(a:{}", "[".repeat(100_000))),
        ("10,000 aliases, refused", format!("{{{aliases}}}")),
    ]
}

/// Measures both.
pub async fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let host = super::herald(folder.path(), "").await;
    let base = plain(&host);
    let bodies: Vec<_> =
        operations().map(|(name, query)| (name, json!({ "query": query }).to_string())).into();
    let mut slowest: Vec<Vec<f64>> = vec![Vec::new(); bodies.len()];
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("hostile operations and their neighbours, round {round} of {ROUNDS}"));
        let mut connection = Connection::open(&base).await;
        for ((_, body), slowest) in bodies.iter().zip(&mut slowest) {
            let mut times = Vec::new();
            for _ in 0..SENT {
                times.push(refused(&mut connection, body).await);
            }
            slowest.push(percentile(&times, 1.0));
        }
        let neighbours = async || {
            let loaded = load::open(&base, r#"{"query":"{greet}"}"#, RATE, TIME, NEIGHBOURS).await;
            assert_eq!(loaded.failed, 0);
            loaded.p99()
        };
        quiet.push(neighbours().await);
        let stop = CancellationToken::new();
        let attack = tokio::spawn(attack(base.clone(), bodies.clone(), stop.clone()));
        beside.push(neighbours().await);
        stop.cancel();
        attack.await.unwrap();
    }
    for ((metric, body), values) in bodies.iter().zip(slowest) {
        book.add(
            NAME,
            Figure {
                metric,
                values,
                unit: "ms",
                better: Better::Lower,
                peer: None,
                goal: Goal::AtMost(10.0),
                about: format!(
                    "{} bytes; the slowest of {SENT}, sending included, plain HTTP/1.1",
                    body.len()
                ),
            },
        );
    }
    book.add(NAME, Figure {
        metric: "p99 of others beside hostile operations",
        values: beside,
        unit: "ms",
        better: Better::Lower,
        peer: Some(Peer { name: "without them".to_owned(), values: quiet }),
        goal: Goal::Ratio(0.67),
        about: format!(
            "{RATE} {{greet}} a second, due at fixed times, beside 100 hostile operations a second; the ratio is the quiet \
             p99 by the other, so that 1.5 times is 0.67"
        ),
    });
    host.stop().await;
}

/// Milliseconds until it was refused.
async fn refused(connection: &mut Connection, body: &str) -> f64 {
    let request = load::post(body.to_owned(), None);
    let began = Instant::now();
    let answer = connection.send(request).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    let took = began.elapsed().as_secs_f64() * 1e3;
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["data"].is_null() && answer["errors"].is_array(), "it was not refused: {answer}");
    took
}

async fn attack(base: String, bodies: Vec<(&'static str, String)>, stop: CancellationToken) {
    let mut connection = Connection::open(&base).await;
    let mut tick = tokio::time::interval(PAUSE);
    for (_, body) in bodies.iter().cycle() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        refused(&mut connection, body).await;
    }
}
