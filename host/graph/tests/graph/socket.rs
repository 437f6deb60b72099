//! `graphql-transport-ws` on raw sockets: every row of the protocol's table.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::support::{Answer, Host, SDL, completed, host, host_with, settings};

pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

async fn open(host: &Host, token: Option<&str>, protocol: Option<&str>) -> Client {
    let mut request = format!("ws://{}/graphql", host.address).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (socket, _) = connect_async(request).await.unwrap();
    Client { socket }
}

pub async fn connect(host: &Host, token: Option<&str>) -> Client {
    open(host, token, Some("graphql-transport-ws")).await
}

impl Client {
    async fn raw(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.raw(&message.to_string()).await;
    }

    pub async fn init(&mut self) {
        self.send(json!({"type": "connection_init"})).await;
        assert_eq!(self.next().await, json!({"type": "connection_ack"}));
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        self.send(
            json!({"id": id, "type": "subscribe", "payload": {"query": query, "variables": variables}}),
        )
        .await;
    }

    async fn frame(&mut self) -> Message {
        loop {
            let frame =
                tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await.expect("no answer");
            match frame.expect("the connection ended").expect("the connection broke") {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return frame,
            }
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Everything up to an answered ping: nothing else may have come.
    pub async fn quiet(&mut self) {
        self.send(json!({"type": "ping"})).await;
        assert_eq!(self.next().await, json!({"type": "pong"}));
    }

    /// The close code and reason that come next, other messages passed over.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame().await {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }
}

async fn pong() -> Host {
    host(|seen| match seen.line.as_str() {
        "GET /ping" => Answer::Json(200, r#"{"pong":"pong"}"#),
        "GET /maybe" => Answer::Hang,
        _ => Answer::Json(200, r#"{"value":1}"#),
    })
    .await
}

const STARTED: &str = "subscription{onAnalysisCompleted{uploadId}}";

#[tokio::test]
async fn every_wrong_step_has_its_close_code() {
    let host = pong().await;
    let subscribe = json!({"id": "1", "type": "subscribe", "payload": {"query": STARTED}}).to_string();
    let init = json!({"type": "connection_init"}).to_string();
    for (name, messages, code, reason) in [
        ("subscribe before init", vec![subscribe.as_str()], 4401, "Unauthorized"),
        ("second init", vec![&init, &init], 4429, "Too many initialisation requests"),
        ("same id twice", vec![&init, &subscribe, &subscribe], 4409, "Subscriber for this id already exists"),
        ("no JSON", vec!["{"], 4400, "Invalid message"),
        ("no object", vec!["[]"], 4400, "Invalid message"),
        (
            "unknown type",
            vec![r#"{"type":"start","id":"1","payload":{"query":"{ping}"}}"#],
            4400,
            "Invalid message",
        ),
        (
            "no id",
            vec![&init, r#"{"type":"subscribe","payload":{"query":"{ping}"}}"#],
            4400,
            "Invalid message",
        ),
        ("no query", vec![&init, r#"{"type":"subscribe","id":"1","payload":{}}"#], 4400, "Invalid message"),
        ("empty", vec![""], 4400, "Invalid message"),
        (
            "bad token",
            vec![r#"{"type":"connection_init","payload":{"Authorization":"Bearer bad"}}"#],
            4403,
            "Forbidden",
        ),
        (
            "no bearer",
            vec![r#"{"type":"connection_init","payload":{"authorization":"Basic eA=="}}"#],
            4403,
            "Forbidden",
        ),
        (
            "old token",
            vec![r#"{"type":"connection_init","payload":{"headers":{"authorization":"Bearer expired"}}}"#],
            4403,
            "The token has expired",
        ),
        (
            "no keys",
            vec![r#"{"type":"connection_init","payload":{"authorization":"Bearer later"}}"#],
            1013,
            "The token cannot be verified now, try again later",
        ),
    ] {
        let mut client = connect(&host, Some("ada")).await;
        for message in messages {
            client.raw(message).await;
        }
        assert_eq!(client.closed().await, (code, reason.to_owned()), "{name}");
    }
    let mut client = connect(&host, None).await;
    client.socket.send(Message::Binary(Bytes::from_static(b"{}"))).await.unwrap();
    assert_eq!(client.closed().await.0, 4400);
}

#[tokio::test]
async fn only_the_one_subprotocol_is_spoken() {
    let host = pong().await;
    let mut client = open(&host, None, None).await;
    assert_eq!(client.closed().await.0, 4406);
    // A client that offers only the legacy protocol is let in by no name it knows.
    let mut request = format!("ws://{}/graphql", host.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-ws".parse().unwrap());
    match connect_async(request).await {
        // The client library itself refuses an answer without a subprotocol.
        Err(error) => assert!(error.to_string().contains("ubprotocol"), "{error}"),
        Ok((socket, _)) => assert_eq!(Client { socket }.closed().await.0, 4406),
    }
    let mut client = open(&host, None, Some("graphql-ws, graphql-transport-ws")).await;
    client.init().await;
}

#[tokio::test]
async fn a_silent_client_is_closed_in_time() {
    let mut short = settings();
    short.init_timeout = Duration::from_millis(50);
    let host = host_with(SDL, short, |_| Answer::Hang).await;
    let mut client = connect(&host, None).await;
    assert_eq!(client.closed().await, (4408, "Connection initialisation timeout".to_owned()));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_let_go() {
    let mut short = settings();
    short.keep_alive = Duration::from_millis(200);
    let host = host_with(SDL, short, |_| Answer::Hang).await;
    // One that reads answers pings by itself and stays.
    let mut lively = connect(&host, None).await;
    lively.init().await;
    let reading = tokio::time::timeout(Duration::from_secs(1), lively.frame()).await;
    assert!(reading.is_err(), "{reading:?}");
    // One that does not read gives no sign of life.
    let mut dead = connect(&host, None).await;
    dead.init().await;
    tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(dead.closed().await.0, 3008);
}

#[tokio::test]
async fn pings_are_answered_with_their_payload_and_unknown_ends_passed_over() {
    let host = pong().await;
    let mut client = connect(&host, None).await;
    client.send(json!({"type": "ping", "payload": {"a": [1]}})).await;
    assert_eq!(client.next().await, json!({"type": "pong", "payload": {"a": [1]}}));
    client.init().await;
    client.send(json!({"type": "pong"})).await;
    client.send(json!({"type": "complete", "id": "nobody"})).await;
    client.quiet().await;
}

#[tokio::test]
async fn queries_and_mutations_run_over_the_socket_as_well() {
    let host = pong().await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    for (query, data) in [("{ping}", json!({"ping": "pong"})), ("mutation{count}", json!({"count": 1}))] {
        client.subscribe("x", query, Value::Null).await;
        assert_eq!(client.next().await, json!({"id": "x", "type": "next", "payload": {"data": data}}));
        assert_eq!(client.next().await, json!({"id": "x", "type": "complete"}));
    }
    // Cancelled under way: its id is free again and nothing comes.
    client.subscribe("x", "{maybe}", Value::Null).await;
    client.send(json!({"id": "x", "type": "complete"})).await;
    client.subscribe("x", "{ping}", Value::Null).await;
    assert_eq!(client.next().await["payload"]["data"]["ping"], "pong");
    assert_eq!(client.next().await["type"], "complete");
    client.quiet().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_an_error_message_and_nothing_after() {
    let host = pong().await;
    for (token, query, code) in [
        (Some("ada"), "{", "GRAPHQL_PARSE_FAILED"),
        (Some("ada"), "{nothing}", "GRAPHQL_VALIDATION_FAILED"),
        (None, STARTED, "UNAUTHENTICATED"),
        (Some("ada:other"), STARTED, "FORBIDDEN"),
    ] {
        let mut client = connect(&host, token).await;
        client.init().await;
        client.subscribe("1", query, Value::Null).await;
        let got = client.next().await;
        assert_eq!((got["type"].as_str(), got["id"].as_str()), (Some("error"), Some("1")), "{got}");
        assert_eq!(got["payload"][0]["extensions"]["code"], code);
        client.quiet().await;
        client.subscribe("1", "{ping}", Value::Null).await;
        assert_eq!(client.next().await["type"], "next");
    }
}

#[tokio::test]
async fn the_token_comes_with_the_upgrade_or_inside() {
    let host = pong().await;
    for (upgrade, inside) in [(Some("ada"), json!({})), (None, json!({"Authorization": "Bearer ada"}))] {
        let mut client = connect(&host, upgrade).await;
        client.send(json!({"type": "connection_init", "payload": inside})).await;
        assert_eq!(client.next().await["type"], "connection_ack");
        let before = *host.topics.watchers.borrow();
        client.subscribe("1", STARTED, Value::Null).await;
        host.topics.watched(before + 1).await;
        host.topics.publish(completed("ada", "a1"));
        assert_eq!(client.next().await["payload"]["data"]["onAnalysisCompleted"]["uploadId"], "a1");
        client.send(json!({"id": "1", "type": "complete"})).await;
        client.quiet().await;
        host.topics.publish(completed("ada", "a2"));
        client.quiet().await;
    }
}

#[tokio::test]
async fn a_socket_is_closed_when_its_token_ends() {
    let host = pong().await;
    for (upgrade, inside) in
        [(Some("ada:analysis:1"), json!({})), (None, json!({"Authorization": "Bearer ada:analysis:1"}))]
    {
        let mut client = connect(&host, upgrade).await;
        client.send(json!({"type": "connection_init", "payload": inside})).await;
        assert_eq!(client.next().await["type"], "connection_ack");
        client.subscribe("1", STARTED, Value::Null).await;
        assert_eq!(client.closed().await, (4403, "The token has expired".to_owned()));
    }
}

#[tokio::test]
async fn a_socket_has_so_many_operations_and_messages_of_such_a_size() {
    let mut few = settings();
    (few.max_operations, few.max_message) = (2, 1_000);
    let host = host_with(SDL, few, |_| Answer::Hang).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    for id in ["1", "2", "3"] {
        client.subscribe(id, STARTED, Value::Null).await;
    }
    let got = client.next().await;
    assert_eq!((got["id"].as_str(), got["type"].as_str()), (Some("3"), Some("error")), "{got}");
    assert_eq!(got["payload"][0]["extensions"]["limit"], "operations");
    client.send(json!({"id": "1", "type": "complete"})).await;
    client.subscribe("3", STARTED, Value::Null).await;
    client.quiet().await;
    client.raw(&" ".repeat(1_001)).await;
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_closed() {
    let mut small = settings();
    small.max_queue = 4;
    let host = host_with(SDL, small, |_| Answer::Hang).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", STARTED, Value::Null).await;
    host.topics.watched(1).await;
    // More than the topic holds back for a watcher, in one go.
    for _ in 0..100 {
        host.topics.publish(completed("ada", "a1"));
    }
    assert_eq!(client.closed().await, (1013, "Too slow: events were lost, subscribe again".to_owned()));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_let_go_with_its_answers() {
    let mut hasty = settings();
    (hasty.max_queue, hasty.patience, hasty.max_operations) = (4, Duration::from_millis(100), 1_000);
    let host = host_with(SDL, hasty, |_| Answer::Json(200, "$echo")).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    // 20 MB of answers: more than the buffers of two sockets take.
    let text = "x".repeat(100_000);
    let send = async {
        for id in 0..200 {
            let payload = json!({"query": "query($t: String){echo(text: $t)}", "variables": {"t": text}});
            let message = json!({"id": id.to_string(), "type": "subscribe", "payload": payload});
            client.socket.send(Message::text(message.to_string())).await?;
        }
        loop {
            client.socket.send(Message::text(json!({"type": "ping"}).to_string())).await?;
            tokio::task::yield_now().await;
        }
    };
    // It ends when the host has closed the connection, and not before.
    let sent: Result<(), tokio_tungstenite::tungstenite::Error> =
        tokio::time::timeout(Duration::from_secs(60), send).await.expect("the host does not let go");
    sent.unwrap_err();
    let reading = async {
        let mut answers = 0;
        // It may be too late even for the close frame.
        while let Some(Ok(frame)) = client.socket.next().await {
            match frame {
                Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1013),
                _ => answers += 1,
            }
        }
        answers
    };
    // What waits is bounded, so not every answer can have been kept for it.
    let answers = tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap();
    assert!(answers < 200, "{answers} answers");
}

#[tokio::test]
async fn at_shutdown_sockets_are_closed_with_going_away() {
    let host = pong().await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", STARTED, Value::Null).await;
    host.shutdown.cancel();
    assert_eq!(client.closed().await, (1001, "Going away".to_owned()));
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let host = pong().await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", STARTED, Value::Null).await;
    client.socket.close(None).await.unwrap();
    while let Some(frame) = client.socket.next().await {
        frame.expect("the closing handshake was not finished");
    }
}

#[tokio::test]
async fn a_broken_connection_ends_what_it_had_begun() {
    let host = pong().await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "{maybe}", Value::Null).await;
    client.subscribe("2", "{ping}", Value::Null).await;
    client.next().await;
    drop(client);
    let gone = async {
        while host.fakes.open.load(std::sync::atomic::Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("a call outlived its socket");
}
