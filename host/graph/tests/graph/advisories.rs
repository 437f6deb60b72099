//! Advisories about other GraphQL servers, one named test each. GQ6 and GQ8 are in `nested`,
//! the bombs of GQ1 to GQ3 in all their forms in `hostile`.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::socket::connect;
use super::support::{
    Answer, Host, SDL, Seen, completed, contribution, host, host_with, schema, settings, used,
};

/// What a refusal may take of the processor: ten milliseconds are aimed at, and what it is about
/// takes minutes.
const FAST: Duration = Duration::from_millis(500);

fn pong(_: &Seen) -> Answer {
    Answer::Json(200, r#"{"pong":"pong","value":1,"uploadId":"u","state":"RED"}"#)
}

async fn code(host: &Host, query: &str) -> String {
    host.post(Some("ada"), query, Value::Null).await.code()
}

/// The best of some tries: the first fills tables that are built when they are needed.
async fn refused_fast(host: &Host, query: &str) {
    let mut best = Duration::MAX;
    for _ in 0..4 {
        let began = used();
        let got = host.post(Some("ada"), query, Value::Null).await;
        best = best.min(used() - began);
        assert_eq!(got.status / 100, 4, "{}", got.body);
    }
    assert!(best < FAST, "{best:?}");
    assert!(host.lines().is_empty());
}

/// CVE-2025-32030 to 32034, CVE-2025-31496: fragments that multiply, chains, cycles.
#[tokio::test]
async fn gq1_fragments_that_multiply_are_refused_fast() {
    let host = host(pong).await;
    let bomb: String =
        (0..30).map(|n| format!("fragment F{n} on Query{{...F{0} ...F{0} a{n}:ping}} ", n + 1)).collect();
    let got = host.post(None, &format!("{{...F0}} {bomb} fragment F30 on Query{{ping}}"), Value::Null).await;
    assert_eq!(got.status, 200, "each fragment counts once: {}", got.body);
    let host = super::support::host(pong).await;
    let chain: String = (0..10_000).map(|n| format!("fragment F{n} on Query{{...F{}}} ", n + 1)).collect();
    refused_fast(&host, &format!("{{...F0}} {chain} fragment F10000 on Query{{ping}}")).await;
    refused_fast(&host, "{...A ping} fragment A on Query{...B ping} fragment B on Query{...A}").await;
}

/// CVE-2026-40324: nesting that ends the stack, on a stack of 2 MiB as workers have it.
#[test]
fn gq2_nesting_never_reaches_the_end_of_the_stack() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = host(pong).await;
            for depth in [1_000, 10_000, 100_000] {
                for open in ["[", "{a:", "{a"] {
                    for query in [
                        format!("{{ping(x:{}", open.repeat(depth)),
                        format!("query($a:{}", open.repeat(depth)),
                        open.repeat(depth),
                    ] {
                        assert_eq!(host.post(None, &query, Value::Null).await.status / 100, 4);
                    }
                }
                let deep = format!("{{\"query\":\"{{ping}}\",\"variables\":{}", "{\"a\":".repeat(depth));
                let request = ::http::Request::post("/graphql").header("content-type", "application/json");
                assert_eq!(host.send(request.body(deep.into()).unwrap()).await.status / 100, 4);
            }
            assert_eq!(host.ask("{ping}").await, r#"{"data":{"ping":"pong"}}"#);
        });
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

/// CVE-2024-47614: directives without end on one field.
#[tokio::test]
async fn gq3_directives_without_end_are_refused_fast() {
    let host = host(pong).await;
    refused_fast(&host, &format!("{{ping {}}}", "@skip(if:false)".repeat(4_000))).await;
    refused_fast(&host, &format!("{{ping {}}}", "@a ".repeat(20_000))).await;
}

/// Aliases that multiply calls.
#[tokio::test]
async fn gq4_aliases_of_one_call_are_one_call_and_of_many_are_refused() {
    let host = host(pong).await;
    let same: String = (0..100).map(|n| format!("a{n}:ping ")).collect();
    assert_eq!(host.post(None, &format!("{{{same}}}"), Value::Null).await.status, 200);
    assert_eq!(host.lines(), ["GET /ping"]);
    let many: String = (0..60).map(|n| format!("a{n}:search(limit:{n}){{state}} ")).collect();
    assert_eq!(code(&host, &format!("{{{many}}}")).await, "LIMIT_EXCEEDED");
    let more: String = (0..1_000).map(|n| format!("a{n}:ping ")).collect();
    assert_eq!(code(&host, &format!("{{{more}}}")).await, "LIMIT_EXCEEDED");
    assert_eq!(host.lines().len(), 1);
}

