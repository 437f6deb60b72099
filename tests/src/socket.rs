//! `graphql-transport-ws` from a client's side: says what it is told to say, and tells what it
//! hears. A wait ends after a bound, so that a missing event is a failed test and no hanging one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{HeaderMap, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Response, Uri};
use monopod_edge::client::Stream;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::client::Client;

/// How long anything may take to arrive: far beyond every event of a busy machine, except
/// deadlines that a suite sets itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the platform ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The WebSocket's close code.
    pub code: u16,
    /// Its reason.
    pub reason: String,
}

/// A connection.
#[derive(Debug)]
pub struct Socket {
    socket: WebSocketStream<Stream>,
    /// What came while something else was waited for.
    kept: VecDeque<Value>,
}

impl Socket {
    /// Upgrades, with more headers, and says nothing yet. Returns the headers of the answer too;
    /// the answer itself, if it was refused.
    pub async fn upgrade(
        client: &Client,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, HeaderMap), Response<Bytes>> {
        let url: Uri = format!("{}/graphql", client.url().replacen("https", "wss", 1)).parse().unwrap();
        let stream = client.connector().connect(&url).await.unwrap();
        let mut request = url.into_client_request().unwrap();
        let mut add =
            |name: HeaderName, value: &str| request.headers_mut().insert(name, value.parse().unwrap());
        add(SEC_WEBSOCKET_PROTOCOL, "graphql-transport-ws");
        for (name, value) in headers {
            add(HeaderName::from_static(name), value);
        }
        match Box::pin(client_async(request, stream)).await {
            Ok((socket, answer)) => {
                let spoken = answer.headers().get(SEC_WEBSOCKET_PROTOCOL).map(HeaderValue::as_bytes);
                assert_eq!(spoken, Some(&b"graphql-transport-ws"[..]));
                Ok((Self { socket, kept: VecDeque::new() }, answer.headers().clone()))
            }
            Err(Error::Http(refusal)) => {
                let (head, body) = refusal.into_parts();
                Err(Response::from_parts(head, body.unwrap_or_default().into()))
            }
            Err(error) => panic!("the upgrade failed: {error}"),
        }
    }

    /// Connects as the user of the client's token, in the manner of phones: in `connection_init`.
    pub async fn open(client: &Client) -> Self {
        let (mut socket, _) = Self::upgrade(client, &[]).await.unwrap();
        let payload = match client.token() {
            Some(token) => json!({ "Authorization": format!("Bearer {token}") }),
            None => json!({}),
        };
        socket.say(&json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await.unwrap(), json!({ "type": "connection_ack" }));
        socket
    }

    /// Says it.
    pub async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message of the protocol, whatever it is.
    pub async fn hear(&mut self) -> Result<Value, Closed> {
        match self.kept.pop_front() {
            Some(kept) => Ok(kept),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Result<Value, Closed> {
        // One bound for all of it: a connection is kept alive with messages that say nothing.
        let received = tokio::time::timeout(PATIENCE, self.frames()).await;
        received.unwrap_or_else(|_| panic!("nothing came within {PATIENCE:?}"))
    }

    async fn frames(&mut self) -> Result<Value, Closed> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    return Err(Closed { code, reason });
                }
                // Pings of the WebSocket itself are answered underneath.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Closed { code: 1006, reason: error.to_string() }),
                None => return Err(Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Sends an operation and waits until it was taken note of: of what happens later nothing is
    /// missed. The protocol does not confirm subscriptions, but answers a ping after them.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "type": "subscribe", "id": id, "payload": payload })).await;
        self.say(&json!({ "type": "ping" })).await;
        loop {
            let heard = self.receive().await.unwrap();
            if heard["type"] == "pong" {
                return;
            }
            self.kept.push_back(heard);
        }
    }

    /// The next message about this operation; others are kept.
    pub async fn about(&mut self, id: &str) -> Value {
        if let Some(at) = self.kept.iter().position(|kept| kept["id"] == id) {
            return self.kept.remove(at).unwrap();
        }
        loop {
            let heard = self.receive().await.unwrap();
            if heard["id"] == id {
                return heard;
            }
            self.kept.push_back(heard);
        }
    }

    /// The next event of a subscription: its one field's value.
    pub async fn event(&mut self, id: &str) -> Value {
        let message = self.about(id).await;
        let data = message["payload"]["data"].as_object();
        let whole = message["type"] == "next" && message["payload"]["errors"].is_null();
        match data.and_then(|data| data.values().next()).filter(|_| whole) {
            Some(event) => event.clone(),
            None => panic!("not an event: {message}"),
        }
    }

    /// What came about this operation and was not asked for.
    pub fn unasked(&self, id: &str) -> Vec<Value> {
        self.kept.iter().filter(|kept| kept["id"] == id).cloned().collect()
    }

    /// Reads until the platform closes.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.receive().await {
                return closed;
            }
        }
    }
}
