//! `ping` per second over kept TLS connections, under `wrk`, against a native handler.

use std::path::Path;
use std::process::Stdio;

use http_body_util::Full;
use monopod_tests::client::Client;
use monopod_tests::host::Host;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::NAME;
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::wrk::{self, CONNECTIONS, Side};
use crate::{machine, peer};

/// Rounds, each of both.
const ROUNDS: usize = 5;
/// Seconds of one side in a round.
const SECONDS: u32 = 8;

const SCRIPT: &str = r#"wrk.method = "POST"
wrk.body = '{"query":"{ping}"}'
wrk.headers["Content-Type"] = "application/json"
"#;

/// Measures with the running host.
pub async fn measure(book: &mut Book, host: &Host, client: &Client) {
    if let Err(why) = wrk::is_here().await {
        return book.say(&format!("ping is not measured: {why}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ping.lua");
    std::fs::write(&script, SCRIPT).unwrap();
    let (peer, peer_url) = start_peer(folder.path(), host, client).await;
    let peer_pid = peer.id().unwrap();

    let url = format!("{}/graphql", host.url());
    let mut ours = Side::new(host.pid(), url, Some(&script)).await;
    let mut theirs = Side::new(peer_pid, peer_url, Some(&script)).await;
    // What the generator took of the processors while it measured ours, and everybody else.
    let (mut generator, mut others) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("ping per second, and the peer's, round {round} of {ROUNDS}"));
        let before = (machine::processor_of_children(), machine::processor(host.pid()), machine::busy());
        ours.run(SECONDS).await;
        let wrk = machine::processor_of_children() - before.0;
        let rest = machine::busy() - before.2 - wrk - (machine::processor(host.pid()) - before.1);
        generator.push(wrk / f64::from(SECONDS));
        others.push(rest.max(0.0) / f64::from(SECONDS));
        theirs.run(SECONDS).await;
    }
    drop(peer);
    let about = format!(
        "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, POST {{\"query\":\"{{ping}}\"}}, HTTP/1.1 kept over TLS 1.3; a fresh \
         instance of the component for each; no token, no state; wrk itself took {:.2} of the cores, \
         other programs {:.2}",
        median(&generator),
        median(&others)
    );
    let peer = |values| Some(Peer { name: peer::name(), values });
    book.add(
        NAME,
        Figure {
            metric: "ping over TLS",
            values: ours.rate,
            unit: "1/s",
            better: Better::Higher,
            peer: peer(theirs.rate),
            goal: Goal::AtLeast(30_000.0),
            about,
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "processor time of a ping",
            values: ours.cost,
            unit: "us",
            better: Better::Lower,
            peer: peer(theirs.cost),
            goal: Goal::None,
            about: "of the server's process, kernel included, under the same load".to_owned(),
        },
    );
}

/// Starts the peer with the host's certificate and with what the host answers.
async fn start_peer(folder: &Path, host: &Host, client: &Client) -> (Child, String) {
    let edge = host.setup().state.join("edge");
    for file in [peer::CERTIFICATE, peer::KEY] {
        std::fs::copy(edge.join(file), folder.join(file)).unwrap();
    }
    let request = http::Request::post(format!("{}/graphql", host.url()))
        .header("content-type", "application/json")
        .body(Full::from(r#"{"query":"{ping}"}"#))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.body().as_ref(), br#"{"data":{"ping":"pong"}}"#);
    // hyper writes these two by itself.
    let head =
        answer.headers().iter().filter(|(name, _)| !matches!(name.as_str(), "content-length" | "date"));
    let head: Vec<_> = head.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    std::fs::write(folder.join(peer::HEAD), head.join("\n")).unwrap();
    std::fs::write(folder.join(peer::BODY), answer.body()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("peer")
        .arg(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let port = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (child, format!("https://localhost:{port}/graphql"))
}
