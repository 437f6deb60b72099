//! Requests of clients: answered in JSON with data or errors, whatever they send. What they may
//! run into is the scan in front of the parser, the plan, the variables and the executor.

use std::sync::Arc;

use bytes::Bytes;
use monopod_graph::{Settings, compose};
use monopod_tests::graph::{Answers, Served};
use serde_json::Value;

use crate::run::Target;
use crate::schema::contribution;

const SDL: &str = r#"
type Query {
  ping: String! @connect(http: {GET: "/ping"}, selection: "$.pong")
  node(id: ID!, like: Like = {deep: {kind: RED}}): Node @connect(http: {POST: "/n", body: "$args { id like }"}, selection: "__typename: kind id name n next { id }")
  all(first: Int = 3): [A!]! @listSize(slicingArguments: ["first"]) @connect(http: {GET: "/all?n={$args.first}"}, selection: "$.all { id name n }")
  secret: Int @requiresScopes(scopes: [["no"]]) @connect(http: {GET: "/s"}, selection: "$.n")
}
type Mutation { count(by: Int): Int @connect(http: {POST: "/count", body: "$args { by }"}, selection: "$.n") }
type Subscription { done(id: ID): A @subscribe(topic: "analysis.completed", filter: "id = $args.id", selection: "id") }
interface Node { id: ID! }
type A implements Node { id: ID! name: String n: Int other: A @connect(http: {GET: "/a/{$this.id}"}, selection: "id name n") }
type B implements Node { id: ID! next: A }
input Like { text: String deep: Like kind: Kind many: [[Int!]] one: Either }
input Either { a: Int b: DateTime c: JSON }
enum Kind { RED BLUE }
"#;

/// A component whose answers fit now and then.
struct Rooms;

impl Answers for Rooms {
    fn http(&self, _: &str) -> Bytes {
        Bytes::from_static(
            br#"{"pong":"pong","kind":"A","id":7,"name":"\u0000","n":1.5,
            "all":[{"id":"1","n":2},{"id":"2","n":"x"},null],"next":{"id":3}}"#,
        )
    }
}

pub struct Documents(Served);

impl Documents {
    pub fn new() -> Self {
        let settings = Settings { max_batch: 3, ..Settings::default() };
        Self(Served::new(compose(&[contribution(SDL)], &settings).unwrap(), Arc::new(Rooms)))
    }
}

/// What comes behind this byte are the variables; before it stands the document.
const VARIABLES: u8 = 0x1e;

impl Target for Documents {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let seeds = [
            "{ping}",
            "query Q($id: ID! = 7, $like: Like, $no: Boolean = false) { node(id: $id, like: $like) { __typename id \
             ... on A { name n @skip(if: $no) other { ...F } } ...G } } fragment F on A { id } \
             fragment G on B { next { id } }\u{1e}{\"id\":\"x\",\"like\":{\"deep\":{\"kind\":\"BLUE\",\"many\":[[1,2],null]}}}",
            "mutation { a: count(by: 1) count(by: -2147483648) }",
            "subscription($id: ID) { done(id: $id) { id } }\u{1e}{\"id\":1}",
            "{ all(first: 2) { id name n other { id other { n } } } secret }",
            "{ __schema { types { name fields(includeDeprecated: true) { name args { name defaultValue } } } } }",
            "query($c: JSON, $b: DateTime) { node(id: \"\"\"\n  a\n\"\"\", like: {one: {c: $c, b: $b}}) { id } }\u{1e}\
             {\"c\":{\"x\":[1]},\"b\":\"2026-11-23T10:00:00Z\"}",
            "{...A} fragment A on Query{...B ping} fragment B on Query{...A}",
        ];
        seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let words = [
            "...F ",
            "...on A{",
            "@include(if:$no)",
            "@skip(if:true)",
            "fragment F on Query{",
            "$id",
            "a:",
            "{",
            "}",
            "[[[[[[[[",
            "{a:{a:{a:",
            "((((((((",
            "\"\"\"",
            "\\u{110000}",
            "\\uD800",
            "#",
            "\u{feff}",
            "\u{2028}",
            "-0",
            "1e999",
            "9007199254740993",
            "__typename",
            "__type(name:\"A\"){fields{type{fields{name}}}}",
            "\u{1e}",
            "null",
            "ä",
            "&",
            "|",
            "query Q",
            "subscription",
            "extend type Query",
        ];
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn answer(&mut self, input: &[u8]) -> Result<String, String> {
        let mut parts = input.splitn(2, |byte| *byte == VARIABLES);
        let document = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let variables = parts.next().and_then(|json| serde_json::from_slice::<Value>(json).ok());
        let (status, bytes) = self.0.ask(&document, variables.as_ref());
        if bytes.starts_with(b"event: ") {
            return Ok("stream".to_owned());
        }
        let answer: Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("no JSON with {status}: {error}"))?;
        let errors = answer["errors"].as_array();
        if answer.get("data").is_none() && errors.is_none_or(Vec::is_empty) {
            return Err(format!("neither data nor errors with {status}"));
        }
        let first = errors.and_then(|errors| errors.first());
        let message: String = first
            .and_then(|error| error["message"].as_str())
            .map(|text| text.chars().filter(|c| !c.is_ascii_digit()).take(24).collect())
            .unwrap_or_default();
        let code = first.map(|error| error["extensions"]["code"].to_string()).unwrap_or_default();
        if first.is_some() && code == "null" {
            return Err(format!("an error without a code: {message}"));
        }
        Ok(format!("{status} {} {code} {message}", bytes.len().ilog2()))
    }
}
