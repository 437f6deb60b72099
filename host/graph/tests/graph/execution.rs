//! Execution by the specification: order, nulls, paths, coercion, one call for equal calls.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::support::{Answer, Host, Seen, host};

fn world(seen: &Seen) -> Answer {
    match seen.line.as_str() {
        "GET /ping" => Answer::Json(200, r#"{"pong":"pong"}"#),
        "GET /maybe" => Answer::Json(200, r#"{"pong":null}"#),
        "POST /echo" => Answer::Json(200, "$echo"),
        "GET /v1/uploads/u1/status" => Answer::Json(
            200,
            r#"{"state":"RED","uploadId":"u1","owner":{"name":"Ada","email":null},"parts":[{"number":1,"size":9007199254740993},{"number":2}],"secret":1}"#,
        ),
        "GET /v1/uploads" => Answer::Json(
            200,
            r#"{"items":[{"uploadId":"u1","state":"RED"},{"uploadId":"u2","state":"GREEN"},{"uploadId":"u3","state":"BLUE","parts":[{"number":"x"}]}]}"#,
        ),
        "GET /strict" => Answer::Json(200, r#"{"a":1,"b":0.5,"inner":{"value":{"c":"deep"}}}"#),
        "POST /count" => Answer::Json(200, r#"{"value":1}"#),
        "POST /v1/uploads/start" => Answer::Json(
            200,
            r#"{"uploadId":"u1","key":"images/a.jpg","putUrl":"https://x/y","expiresAt":"2026-11-23T10:00:00Z"}"#,
        ),
        _ => Answer::Json(404, r#"{"error":"No such thing."}"#),
    }
}

async fn check(host: &Host, query: &str, expected: &str) {
    assert_eq!(host.ask(query).await, expected, "{query}");
}

#[tokio::test]
async fn answers_are_written_in_the_order_of_the_selection() {
    let host = host(world).await;
    for (query, expected) in [
        ("{ping}", r#"{"data":{"ping":"pong"}}"#),
        (
            "{__typename b: ping a: ping __typename}",
            r#"{"data":{"__typename":"Query","b":"pong","a":"pong"}}"#,
        ),
        ("{maybe}", r#"{"data":{"maybe":null}}"#),
        (
            r#"{upload(id:"u1"){state uploadId owner{email name} parts{size number __typename}}}"#,
            r#"{"data":{"upload":{"state":"RED","uploadId":"u1","owner":{"email":null,"name":"Ada"},"parts":[{"size":9007199254740993,"number":1,"__typename":"Part"},{"size":null,"number":2,"__typename":"Part"}]}}}"#,
        ),
        (
            "{strict{constant nested{c} b a}}",
            r#"{"data":{"strict":{"constant":true,"nested":{"c":"deep"},"b":0.5,"a":1}}}"#,
        ),
        (
            r#"mutation{startUpload(filename:"a.jpg",contentType:"image/jpeg"){imageUploadPayload{expiresAt key}correlationId}}"#,
            r#"{"data":{"startUpload":{"imageUploadPayload":{"expiresAt":"2026-11-23T10:00:00Z","key":"images/a.jpg"},"correlationId":"c-request"}}}"#,
        ),
    ] {
        check(&host, query, expected).await;
    }
}

#[tokio::test]
async fn fragments_and_repeated_fields_are_merged() {
    let host = host(world).await;
    for (query, expected) in [
        (
            r#"{upload(id:"u1"){...A ...on Upload{owner{email}} ...A}} fragment A on Upload{uploadId owner{...B}} fragment B on Owner{name}"#,
            r#"{"data":{"upload":{"uploadId":"u1","owner":{"name":"Ada","email":null}}}}"#,
        ),
        (
            r#"{upload(id:"u1"){uploadId} ping upload(id:"u1"){state}}"#,
            r#"{"data":{"upload":{"uploadId":"u1","state":"RED"},"ping":"pong"}}"#,
        ),
    ] {
        check(&host, query, expected).await;
    }
}

#[tokio::test]
async fn skip_and_include_decide_at_each_occurrence() {
    let host = host(world).await;
    let query = r#"query($y: Boolean!, $n: Boolean!) {
        a: ping @include(if: $n) b: ping @skip(if: $n) c: ping @skip(if: true) d: maybe @include(if: $y) @skip(if: $y)
        strict @include(if: $y) { a } ... on Query @include(if: $n) { strict { b } } ...F @skip(if: $y) ...F @include(if: $y)
    } fragment F on Query { f: maybe }"#;
    let got = host.post(Some("ada"), query, json!({"y": true, "n": false})).await;
    assert_eq!(got.body, r#"{"data":{"b":"pong","strict":{"a":1},"f":null}}"#);
    let got = host.post(Some("ada"), query, json!({"y": false, "n": true})).await;
    assert_eq!(got.body, r#"{"data":{"a":"pong","strict":{"b":0.5},"f":null}}"#);
}

#[tokio::test]
async fn a_null_goes_up_to_the_nearest_field_that_may_be_null() {
    let host = host(|seen| match seen.line.as_str() {
        "GET /ping" => Answer::Json(200, r#"{"pong":null}"#),
        "GET /strict" => Answer::Json(200, r#"{"b":"x","inner":{"value":{}}}"#),
        _ => world(seen),
    })
    .await;
    for (query, data, paths) in [
        ("{maybe ping}", Value::Null, vec![json!(["ping"])]),
        ("{strict{a}}", json!({"strict": null}), vec![json!(["strict", "a"])]),
        (
            "{strict{b constant}}",
            json!({"strict": {"b": null, "constant": true}}),
            vec![json!(["strict", "b"])],
        ),
        ("{s: strict{n: nested{x: c}}}", json!({"s": {"n": null}}), vec![json!(["s", "n", "x"])]),
        ("{search{uploadId state}}", Value::Null, vec![json!(["search", 1, "state"])]),
        (
            "{search{uploadId parts{number}}}",
            json!({"search": [{"uploadId": "u1", "parts": null}, {"uploadId": "u2", "parts": null}, {"uploadId": "u3", "parts": null}]}),
            vec![json!(["search", 2, "parts", 0, "number"])],
        ),
    ] {
        let got: Value = serde_json::from_str(&host.ask(query).await).unwrap();
        assert_eq!(got["data"], data, "{query}");
        let found: Vec<Value> =
            got["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
        assert_eq!(found, paths, "{query}");
    }
}

#[tokio::test]
async fn variables_are_coerced_or_refused_before_anything_runs() {
    let host = host(world).await;
    let query =
        "query($t: String, $n: Int, $w: DateTime, $k: Kind, $i: Filter, $g: [String!], $f: Boolean = true) {
        echo(text: $t, number: $n, when: $w, kind: $k, input: $i, tags: $g, flag: $f) }";
    for (variables, expected) in [
        (json!({}), json!({"number": 7, "flag": true})),
        (json!({"t": null, "n": null, "f": null}), json!({"text": null, "number": null, "flag": null})),
        (
            json!({"n": 3.0, "k": "RED", "g": "one"}),
            json!({"number": 3, "flag": true, "kind": "RED", "tags": ["one"]}),
        ),
        (
            json!({"i": {"name": "a", "more": {"name": "b", "size": null}}, "w": "2026-11-23T10:00:00+01:00"}),
            json!({"number": 7, "flag": true, "when": "2026-11-23T10:00:00+01:00",
                   "input": {"name": "a", "size": 3, "more": {"name": "b", "size": null}}}),
        ),
    ] {
        let got = host.post(None, query, variables.clone()).await;
        assert_eq!(got.json()["data"]["echo"], expected, "{variables} {}", got.body);
    }
    let calls = host.lines().len();
    for (variables, message) in [
        (
            json!({"t": 1}),
            r#"Variable "$t" got an invalid value: expected a value of type "String", found a number."#,
        ),
        (
            json!({"n": 1.5}),
            r#"Variable "$n" got an invalid value: expected a value of type "Int", found a number."#,
        ),
        (
            json!({"k": "GREEN"}),
            r#"Variable "$k" got an invalid value: expected a value of type "Kind", found a string."#,
        ),
        (
            json!({"w": "today"}),
            r#"Variable "$w" got an invalid value: expected a value of type "DateTime", found a string."#,
        ),
        (
            json!({"g": ["a", null]}),
            r#"Variable "$g" got an invalid value at "1": expected non-nullable type "String!" not to be null."#,
        ),
        (
            json!({"i": {}}),
            r#"Variable "$i" got an invalid value at "name": a value of required type "String!" was not provided."#,
        ),
        (
            json!({"i": {"name": "a", "nam": 1}}),
            r#"Variable "$i" got an invalid value: field "nam" is not defined by type "Filter"."#,
        ),
    ] {
        let got = host.post(None, query, variables.clone()).await;
        assert_eq!(got.status, 400, "{variables}");
        assert_eq!(got.json()["errors"][0]["message"], message);
        assert_eq!(got.code(), "BAD_USER_INPUT");
        assert!(got.json().get("data").is_none());
    }
    let got = host.post(None, "query($i: String!) { upload(id: $i) { state } }", Value::Null).await;
    assert_eq!(
        got.json()["errors"][0]["message"],
        r#"Variable "$i" of required type "String!" was not provided."#
    );
    assert_eq!(host.lines().len(), calls, "a component was called for a refused request");
}

#[tokio::test]
async fn literals_reach_components_as_they_are_meant() {
    let host = host(world).await;
    for (arguments, expected) in [
        (r#"text: "a\"b", flag: false"#, json!({"text": "a\"b", "number": 7, "flag": false})),
        ("kind: BLUE, tags: \"x\"", json!({"number": 7, "kind": "BLUE", "tags": ["x"]})),
        (r#"number: null, input: {name: "n"}"#, json!({"number": null, "input": {"name": "n", "size": 3}})),
    ] {
        let got: Value = serde_json::from_str(&host.ask(&format!("{{echo({arguments})}}")).await).unwrap();
        assert_eq!(got["data"]["echo"], expected, "{arguments}");
    }
    for bad in
        ["kind: \"BLUE\"", "number: 1.5", "when: \"x\"", "input: {}", "nothing: 1", "number: 3000000000"]
    {
        let got = host.post(None, &format!("{{echo({bad})}}"), Value::Null).await;
        assert_eq!(
            (got.status, got.code().as_str()),
            (400, "GRAPHQL_VALIDATION_FAILED"),
            "{bad}: {}",
            got.body
        );
    }
    let got = host
        .post(
            None,
            "query($n: String!, $s: Int) {echo(input: {name: $n, size: $s}, tags: [$n, \"b\"])}",
            json!({"n": "v"}),
        )
        .await;
    assert_eq!(
        got.json()["data"]["echo"],
        json!({"number": 7, "input": {"name": "v", "size": 3}, "tags": ["v", "b"]})
    );
}

#[tokio::test]
async fn siblings_run_at_once_and_equal_calls_once() {
    let host = host(world).await;
    host.fakes.together.store(3, Ordering::SeqCst);
    let query = r#"{a: ping b: ping maybe one: upload(id:"u1"){state} two: upload(id:"u1"){uploadId}}"#;
    let got: Value = serde_json::from_str(&host.ask(query).await).unwrap();
    assert_eq!(got["data"]["two"]["uploadId"], "u1");
    let mut lines = host.lines();
    lines.sort();
    assert_eq!(lines, ["GET /maybe", "GET /ping", "GET /v1/uploads/u1/status"]);
    assert_eq!(host.fakes.most_open.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn mutations_run_one_after_another_each_key_once() {
    let host = host(world).await;
    let got = host.ask("mutation{a: count(by: 1) b: count(by: 1) a: count(by: 1) c: count(by: 2)}").await;
    assert_eq!(got, r#"{"data":{"a":1,"b":1,"c":1}}"#);
    let bodies: Vec<String> = host.fakes.seen.lock().unwrap().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies, [r#"{"by":1}"#, r#"{"by":1}"#, r#"{"by":2}"#]);
    assert_eq!(host.fakes.most_open.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn after_a_mutation_that_must_have_a_value_failed_no_other_begins() {
    let host = host(|seen| match seen.line.as_str() {
        "POST /v1/uploads/confirm" => Answer::Json(404, "{}"),
        _ => world(seen),
    })
    .await;
    let query = r#"mutation{a: count confirmUpload(uploadId:"u",bytes:1,checksum:"x"){status} b: count}"#;
    let got = host.post(Some("ada"), query, Value::Null).await;
    assert_eq!((got.status, got.json()["data"].clone()), (200, Value::Null));
    assert_eq!(got.json()["errors"][0]["path"], json!(["confirmUpload"]));
    assert_eq!(host.lines(), ["POST /count", "POST /v1/uploads/confirm"]);
}

#[tokio::test]
async fn a_components_refusal_reaches_the_client_and_its_failure_does_not() {
    let host = host(|seen| match seen.line.as_str() {
        "POST /v1/uploads/start" => {
            Answer::Json(422, r#"{"errors":{"filename":["Required"],"contentType":["not allowed"]}}"#)
        }
        "GET /maybe" => Answer::Json(500, "<html>stack at secret.rs:7</html>"),
        "GET /ping" => Answer::Trap,
        "GET /strict" => Answer::Json(200, "<html>not JSON</html>"),
        "POST /count" => Answer::Json(204, ""),
        _ => world(seen),
    })
    .await;
    let query = r#"mutation{startUpload(filename:"",contentType:"x"){correlationId}}"#;
    let got = host.post(Some("ada"), query, Value::Null).await;
    let extensions = json!({"code": "UNPROCESSABLE", "http": {"status": 422},
                            "errors": {"filename": ["Required"], "contentType": ["not allowed"]}});
    assert_eq!(got.json()["errors"][0]["extensions"], extensions);
    for query in ["{maybe}", "{ping}", "{strict{a}}"] {
        let got = host.ask(query).await;
        assert!(!got.contains("secret") && !got.contains("html"), "{got}");
        let got: Value = serde_json::from_str(&got).unwrap();
        assert_eq!(got["errors"][0]["message"], "The service could not answer.");
        assert_eq!(
            got["errors"][0]["extensions"],
            json!({"code": "UPSTREAM_ERROR", "correlationId": "c-request"})
        );
    }
    assert_eq!(host.ask("mutation{count}").await, r#"{"data":{"count":null}}"#);
    let got: Value = serde_json::from_str(&host.ask("{upload(id: \"nobody\"){state}}").await).unwrap();
    assert_eq!(got["errors"][0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(got["errors"][0]["message"], "No such thing.");
    assert_eq!(got["data"], json!({"upload": null}));
}

#[tokio::test]
async fn an_operation_ends_at_its_deadline_and_with_its_client() {
    let host = host(|seen| if seen.line == "GET /ping" { Answer::Hang } else { world(seen) }).await;
    let request = |millis: &str| {
        ::http::Request::post("/graphql")
            .header("content-type", "application/json")
            .header("x-deadline", millis)
            .body(axum::body::Body::from(r#"{"query":"{maybe ping}"}"#))
            .unwrap()
    };
    let got = host.send(request("30")).await;
    assert_eq!((got.status, got.code().as_str()), (200, "TIMED_OUT"));
    assert_eq!(host.fakes.open.load(Ordering::SeqCst), 0);
    let abandoned =
        tokio::time::timeout(std::time::Duration::from_millis(30), host.send(request("60000"))).await;
    assert!(abandoned.is_err());
    assert_eq!(host.fakes.open.load(Ordering::SeqCst), 0, "a call outlived its client");
}

#[tokio::test]
async fn an_argument_cannot_leave_its_place_in_the_path() {
    let host = host(|_| Answer::Json(200, "null")).await;
    for (id, line) in [
        ("../../admin", "GET /v1/uploads/..%2F..%2Fadmin/status"),
        ("@evil.com", "GET /v1/uploads/%40evil.com/status"),
        ("a?b=c#d", "GET /v1/uploads/a%3Fb%3Dc%23d/status"),
        ("a\r\nHost: evil", "GET /v1/uploads/a%0D%0AHost%3A%20evil/status"),
        ("http://evil/", "GET /v1/uploads/http%3A%2F%2Fevil%2F/status"),
        ("%2e%2e", "GET /v1/uploads/%252e%252e/status"),
        ("ä\u{0}", "GET /v1/uploads/%C3%A4%00/status"),
    ] {
        host.fakes.seen.lock().unwrap().clear();
        host.post(Some("ada"), "query($i: String!){upload(id:$i){state}}", json!({"i": id})).await;
        assert_eq!(host.lines(), [line], "{id}");
    }
    for id in ["", ".", ".."] {
        host.fakes.seen.lock().unwrap().clear();
        let got = host.post(Some("ada"), "query($i: String!){upload(id:$i){state}}", json!({"i": id})).await;
        assert_eq!(got.code(), "BAD_USER_INPUT", "{id}");
        assert!(host.lines().is_empty());
    }
    host.fakes.seen.lock().unwrap().clear();
    host.ask(r#"{a: search{state} b: search(text: "a&limit=9", limit: 2){state}}"#).await;
    let mut lines = host.lines();
    lines.sort();
    assert_eq!(lines, ["GET /v1/uploads", "GET /v1/uploads?text=a%26limit%3D9&limit=2"]);
}

#[tokio::test]
async fn the_schema_can_be_asked_for() {
    let host = host(world).await;
    let query = r#"query($n: String!) { ping __schema { queryType { name } directives { name } }
        t: __type(name: $n) { name fields { name isDeprecated } } none: __type(name: "No") { name } }"#;
    let got = host.post(None, query, json!({"n": "Owner"})).await.json();
    assert_eq!(got["data"]["ping"], "pong", "{got}");
    assert_eq!(got["data"]["__schema"]["queryType"]["name"], "Query");
    assert_eq!(got["data"]["t"]["fields"][0], json!({"name": "name", "isDeprecated": false}));
    assert_eq!(got["data"]["none"], Value::Null);
    let names: Vec<&str> = got["data"]["__schema"]["directives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["skip", "include", "deprecated", "specifiedBy"]);
    for _ in 0..2 {
        assert_eq!(
            host.ask("{__type(name: \"Kind\"){kind}}").await,
            r#"{"data":{"__type":{"kind":"ENUM"}}}"#
        );
    }
}
