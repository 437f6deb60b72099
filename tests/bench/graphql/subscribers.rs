//! Ten thousand open subscriptions: what each takes, how soon all have an event that is for all of
//! them, and how soon one has an event that is for nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use monopod_tests::client::Client;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{NAME, ROUNDS, plain};
use crate::book::Book;
use crate::figure::{Better, Figure, Goal, percentile};
use crate::machine;

/// Subscriptions, each on a socket of its own.
const OPEN: usize = 10_000;
/// Sockets that are opened at once.
const AT_ONCE: usize = 64;
/// Events to one in a round.
const SINGLE: usize = 200;

type Socket = WebSocketStream<TcpStream>;

/// Measures all of it.
pub async fn measure(book: &mut Book) {
    let folder = tempfile::tempdir().unwrap();
    let host = super::herald(folder.path(), "connections = 12000").await;
    let base = plain(&host);
    let many = super::client(&host, "many").await;
    let one = super::client(&host, "one").await;
    let (mut all, mut single) = (Vec::new(), Vec::new());

    // One socket first: what the first takes once belongs to no other.
    let mut alone = open(&base, one.token().unwrap()).await;
    announce(&one).await;
    event(&mut alone).await;
    let before = machine::memory(host.pid()).0;
    book.say(&format!("{OPEN} subscriptions are opened"));
    let (count, mut reached) = crowd(&base, many.token().unwrap()).await;
    let each = (machine::memory(host.pid()).0 - before) * 1e3 / OPEN as f64;

    for round in 1..=ROUNDS {
        book.say(&format!("events to all and to one, round {round} of {ROUNDS}"));
        count.store(0, SeqCst);
        let began = Instant::now();
        announce(&many).await;
        let last: Instant = reached.recv().await.unwrap();
        all.push((last - began).as_secs_f64() * 1e3);
        let mut times = Vec::new();
        for _ in 0..SINGLE {
            let began = Instant::now();
            let ((), ()) = tokio::join!(announce(&one), async {
                event(&mut alone).await;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            });
        }
        single.push(percentile(&times, 0.99));
    }
    let figure = |metric, values, unit, most, about: &str| Figure {
        metric,
        values,
        unit,
        better: Better::Lower,
        peer: None,
        goal: Goal::AtMost(most),
        about: format!(
            "{OPEN} subscriptions of one user, each on a WebSocket of its own, without TLS; {about}"
        ),
    };
    let about = "resident memory of the process with them less without, the kernel's buffers left out";
    book.add(NAME, figure("memory of an open subscription", vec![each], "KB", 12.0, about));
    let about =
        "from before the mutation that publishes to the last one's frame; the clients use the same cores";
    book.add(NAME, figure("one event to 10,000, until the last has it", all, "ms", 250.0, about));
    let about = format!(
        "an event of another user, p99 of {SINGLE} one after another, from before the mutation that publishes, its commit \
         with fsync included"
    );
    book.add(NAME, figure("one event to one beside 10,000, p99", single, "ms", 5.0, &about));
    host.stop().await;
}

/// Opens all, and counts events until each has one; then tells when the last came.
async fn crowd(base: &str, token: &str) -> (Arc<AtomicUsize>, mpsc::UnboundedReceiver<Instant>) {
    let (count, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(AT_ONCE)));
    let (tell, reached) = mpsc::unbounded_channel();
    let mut opening = JoinSet::new();
    for _ in 0..OPEN {
        let (base, token, gate) = (base.to_owned(), token.to_owned(), gate.clone());
        opening.spawn(async move {
            let _turn = gate.acquire().await.unwrap();
            open(&base, &token).await
        });
    }
    while let Some(socket) = opening.join_next().await {
        let (mut socket, count, tell) = (socket.unwrap(), count.clone(), tell.clone());
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if is_event(&message) && count.fetch_add(1, SeqCst) + 1 == OPEN {
                    let _over = tell.send(Instant::now());
                }
            }
        });
    }
    (count, reached)
}

/// Opens a socket with one subscription, which is there when this returns.
async fn open(base: &str, token: &str) -> Socket {
    let stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = format!("{}/graphql", base.replacen("http", "ws", 1)).into_client_request().unwrap();
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws".parse().unwrap());
    // Small ones: there are ten thousand of them in this process.
    let buffers = WebSocketConfig::default().read_buffer_size(1 << 10).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(buffers)).await.unwrap();
    let authorization = format!("Bearer {token}");
    say(&mut socket, json!({ "type": "connection_init", "payload": { "Authorization": authorization } }))
        .await;
    heard(&mut socket, "connection_ack").await;
    let payload = json!({ "query": "subscription{announced{to}}" });
    say(&mut socket, json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    // The protocol does not confirm subscriptions, but answers a ping after them.
    say(&mut socket, json!({ "type": "ping" })).await;
    heard(&mut socket, "pong").await;
    socket
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn heard(socket: &mut Socket, kind: &str) {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["type"], kind, "{message}");
            return;
        }
    }
}

fn is_event(message: &Message) -> bool {
    matches!(message, Message::Text(text) if text.contains(r#""type":"next""#))
}

async fn event(socket: &mut Socket) {
    while !is_event(&socket.next().await.unwrap().unwrap()) {}
}

async fn announce(client: &Client) {
    let (_, answer) = client.graphql("mutation{announce(to:\"all\")}", Value::Null).await.unwrap();
    assert_eq!(answer["data"]["announce"], true, "{answer}");
}
