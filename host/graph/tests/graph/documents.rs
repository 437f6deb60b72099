//! Trusted documents, documents registered by clients, and several operations in one request.

use monopod_graph::Trusted;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::socket::connect;
use super::support::{Answer, Got, Host, SDL, host_with, settings};

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

async fn house(documents: Trusted, max_batch: usize) -> Host {
    let mut settings = settings();
    (settings.documents, settings.max_batch) = (documents, max_batch);
    host_with(SDL, settings, |_| Answer::Json(200, r#"{"pong":"pong","value":1}"#)).await
}

async fn post(host: &Host, body: &Value) -> Got {
    let request = ::http::Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    host.send(request.body(body.to_string().into()).unwrap()).await
}

fn trusted(required: bool) -> Trusted {
    Trusted { documents: vec!["{ping}".into(), "{maybe}".into()], required, automatic: false }
}

const PONG: &str = r#"{"data":{"ping":"pong"}}"#;

#[tokio::test]
async fn where_trusted_documents_are_required_nothing_else_is_answered_whatever_the_way() {
    let host = house(trusted(true), 5).await;
    let id = format!("sha256:{}", digest("{ping}"));
    let other = digest("{ping }");
    assert_eq!(post(&host, &json!({"documentId": id})).await.body, PONG);
    assert_eq!(post(&host, &json!({"query": "{ping}"})).await.body, PONG);
    for body in [
        json!({"query": "{ping }"}),
        json!({"documentId": format!("sha256:{other}")}),
        json!({"query": "{ping }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": other}}}),
        json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": other}}}),
    ] {
        let got = post(&host, &body).await;
        assert_eq!((got.status, got.code().as_str()), (400, "UNKNOWN_DOCUMENT"), "{body}");
        let got = post(&host, &json!([body])).await;
        assert!(got.body.contains("UNKNOWN_DOCUMENT"), "{}", got.body);
    }
    let get = |query: &str| ::http::Request::get(format!("/graphql?{query}")).body("".into()).unwrap();
    assert_eq!(host.send(get(&format!("documentId={id}"))).await.body, PONG);
    assert!(host.send(get("query=%7Bping%20%7D")).await.body.contains("UNKNOWN_DOCUMENT"));
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "{ping }", Value::Null).await;
    assert_eq!(client.next().await["payload"][0]["extensions"]["code"], "UNKNOWN_DOCUMENT");
    client.send(json!({"id": "2", "type": "subscribe", "payload": {"documentId": id}})).await;
    assert_eq!(client.next().await["payload"], json!({"data": {"ping": "pong"}}));
}

#[tokio::test]
async fn a_document_is_registered_by_its_digest_if_it_is_good_and_that_is_allowed() {
    let host = house(Trusted { automatic: true, ..Trusted::default() }, 0).await;
    let hash = |text: &str| json!({"persistedQuery": {"version": 1, "sha256Hash": digest(text)}});
    let got = post(&host, &json!({"extensions": hash("{ping}")})).await;
    assert_eq!(
        (got.code().as_str(), got.json()["errors"][0]["message"].as_str()),
        ("PERSISTED_QUERY_NOT_FOUND", Some("PersistedQueryNotFound"))
    );
    let got = post(&host, &json!({"query": "{ping}", "extensions": hash("{maybe}")})).await;
    assert_eq!(got.code(), "BAD_REQUEST");
    assert_eq!(post(&host, &json!({"query": "{ping}", "extensions": hash("{ping}")})).await.body, PONG);
    assert_eq!(post(&host, &json!({"extensions": hash("{ping}")})).await.body, PONG);
    // What is not valid is not kept.
    assert_eq!(
        post(&host, &json!({"query": "{no}", "extensions": hash("{no}")})).await.code(),
        "GRAPHQL_VALIDATION_FAILED"
    );
    assert_eq!(post(&host, &json!({"extensions": hash("{no}")})).await.code(), "PERSISTED_QUERY_NOT_FOUND");
    // Without leave, clients are told to send the document.
    let host = house(trusted(false), 0).await;
    assert_eq!(post(&host, &json!({"query": "{ping }", "extensions": hash("{ping }")})).await.body, PONG);
    assert_eq!(
        post(&host, &json!({"extensions": hash("{ping }")})).await.code(),
        "PERSISTED_QUERY_NOT_SUPPORTED"
    );
    assert_eq!(post(&host, &json!({"extensions": hash("{ping}")})).await.body, PONG);
    for bad in [
        json!({"documentId": 7}),
        json!({"documentId": "7"}),
        json!({"extensions": {"persistedQuery": {"version": 1}}}),
    ] {
        assert_eq!(post(&host, &bad).await.code(), "BAD_REQUEST", "{bad}");
    }
}

#[tokio::test]
async fn several_operations_in_one_request_are_bounded_and_answered_in_their_order() {
    let host = house(Trusted::default(), 3).await;
    let one = |query: &str| json!({ "query": query });
    let got = post(&host, &json!([one("{ping}"), one("{no}"), one("mutation{count(by: 1)}")])).await;
    let answers = got.json();
    assert_eq!((got.status, answers.as_array().unwrap().len()), (200, 3));
    assert_eq!(answers[0], json!({"data": {"ping": "pong"}}));
    assert_eq!(answers[1]["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(answers[2], json!({"data": {"count": 1}}));
    assert_eq!(host.lines(), ["GET /ping", "POST /count"]);
    let got = post(&host, &json!(vec![one("{ping}"); 4])).await;
    assert_eq!((got.status, got.code().as_str()), (400, "LIMIT_EXCEEDED"));
    assert_eq!(post(&host, &json!([])).await.code(), "BAD_REQUEST");
    let got = post(
        &host,
        &json!([one("subscription{onAnalysisCompleted{uploadId}}"), one("{upload(id: \"u\"){state}}"), 7]),
    )
    .await;
    assert!(got.body.contains("UNAUTHENTICATED"), "{}", got.body);
    assert_eq!(host.lines().len(), 2);
}
