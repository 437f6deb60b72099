//! A schema in the place of another: what it says of itself, what it changes for clients, and
//! what becomes of those who are connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use monopod_graph::{Answered, Change, Class, diff};
use serde_json::{Value, json};

use super::socket::connect;
use super::support::{Answer, completed, composed, contribution, host_of, host_with, schema, settings};

const OLD: &str = r#"
type Query { a(x: Int, y: Kind = RED): A! b: [Found!] gone: Int }
type Subscription { s: A }
type A implements I { id: ID! name: String list: [String] }
type B { n: Int! }
interface I { id: ID! }
union Found = A | B
enum Kind { RED BLUE }
input In { a: Int! b: Int }
scalar Gone
"#;

const NEW: &str = r#"
type Query {
  a(x: Int!, y: Kind = BLUE, z: In): A! @connect(http: {POST: "/a", body: "$args { x y z }"}, selection: "id name list")
  b: [Found!] @connect(http: {GET: "/b"}, selection: "__typename: kind id name list m")
  more: Int @connect(http: {GET: "/m"}, selection: "$")
}
type Mutation { m(in: In): Int @connect(http: {POST: "/m", body: "$args.in"}, selection: "$") }
type Subscription { s: A @subscribe(topic: "analysis.started", selection: "id name list") }
type A { id: String! name: String! list: [String!]! }
type C { m: Int }
union Found = A | C
enum Kind { BLUE GREEN }
input In { a: Int b: Int c: Int! }
"#;

#[test]
fn what_a_schema_changes_is_told_by_class() {
    let new = schema(NEW, &settings());
    let found = diff(OLD, &new).unwrap();
    let kinds = |wanted: Class| -> Vec<String> {
        let of = found.iter().filter(|change| change.class == wanted);
        of.map(|Change { kind, coordinate, .. }| format!("{kind} {coordinate}")).collect()
    };
    assert_eq!(
        kinds(Class::Breaking),
        [
            "ARG_CHANGED_KIND Query.a(x:)",
            "FIELD_CHANGED_KIND A.id",
            "FIELD_REMOVED Query.gone",
            "IMPLEMENTED_INTERFACE_REMOVED A",
            "REQUIRED_INPUT_FIELD_ADDED In.c",
            "TYPE_REMOVED B",
            "TYPE_REMOVED Gone",
            "TYPE_REMOVED I",
            "TYPE_REMOVED_FROM_UNION Found",
            "VALUE_REMOVED_FROM_ENUM Kind.RED",
        ]
    );
    assert_eq!(
        kinds(Class::Dangerous),
        [
            "ARG_DEFAULT_VALUE_CHANGE Query.a(y:)",
            "OPTIONAL_ARG_ADDED Query.a(z:)",
            "TYPE_ADDED_TO_UNION Found",
            "VALUE_ADDED_TO_ENUM Kind.GREEN",
        ]
    );
    assert_eq!(
        kinds(Class::Safe),
        [
            "FIELD_ADDED Query.more",
            "FIELD_CHANGED_KIND A.list",
            "FIELD_CHANGED_KIND A.name",
            "FIELD_CHANGED_KIND In.a",
            "TYPE_ADDED C",
            "TYPE_ADDED Mutation",
        ]
    );
    assert_eq!(diff(&new.sdl(), &new).unwrap(), []);
    assert!(diff("type Query {", &new).is_err());
}

