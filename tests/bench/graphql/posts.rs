//! A hundred posts with their users over a static upstream: how often it is asked, and how many of
//! such operations a second, against async-graphql's own server over the same upstream.

use std::path::PathBuf;

use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::greet::script;
use super::{NAME, ROUNDS, UPSTREAM, peers, plain, start_peer};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, Peer, median};
use crate::load;
use crate::wrk::{CONNECTIONS, Side};

/// Seconds of one side in a round.
const SECONDS: u32 = 4;

/// The schema, over the upstream at `base`.
pub fn schema(base: &str) -> String {
    format!(
        r#"extend type Query {{
  posts: [Post!]! @listSize(assumedSize: 100)
    @connect(http: {{GET: "{base}/posts"}}, selection: "id userId title body")
}}
type Post {{
  id: Int!
  userId: Int!
  title: String!
  body: String!
  user: User @connect(http: {{GET: "{base}/users/{{$this.userId}}"}}, selection: "id name email phone")
  batched: User @connect(
    http: {{GET: "{base}/users?id={{$batch.userId}}"}}
    batch: {{maxSize: 50, match: "id = $this.userId"}}
    selection: "id name email phone"
  )
}}
type User {{ id: Int! name: String! email: String! phone: String! }}
"#
    )
}

/// Each way: the field, what it is called, how often the upstream may be asked, and the goal.
const WAYS: [(&str, &str, &str, f64, Goal); 2] = [
    ("user", "posts with users, calls for one operation", "posts with users", 11.0, Goal::Ratio(5.0)),
    (
        "batched",
        "posts with users batched, calls for one operation",
        "posts with users batched",
        2.0,
        Goal::None,
    ),
];

/// Measures both.
pub async fn measure(book: &mut Book) {
    let Some(program) = std::env::var_os(super::RIVAL).map(PathBuf::from) else {
        return book.say("RIVAL names no program: `make bench` builds it; posts are not measured");
    };
    let (upstream, base) = start_peer(UPSTREAM).await;
    let (peer, peer_url) = super::start(&program, &base).await;
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    super::bundle(&bundles, "blog", &schema(&base));
    let section = format!("bundle = \"blog\"\n[components.blog.grants]\nhttp = [\"{base}/\"]\n");
    let host = super::setup(folder.path(), &bundles, "", &[("blog", &section)]).start().await;
    let ours = format!("{}/graphql", plain(&host));
    let theirs = format!("{peer_url}/graphql");

    for (field, counted, rated, most, goal) in WAYS {
        let query = format!("{{posts{{id title {field}{{id name email}}}}}}");
        let (mut calls, mut others) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let before = asked(&base).await;
            let answer = whole(&ours, &query).await;
            let between = asked(&base).await;
            assert_eq!(answer, whole(&theirs, &query).await, "the two do not answer the same");
            calls.push(between - before);
            others.push(asked(&base).await - between);
        }
        book.add(
            NAME,
            Figure {
                metric: counted,
                values: calls,
                unit: "calls",
                better: Better::Lower,
                peer: Some(Peer { name: peers::OTHER.to_owned(), values: others }),
                goal: Goal::AtMost(most),
                about: "100 posts of 10 users; counted by the upstream; no call is shared between operations"
                    .to_owned(),
            },
        );

        let file = folder.path().join("posts.lua");
        std::fs::write(&file, script(&query)).unwrap();
        let mut sides = [
            Side::new(host.pid(), ours.clone(), Some(&file)).await,
            Side::new(peer.id().unwrap(), theirs.clone(), Some(&file)).await,
        ];
        for round in 1..=ROUNDS {
            book.say(&format!("{rated}, per second, round {round} of {ROUNDS}"));
            for side in &mut sides {
                side.run(SECONDS).await;
            }
        }
        let [us, them] = sides;
        let about = format!(
            "wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, POST {query}, plain HTTP/1.1; upstream and wrk on the same cores; \
             {:.0} us of processor for each in the server, the peer's {:.0}",
            median(&us.cost),
            median(&them.cost)
        );
        let peer = Some(Peer { name: peers::OTHER.to_owned(), values: them.rate });
        book.add(
            NAME,
            Figure { metric: rated, values: us.rate, unit: "1/s", better: Better::Higher, peer, goal, about },
        );
    }
    host.stop().await;
    drop(upstream);
}

/// How often the upstream was asked until now.
async fn asked(base: &str) -> f64 {
    let mut connection = load::Connection::open(base).await;
    let request = http::Request::get("/asked").body(Full::default()).unwrap();
    let answer = connection.send(request).await.unwrap();
    std::str::from_utf8(&answer.collect().await.unwrap().to_bytes()).unwrap().parse().unwrap()
}

async fn whole(url: &str, query: &str) -> Value {
    let base = url.trim_end_matches("/graphql");
    let mut connection = load::Connection::open(base).await;
    let body = serde_json::json!({ "query": query }).to_string();
    let answer = connection.send(load::post(body, None)).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.collect().await.unwrap().to_bytes()).unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"].clone()
}