/// CVE-2024-39895: a field that is written twice is executed twice.
#[tokio::test]
async fn gq5_a_field_that_stands_twice_is_executed_once() {
    let host = host(pong).await;
    let got = host.ask("mutation{a:count a:count ...F ...{a:count}} fragment F on Mutation{a:count}").await;
    assert_eq!(got, r#"{"data":{"a":1}}"#);
    assert_eq!(host.lines(), ["POST /count"]);
}

/// GHSA-g8jh-vg5j-4h3f: a security directive that is not known is not passed over.
#[test]
fn gq7_a_directive_that_is_not_enforced_is_a_mistake() {
    for directive in ["@auth", "@requiresScope(scopes: [[\"a\"]])", "@Authenticated", "@link(url: \"x\")"] {
        let sdl =
            format!("type Query {{ a: Int {directive} @connect(http: {{GET: \"/a\"}}, selection: \"$\") }}");
        assert!(monopod_graph::compose(&[contribution("a", &sdl)], &settings()).is_err(), "{directive}");
        let sdl = format!("extend schema {directive} {sdl}");
        assert!(monopod_graph::compose(&[contribution("a", &sdl)], &settings()).is_err(), "{directive}");
    }
}

/// apollographql/router#8810: limits and rights that are not looked at for a known plan.
#[tokio::test]
async fn gq9_a_known_plan_is_as_guarded_as_a_new_one_also_after_a_swap() {
    let host = host(pong).await;
    let query = r#"{upload(id:"u"){state}}"#;
    for _ in 0..2 {
        assert_eq!(host.post(Some("ada"), query, Value::Null).await.status, 200);
        assert_eq!(host.post(Some("ada:none"), query, Value::Null).await.status, 403);
        assert_eq!(host.post(None, query, Value::Null).await.status, 401);
    }
    let mut strict = settings();
    strict.max_depth = 1;
    host.graph.swap(schema(SDL, &strict));
    assert_eq!(code(&host, query).await, "LIMIT_EXCEEDED");
}

/// Hive #1422, #1423: what is left out decides nothing about what is asked.
#[tokio::test]
async fn gq10_a_guarded_branch_that_is_not_taken_harms_no_other() {
    let host = host(pong).await;
    for query in [
        "query($no: Boolean = false){ping ...@include(if:$no){admin{value}}}",
        "query($no: Boolean = false){...F @include(if:$no) ping} fragment F on Query{admin{value} both}",
        "{ping admin @skip(if:true){value}}",
    ] {
        let got = host.post(None, query, Value::Null).await;
        assert_eq!((got.status, got.body.as_str()), (200, r#"{"data":{"ping":"pong"}}"#), "{query}");
    }
}

/// Another site's page: what a form can send is no request, and GET changes nothing.
#[tokio::test]
async fn gq11_what_a_form_can_send_is_refused() {
    let host = host(pong).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let request = ::http::Request::post("/graphql").header("content-type", kind);
        let got = host.send(request.body(r#"{"query":"{ping}"}"#.into()).unwrap()).await;
        assert_eq!(got.status, 415, "{kind}");
    }
    let request = ::http::Request::post("/graphql").body(r#"{"query":"{ping}"}"#.into()).unwrap();
    assert_eq!(host.send(request).await.status, 415);
    let request = ::http::Request::get("/graphql?query=mutation%7Bcount%7D").body("".into()).unwrap();
    let got = host.send(request).await;
    assert_eq!((got.status, got.headers["allow"].to_str().unwrap()), (405, "POST"));
    assert!(host.lines().is_empty());
}

/// Overlapping fields take the square of their number, and suggestions tell a hidden schema.
#[tokio::test]
async fn gq12_overlapping_fields_are_bounded_and_a_hidden_schema_stays_hidden() {
    let mut hidden = settings();
    hidden.introspection = false;
    let host = host_with(SDL, hidden, pong).await;
    let fields: String = (0..4_000).map(|_| "ping ").collect();
    let began = used();
    host.post(None, &format!("{{{fields}}}"), Value::Null).await;
    assert!(used() - began < 10 * FAST);
    for query in [
        "{pin}",
        "{ping{a}}",
        "{upload(i:1){state}}",
        "{search{stat state}}",
        "{...F} fragment F on Uplod{state}",
    ] {
        let got = host.post(Some("ada"), query, Value::Null).await.body;
        assert!(!got.to_lowercase().contains("did you mean"), "{got}");
    }
    assert_eq!(
        code(&host, "{__type(name:\"Query\"){fields{type{fields{name}}}}}").await,
        "GRAPHQL_VALIDATION_FAILED"
    );
}

/// Requests forged through templates: an argument stays where it stands.
#[tokio::test]
async fn gq13_an_argument_cannot_leave_its_place() {
    let host = host(pong).await;
    for (id, line) in [
        ("../../admin", "GET /v1/uploads/..%2F..%2Fadmin/status"),
        ("a@evil.example", "GET /v1/uploads/a%40evil.example/status"),
        ("a\r\nHost: evil", "GET /v1/uploads/a%0D%0AHost%3A%20evil/status"),
        ("http://evil.example/", "GET /v1/uploads/http%3A%2F%2Fevil.example%2F/status"),
        ("a?b#c", "GET /v1/uploads/a%3Fb%23c/status"),
    ] {
        let query = "query($id: String!){upload(id: $id){state}}";
        host.post(Some("ada"), query, json!({"id": id})).await;
        assert_eq!(host.lines().last().unwrap(), line);
    }
    for id in ["", ".", ".."] {
        let before = host.lines().len();
        let got =
            host.post(Some("ada"), "query($id: String!){upload(id: $id){state}}", json!({"id": id})).await;
        assert_eq!((got.code().as_str(), host.lines().len()), ("BAD_USER_INPUT", before), "{id:?}");
    }
}

/// Uploads of files are refused: photos go to blobs by a signed URL.
#[tokio::test]
async fn gq14_files_are_not_taken() {
    let host = host(pong).await;
    let body = "--x\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{ping}\"}\r\n--x--\r\n";
    let request = ::http::Request::post("/graphql").header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(host.send(request.body(body.into()).unwrap()).await.status, 415);
}

/// What a component says when it fails is not for clients.
#[tokio::test]
async fn gq15_a_failure_inside_never_reaches_a_client() {
    for (status, body) in
        [(500, "<html>at main.rs:7 secret</html>"), (200, "secret: not JSON"), (502, r#"{"error":"secret"}"#)]
    {
        let host = host(move |_| Answer::Json(status, body)).await;
        let got = host.post(None, "{ping}", Value::Null).await;
        assert_eq!(got.code(), "UPSTREAM_ERROR");
        assert!(!got.body.contains("secret") && !got.body.contains("html"), "{}", got.body);
    }
    let host = host(|_| Answer::Trap).await;
    assert!(!host.ask("{ping}").await.contains("secret.rs"));
}

/// CVE-2026-35523, CVE-2026-35526: operations before the acknowledgement, the legacy protocol,
/// operations without end.
#[tokio::test]
async fn ws1_nothing_runs_before_the_acknowledgement_and_no_more_than_so_many_at_once() {
    let mut few = settings();
    few.max_operations = 3;
    let host = host_with(SDL, few, pong).await;
    let mut client = connect(&host, Some("ada")).await;
    client.subscribe("1", "mutation{count}", Value::Null).await;
    assert_eq!(client.closed().await.0, 4401);
    assert!(host.lines().is_empty());
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    for id in 0..4 {
        client.subscribe(&id.to_string(), "subscription{onAnalysisCompleted{uploadId}}", Value::Null).await;
    }
    let refused = client.next().await;
    assert_eq!((refused["id"].as_str(), refused["type"].as_str()), (Some("3"), Some("error")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
}

/// Sockets opened by another site's page: no cookie speaks for anybody, so they know nobody.
#[tokio::test]
async fn ws2_a_socket_of_another_site_is_nobody() {
    let host = host(pong).await;
    let mut client = connect(&host, None).await;
    client.init().await;
    client.subscribe("1", "subscription{onAnalysisCompleted{uploadId}}", Value::Null).await;
    assert_eq!(client.next().await["payload"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

/// Tokens that end while a socket is open.
#[tokio::test]
async fn ws3_a_socket_ends_with_its_token() {
    let host = host(pong).await;
    let mut client = connect(&host, Some("ada:analysis:1")).await;
    client.init().await;
    client.subscribe("1", "subscription{onAnalysisCompleted{uploadId}}", Value::Null).await;
    assert_eq!(client.closed().await, (4403, "The token has expired".to_owned()));
}

/// Clients that take nothing: bounded, then closed, and others unharmed.
#[tokio::test]
async fn ws4_a_client_that_does_not_keep_up_costs_a_bounded_amount_and_nobody_else() {
    let host = host(pong).await;
    let mut slow = connect(&host, Some("ada")).await;
    slow.init().await;
    slow.subscribe("1", "subscription{onAnalysisCompleted{uploadId}}", Value::Null).await;
    host.topics.watched(1).await;
    // More than topics hold for one watcher, at once.
    for number in 0..100 {
        host.topics.publish(completed("ada", &format!("a{number}")));
    }
    assert_eq!(slow.closed().await.0, 1013);
    let answers = join_all((0..20).map(|_| host.ask("{ping}"))).await;
    assert!(answers.iter().all(|answer| answer == r#"{"data":{"ping":"pong"}}"#));
}

/// GHSA-9q82-xgwf-vj6h: a GET that a page can send without being asked measures answers.
#[tokio::test]
async fn ht7_a_get_that_says_its_body_is_something_else_is_refused() {
    let host = host(pong).await;
    for (kind, status) in
        [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/json", 200)]
    {
        let request = ::http::Request::get("/graphql?query=%7Bping%7D").header("content-type", kind);
        assert_eq!(host.send(request.body("".into()).unwrap()).await.status, status, "{kind}");
    }
}
