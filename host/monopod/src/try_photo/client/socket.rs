//! The events of uploads over `graphql-transport-ws`.
//!
//! One task owns the socket: it answers pings while the caller is busy sending a photo,
//! and ends when the [`Watch`] is dropped or the platform closes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, StatusCode, Uri};
use monopod_edge::client::Stream;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::{Error, Refusal};
use super::{Client, text};

pub(super) const OPENING: &str = "opening the connection for events";
const WATCHING: &str = "watching for events";

/// The largest message, in bytes: an event has some KB.
const MAX_MESSAGE: usize = 1 << 20;

/// Events and subscriptions that wait for the other side. An upload has about ten.
const QUEUE: usize = 256;

/// How long a goodbye may take before the connection is dropped.
const GOODBYE: Duration = Duration::from_secs(1);

/// The subscriptions of one upload.
const SUBSCRIPTIONS: [(Kind, &str); 4] = [
    (
        Kind::Started,
        "subscription ($uploadId: String) {
  event: onAnalysisStarted(uploadId: $uploadId) { objectKey correlationId uploadId }
}",
    ),
    (
        Kind::Progress,
        "subscription ($uploadId: String) {
  event: onAnalysisProgress(uploadId: $uploadId) { step state objectKey correlationId uploadId }
}",
    ),
    (
        Kind::Completed,
        "subscription ($uploadId: String) {
  event: onAnalysisCompleted(uploadId: $uploadId) {
    success objectKey correlationId uploadId
    recognitionPayload {
      provider { name apiVersion featureset maxResults }
      aggregate {
        brand type model name typeSource confidence isConfident typeConfidence
        weight year attachments evidence { kind text }
      }
    }
  }
}",
    ),
    (
        Kind::Failed,
        "subscription ($uploadId: String) {
  event: onAnalysisFailed(uploadId: $uploadId) { reason step objectKey correlationId uploadId }
}",
    ),
];

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The analysis began.
    Started,
    /// A step began or ended.
    Progress,
    /// The analysis ended; `success` says how.
    Completed,
    /// The analysis ended badly; `reason` says why.
    Failed,
}

impl Kind {
    /// In one word, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// An event of an upload.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it tells.
    pub kind: Kind,
    /// Its fields, as the subscription selects them.
    pub payload: Value,
    /// When it arrived here.
    pub at: Instant,
}

impl Event {
    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        text(&self.payload, field)
    }

    /// Whether it is the last one of a run that went well.
    pub fn succeeded(&self) -> bool {
        self.kind == Kind::Completed && self.payload.get("success") == Some(&Value::Bool(true))
    }
}

/// A connection on which events arrive. Dropping it ends the subscriptions.
#[derive(Debug)]
pub struct Watch {
    wishes: mpsc::Sender<Wish>,
    events: mpsc::Receiver<Result<Event, Error>>,
}

/// All events of one upload, and whom to tell when the platform has understood.
struct Wish {
    upload_id: String,
    understood: oneshot::Sender<()>,
}

impl Watch {
    /// Subscribes to all events of an upload. Returns when the platform has taken note:
    /// nothing that happens later is missed.
    pub async fn subscribe(&mut self, upload_id: &str) -> Result<(), Error> {
        let (understood, noted) = oneshot::channel();
        let wish = Wish { upload_id: upload_id.to_owned(), understood };
        // If the connection is gone, the reason waits among the events.
        let asked = self.wishes.send(wish).await.is_ok();
        if asked && noted.await.is_ok() { Ok(()) } else { Err(self.reason().await) }
    }

    /// The next event. Cancel-safe.
    pub async fn next(&mut self) -> Result<Event, Error> {
        match self.events.recv().await {
            Some(event) => event,
            None => Err(gone()),
        }
    }

    /// Why the connection ended.
    async fn reason(&mut self) -> Error {
        while let Some(event) = self.events.recv().await {
            if let Err(error) = event {
                return error;
            }
        }
        gone()
    }
}

fn gone() -> Error {
    Error::Closed { code: 1006, reason: String::new() }
}

type Socket = WebSocketStream<Stream>;

/// Connects, and says hello in the protocol's way.
pub(super) async fn open(client: &Client) -> Result<Watch, Error> {
    let at = |scheme: &str| {
        let uri = Uri::builder().scheme(scheme).authority(client.authority.clone());
        uri.path_and_query("/graphql").build().map_err(|_| Error::Address(client.authority.to_string()))
    };
    let stream = client.http.connector().connect(&at(client.scheme.as_str())?).await?;
    let secure = client.scheme == http::uri::Scheme::HTTPS;
    let mut request =
        at(if secure { "wss" } else { "ws" })?.into_client_request().map_err(|e| refused(e, OPENING))?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("graphql-transport-ws"));
    if let Some(token) = &client.token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    if let Some(correlation) = &client.correlation {
        headers.insert("x-correlation-id", correlation.clone());
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let connected = Box::pin(client_async_with_config(request, stream, Some(config))).await;
    let (mut socket, _) = connected.map_err(|e| refused(e, OPENING))?;
    say(&mut socket, &json!({ "type": "connection_init" })).await?;
    loop {
        match hear(&mut socket).await? {
            said if text(&said, "type") == Some("connection_ack") => break,
            said if text(&said, "type") == Some("ping") => {
                say(&mut socket, &json!({ "type": "pong" })).await?
            }
            _ => {}
        }
    }
    let (wishes, wished) = mpsc::channel(QUEUE);
    let (tell, events) = mpsc::channel(QUEUE);
    // Ends when the watch is dropped or the socket closes; says why among the events.
    tokio::spawn(serve(socket, wished, tell));
    Ok(Watch { wishes, events })
}

