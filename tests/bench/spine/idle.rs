//! Until the first answer, and what the host takes up while it does nothing.

use std::time::Duration;

use monopod_tests::client::{Client, Lost};
use monopod_tests::host::Setup;
use serde_json::Value;

use super::{LOCAL, NAME};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal};
use crate::machine;

/// Starts that are timed.
const STARTS: usize = 20;
/// Starts after which the memory is read too.
const IDLES: usize = 5;
/// How long nothing happens before that.
const QUIET: Duration = Duration::from_secs(2);
/// Between two tries to connect: short against what is measured.
const AGAIN: Duration = Duration::from_micros(300);

/// Measures both with the same starts.
pub async fn measure(book: &mut Book, setup: &Setup, client: &Client) {
    book.say(&format!("{STARTS} starts to the first answer, memory at rest after {IDLES} of them"));
    let (mut answers, mut resident, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..STARTS {
        let mut host = setup.spawn();
        let answer = loop {
            match client.another().graphql("{ping}", Value::Null).await {
                Ok((_, answer)) => break answer,
                Err(Lost::Unconnected(_)) => tokio::time::sleep(AGAIN).await,
                Err(lost) => panic!("the first request was not answered: {lost}"),
            }
        };
        answers.push(host.began().elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(answer["data"]["ping"], "pong");
        host.serving().await;
        if start < IDLES {
            tokio::time::sleep(QUIET).await;
            let (rss, pss) = machine::memory(host.pid());
            resident.push(rss);
            share.push(pss);
        }
        host.kill().await;
    }
    book.add(
        NAME,
        Figure {
            metric: "first answer after exec",
            values: answers,
            unit: "ms",
            better: Better::Lower,
            peer: None,
            goal: Goal::AtMost(100.0),
            about: format!("{{ping}} over a new TLS connection; warm compiled cache; {LOCAL}"),
        },
    );
    for (metric, values, goal) in
        [("memory at rest (RSS)", resident, Goal::AtMost(80.0)), ("memory at rest (PSS)", share, Goal::None)]
    {
        book.add(
            NAME,
            Figure {
                metric,
                values,
                unit: "MB",
                better: Better::Lower,
                peer: None,
                goal,
                about: "all components loaded, one ping answered, 2 s of rest".to_owned(),
            },
        );
    }
}
