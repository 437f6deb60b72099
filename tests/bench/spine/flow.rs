//! From a confirmation to the event that ends its analysis: alone at a fixed rate, and fifty at
//! once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use monopod_tests::client::{Client, Upload};
use monopod_tests::host::Host;
use monopod_tests::socket::Socket;
use serde_json::json;
use tokio::task::JoinSet;

use super::{LOCAL, NAME, photo};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, percentile};
use crate::machine;

/// Rounds of each.
const ROUNDS: usize = 5;
/// Runs of a round at a fixed rate.
const ALONE: usize = 100;
/// From one confirmation to the next. Far longer than a run takes: each is alone.
const EVERY: Duration = Duration::from_millis(200);
/// Confirmations at the same moment.
const AT_ONCE: usize = 50;
/// Rest before memory is read.
const QUIET: Duration = Duration::from_secs(2);

const COMPLETED: &str = "subscription ($id: String) { onAnalysisCompleted(uploadId: $id) { success } }";

/// An upload that only has to be confirmed, and its client.
struct Ready {
    client: Client,
    upload: Upload,
    socket: Socket,
    photo: Bytes,
}

impl Ready {
    /// Everything but the confirmation: connection, session, photo, subscription.
    async fn make(client: &Client, photo: &Bytes) -> Self {
        let client = client.another();
        let upload = client.start("photo.jpg", "image/jpeg").await.unwrap().unwrap();
        let sent = client.put(&upload, "image/jpeg", photo.clone()).await.unwrap();
        assert!(sent.status().is_success(), "{sent:?}");
        let mut socket = Socket::open(&client).await;
        socket.subscribe("end", COMPLETED, json!({ "id": upload.id })).await;
        Self { client, upload, socket, photo: photo.clone() }
    }

    async fn all(client: &Client, photo: &Bytes, count: usize) -> Vec<Self> {
        let mut ready = Vec::new();
        for _ in 0..count {
            ready.push(Self::make(client, photo).await);
        }
        ready
    }

    /// Confirms at `at`; milliseconds from then to the event. A run that does not end well ends
    /// the benchmark: then there is nothing to time.
    async fn run(mut self, at: Instant) -> f64 {
        tokio::time::sleep_until(at.into()).await;
        self.client.confirm(&self.upload, &self.photo).await.unwrap().unwrap();
        let event = self.socket.event("end").await;
        let took = at.elapsed();
        assert_eq!(event["success"], true);
        took.as_secs_f64() * 1_000.0
    }
}

/// Measures both with one host.
pub async fn measure(book: &mut Book, host: &Host, client: &Client) {
    let client = client.login("bench").await;
    let photo = Bytes::from(photo::make());
    let about = format!("JPEG of {} KB, {} x {} pixels", photo.len() / 1_000, photo::SIZE.0, photo::SIZE.1);

    let (mut middle, mut late) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("confirmed to completed, {ALONE} one after another, round {round} of {ROUNDS}"));
        let ready = Ready::all(&client, &photo, ALONE).await;
        let began = Instant::now() + EVERY;
        let mut runs = JoinSet::new();
        for (ready, number) in ready.into_iter().zip(0_u32..) {
            runs.spawn(ready.run(began + EVERY * number));
        }
        let times = runs.join_all().await;
        middle.push(percentile(&times, 0.5));
        late.push(percentile(&times, 0.99));
    }
    for (metric, values, goal) in [
        ("confirmed to completed, alone, p50", middle, Goal::None),
        ("confirmed to completed, alone, p99", late, Goal::AtMost(150.0)),
    ] {
        book.add(
            NAME,
            Figure {
                metric,
                values,
                unit: "ms",
                better: Better::Lower,
                peer: None,
                goal,
                about: format!(
                    "{about}; open loop, {ALONE} in a round, one each {} ms; from sending confirmUpload to the \
                     event on a WebSocket; {LOCAL}",
                    EVERY.as_millis()
                ),
            },
        );
    }

    let (mut lost, mut slowest, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        book.say(&format!("confirmed to completed, {AT_ONCE} at once, round {round} of {ROUNDS}"));
        let ready = Ready::all(&client, &photo, AT_ONCE).await;
        let at = Instant::now() + EVERY;
        let mut runs = JoinSet::new();
        for ready in ready {
            runs.spawn(ready.run(at));
        }
        let mut times = Vec::new();
        while let Some(run) = runs.join_next().await {
            times.extend(run.ok());
        }
        lost.push((AT_ONCE - times.len()) as f64);
        slowest.push(percentile(&times, 1.0));
        tokio::time::sleep(QUIET).await;
        memory.push(machine::memory(host.pid()).0);
    }
    let at_once = format!("{about}; {AT_ONCE} confirmations at the same moment; {LOCAL}");
    let figure = |metric, values, unit, goal, about| Figure {
        metric,
        values,
        unit,
        better: Better::Lower,
        peer: None,
        goal,
        about,
    };
    book.add(NAME, figure("50 at once, lost", lost, "runs", Goal::AtMost(0.0), at_once.clone()));
    book.add(NAME, figure("50 at once, slowest", slowest, "ms", Goal::None, at_once));
    let about = "the same process, 2 s after each of these rounds, and after the runs above".to_owned();
    book.add(NAME, figure("memory after work (RSS)", memory, "MB", Goal::None, about));
}
