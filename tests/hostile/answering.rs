//! Fields of GraphQL that servers outside answer, by a real client over real sockets: what is
//! granted is asked and mapped, what a server says by mistake or on purpose reaches no client, and
//! one that means harm harms one field.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use monopod_core::component::{Limits, Schema};
use monopod_core::context::Context;
use monopod_core::identity::{Authenticator, Principal, Refused, User};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome, Timer};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::size::Size;
use monopod_core::store::{Error as StoreError, Page, Past, Retained};
use monopod_core::{BoxFuture, BoxStream, event, identity, topics};
use monopod_edge::outgoing::Client;
use monopod_graph::{Contribution, Graph, Parts, Service, Settings, compose};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::outgoing::{Names, Server};
use crate::support::client;

/// No component answers here, nothing happens, nobody logs in.
struct Nobody;

impl Components for Nobody {
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        _: http::Request<monopod_core::Body>,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<http::Response<monopod_core::Body>, Error>> {
        Box::pin(async { Err(Error::NotServed(component.clone())) })
    }
    fn deliver<'a>(&'a self, _: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async { Ok(Outcome::Done) })
    }
    fn fire<'a>(&'a self, _: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async { Ok(Outcome::Done) })
    }
}

impl event::Events for Nobody {
    fn watch(&self, _: &[TopicName], _: &identity::Owner) -> BoxStream<'static, event::Event> {
        Box::pin(futures_util::stream::empty())
    }
    fn last<'a>(
        &'a self,
        _: &'a TopicName,
        _: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<topics::Stored>, StoreError>> {
        Box::pin(async { Ok(None) })
    }
    fn since<'a>(&'a self, _: &'a Past) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async { Ok(Page::default()) })
    }
}

impl Authenticator for Nobody {
    fn bearer<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Arc<User>, Refused>> {
        Box::pin(async { Err(Refused::Invalid("nobody has one")) })
    }
}

/// A schema of one component that is granted `/v1/` of this server, at `http://here.test`.
struct House {
    graph: Graph,
}

impl House {
    fn new(server: &Server, fields: &str) -> Self {
        Self::with(server, fields, client(Names::leading(&["127.0.0.1"])), Limits::default())
    }

    fn with(server: &Server, fields: &str, client: Client, limits: Limits) -> Self {
        let text = fields.replace("SERVER", &server.url(""));
        let contribution = Contribution {
            component: "machines".parse().unwrap(),
            schema: Schema { file: "schema.graphql".to_owned(), text },
            may_call: [].into(),
            may_watch: [].into(),
            may_send: [server.grant().parse().unwrap()].into(),
            limits,
        };
        let secret = ("authorization".parse().unwrap(), "Bearer ours".parse().unwrap());
        let service = Service { url: server.url("/v1"), headers: [secret].into() };
        let settings = Settings { services: [("fleet".to_owned(), service)].into(), ..Settings::default() };
        let schema = compose(&[contribution], &settings).unwrap_or_else(|found| panic!("{found:?}"));
        let parts = Parts {
            components: Arc::new(Nobody),
            outgoing: Arc::new(client),
            events: Arc::new(Nobody),
            authenticator: Arc::new(Nobody),
            shutdown: Default::default(),
        };
        Self { graph: Graph::new(schema, parts) }
    }

