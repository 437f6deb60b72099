//! `{greet}`, answered in code by a component, against a native handler that returns the same bytes.

use monopod_tests::host::Host;

use super::{GREETER, NAME, ROUNDS, peers, plain, start_peer};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::wrk::{CONNECTIONS, Side};

/// Seconds of one side in a round.
const SECONDS: u32 = 4;

/// Lua for `wrk` that posts an operation.
pub fn script(query: &str) -> String {
    let body = serde_json::json!({ "query": query }).to_string();
    format!(
        "wrk.method = \"POST\"\nwrk.body = [==[{body}]==]\nwrk.headers[\"Content-Type\"] = \"application/json\"\n"
    )
}

/// Measures it, with a fresh instance each and with instances that are kept.
pub async fn measure(book: &mut Book) {
    let (fresh, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hosts = [super::herald(fresh.path(), "").await, super::herald(kept.path(), KEPT).await];
    let (peer, peer_url) = start_peer(GREETER).await;
    let file = fresh.path().join("greet.lua");
    std::fs::write(&file, script("{greet}")).unwrap();
    let side = async |host: &Host| {
        let url = format!("{}/graphql", plain(host));
        Side::new(host.pid(), url, Some(&file)).await
    };
    let (mut fresh, mut kept) = (side(&hosts[0]).await, side(&hosts[1]).await);
    let mut native = Side::new(peer.id().unwrap(), format!("{peer_url}/graphql"), Some(&file)).await;
    for round in 1..=ROUNDS {
        book.say(&format!("{{greet}} per second and the peer's, round {round} of {ROUNDS}"));
        for side in [&mut fresh, &mut kept, &mut native] {
            side.run(SECONDS).await;
        }
    }
    let mut add = |metric, side: &Side, goal| {
        let about = format!(
            "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, POST, plain HTTP/1.1, no token, plan kept; {:.1} us of processor for \
             each request, the peer's {:.1}",
            median(&side.cost),
            median(&native.cost)
        );
        let peer = Some(Peer { name: peers::NATIVE.to_owned(), values: native.rate.clone() });
        let values = side.rate.clone();
        book.add(NAME, Figure { metric, values, unit: "1/s", better: Better::Higher, peer, goal, about });
    };
    add("greet by code, a fresh instance each", &fresh, Goal::AtLeast(25_000.0));
    add("greet by code, a fresh instance each, against native", &fresh, Goal::Ratio(0.6));
    add("greet by code, instances kept, against native", &kept, Goal::None);
    for host in hosts {
        host.stop().await;
    }
}

/// The lines of the platform file that keep instances.
const KEPT: &str = "[components.herald.instances]\nreuse = \"serial\"\n";