/// Owns the socket until one side has had enough.
async fn serve(
    mut socket: Socket,
    mut wished: mpsc::Receiver<Wish>,
    tell: mpsc::Sender<Result<Event, Error>>,
) {
    let mut pending = VecDeque::new();
    let mut uploads = 0_u64;
    let ended = loop {
        tokio::select! {
            wish = wished.recv() => match wish {
                None => break None,
                Some(wish) => {
                    uploads += 1;
                    if let Err(error) = subscribe(&mut socket, &wish.upload_id, uploads).await {
                        break Some(error);
                    }
                    pending.push_back(wish.understood);
                }
            },
            heard = hear(&mut socket) => match heard {
                Err(error) => break Some(error),
                Ok(said) => match react(&mut socket, &said, &mut pending).await {
                    Err(error) => break Some(error),
                    Ok(None) => {}
                    Ok(Some(event)) => {
                        if tell.send(Ok(event)).await.is_err() {
                            break None;
                        }
                    }
                },
            },
        }
    };
    if let Some(error) = ended {
        // Nobody listens any more if this fails.
        let _unheard = tell.send(Err(error)).await;
    }
    let _dropped = tokio::time::timeout(GOODBYE, socket.close(None)).await;
}

async fn subscribe(socket: &mut Socket, upload_id: &str, number: u64) -> Result<(), Error> {
    for (kind, query) in SUBSCRIPTIONS {
        let payload = json!({ "query": query, "variables": { "uploadId": upload_id } });
        let id = format!("{}-{number}", kind.as_str());
        let subscribe = json!({ "type": "subscribe", "id": id, "payload": payload });
        socket.feed(Message::text(subscribe.to_string())).await.map_err(|e| refused(e, WATCHING))?;
    }
    // The protocol does not confirm subscriptions, but answers a ping after them.
    say(socket, &json!({ "type": "ping" })).await
}

/// What follows from a message of the platform.
async fn react(
    socket: &mut Socket,
    said: &Value,
    pending: &mut VecDeque<oneshot::Sender<()>>,
) -> Result<Option<Event>, Error> {
    match text(said, "type") {
        Some("ping") => say(socket, &json!({ "type": "pong" })).await?,
        Some("pong") => {
            if let Some(understood) = pending.pop_front() {
                // Whoever asked may have left.
                let _left = understood.send(());
            }
        }
        Some("next") => {
            let payload = said.get("payload").cloned().unwrap_or_default();
            let refusals = Refusal::all(&payload);
            if !refusals.is_empty() {
                return Err(Error::Refused { doing: WATCHING, refusals });
            }
            let event = payload.get("data").and_then(|data| data.get("event"));
            let (Some(kind), Some(event)) = (kind(said), event) else {
                return Err(Error::Unexpected { doing: WATCHING });
            };
            return Ok(Some(Event { kind, payload: event.clone(), at: Instant::now() }));
        }
        Some("error") => {
            let refusals = Refusal::all(&json!({ "errors": said.get("payload") }));
            return Err(Error::Refused { doing: WATCHING, refusals });
        }
        // A subscription that ends by itself ends too early: only we know when it is enough.
        Some("complete") => {
            return Err(Error::Closed { code: 1000, reason: "a subscription ended by itself".to_owned() });
        }
        _ => {}
    }
    Ok(None)
}

/// What the subscription of this message is about.
fn kind(said: &Value) -> Option<Kind> {
    let (word, _) = text(said, "id")?.rsplit_once('-')?;
    SUBSCRIPTIONS.iter().map(|(kind, _)| *kind).find(|kind| kind.as_str() == word)
}

async fn say(socket: &mut Socket, message: &Value) -> Result<(), Error> {
    socket.send(Message::text(message.to_string())).await.map_err(|e| refused(e, WATCHING))
}

/// The next message. Cancel-safe: a message is taken whole or not at all.
async fn hear(socket: &mut Socket) -> Result<Value, Error> {
    loop {
        match socket.next().await {
            None => return Err(gone()),
            Some(Err(error)) => return Err(refused(error, WATCHING)),
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text).map_err(|_| Error::Unexpected { doing: WATCHING });
            }
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                return Err(match code {
                    4401 | 4403 => Error::Unauthenticated(reason),
                    _ => Error::Closed { code, reason },
                });
            }
            // Pings of the WebSocket itself are answered underneath.
            Some(Ok(_)) => {}
        }
    }
}

fn refused(error: tungstenite::Error, doing: &'static str) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let (head, body) = response.into_parts();
            let response = http::Response::from_parts(head, body.unwrap_or_default().into());
            if response.status() == StatusCode::UNAUTHORIZED {
                return super::error::unauthenticated(&response);
            }
            super::status(doing, &response)
        }
        other => Error::Broken { doing, source: other.into() },
    }
}
