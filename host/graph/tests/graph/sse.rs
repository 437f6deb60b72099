//! Server-sent events, distinct connections mode.

use std::time::Duration;

use ::http::Request;
use axum::body::Body;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Answer, Host, SDL, completed, host_with, settings};

async fn quiet(keep_alive: Duration) -> Host {
    let mut settings = settings();
    settings.keep_alive = keep_alive;
    host_with(SDL, settings, |_| Answer::Json(200, r#"{"pong":"pong"}"#)).await
}

/// A response that is read as it comes.
struct Stream {
    socket: TcpStream,
    read: String,
}

impl Stream {
    /// As a client that comes back.
    async fn open_after(host: &Host, token: &str, query: &str, id: &str) -> Self {
        Self::open(host, &format!("{token}\r\nLast-Event-ID: {id}"), query, "POST").await
    }

    async fn open(host: &Host, token: &str, query: &str, method: &str) -> Self {
        let mut socket = TcpStream::connect(host.address).await.unwrap();
        let body = serde_json::json!({"query": query}).to_string();
        let head = "Host: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer";
        let request = if method == "GET" {
            let query = query.replace(' ', "+").replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
            format!("GET /graphql?query={query} HTTP/1.1\r\n{head} {token}\r\n\r\n")
        } else {
            let length = body.len();
            format!(
                "POST /graphql HTTP/1.1\r\n{head} {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        socket.write_all(request.as_bytes()).await.unwrap();
        Self { socket, read: String::new() }
    }

    async fn until(&mut self, wanted: &str) {
        let reading = async {
            let mut buffer = [0; 4096];
            while !self.read.contains(wanted) {
                let length = self.socket.read(&mut buffer).await.unwrap();
                assert!(length > 0, "the stream ended before {wanted:?}: {}", self.read);
                self.read.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .unwrap_or_else(|_| panic!("no {wanted:?}"));
    }
}

const STARTED: &str = "subscription{onAnalysisCompleted{uploadId}}";

#[tokio::test]
async fn events_come_as_next_and_silence_is_filled_with_comments() {
    for method in ["POST", "GET"] {
        let host = quiet(Duration::from_millis(20)).await;
        let mut stream = Stream::open(&host, "ada", STARTED, method).await;
        host.topics.watched(1).await;
        host.topics.publish(completed("bob", "b1"));
        host.topics.publish(completed("ada", "a1"));
        stream
            .until("event: next\ndata: {\"data\":{\"onAnalysisCompleted\":{\"uploadId\":\"a1\"}}}\n\n")
            .await;
        assert!(stream.read.starts_with("HTTP/1.1 200"), "{}", stream.read);
        assert!(stream.read.contains("content-type: text/event-stream"));
        assert!(!stream.read.contains("b1"));
        stream.read.clear();
        stream.until(":\n\n").await;
    }
}

#[tokio::test]
async fn a_query_over_a_stream_is_one_next_and_complete() {
    let host = quiet(Duration::from_secs(10)).await;
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .body(Body::from(r#"{"query":"{ping}"}"#))
        .unwrap();
    let got = host.send(request).await;
    assert_eq!(got.body, "event: next\ndata: {\"data\":{\"ping\":\"pong\"}}\n\nevent: complete\ndata:\n\n");
}

#[tokio::test]
async fn what_is_wrong_before_the_stream_is_a_status() {
    let host = quiet(Duration::from_secs(10)).await;
    for (token, query, status) in [
        (None, STARTED, 401),
        (Some("ada:other"), STARTED, 403),
        (Some("ada"), "subscription{no}", 400),
        (Some("ada"), "subscription{onAnalysisCompleted{uploadId} onAnalysisStarted{objectKey}}", 400),
    ] {
        let mut request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", "text/event-stream");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let got =
            host.send(request.body(serde_json::json!({"query": query}).to_string().into()).unwrap()).await;
        assert_eq!(got.status, status, "{query} {}", got.body);
        assert_ne!(got.json()["errors"], Value::Null);
    }
}

#[tokio::test]
async fn an_expired_token_and_a_slow_client_end_the_stream_with_the_reason() {
    let host = quiet(Duration::from_secs(10)).await;
    let mut stream = Stream::open(&host, "ada:analysis:1", STARTED, "POST").await;
    stream.until("event: complete").await;
    assert!(stream.read.contains("\"code\":\"UNAUTHENTICATED\""), "{}", stream.read);

    let mut stream = Stream::open(&host, "ada", STARTED, "POST").await;
    host.topics.watched(2).await;
    // All at once and more than the topic holds back for a watcher.
    for _ in 0..200 {
        host.topics.publish(completed("ada", "a1"));
    }
    stream.until("event: complete").await;
    assert!(stream.read.contains("\"code\":\"SLOW_CONSUMER\""), "{}", stream.read);
}

#[tokio::test]
async fn at_shutdown_streams_end_without_complete_so_that_clients_come_back() {
    let host = quiet(Duration::from_secs(10)).await;
    let mut stream = Stream::open(&host, "ada", STARTED, "POST").await;
    host.topics.watched(1).await;
    host.shutdown.cancel();
    // The last chunk of the response.
    stream.until("\r\n0\r\n\r\n").await;
    assert!(!stream.read.contains("complete"));
}

#[tokio::test]
async fn a_stream_that_broke_off_goes_on_behind_the_last_event_that_the_client_has() {
    let host = quiet(Duration::from_secs(10)).await;
    let mut stream = Stream::open(&host, "ada", STARTED, "POST").await;
    host.topics.watched(1).await;
    host.topics.publish(completed("bob", "b1"));
    host.topics.publish(completed("ada", "a1"));
    stream
        .until("id: 2\nevent: next\ndata: {\"data\":{\"onAnalysisCompleted\":{\"uploadId\":\"a1\"}}}\n\n")
        .await;
    drop(stream);
    host.topics.publish(completed("ada", "a2"));
    host.topics.publish(completed("bob", "b2"));
    host.topics.publish(completed("ada", "a3"));
    let mut stream = Stream::open_after(&host, "ada", STARTED, "2").await;
    host.topics.watched(2).await;
    host.topics.publish(completed("ada", "a4"));
    stream.until("\"a4\"").await;
    let events: Vec<_> =
        stream.read.lines().filter(|line| line.starts_with("data:") || line.starts_with("id:")).collect();
    let wanted: Vec<_> = [(3, "a2"), (5, "a3"), (6, "a4")]
        .iter()
        .flat_map(|(id, upload)| {
            [
                format!("id: {id}"),
                format!("data: {{\"data\":{{\"onAnalysisCompleted\":{{\"uploadId\":\"{upload}\"}}}}}}"),
            ]
        })
        .collect();
    assert_eq!(events, wanted);
    // Another user's place gives nothing of theirs.
    let mut stream = Stream::open_after(&host, "eve", STARTED, "0").await;
    host.topics.watched(3).await;
    host.topics.publish(completed("eve", "e1"));
    stream.until("\"e1\"").await;
    assert!(!stream.read.contains("\"a1\"") && !stream.read.contains("\"b1\""), "{}", stream.read);
    let mut stream = Stream::open_after(&host, "ada", STARTED, "-1").await;
    stream.until("BAD_USER_INPUT").await;
}
