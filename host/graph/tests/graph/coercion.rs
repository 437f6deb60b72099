//! Inputs and places as the specification has them where the comparison with `graphql-js`
//! (`tests/conformance/differential`) found us otherwise.

use serde_json::{Value, json};

use super::support::{Answer, Host, host_with, settings};

const SDL: &str = r#"
type Query {
  by(by: By, list: [Int!]): JSON @connect(http: {POST: "/by", body: "$args { by list }"}, selection: "$")
  broken: Int @connect(http: {GET: "/broken"}, selection: "$")
}
input By @oneOf { id: ID name: String deep: By }
"#;

async fn house() -> Host {
    host_with(SDL, settings(), |seen| match seen.line.as_str() {
        "GET /broken" => Answer::Json(200, "\"text\""),
        _ => Answer::Json(200, "$echo"),
    })
    .await
}

#[tokio::test]
async fn of_a_one_of_input_exactly_one_field_is_given() {
    let host = house().await;
    for (document, variables, good) in [
        ("{by(by: {id: 7})}", json!({}), true),
        ("{by(by: {deep: {name: \"n\"}})}", json!({}), true),
        ("query($id: ID!) {by(by: {id: $id})}", json!({"id": "i"}), true),
        ("query($by: By) {by(by: $by)}", json!({"by": {"name": "n"}}), true),
        ("query($by: By) {by(by: $by)}", json!({}), true),
        ("{by(by: {})}", json!({}), false),
        ("{by(by: {id: null})}", json!({}), false),
        ("{by(by: {id: 7, name: \"n\"})}", json!({}), false),
        ("{by(by: {id: 7, name: null})}", json!({}), false),
        ("query($id: ID) {by(by: {id: $id})}", json!({"id": "i"}), false),
        ("query($id: ID!, $n: String!) {by(by: {id: $id, name: $n})}", json!({"id": "i", "n": "n"}), false),
        ("query($by: By) {by(by: $by)}", json!({"by": {}}), false),
        ("query($by: By) {by(by: $by)}", json!({"by": {"id": null}}), false),
        ("query($by: By) {by(by: $by)}", json!({"by": {"id": 1, "name": null}}), false),
        ("query($by: By = {id: 1, name: \"n\"}) {by(by: $by)}", json!({}), false),
    ] {
        let got = host.post(Some("ada"), document, variables.clone()).await;
        assert_eq!(got.json().get("data").is_some(), good, "{document} {variables} {}", got.body);
    }
    assert_eq!(host.ask("{by(by: {id: 7})}").await, r#"{"data":{"by":{"by":{"id":"7"}}}}"#);
}

#[tokio::test]
async fn clients_see_which_inputs_are_one_of() {
    let host = house().await;
    let got = host
        .ask("{__type(name: \"By\"){name ...One} q: __type(name: \"Query\"){...One fields{type{isOneOf}}}} fragment One on __Type{kind one: isOneOf isOneOf @skip(if: true)}")
        .await;
    assert_eq!(
        got,
        r#"{"data":{"__type":{"name":"By","kind":"INPUT_OBJECT","one":true},"q":{"kind":"OBJECT","one":null,"fields":[{"type":{"isOneOf":null}},{"type":{"isOneOf":null}}]}}}"#
    );
    let got = host.ask("{__schema{directives{name}}}").await;
    assert!(got.contains("oneOf"), "{got}");
}

#[tokio::test]
async fn a_variable_that_is_null_is_no_item_of_a_list_that_has_none() {
    let host = house().await;
    let document = "query($n: Int = 1) {by(list: [2, $n])}";
    let got = host.post(Some("ada"), document, json!({})).await;
    assert_eq!(got.json()["data"]["by"]["list"], json!([2, 1]));
    let got = host.post(Some("ada"), document, json!({"n": null})).await;
    assert_eq!((got.code().as_str(), &got.json()["data"]["by"]), ("BAD_USER_INPUT", &Value::Null));
    assert_eq!(got.json()["errors"][0]["path"], json!(["by"]));
}

#[tokio::test]
async fn what_is_never_asked_for_is_valid_all_the_same() {
    let host = house().await;
    for document in [
        "{__typename by(by: {}) @skip(if: true)}",
        "{__typename ...F @include(if: false)} fragment F on Query{by(by: {id: 1, name: \"n\"})}",
    ] {
        assert_eq!(
            host.post(Some("ada"), document, json!({})).await.code(),
            "GRAPHQL_VALIDATION_FAILED",
            "{document}"
        );
    }
}

#[tokio::test]
async fn an_error_is_at_the_alias_of_its_field() {
    let got: Value = serde_json::from_str(&house().await.ask("{ other:  broken }").await).unwrap();
    assert_eq!(got["errors"][0]["locations"], json!([{"line": 1, "column": 3}]));
}
