//! Rights: one forbidden field refuses the operation before anything runs, on every request.

use serde_json::{Value, json};

use monopod_graph::Settings;

use super::socket::connect;
use super::support::{Answer, Host, Seen, completed, host, host_with, settings};

const QUERY: &str = r#"{ping upload(id:"u"){state}}"#;

#[tokio::test]
async fn one_forbidden_field_refuses_the_operation_also_from_the_cache() {
    let host =
        host(|_| Answer::Json(200, r#"{"pong":"pong","value":"v","x":"y","uploadId":"u","state":"RED"}"#))
            .await;
    // The good one first, so that the plan is cached.
    for _ in 0..2 {
        let got = host.post(Some("ada"), QUERY, Value::Null).await;
        assert_eq!(got.body, r#"{"data":{"ping":"pong","upload":{"state":"RED"}}}"#);
        let calls = host.lines().len();

        let got = host.post(None, QUERY, Value::Null).await;
        assert_eq!((got.status, got.code().as_str()), (401, "UNAUTHENTICATED"));
        assert_eq!(got.headers["www-authenticate"], "Bearer");
        assert!(got.json().get("data").is_none());

        let got = host.post(Some("ada:other"), QUERY, Value::Null).await;
        assert_eq!((got.status, got.code().as_str()), (403, "FORBIDDEN"));
        assert_eq!(got.json()["errors"][0]["message"], "Query.upload needs the scope \"analysis\".");
        assert_eq!(got.json()["errors"][0]["extensions"]["missingScopes"], json!(["analysis"]));
        assert_eq!(host.lines().len(), calls, "a component was called for a refused operation");
    }
}

#[tokio::test]
async fn rules_hold_on_fields_types_fragments_and_alternatives() {
    let host = host(|_| Answer::Json(200, r#"{"pong":"pong","value":"v","x":"y"}"#)).await;
    for (token, query, status) in [
        (None, "{ping}", 200),
        (None, "{admin{value}}", 401),
        (None, "{...F} fragment F on Query{... {x: admin{value}}}", 401),
        (Some("ada:a"), "{admin{value}}", 403),
        (Some("ada:admin"), "{admin{value}}", 200),
        (Some("ada:a"), "{both}", 403),
        (Some("ada:b"), "{both}", 403),
        (Some("ada:a,b"), "{both}", 200),
        (Some("ada:c"), "{both}", 200),
        (None, "{both @skip(if: true) ping}", 200),
    ] {
        let got = host.post(token, query, Value::Null).await;
        assert_eq!(got.status, status, "{token:?} {query} {}", got.body);
    }
    let query = "query($x: Boolean!){both @include(if: $x) ping}";
    assert_eq!(host.post(None, query, json!({"x": false})).await.status, 200);
    assert_eq!(host.post(None, query, json!({"x": true})).await.status, 401);
}

#[tokio::test]
async fn a_rule_on_a_part_of_a_root_type_counts_for_that_part() {
    let sdl = r#"
        extend type Query @authenticated { a: Int @connect(http: {GET: "/"}, selection: "$.a") }
        extend type Query { b: Int @connect(http: {GET: "/"}, selection: "$.b") }"#;
    let host = host_with(sdl, settings(), |_| Answer::Json(200, r#"{"a":1,"b":2}"#)).await;
    assert_eq!(host.post(None, "{a}", Value::Null).await.status, 401);
    assert_eq!(host.post(None, "{b}", Value::Null).await.status, 200);
    assert_eq!(host.post(Some("ada"), "{a b}", Value::Null).await.body, r#"{"data":{"a":1,"b":2}}"#);
}

#[tokio::test]
async fn a_policy_decides_by_the_caller_and_the_arguments_also_from_the_cache() {
    let sdl = r#"
        type Query {
          mine(owner: String, n: Int): Int @policy(policies: [["Mine"]]) @connect(http: {GET: "/m?o={$args.owner}"}, selection: "$.a")
          each: [Thing!] @connect(http: {GET: "/t"}, selection: "$.t { id }")
        }
        type Thing {
          id: ID!
          of(owner: String): Int @policy(policies: [["Mine", "RequireApiScope"], ["RequireApiScope"]])
            @connect(http: {GET: "/of/{$this.id}"}, selection: "$.a")
        }"#;
    let host = host_with(sdl, settings(), |_| Answer::Json(200, r#"{"a":1,"t":[{"id":1}]}"#)).await;
    let query = "query($owner: String){mine(owner: $owner)}";
    for _ in 0..2 {
        for (token, owner, status) in [
            (Some("ada"), json!("ada"), 200),
            (Some("ada"), json!("bob"), 403),
            (Some("ada"), Value::Null, 403),
            (Some("bob:admin"), json!("ada"), 200),
            (None, json!("ada"), 401),
        ] {
            let calls = host.lines().len();
            let got = host.post(token, query, json!({"owner": owner})).await;
            assert_eq!(got.status, status, "{token:?} {owner} {}", got.body);
            assert_eq!(host.lines().len() - calls, usize::from(status == 200));
        }
    }
    let got = host.post(Some("ada"), r#"{x: mine(owner: "ada") y: mine(owner: "bob")}"#, Value::Null).await;
    assert_eq!(got.json()["errors"][0]["message"], "Query.mine is not open to you.");
    let got = host.post(Some("ada"), r#"{each{of(owner: "bob")}}"#, Value::Null).await;
    assert_eq!(got.status, 200, "the other alternative: {}", got.body);
    let got = host.post(Some("ada:admin"), r#"{each{of(owner: "bob")}}"#, Value::Null).await;
    assert_eq!(got.json()["errors"][0]["extensions"]["missingScopes"], json!(["analysis"]));
}

#[tokio::test]
async fn what_is_made_from_a_guarded_field_is_as_guarded_however_far_away() {
    let sdl = r#"
        type Query { thing: Thing @connect(http: {GET: "/t"}, selection: "id secret more") }
        type Thing @key(fields: "id") @connect(http: {GET: "/more/{$this.id}"}, selection: "more") {
          id: ID! @requiresScopes(scopes: [["see"]])
          more: Int
        }
        extend type Thing {
          secret: Int @requiresScopes(scopes: [["admin"]])
          made: Int @resolve(needs: ["secret"])
          chain: Int @resolve(needs: ["more"])
        }"#;
    let host = host_with(sdl, settings(), |_| Answer::Json(200, r#"{"id":1,"secret":2,"more":3}"#)).await;
    for (token, query, status) in [
        ("ada:none", "{thing{more}}", 403),
        ("ada:see", "{thing{more}}", 200),
        ("ada:see", "{thing{made}}", 403),
        ("ada:none", "{thing{chain}}", 403),
        ("ada:see", "{thing{chain}}", 200),
        ("ada:admin", "{thing{made}}", 200),
    ] {
        let got = host.post(Some(token), query, Value::Null).await;
        assert_eq!(got.status, status, "{token} {query} {}", got.body);
    }
}

const FILTERED: &str = r#"
type Query {
  ping: String @connect(http: {GET: "/ping"}, selection: "$.pong")
  secret: Int @requiresScopes(scopes: [["admin"]]) @connect(http: {GET: "/secret"}, selection: "$.n")
  must: Int! @requiresScopes(scopes: [["admin"]]) @connect(http: {GET: "/must"}, selection: "$.n")
  vault: Vault @connect(http: {GET: "/vault"}, selection: "n")
  nodes: [Node] @connect(http: {GET: "/nodes"}, selection: "$.nodes { __typename: kind id name secret }")
  thing: Thing @connect(http: {GET: "/thing"}, selection: "id secret sure")
}
type Mutation {
  open: Int @connect(http: {POST: "/open"}, selection: "$.n")
  close: Int @requiresScopes(scopes: [["admin"]]) @connect(http: {POST: "/close"}, selection: "$.n")
}
type Subscription {
  done: Done @subscribe(topic: "analysis.completed", selection: "id: uploadId secret: correlationId")
  hidden: Done @requiresScopes(scopes: [["admin"]]) @subscribe(topic: "analysis.completed", selection: "id: uploadId")
}
type Done { id: ID secret: String @requiresScopes(scopes: [["admin"]]) }
type Vault @requiresScopes(scopes: [["admin"]]) { n: Int }
interface Node { id: ID! name: String }
type Free implements Node { id: ID! name: String }
type Locked implements Node @requiresScopes(scopes: [["admin"]]) { id: ID! name: String secret: Int }
interface Guarded @requiresScopes(scopes: [["admin"]]) { id: ID! }
type Thing {
  id: ID!
  secret: Int @requiresScopes(scopes: [["admin"]])
  sure: Int! @requiresScopes(scopes: [["admin"]])
  made: Int @resolve(needs: ["secret"])
  asked: Int @requiresScopes(scopes: [["admin"]]) @connect(http: {GET: "/asked/{$this.id}"}, selection: "$.n")
}
type Behind implements Guarded { id: ID! }
extend type Query {
  behind: Behind @connect(http: {GET: "/behind"}, selection: "id")
  any: Guarded @connect(http: {GET: "/any"}, selection: "__typename: kind id")
}
"#;

async fn filtering() -> Host {
    let answer = |seen: &Seen| match seen.line.as_str() {
        "GET /nodes" => Answer::Json(
            200,
            r#"{"nodes":[{"kind":"Free","id":1,"name":"f"},{"kind":"Locked","id":2,"name":"l","secret":3}]}"#,
        ),
        _ => Answer::Json(200, r#"{"pong":"pong","n":1,"id":7,"secret":8,"sure":9}"#),
    };
    host_with(FILTERED, Settings { filter: true, ..settings() }, answer).await
}

#[tokio::test]
async fn where_rights_filter_a_forbidden_field_is_null_with_its_reason_and_nobody_is_asked() {
    let host = filtering().await;
    for (query, data, paths, lines) in [
        (
            "{ping secret}",
            json!({"ping": "pong", "secret": null}),
            vec![json!(["secret"])],
            vec!["GET /ping"],
        ),
        // A value that must be there takes along what it is in.
        ("{ping must}", Value::Null, vec![json!(["must"])], vec!["GET /ping"]),
        ("{v: vault{n} ping}", json!({"v": null, "ping": "pong"}), vec![json!(["v"])], vec!["GET /ping"]),
        // What is made from it, and what would be looked up for it.
        (
            "{thing{id secret made asked}}",
            json!({"thing": {"id": "7", "secret": null, "made": null, "asked": null}}),
            vec![json!(["thing", "secret"]), json!(["thing", "made"]), json!(["thing", "asked"])],
            vec!["GET /thing"],
        ),
        ("{thing{id sure}}", json!({"thing": null}), vec![json!(["thing", "sure"])], vec!["GET /thing"]),
        // Of several types only that one, and all of it.
        (
            "{nodes{id ... on Locked{secret}}}",
            json!({"nodes": [{"id": "1"}, null]}),
            vec![json!(["nodes", 1, "id"])],
            vec!["GET /nodes"],
        ),
        (
            "{nodes{name}}",
            json!({"nodes": [{"name": "f"}, {"name": null}]}),
            vec![json!(["nodes", 1, "name"])],
            vec!["GET /nodes"],
        ),
        (
            "{nodes{__typename}}",
            json!({"nodes": [{"__typename": "Free"}, null]}),
            vec![json!(["nodes", 1, "__typename"])],
            vec!["GET /nodes"],
        ),
        // A rule on an interface holds on the type.
        (
            "{behind{id} ping}",
            json!({"behind": null, "ping": "pong"}),
            vec![json!(["behind"])],
            vec!["GET /ping"],
        ),
        (
            "mutation{a: open close b: open}",
            json!({"a": 1, "close": null, "b": 1}),
            vec![json!(["close"])],
            vec!["POST /open", "POST /open"],
        ),
    ] {
        // The second time the plan is known.
        for _ in 0..2 {
            let before = host.lines().len();
            let got = host.post(Some("ada"), query, Value::Null).await;
            assert_eq!((got.status, &got.json()["data"]), (200, &data), "{query} {}", got.body);
            let json = got.json();
            let errors = json["errors"].as_array().unwrap();
            let at: Vec<_> = errors.iter().map(|error| error["path"].clone()).collect();
            assert_eq!(at, paths, "{query}");
            for error in errors {
                assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{query}");
                assert_eq!(error["extensions"]["missingScopes"], json!(["admin"]));
                assert_eq!(error["locations"].as_array().unwrap().len(), 1);
            }
            assert_eq!(host.lines()[before..], lines, "{query}");
            // With the right nothing is missing, by the same plan.
            let got = host.post(Some("ada:admin"), query, Value::Null).await;
            assert!(!got.body.contains("FORBIDDEN"), "{query} {}", got.body);
        }
    }
    let got = host.post(None, "{ping secret}", Value::Null).await;
    assert_eq!((got.status, got.code().as_str()), (200, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn where_rights_filter_a_subscription_shows_what_may_be_seen_or_does_not_begin() {
    let host = filtering().await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{hidden{id}}", Value::Null).await;
    let got = client.next().await;
    assert_eq!(
        (&got["type"], &got["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("FORBIDDEN"))
    );
    client.subscribe("2", "subscription{done{id secret}}", Value::Null).await;
    host.topics.watched(1).await;
    host.topics.publish(completed("ada", "u"));
    let got = client.next().await["payload"].clone();
    assert_eq!(got["data"], json!({"done": {"id": "u", "secret": null}}));
    assert_eq!(got["errors"][0]["path"], json!(["done", "secret"]));
}

#[tokio::test]
async fn rights_that_are_withdrawn_end_a_subscription_that_is_open() {
    let sdl = |rule: &str| {
        format!(
            r#"type Query {{ ping: String @connect(http: {{GET: "/ping"}}, selection: "$.pong") }}
            type Subscription {{ done: Done @subscribe(topic: "analysis.completed", selection: "id: uploadId") }}
            type Done {{ id: ID {rule} }}"#
        )
    };
    let host = host_with(&sdl(""), settings(), |_| Answer::Json(200, "{}")).await;
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{done{id}}", Value::Null).await;
    host.topics.watched(1).await;
    // Now it needs a right that this caller does not have.
    let stricter = sdl(r#"@policy(policies: [["Mine2"]])"#);
    let policy = |scope: &str| {
        let mut settings = settings();
        let scopes = [scope.to_owned()].into();
        settings.policies.insert("Mine2".to_owned(), monopod_graph::Policy { scopes, condition: None });
        settings
    };
    host.graph.swap(super::support::schema(&stricter, &policy("analysis")));
    let got = client.next().await;
    assert_eq!(
        (&got["type"], &got["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("SCHEMA_CHANGED"))
    );
    client.subscribe("2", "subscription{done{id}}", Value::Null).await;
    host.topics.watched(2).await;
    // The schema is the same, and what the policy asks is not.
    host.graph.swap(super::support::schema(&stricter, &policy("admin")));
    let got = client.next().await;
    assert_eq!(
        (&got["id"], &got["payload"][0]["extensions"]["code"]),
        (&json!("2"), &json!("SCHEMA_CHANGED"))
    );
    client.subscribe("3", "subscription{done{id}}", Value::Null).await;
    assert_eq!(client.next().await["payload"][0]["extensions"]["code"], "FORBIDDEN");
    host.topics.publish(completed("ada", "late"));
    client.quiet().await;
}
