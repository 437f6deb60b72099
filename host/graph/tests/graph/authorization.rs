//! Rights: one forbidden field refuses the operation before anything runs, on every request.

use serde_json::{Value, json};

use super::support::{Answer, host, host_with, settings};

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
