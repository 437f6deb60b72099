//! GraphQL over HTTP: what the audits of `graphql-http` ask, and what they leave out.

use ::http::{Method, Request};
use axum::body::Body;
use serde_json::json;

use super::support::{Answer, Host, host};

const JSON: &str = "application/json";
const RESPONSE: &str = "application/graphql-response+json";

async fn pong() -> Host {
    host(|seen| match seen.line.as_str() {
        "GET /ping" => Answer::Json(200, r#"{"pong":"pong"}"#),
        _ => Answer::Json(200, r#"{"value":1}"#),
    })
    .await
}

fn post(content_type: Option<&str>, accept: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/graphql");
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    request.body(body.into()).unwrap()
}

fn get(query: &str, accept: &str) -> Request<Body> {
    Request::get(format!("/graphql?{query}")).header("accept", accept).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn the_media_type_is_the_one_the_client_prefers() {
    let host = pong().await;
    for (accept, content_type) in [
        (Some(RESPONSE), RESPONSE),
        (Some(JSON), JSON),
        (Some("*/*"), JSON),
        (None, JSON),
        (Some("application/graphql-response+json, application/json;q=0.9"), RESPONSE),
        (Some("text/html, application/json;q=0.1"), JSON),
    ] {
        let got = host.send(post(Some(JSON), accept, r#"{"query":"{ping}"}"#)).await;
        assert_eq!((got.status, got.body.as_str()), (200, r#"{"data":{"ping":"pong"}}"#), "{accept:?}");
        assert_eq!(got.headers["content-type"], format!("{content_type}; charset=utf-8"), "{accept:?}");
    }
    let got = host.send(post(Some(JSON), Some("text/html"), r#"{"query":"{ping}"}"#)).await;
    assert_eq!(got.status, 406);
}

#[tokio::test]
async fn a_request_declares_json_in_utf_8() {
    let host = pong().await;
    for (content_type, status) in [
        (Some(JSON), 200),
        (Some("application/json; charset=utf-8"), 200),
        (Some("Application/JSON;charset=\"UTF-8\""), 200),
        (Some("application/json; charset=iso-8859-1"), 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
        (Some("application/graphql"), 415),
        (None, 415),
    ] {
        let got = host.send(post(content_type, None, r#"{"query":"{ping}"}"#)).await;
        assert_eq!(got.status, status, "{content_type:?}");
    }
    // A GET that a form could send (XS-Search) is refused as well.
    let request = Request::get("/graphql?query={ping}")
        .header("content-type", "text/plain")
        .body(Body::empty())
        .unwrap();
    assert_eq!(host.send(request).await.status, 415);
}

#[tokio::test]
async fn parameters_that_are_not_of_their_type_are_refused_in_both_media_types() {
    let host = pong().await;
    for accept in [JSON, RESPONSE] {
        for body in [
            "",
            "{",
            "\u{0}",
            "null",
            "7",
            "\"x\"",
            "{}",
            r#"{"query":null}"#,
            r#"{"query":7}"#,
            r#"{"query":{}}"#,
            r#"{"query":[]}"#,
            r#"{"query":true}"#,
            r#"{"query":"{ping}","operationName":7}"#,
            r#"{"query":"{ping}","operationName":{}}"#,
            r#"{"query":"{ping}","variables":7}"#,
            r#"{"query":"{ping}","variables":"{}"}"#,
            r#"{"query":"{ping}","variables":[]}"#,
            r#"{"query":"{ping}","extensions":7}"#,
            r#"{"query":"{ping}","extensions":[]}"#,
            r#"[{"query":"{ping}"},{"query":"{ping}"}]"#,
        ] {
            let got = host.send(post(Some(JSON), Some(accept), body)).await;
            assert_eq!((got.status, got.code().as_str()), (400, "BAD_REQUEST"), "{accept} {body}");
        }
        let got = host.send(post(Some(JSON), Some(accept), b"{\"query\":\"\xff\"}".to_vec())).await;
        assert_eq!(got.status, 400);
        let batch = host.send(post(Some(JSON), Some(accept), "[]")).await;
        assert!(batch.body.contains("one operation per request"), "{}", batch.body);
        for body in [
            r#"{"query":"{ping}","operationName":null,"variables":null,"extensions":null}"#,
            r#"{"query":"{ping}","operationName":"","variables":{},"extensions":{"a":1},"other":7}"#,
            r#"{"query":"query A {ping} query B {maybe}","operationName":"A"}"#,
            "\u{feff}{\"query\":\"{ping}\"}",
            r#"{"query":"{maybe}","query":"{ping}"}"#,
        ] {
            let got = host.send(post(Some(JSON), Some(accept), body)).await;
            assert_eq!(
                (got.status, got.body.as_str()),
                (200, r#"{"data":{"ping":"pong"}}"#),
                "{accept} {body}"
            );
        }
    }
}

#[tokio::test]
async fn errors_of_graphql_are_400_only_where_the_media_type_says_so() {
    let host = pong().await;
    for (body, code) in [
        (json!({"query": "{"}), "GRAPHQL_PARSE_FAILED"),
        (json!({"query": "{nothing}"}), "GRAPHQL_VALIDATION_FAILED"),
        (json!({"query": "query($id: String!){echo(text: $id)}"}), "BAD_USER_INPUT"),
        (json!({"query": "query A {ping} query B {ping}"}), "OPERATION_RESOLUTION_FAILURE"),
        (json!({"query": "query A {ping}", "operationName": "C"}), "OPERATION_RESOLUTION_FAILURE"),
    ] {
        for (accept, status) in [(JSON, 200), (RESPONSE, 400)] {
            let got = host.send(post(Some(JSON), Some(accept), body.to_string())).await;
            assert_eq!((got.status, got.code().as_str()), (status, code), "{accept} {body}");
            assert!(got.json().get("data").is_none());
        }
    }
    let got = host.send(post(Some(JSON), Some(RESPONSE), r#"{"query":"{\n  ping\n  nothing\n}"}"#)).await;
    assert_eq!(got.json()["errors"][0]["locations"], json!([{"line": 3, "column": 3}]));
}

#[tokio::test]
async fn get_answers_queries_and_nothing_that_changes_anything() {
    let host = pong().await;
    for (query, body) in [
        ("query=%7Bping%7D", r#"{"data":{"ping":"pong"}}"#),
        ("query=query+A%7Bping%7Dquery+B%7Bmaybe%7D&operationName=A", r#"{"data":{"ping":"pong"}}"#),
        (
            "query=query(%24a:Boolean!)%7Bping+b:ping@skip(if:%24a)%7D&variables=%7B%22a%22:true%7D&extensions=%7B%7D",
            r#"{"data":{"ping":"pong"}}"#,
        ),
        ("query=%7Bping%7D&operationName=&variables=", r#"{"data":{"ping":"pong"}}"#),
    ] {
        for accept in [JSON, RESPONSE] {
            let got = host.send(get(query, accept)).await;
            assert_eq!((got.status, got.body.as_str()), (200, body), "{query}");
        }
    }
    for query in [
        "",
        "query=%7Bping%7D&variables=7",
        "query=%7Bping%7D&variables=%7B",
        "query=%7Bping%7D&query=%7Bping%7D",
    ] {
        assert_eq!(host.send(get(query, JSON)).await.status, 400, "{query}");
    }
    let calls = host.lines().len();
    let got = host.send(get("query=mutation%7Bcount%7D", JSON)).await;
    assert_eq!((got.status, got.headers["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(host.lines().len(), calls);
}

#[tokio::test]
async fn other_methods_and_sizes_are_refused_by_name() {
    let host = pong().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Request::builder().method(method.clone()).uri("/graphql").body(Body::empty()).unwrap();
        let got = host.send(request).await;
        assert_eq!((got.status, got.headers["allow"].to_str().unwrap()), (405, "GET, POST"), "{method}");
    }
    let long = format!(r#"{{"query":"{{ping}}","x":"{}"}}"#, "x".repeat(300 << 10));
    assert_eq!(host.send(post(Some(JSON), None, long)).await.status, 413);
    let got =
        host.send(post(Some(JSON), None, r#"{"query":"subscription{onAnalysisStarted{objectKey}}"}"#)).await;
    assert_eq!(got.status, 401);
    let request = Request::post("/graphql")
        .header("content-type", JSON)
        .header("authorization", "Bearer ada")
        .body(Body::from(r#"{"query":"subscription{onAnalysisStarted{objectKey}}"}"#))
        .unwrap();
    let got = host.send(request).await;
    assert_eq!((got.status, got.code().as_str()), (400, "SUBSCRIPTION_NOT_STREAMABLE"));
}

#[tokio::test]
async fn a_request_without_a_context_is_anonymous() {
    use tower::ServiceExt;
    let host = pong().await;
    for (query, status) in [(r#"{"query":"{ping}"}"#, 200), (r#"{"query":"{admin{value}}"}"#, 401)] {
        let response = host.graph.router().oneshot(post(Some(JSON), None, query)).await.unwrap();
        assert_eq!(response.status(), status, "{query}");
    }
}

#[tokio::test]
async fn a_swapped_schema_answers_the_next_request() {
    let host = pong().await;
    assert_eq!(host.ask("{ping}").await, r#"{"data":{"ping":"pong"}}"#);
    let sdl = r#"type Query { other: String @connect(http: {GET: "/ping"}, selection: "$.pong") }"#;
    host.graph.swap(super::support::schema(sdl, &super::support::settings()));
    assert_eq!(host.ask("{other}").await, r#"{"data":{"other":"pong"}}"#);
    assert!(host.ask("{ping}").await.contains("GRAPHQL_VALIDATION_FAILED"));
}