#[test]
fn a_schema_says_who_answers_each_field_how_and_for_whom() {
    let sdl = r#"
        type Query {
          a: A @cost(weight: 3) @connect(http: {GET: "/a?x={$context.correlationId}"}, selection: "id")
          all: [A!] @authenticated @listSize(assumedSize: 7) @connect(http: {GET: "/all"}, to: "storage", selection: "id")
        }
        type Subscription {
          s: A @requiresScopes(scopes: [["x", "y"], ["z"]])
            @subscribe(topic: "analysis.started", selection: "id") @subscribe(topic: "analysis.failed", selection: "id")
        }
        type A @key(fields: "id") @requiresScopes(scopes: [["read"]]) { id: ID }
        extend type A @connect(http: {POST: "/more", body: "$batch { id }"}, batch: {maxSize: 9}, selection: "id more") { more: Int }
    "#;
    let told: Vec<_> = schema(sdl, &settings())
        .fields()
        .into_iter()
        .map(|Answered { coordinate, by, how, needs, cost, items, .. }| {
            let how = format!("{} {}", by.unwrap_or_default(), how.unwrap_or_default());
            format!("{coordinate} | {how} | {} | {cost:?} {items:?}", needs.join(" & "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "Query.a | ingestion GET /a?x={$context.correlationId} | read | Some(3) None",
            "Query.all | storage GET /all | login & read | None Some(7)",
            "Subscription.s | topics analysis.started, analysis.failed | x y | z & read | None None",
            "A.id |   |  | None None",
            "A.more | ingestion POST /more, up to 9 at once, by key |  | None None",
        ]
    );
}

#[tokio::test]
async fn a_subscription_outlives_a_schema_in_which_it_is_the_same_and_ends_with_one_in_which_it_is_not() {
    let sdl = |id: &str, more: &str| {
        format!(
            r#"type Query {{ ping: String @connect(http: {{GET: "/ping"}}, selection: "$.pong") {more} }}
            type Subscription {{ done: Done @subscribe(topic: "analysis.completed", selection: "id: {id}") }}
            type Done {{ id: ID }}"#
        )
    };
    let host = host_with(&sdl("uploadId", ""), settings(), |_| Answer::Json(200, r#"{"pong":"pong"}"#)).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{done{id}}", Value::Null).await;
    host.topics.watched(1).await;

    let more = r#"more: Int @connect(http: {GET: "/more"}, selection: "$")"#;
    host.graph.swap(schema(&sdl("uploadId", more), &settings()));
    host.topics.publish(completed("ada", "a1"));
    assert_eq!(client.next().await["payload"], json!({"data": {"done": {"id": "a1"}}}));
    assert!(host.ask("{more ping}").await.contains("\"ping\":\"pong\""));

    host.graph.swap(schema(&sdl("correlationId", more), &settings()));
    let ended = client.next().await;
    assert_eq!((ended["type"].as_str(), ended["id"].as_str()), (Some("error"), Some("1")));
    assert_eq!(ended["payload"][0]["extensions"]["code"], "SCHEMA_CHANGED");
    // The socket goes on, and the same id may be used again.
    client.subscribe("1", "subscription{done{id}}", Value::Null).await;
    host.topics.watched(2).await;
    host.topics.publish(completed("ada", "a2"));
    assert_eq!(client.next().await["payload"], json!({"data": {"done": {"id": "c-a2"}}}));
}

/// One component comes and goes while requests run: each is answered by the one schema or the
/// other, none by neither, and a subscription that neither changes misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_schemas_are_swapped_no_request_fails_and_subscriptions_go_on() {
    let first = r#"
        type Query { ping: String! @connect(http: {GET: "/ping"}, selection: "$.pong") }
        type Subscription { done: Done @subscribe(topic: "analysis.completed", selection: "id: uploadId") }
        type Done { id: ID }"#;
    let second = r#"extend type Query { n: Int @connect(http: {GET: "/n"}, selection: "$.n") }"#;
    let (one, two) = (contribution("one", first), contribution("two", second));
    let alone = std::slice::from_ref(&one);
    let host = host_of(alone, settings(), |_| Answer::Json(200, r#"{"pong":"pong","n":1}"#)).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{done{id}}", Value::Null).await;
    host.topics.watched(1).await;
    let swaps = Arc::new(AtomicUsize::new(0));
    let swapping = {
        let (graph, swaps, one) = (host.graph.clone(), swaps.clone(), one.clone());
        tokio::spawn(async move {
            loop {
                let both = swaps.load(Ordering::SeqCst) % 2 == 0;
                let with = if both { vec![one.clone(), two.clone()] } else { vec![one.clone()] };
                graph.swap(composed(&with, &settings()));
                swaps.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        })
    };
    let mut number = 0;
    while number < 100 || swaps.load(Ordering::SeqCst) < 20 {
        number += 1;
        // Several under way at once, whichever schema they began with.
        let asked = join_all((0..5).map(|_| async { (host.ask("{ping}").await, host.ask("{n}").await) }));
        for (ping, n) in asked.await {
            assert_eq!(ping, r#"{"data":{"ping":"pong"}}"#);
            assert!(n == r#"{"data":{"n":1}}"# || n.contains("GRAPHQL_VALIDATION_FAILED"), "{n}");
        }
        let id = format!("a{number}");
        host.topics.publish(completed("ada", &id));
        assert_eq!(client.next().await["payload"], json!({"data": {"done": {"id": id}}}));
    }
    assert!(!swapping.is_finished(), "composing failed");
    swapping.abort();
}
