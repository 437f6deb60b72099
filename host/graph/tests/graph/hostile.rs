//! Documents that mean harm are refused fast, on a small stack, and leave the rest alone.

use std::time::Duration;

use serde_json::Value;

use super::support::{Answer, Host, host, host_with, settings, used};

/// What a refusal may take of the processor: ten milliseconds are aimed at, and what it is about
/// takes minutes.
const FAST: Duration = Duration::from_millis(500);

async fn refused(host: &Host, name: &str, query: &str) {
    // The best of some: the first fills lazily built tables.
    let mut best = Duration::MAX;
    for _ in 0..4 {
        let began = used();
        let got = host.post(None, query, Value::Null).await;
        best = best.min(used() - began);
        assert_eq!(got.status, 400, "{name}: {}", got.body);
        assert!(got.body.len() < 20_000, "{name}: {} bytes", got.body.len());
    }
    assert!(best < FAST, "{name} took {best:?}");
}

#[tokio::test]
async fn bombs_are_refused_fast() {
    let host = host(|_| Answer::Json(200, r#"{"pong":"pong"}"#)).await;
    let spreads = |levels: usize, body: &dyn Fn(usize) -> String| -> String {
        (0..levels).map(|level| format!("fragment F{level} on __Type {{{}}} ", body(level))).collect()
    };
    let last = "fragment F30 on __Type {name}";
    let doubled = spreads(30, &|level| format!("a: ofType {{...F{0}}} b: ofType {{...F{0}}}", level + 1));
    let conditional = (0..30).fold(String::new(), |mut text, level| {
        let next = level + 1;
        text.push_str(&format!(
            "fragment G{level} on Query {{...G{next} @include(if: $a{level}) ...G{next} @include(if: $b{level})}} "
        ));
        text
    });
    let variables: String =
        (0..30).map(|level| format!("$a{level}: Boolean!, $b{level}: Boolean!, ")).collect();
    for (name, query) in [
        ("fragment bomb", format!("{{__type(name: \"Query\") {{...F0}}}} {doubled} {last}")),
        (
            "conditional bomb",
            format!("query({variables}) {{...G0}} {conditional} fragment G30 on Query {{ping}}"),
        ),
        (
            "cyclic fragments",
            "{...A ping} fragment A on Query {...B} fragment B on Query {...A ...A}".to_owned(),
        ),
        ("brackets", "[".repeat(100_000)),
        ("short brackets", format!("{{ping(x: {}", "[".repeat(60_000))),
        ("objects", format!("{{ping(x: {}", "{a:".repeat(20_000))),
        ("selections", "{a".repeat(30_000)),
        ("types", format!("query($a: {}", "[".repeat(60_000))),
        ("aliases", format!("{{{}}}", (0..10_000).map(|n| format!("a{n}: ping ")).collect::<String>())),
        ("same field", format!("{{{}}}", "ping ".repeat(10_000))),
        ("directives", format!("{{ping {}}}", "@skip(if: false) ".repeat(3_000))),
        ("unknown directives", format!("{{ping {}}}", "@no ".repeat(90))),
        (
            "deep introspection",
            format!("{{__schema{{types{{{}name{}}}}}}}", "fields{type{".repeat(8), "}}".repeat(8)),
        ),
        ("unclosed string", "{ping(x: \"\"\"".to_owned()),
        ("nothing", String::new()),
        ("two anonymous", "{ping} {ping}".to_owned()),
    ] {
        refused(&host, name, &query).await;
    }
    assert_eq!(host.ask("{ping}").await, r#"{"data":{"ping":"pong"}}"#);
    assert_eq!(host.lines().len(), 1, "a bomb reached a component");
}

#[tokio::test]
async fn fragments_without_effect_are_put_in_once() {
    let host = host(|_| Answer::Json(200, r#"{"pong":"pong"}"#)).await;
    let bomb = (0..30).fold(String::new(), |text, level| {
        text + &format!("fragment F{level} on Query {{...F{0} ...F{0}}} ", level + 1)
    });
    let began = used();
    let got = host.ask(&format!("{{...F0}} {bomb} fragment F30 on Query {{ping}}")).await;
    assert_eq!(got, r#"{"data":{"ping":"pong"}}"#);
    assert!(used() - began < 10 * FAST);
}

#[tokio::test]
async fn an_operation_has_a_depth_a_cost_and_a_number_of_calls() {
    let sdl = r#"
        type Query {
            a: A @connect(http: {GET: "/a"}, selection: "list { value a { value } }")
            by(id: Int!): Int @connect(http: {GET: "/{$args.id}"}, selection: "$")
        }
        type Mutation { change: Int @connect(http: {POST: "/change"}, selection: "$") }
        type A { list: [A!] value: Int a: A }"#;
    let mut limits = settings();
    (limits.max_depth, limits.max_cost, limits.max_calls) = (4, 50, 3);
    let host = host_with(sdl, limits, |_| Answer::Json(200, "1")).await;
    for (query, limit) in [
        ("{a{list{a{value}}}}", None),
        ("{a{list{a{a{value}}}}}", Some("depth")),
        ("mutation{a:change b:change c:change}", None),
        ("mutation{a:change b:change c:change d:change e:change}", None),
        ("mutation{a:change b:change c:change d:change e:change f:change}", Some("cost")),
        ("{a{list{list{list{value}}}}}", Some("depth")),
        ("{x:by(id:1) y:by(id:2) z:by(id:3) w:by(id:1)}", None),
        ("{x:by(id:1) y:by(id:2) z:by(id:3) w:by(id:4)}", Some("calls")),
    ] {
        let got = host.post(None, query, Value::Null).await.json();
        let found = got["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|error| error["extensions"]["limit"].as_str());
        let ran_out = query.starts_with("mutation") && query.contains("d:") && limit.is_none();
        assert_eq!(found, if ran_out { Some("calls") } else { limit }, "{query} {got}");
    }
}

#[tokio::test]
async fn introspection_can_be_switched_off() {
    let host = host_with(
        super::support::SDL,
        {
            let mut off = settings();
            off.introspection = false;
            off
        },
        |_| Answer::Json(200, r#"{"pong":"pong"}"#),
    )
    .await;
    for query in ["{__schema{queryType{name}}}", "{ping __type(name: \"Query\"){name}}"] {
        let got = host.post(None, query, Value::Null).await;
        assert_eq!((got.status, got.code().as_str()), (400, "GRAPHQL_VALIDATION_FAILED"), "{query}");
    }
    assert_eq!(host.ask("{__typename}").await, r#"{"data":{"__typename":"Query"}}"#);
    // No suggestion gives a name away.
    let got = host.ask("{pingg}").await;
    assert!(!got.contains("ping\""), "{got}");
}
