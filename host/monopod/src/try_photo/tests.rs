//! The client and the flow against a platform that behaves, and against several that
//! do not. It speaks the same protocols as the front door, without TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::client::{Client, Error, Kind};
use super::flow::{self, Outcome};
use super::photo::Photo;
use super::show::Show;
use monopod_edge::client::Connector;

const PHOTO: &[u8] = b"\xff\xd8\xff\xe0 a photo of an excavator";

/// What the fake platform does differently from a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Well,
    FailsTheAnalysis,
    FailsWithTheReasonFirst,
    RefusesTheType,
    RefusesTheToken,
    RefusesThePut,
    ClosesTheSocket,
    PingsDuringThePut,
    HasNoIssuer,
    AnswersNonsense,
}

struct Fake {
    does: Does,
    address: SocketAddr,
    events: broadcast::Sender<(&'static str, Value)>,
    subscriptions: AtomicUsize,
    pongs: AtomicUsize,
}

type Shared = State<Arc<Fake>>;

async fn fake(does: Does) -> (Client, Arc<Fake>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fake = Arc::new(Fake {
        does,
        address,
        events: broadcast::channel(64).0,
        subscriptions: AtomicUsize::new(0),
        pongs: AtomicUsize::new(0),
    });
    let app = Router::new()
        .route("/identity/token", post(token))
        .route("/graphql", get(socket).post(graphql))
        .route("/blobs/photo", put(blob))
        .with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::new(&format!("http://{address}"), Connector::new(None).unwrap()).unwrap();
    (client, fake)
}

async fn token(State(fake): Shared, body: String) -> Response {
    if fake.does == Does::HasNoIssuer {
        return StatusCode::NOT_FOUND.into_response();
    }
    assert_eq!(body, "grant_type=client_credentials&scope=analysis&client_id=J%C3%B6rg%20%26%20Co");
    axum::Json(json!({ "access_token": "a.b.c", "token_type": "Bearer" })).into_response()
}

async fn graphql(State(fake): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if fake.does == Does::RefusesTheToken {
        let why = "Bearer error=\"invalid_token\", error_description=\"the token has expired\"";
        let body = json!({ "errors": [{ "message": "no", "extensions": { "code": "UNAUTHENTICATED" } }] });
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", why)], axum::Json(body)).into_response();
    }
    assert_eq!(headers["authorization"], "Bearer a.b.c");
    let request: Value = serde_json::from_slice(&body).unwrap();
    let variables = &request["variables"];
    if request["query"].as_str().unwrap().contains("startUpload") {
        if fake.does == Does::RefusesTheType {
            let fields = json!({ "contentType": ["must be one of image/jpeg, image/png, image/webp"] });
            let extensions = json!({ "code": "UNPROCESSABLE", "http": { "status": 422 }, "errors": fields });
            return axum::Json(
                json!({ "data": null, "errors": [{ "message": "invalid", "extensions": extensions }] }),
            )
            .into_response();
        }
        assert_eq!(variables["contentType"], "image/jpeg");
        let put_url = format!("http://{}/blobs/photo?signature=x", fake.address);
        let upload = json!({ "uploadId": "u1", "key": "images/k.jpg", "putUrl": put_url, "expiresAt": "2026-11-23T00:00:00Z" });
        let payload = json!({ "correlationId": "c1", "imageUploadPayload": upload });
        return axum::Json(json!({ "data": { "startUpload": payload } })).into_response();
    }
    assert_eq!(fake.subscriptions.load(Ordering::SeqCst), 4, "confirmed before the events were watched");
    assert_eq!(variables["bytes"], PHOTO.len());
    assert_eq!(variables["uploadId"], "u1");
    if fake.does == Does::AnswersNonsense {
        return (StatusCode::BAD_GATEWAY, "<html>\nno</html>").into_response();
    }
    let ids = json!({ "objectKey": "images/k.jpg", "correlationId": "c1", "uploadId": "u1" });
    let with = |more: Value| {
        let mut event = ids.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let tell = |kind, event| fake.events.send((kind, event)).unwrap();
    tell("started", ids.clone());
    tell("progress", with(json!({ "step": "recognition", "state": "started" })));
    let failed = with(json!({ "step": "recognition", "reason": "not a picture" }));
    match fake.does {
        Does::FailsTheAnalysis => {
            tell("completed", with(json!({ "success": false })));
            tell("failed", failed);
        }
        Does::FailsWithTheReasonFirst => _ = tell("failed", failed),
        _ => {
            let aggregate = json!({ "name": "Volvo EC220E", "confidence": 0.97, "isConfident": true });
            let payload = json!({ "provider": { "name": "x" }, "aggregate": aggregate });
            tell("completed", with(json!({ "success": true, "recognitionPayload": payload })));
        }
    }
    axum::Json(json!({ "data": { "confirmUpload": { "status": "Accepted" } } })).into_response()
}

async fn blob(State(fake): Shared, headers: HeaderMap, body: Bytes) -> Response {
    assert!(!headers.contains_key("authorization"), "the token went to the store");
    assert_eq!(
        (&headers["content-type"], &headers["content-length"]),
        (&"image/jpeg".parse().unwrap(), &PHOTO.len().into())
    );
    assert_eq!(&body[..], PHOTO);
    match fake.does {
        Does::RefusesThePut => {
            let error = json!({ "error": "the URL has expired; ask for a new one", "code": "EXPIRED" });
            (StatusCode::FORBIDDEN, axum::Json(error)).into_response()
        }
        Does::PingsDuringThePut => {
            fake.events.send(("ping", Value::Null)).unwrap();
            while fake.pongs.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

async fn socket(State(fake): Shared, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["graphql-transport-ws"]).on_upgrade(move |socket| converse(fake, socket))
}

async fn converse(fake: Arc<Fake>, mut socket: WebSocket) {
    let mut events = fake.events.subscribe();
    loop {
        let answer = tokio::select! {
            Ok((kind, event)) = events.recv() => match kind {
                "ping" => json!({ "type": "ping" }),
                _ => json!({ "type": "next", "id": format!("{kind}-1"), "payload": { "data": { "event": event } } }),
            },
            said = socket.recv() => {
                let Some(Ok(Message::Text(said))) = said else { return };
                let said: Value = serde_json::from_str(&said).unwrap();
                match said["type"].as_str().unwrap() {
                    "connection_init" => json!({ "type": "connection_ack" }),
                    "ping" => json!({ "type": "pong" }),
                    "pong" => { fake.pongs.fetch_add(1, Ordering::SeqCst); continue }
                    "subscribe" => {
                        if fake.does == Does::ClosesTheSocket {
                            let frame = CloseFrame { code: 4403, reason: "the token has expired".into() };
                            let _ = socket.send(Message::Close(Some(frame))).await;
                            return;
                        }
                        assert_eq!(said["payload"]["variables"]["uploadId"], "u1");
                        fake.subscriptions.fetch_add(1, Ordering::SeqCst);
                        continue;
                    }
                    other => panic!("{other}"),
                }
            }
        };
        if socket.send(Message::text(answer.to_string())).await.is_err() {
            return;
        }
    }
}

fn photo() -> Photo {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, PHOTO).unwrap();
    Photo::read(&path).unwrap()
}

/// What was written, kept for the test.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How it ended, and the events that were told.
async fn told(does: Does) -> (Result<Outcome, Error>, Vec<Value>) {
    let (client, _) = fake(does).await;
    let (client, kept) = (client.with_token("a.b.c").unwrap(), Kept::default());
    let result = flow::send(&client, &photo(), &mut Show::json(kept.clone())).await;
    let kept = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    (result, kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

async fn tried(does: Does) -> Result<Outcome, Error> {
    told(does).await.0
}

fn words(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_photo_that_is_analysed_ends_completed_and_its_events_are_watched_before() {
    let (result, events) = told(Does::Well).await;
    assert_eq!(result.unwrap(), Outcome::Completed);
    assert_eq!(words(&events), ["upload", "uploaded", "confirmed", "started", "progress", "completed"]);
    assert_eq!(events[0]["correlationId"], "c1");
    let last = events.last().unwrap();
    assert_eq!(last["recognitionPayload"]["aggregate"]["name"], "Volvo EC220E");
    assert!(last["milliseconds"].is_u64());
}

#[tokio::test]
async fn an_analysis_that_fails_ends_failed_in_whichever_order_its_events_come() {
    for does in [Does::FailsTheAnalysis, Does::FailsWithTheReasonFirst] {
        let (result, events) = told(does).await;
        assert_eq!(result.unwrap(), Outcome::Failed);
        assert_eq!(words(&events)[3..], ["started", "progress", "failed"]);
        assert_eq!(events.last().unwrap()["reason"], "not a picture");
    }
}

#[tokio::test]
async fn the_connection_for_events_is_kept_alive_while_the_photo_is_sent() {
    assert_eq!(tried(Does::PingsDuringThePut).await.unwrap(), Outcome::Completed);
}

#[tokio::test]
async fn every_refusal_is_told_apart_and_in_the_platforms_words() {
    for (does, says) in [
        (Does::RefusesTheType, "contentType: must be one of image/jpeg"),
        (Does::RefusesTheToken, "the token was refused: the token has expired"),
        (Does::RefusesThePut, "sending the photo was 403 Forbidden: the URL has expired"),
        (Does::ClosesTheSocket, "the token was refused: the token has expired"),
        (Does::AnswersNonsense, "confirming the upload was 502 Bad Gateway: <html>"),
    ] {
        let error = tried(does).await.unwrap_err();
        assert!(error.to_string().contains(says), "{does:?}: {error}");
        assert!(!super::trouble::of(&error, "https://localhost:8443").fix.is_empty());
    }
}

#[tokio::test]
async fn the_development_issuer_is_asked_in_its_own_form_and_may_be_absent() {
    let (client, _) = fake(Does::Well).await;
    assert_eq!(client.development_token("Jörg & Co").await.unwrap(), "a.b.c");
    let (client, _) = fake(Does::HasNoIssuer).await;
    assert!(matches!(client.development_token("x").await, Err(Error::NoIssuer)));
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_said_to_be_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{free}"), Connector::new(None).unwrap()).unwrap();
    let error = client.watch().await.err().unwrap();
    let trouble = super::trouble::of(&error, "x");
    assert!(trouble.what.contains("nobody answers") && trouble.fix.contains("make run"), "{}", trouble.what);
}

#[tokio::test]
async fn events_carry_what_they_tell() {
    let (client, fake) = fake(Does::Well).await;
    let mut watch = client.with_token("t").unwrap().watch().await.unwrap();
    watch.subscribe("u1").await.unwrap();
    fake.events.send(("failed", json!({ "reason": "because", "uploadId": "u1" }))).unwrap();
    let event = watch.next().await.unwrap();
    assert_eq!((event.kind, event.text("reason"), event.succeeded()), (Kind::Failed, Some("because"), false));
}

#[test]
fn a_token_goes_to_a_platform_over_tls_or_not_at_all() {
    let connector = || Connector::new(None).unwrap();
    for good in ["https://localhost:8443", "https://p.example/", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert!(Client::new(good, connector()).is_ok(), "{good}");
    }
    for bad in
        ["", "localhost:8443", "http://p.example", "ftp://localhost", "https://p.example/graphql", "https://"]
    {
        assert!(Client::new(bad, connector()).is_err(), "{bad}");
    }
    let client = Client::new("https://p.example", connector()).unwrap();
    assert!(matches!(client.with_token("a\nb"), Err(Error::Token)));
}
