//! Server-sent events from a client's side: GraphQL over SSE, one request for one operation.

use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::client::Client;

/// As a socket's.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of events.
#[derive(Debug)]
pub struct Stream {
    /// The answer's status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    rest: BytesMut,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `next` or `complete`.
    pub kind: String,
    /// What it carries; null for `complete`.
    pub data: Value,
}

impl Stream {
    /// Asks for a stream with the client's token, on a connection of its own.
    pub async fn open(client: &Client, query: &str, variables: Value) -> Self {
        let mut request = client.graphql_request(query, variables);
        let url: Uri = request.uri().clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, "text/event-stream".parse().unwrap());
        headers.insert(HOST, url.authority().unwrap().as_str().parse().unwrap());
        *request.uri_mut() = url.path().parse().unwrap();
        let stream = client.connector().connect(&url).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // Ends with the connection; what went wrong is told to the sender.
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        Self { status: head.status, headers: head.headers, body, rest: BytesMut::new() }
    }

    /// Whether it is one: `text/event-stream`.
    pub fn streams(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        self.status == StatusCode::OK && kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The next event; none at the stream's end. Comments are passed over.
    pub async fn next(&mut self) -> Option<Event> {
        // One bound for all of it: a stream is kept alive with comments.
        let next = tokio::time::timeout(PATIENCE, self.frames()).await;
        next.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}"))
    }

    async fn frames(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block = self.rest.split_to(end + 2);
                if let Some(event) = event(std::str::from_utf8(&block).unwrap()) {
                    return Some(event);
                }
                continue;
            }
            let frame = self.body.frame().await?;
            self.rest.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    let data = field("data").unwrap_or_default();
    let data = if data.is_empty() { Value::Null } else { serde_json::from_str(&data).unwrap() };
    Some(Event { kind: field("event")?, data })
}