    async fn ask_within(&self, query: &str, variables: Value, time: Duration) -> Value {
        let body = json!({"query": query, "variables": variables}).to_string();
        let mut request = http::Request::post("/graphql")
            .header("content-type", "application/json")
            .header("authorization", "Bearer the-caller's")
            .body(Body::from(body))
            .unwrap();
        request.extensions_mut().insert(Context::new(Principal::Anonymous, time));
        let response = self.graph.router().oneshot(request).await.unwrap();
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    async fn ask(&self, query: &str) -> Value {
        self.ask_within(query, Value::Null, Duration::from_secs(20)).await
    }

    async fn code(&self, query: &str) -> String {
        let answer = self.ask(query).await;
        assert_eq!(answer["data"]["a"], Value::Null, "{answer}");
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A server that says the same to everybody.
async fn saying(answer: String) -> Server {
    Server::new(move |mut stream| {
        let answer = answer.clone();
        async move { drop(stream.write_all(answer.as_bytes()).await) }
    })
    .await
}

const ONE: &str = r#"type Query { a: Int @connect(http: {GET: "SERVER/v1/a"}, selection: "$.a") }"#;

#[tokio::test]
async fn a_server_outside_answers_a_field_and_learns_nothing_of_the_caller() {
    let server = saying(answer("200 OK", r#"{"a": 7, "b": [{"id": 1}]}"#)).await;
    let house = House::new(
        &server,
        r#"type Query {
          a(id: ID!, more: String): Int @connect(http: {GET: "SERVER/v1/m/{$args.id}?q={$args.more}", headers: [{name: "x-id", value: "{$args.id}"}]}, selection: "$.a")
          b: [Thing!] @connect(to: "fleet", http: {POST: "/things", body: "want: $(\"all\")"}, selection: "$.b { id }")
        }
        type Thing { id: ID! }"#,
    );
    let query = r#"{x: a(id: "a/b?c", more: "d&e") y: a(id: "a/b?c", more: "d&e") b {id}}"#;
    assert_eq!(house.ask(query).await, json!({"data": {"x": 7, "y": 7, "b": [{"id": "1"}]}}));
    let mut heads = server.heads();
    heads.sort();
    assert_eq!(heads.len(), 2, "equal requests are sent once: {heads:?}");
    assert!(heads[0].starts_with("GET /v1/m/a%2Fb%3Fc?q=d%26e HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("x-id: a/b?c\r\n") && heads[0].contains("traceparent: 00-"), "{}", heads[0]);
    assert!(heads[1].starts_with("POST /v1/things HTTP/1.1\r\n"), "{}", heads[1]);
    assert!(heads[1].contains("authorization: Bearer ours\r\n"), "{}", heads[1]);
    for head in &heads {
        assert!(!head.contains("caller's") && !head.contains("x-forwarded"), "{head}");
    }
    assert!(!heads[0].contains("authorization"), "{}", heads[0]);
}

#[tokio::test]
async fn an_argument_leads_nowhere_but_below_what_is_granted() {
    let server = saying(answer("200 OK", r#"{"a": 7}"#)).await;
    let house = House::new(
        &server,
        r#"type Query { a(id: String!): Int @connect(http: {GET: "SERVER/v1/m/{$args.id}"}, selection: "$.a") }"#,
    );
    for id in [
        "..",
        ".",
        "%2e%2e",
        "%252e%252e",
        "..%2f..",
        "../../admin",
        "..\\admin",
        "@evil.test",
        "\r\nx: y",
        "",
    ] {
        let query = "query($id: String!){a(id: $id)}";
        let answer = house.ask_within(query, json!({"id": id}), Duration::from_secs(20)).await;
        if answer["data"]["a"] != 7 {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{id:?}: {answer}");
        }
    }
    for head in server.heads() {
        assert!(
            head.starts_with("GET /v1/m/") && head.lines().next().unwrap().matches('/').count() == 4,
            "{head}"
        );
    }
}

#[tokio::test]
async fn what_a_server_says_of_its_failures_reaches_no_client() {
    for (status, body, code) in [
        ("404 Not Found", r#"{"error": "secret", "code": "SECRET"}"#, "NOT_FOUND"),
        ("409 Conflict", r#"{"error": "secret"}"#, "CONFLICT"),
        ("422 Unprocessable", r#"{"errors": {"secret": ["secret"]}}"#, "UNPROCESSABLE"),
        ("401 Unauthorized", r#"{"error": "secret"}"#, "UPSTREAM_ERROR"),
        ("403 Forbidden", "secret", "UPSTREAM_ERROR"),
        ("429 Too Many", "secret", "OVERLOADED"),
        ("500 Oh", "<html>secret at main.rs</html>", "UPSTREAM_ERROR"),
        ("302 Found\r\nlocation: http://169.254.169.254/secret", "", "UPSTREAM_ERROR"),
        ("200 OK", "<html>secret</html>", "UPSTREAM_ERROR"),
        ("200 OK", r#"{"a": "secret"}"#, "UPSTREAM_ERROR"),
    ] {
        let server = saying(answer(status, body)).await;
        let house = House::new(&server, ONE);
        let told = house.ask("{a}").await;
        assert_eq!(told["errors"][0]["extensions"]["code"], code, "{status}: {told}");
        assert!(!told.to_string().replace("represent text", "").contains("secret at"), "{told}");
        if code != "UPSTREAM_ERROR" || status != "200 OK" {
            assert!(!told.to_string().to_lowercase().contains("secret"), "{status}: {told}");
        }
        assert_eq!(server.accepted(), 1, "{status}: nothing is followed or sent again");
    }
    let server = saying(answer("404 Not Found", r#"{"reason": "gone for good"}"#)).await;
    let shown = ONE.replace("selection", r#"errors: {message: "$.reason"}, selection"#);
    let told = House::new(&server, &shown).ask("{a}").await;
    assert_eq!(told["errors"][0]["message"], "gone for good", "what the schema shows is shown");
}

#[tokio::test]
async fn only_what_does_no_harm_twice_is_sent_again() {
    let server = saying(answer("503 Later", "")).await;
    let fields = r#"
        type Query { a: Int @connect(http: {GET: "SERVER/v1/a"}, selection: "$.a") }
        type Mutation {
          post: Int @connect(http: {POST: "SERVER/v1/a"}, selection: "$.a")
          patch: Int @connect(http: {PATCH: "SERVER/v1/a"}, selection: "$.a")
          put: Int @connect(http: {PUT: "SERVER/v1/a"}, selection: "$.a")
          delete: Int @connect(http: {DELETE: "SERVER/v1/a"}, selection: "$.a")
        }"#;
    let house = House::new(&server, fields);
    for (query, times) in [
        ("{a}", 3),
        ("mutation{post}", 1),
        ("mutation{patch}", 1),
        ("mutation{put}", 3),
        ("mutation{delete}", 3),
    ] {
        let before = server.accepted();
        house.ask(query).await;
        assert_eq!(server.accepted() - before, times, "{query}");
    }
}

#[tokio::test]
async fn a_server_that_means_harm_harms_one_field() {
    let small = Limits { outgoing_body: Size::bytes(64 << 10), ..Limits::default() };
    let large = saying(answer("200 OK", &format!(r#"{{"a": {}1}}"#, " ".repeat(65 << 10)))).await;
    let names = || client(Names::leading(&["127.0.0.1"]));
    assert_eq!(House::with(&large, ONE, names(), small).code("{a}").await, "UPSTREAM_ERROR");

    let silent = Server::new(|mut stream| async move { drop(stream.read_u8().await) }).await;
    let told = House::new(&silent, ONE).ask_within("{a}", Value::Null, Duration::from_millis(300)).await;
    assert_eq!(told["errors"][0]["extensions"]["code"], "TIMED_OUT", "{told}");

    let cut = saying("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\": 7".to_owned()).await;
    assert_eq!(House::new(&cut, ONE).code("{a}").await, "UPSTREAM_ERROR");
}

#[tokio::test]
async fn a_granted_name_that_leads_elsewhere_is_not_connected_to() {
    let server = saying(answer("200 OK", r#"{"a": 7}"#)).await;
    let house = House::with(&server, ONE, client(Names::leading(&["127.0.0.2"])), Limits::default());
    assert_eq!(house.code("{a}").await, "UPSTREAM_ERROR");
    assert_eq!(server.accepted(), 0);
}
