//! Events over server-sent events, and one action followed from the client's header to the last
//! event and through every component's log.

use std::collections::BTreeSet;

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use monopod_tests::client::Upload;
use monopod_tests::stream::{Event, Stream};
use serde_json::{Value, json};

use crate::support::{ENDED, House, Phone, sample, small, trackunit};

#[tokio::test]
async fn a_subscription_over_server_sent_events_delivers_live_and_late() {
    let house = trackunit().await;
    let phone = house.phone("traces.stream").await;
    let photo = sample("excavator-tagged.jpg");
    let begun = phone.start(&photo).await;
    let mut live = Stream::open(&phone.client, ENDED, json!({ "uploadId": begun.id })).await;
    assert!(live.streams(), "{:?} {:?}", live.status, live.headers);
    assert_eq!(live.headers["cache-control"], "no-store");
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
    let event = live.next().await.unwrap();
    let completed = &event.data["data"]["onAnalysisCompleted"];
    assert_eq!((event.kind.as_str(), &completed["uploadId"]), ("next", &json!(begun.id)));
    assert_eq!(completed["recognitionPayload"]["aggregate"]["name"], "Volvo EC220E");
    let mut late = Stream::open(&phone.client, ENDED, json!({ "uploadId": begun.id })).await;
    assert_eq!(late.next().await, Some(event));
    // A stream with no argument goes on for as long as the client wants.
    let mut all = Stream::open(&phone.client, ENDED, json!({})).await;
    for _ in 0..2 {
        let begun = phone.send(&small()).await;
        let event = all.next().await.unwrap();
        assert_eq!(event.data["data"]["onAnalysisCompleted"]["uploadId"], json!(begun.id));
    }
}

#[tokio::test]
async fn a_query_over_server_sent_events_is_answered_once_and_complete() {
    let house = trackunit().await;
    let client = house.anybody();
    let mut stream = Stream::open(&client, "{ ping }", json!({})).await;
    let answer = Event { kind: "next".to_owned(), data: json!({ "data": { "ping": "pong" } }) };
    assert_eq!(stream.next().await, Some(answer));
    assert_eq!(stream.next().await, Some(Event { kind: "complete".to_owned(), data: Value::Null }));
    assert_eq!(stream.next().await, None);
}

/// A document with ids of the client's own; the answer's data, after its header was compared.
async fn traced(house: &House, phone: &Phone, ids: (&str, &str), document: &str, variables: Value) -> Value {
    let (action, trace) = ids;
    let request = Request::post(house.at("/graphql"))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", phone.client.token().unwrap()))
        .header("x-correlation-id", action)
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .body(Full::from(json!({ "query": document, "variables": variables }).to_string()))
        .unwrap();
    let answer = phone.client.send(request).await.unwrap();
    assert_eq!(answer.headers()["x-correlation-id"], action);
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(body["errors"].is_null(), "{body}");
    body["data"].clone()
}

#[tokio::test]
async fn a_clients_action_and_trace_are_found_in_answers_events_and_every_components_log() {
    const START: &str = "mutation { startUpload(filename: \"a.jpg\", contentType: \"image/jpeg\") {
        correlationId imageUploadPayload { uploadId putUrl } } }";
    let house = trackunit().await;
    let phone = house.phone("traces.client").await;
    let photo = sample("excavator-tagged.jpg");
    let action = format!("journey.{}", uuid::Uuid::new_v4().simple());
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let mut socket = phone.socket().await;
    let events = ["Started", "Progress", "Completed"];
    for event in events {
        let document = format!(
            "subscription ($id: String) {{ onAnalysis{event}(correlationId: $id) {{ correlationId }} }}"
        );
        socket.subscribe(event, &document, json!({ "id": action })).await;
    }

    let started = traced(&house, &phone, (&action, &trace), START, json!({})).await;
    let begun = &started["startUpload"];
    assert_eq!(begun["correlationId"], action);
    let text = |name: &str| begun["imageUploadPayload"][name].as_str().unwrap().to_owned();
    let upload = Upload { id: text("uploadId"), put_url: text("putUrl") };
    phone.client.put(&upload, "image/jpeg", photo.bytes.clone()).await.unwrap();
    // The confirmation is another request and has a name of its own; what it sets off belongs
    // to the upload's action all the same, and to the trace of this request.
    let confirmation = format!("{action}.confirm");
    let variables = monopod_tests::client::confirmation(&upload, &photo.bytes);
    let document = monopod_tests::client::CONFIRM;
    traced(&house, &phone, (&confirmation, &trace), document, variables).await;
    for event in events {
        assert_eq!(socket.event(event).await, json!({ "correlationId": action }), "{event}");
    }

    // One line for each call of a component, each with component, correlation and trace.
    let of = |line: &Value, id: &str| line["correlation"] == id && line["component"].is_string();
    let last = |line: &Value| {
        line["component"] == "orchestrator"
            && line["cause"].as_str().is_some_and(|it| it.starts_with("message"))
    };
    house.logged("line of the last call", |line| of(line, &action) && last(line)).await;
    let lines = house.logged("line of the action", |line| of(line, &action)).await;
    assert!(lines.iter().all(|line| line["trace"] == trace), "{lines:?}");
    let called: BTreeSet<_> = lines.iter().map(|line| line["component"].as_str().unwrap()).collect();
    assert_eq!(called, BTreeSet::from(["ingestion", "orchestrator", "storage", "vision-adapter"]));
    let lines = house.logged("line of the confirmation", |line| of(line, &confirmation)).await;
    assert!(lines.iter().all(|line| line["component"] == "ingestion" && line["trace"] == trace), "{lines:?}");
}

#[tokio::test]
async fn an_id_that_is_none_is_replaced_and_never_repeated() {
    let house = trackunit().await;
    let client = house.anybody();
    for bad in ["a b", "x\"y", "a/b", &"x".repeat(65)] {
        let request = Request::get(house.at("/health/live")).header("x-correlation-id", bad);
        let answer = client.send(request.body(Full::default()).unwrap()).await.unwrap();
        let id = answer.headers()["x-correlation-id"].to_str().unwrap();
        assert!(id.len() == 32 && id != bad, "{bad}: {id}");
    }
}
