//! A list of 8 MB from a server outside, through selection and authorisation: how fast it goes
//! through, and what the process takes for it at its peak.

use std::time::Instant;

use http_body_util::BodyExt;

use super::{NAME, ROUNDS, UPSTREAM, plain, start_peer};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal};
use crate::load::{self, Connection};
use crate::machine;

/// Answers in a round, one after another.
const ANSWERS: usize = 10;

/// A field in front of all, and one of each object, that a token has to allow.
fn schema(base: &str) -> String {
    format!(
        r#"extend type Query {{
  machines: [Machine!]! @authenticated
    @connect(http: {{GET: "{base}/large"}}, selection: "id title serial hours active note")
}}
type Machine {{
  id: ID!
  title: String!
  serial: String! @requiresScopes(scopes: [["analysis"]])
  hours: Float!
  active: Boolean!
  note: String
}}
"#
    )
}

/// Measures both.
pub async fn measure(book: &mut Book) {
    let (_upstream, base) = start_peer(UPSTREAM).await;
    let folder = tempfile::tempdir().unwrap();
    let bundles = folder.path().join("bundles");
    super::bundle(&bundles, "fleet", &schema(&base));
    let section = format!("bundle = \"fleet\"\n[components.fleet.grants]\nhttp = [\"{base}/\"]\n");
    let setup = super::setup(folder.path(), &bundles, "", &[("fleet", &section)]);
    let (mut rates, mut peaks, mut direct) = (Vec::new(), Vec::new(), Vec::new());
    let mut size = 0.0;
    for round in 1..=ROUNDS {
        book.say(&format!("8 MB through selection and authorisation, round {round} of {ROUNDS}"));
        // A new process, so that its peak is that of this work.
        let host = setup.start().await;
        let client = super::client(&host, "reader").await;
        let rest = machine::memory(host.pid()).0;
        let body = r#"{"query":"{machines{id title serial hours active}}"}"#;
        let mut connection = Connection::open(&plain(&host)).await;
        let mut ask = async || {
            let answer = connection.send(load::post(body, client.token())).await.unwrap();
            assert_eq!(answer.status(), 200);
            length(answer).await
        };
        size = ask().await;
        let began = Instant::now();
        for _ in 0..ANSWERS {
            assert_eq!(ask().await, size);
        }
        rates.push(ANSWERS as f64 * size / began.elapsed().as_secs_f64());
        peaks.push((machine::peak(host.pid()) - rest) / size);
        let mut connection = Connection::open(&base).await;
        let began = Instant::now();
        for _ in 0..ANSWERS {
            let request = http::Request::get("/large").body(Default::default()).unwrap();
            length(connection.send(request).await.unwrap()).await;
        }
        direct.push(ANSWERS as f64 * size / began.elapsed().as_secs_f64());
        host.stop().await;
    }
    let direct = crate::figure::median(&direct);
    let about = format!(
        "one client, one after another, plain HTTP/1.1, from a server outside on loopback; {size:.1} MB of answer, five of \
         six keys selected, a scope on one; the server itself gives {direct:.0} MB/s"
    );
    book.add(
        NAME,
        Figure {
            metric: "8 MB list through selection and rights",
            values: rates,
            unit: "MB/s",
            better: Better::Higher,
            peer: None,
            goal: Goal::AtLeast(300.0),
            about: about.clone(),
        },
    );
    book.add(
        NAME,
        Figure {
            metric: "8 MB list, peak memory over rest, of the body",
            values: peaks,
            unit: "times",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(3.0),
            about,
        },
    );
}

/// Reads a body to its end and drops it; its length in MB.
async fn length(answer: http::Response<hyper::body::Incoming>) -> f64 {
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
    }
    length as f64 / 1e6
}
