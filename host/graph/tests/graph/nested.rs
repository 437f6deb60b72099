//! Fields below the root that are answered by themselves: looked up for each object or for
//! many at once, across components, on interfaces and unions.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::support::{Answer, Host, Seen, completed, contribution, host_of, host_with, settings};

/// A hundred posts by ten users, as in other people's benchmarks.
const POSTS: &str = r#"
type Query {
  posts: [Post!]! @listSize(assumedSize: 5) @connect(http: {GET: "/posts"}, selection: "id userId title")
}
type Post {
  id: Int!
  userId: Int
  title: String!
  user: User @connect(http: {GET: "/users/{$this.userId}"}, selection: "id name")
  author(upper: Boolean = false): User @connect(
    http: {GET: "/users?id={$batch.userId}&upper={$args.upper}"}
    batch: {maxSize: 6, match: "id = $this.userId"}
    selection: "id name"
  )
}
type User { id: Int! name: String! }
"#;

fn user(id: &str) -> Value {
    json!({"id": id.parse::<u64>().unwrap(), "name": format!("user {id}")})
}

fn posts(seen: &Seen) -> Answer {
    let (_, line) = seen.line.split_once(' ').unwrap();
    let text = match line.split_once(['?', '/']).unwrap() {
        (_, "posts") => {
            let posts: Vec<_> = (0..100)
                .map(|n| json!({"id": n, "userId": if n == 99 { Value::Null } else { json!(n % 10) }, "title": "t"}))
                .collect();
            json!(posts)
        }
        (_, rest) => match rest.split_once('?') {
            None => user(rest.strip_prefix("users/").unwrap()),
            Some((_, query)) => {
                // In another order, and one of them missing.
                let ids = query.split('&').filter_map(|each| each.strip_prefix("id="));
                let mut users: Vec<_> = ids.filter(|id| *id != "7").map(user).collect();
                users.reverse();
                json!(users)
            }
        },
    };
    Answer::Text(200, text.to_string())
}

async fn house() -> Host {
    host_with(POSTS, settings(), posts).await
}

#[tokio::test]
async fn what_many_objects_share_is_asked_for_once() {
    let host = house().await;
    let got: Value = serde_json::from_str(&host.ask("{posts{user{name} id}}").await).unwrap();
    let posts = got["data"]["posts"].as_array().unwrap();
    assert_eq!(posts.len(), 100);
    for (n, post) in posts.iter().take(99).enumerate() {
        assert_eq!(post, &json!({"user": {"name": format!("user {}", n % 10)}, "id": n}));
    }
    assert_eq!(posts[99], json!({"user": null, "id": 99}), "what has no user has nobody to ask for");
    assert_eq!(host.lines().len(), 11, "{:?}", host.lines());
}

#[tokio::test]
async fn objects_that_can_be_looked_up_together_are() {
    let host = house().await;
    let got: Value = serde_json::from_str(&host.ask("{posts{author{id name}}}").await).unwrap();
    for (n, post) in got["data"]["posts"].as_array().unwrap().iter().enumerate() {
        let wanted = if n == 99 || n % 10 == 7 { Value::Null } else { user(&(n % 10).to_string()) };
        assert_eq!(post["author"], wanted, "{n}");
    }
    // Six at most, in the order in which they were met, then the rest; arguments come along.
    assert_eq!(
        host.lines(),
        [
            "GET /posts",
            "GET /users?id=0&id=1&id=2&id=3&id=4&id=5&upper=false",
            "GET /users?id=6&id=7&id=8&id=9&upper=false"
        ]
    );
    // The same under two keys with equal arguments is one batch; with others it is another.
    let host = house().await;
    host.ask("{posts{a: author{id} b: author{name} c: author(upper: true){id}}}").await;
    assert_eq!(host.lines().len(), 5, "{:?}", host.lines());
}

#[tokio::test]
async fn a_lookup_that_fails_is_an_error_at_each_place_and_spares_the_rest() {
    let host = host_with(POSTS, settings(), |seen| {
        if seen.line.ends_with("/users/3") { Answer::Json(404, "{}") } else { posts(seen) }
    })
    .await;
    let got: Value = serde_json::from_str(&host.ask("{posts{user{id}}}").await).unwrap();
    let errors = got["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 10);
    assert_eq!(errors[0]["path"], json!(["posts", 3, "user"]));
    assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(got["data"]["posts"][3]["user"], Value::Null);
    assert_eq!(got["data"]["posts"][4]["user"]["id"], 4);
}

#[tokio::test]
async fn an_operation_makes_so_many_calls_and_what_would_take_more_fails_by_itself() {
    let mut few = settings();
    few.max_calls = 5;
    let host = host_with(POSTS, few, posts).await;
    let got: Value = serde_json::from_str(&host.ask("{posts{id user{id}}}").await).unwrap();
    assert_eq!(got["data"]["posts"][0], json!({"id": 0, "user": null}));
    assert_eq!(got["errors"][0]["extensions"]["limit"], "calls");
    assert_eq!(host.lines(), ["GET /posts"]);
    let got: Value = serde_json::from_str(&host.ask("{posts{id author{id}}}").await).unwrap();
    assert_eq!(got["errors"], Value::Null);
}

/// Machines belong to one component, what they send to another, and a third knows their ids.
fn fleet() -> [monopod_graph::Contribution; 3] {
    [
        contribution(
            "machines",
            r#"
            extend type Query { machines: [Machine!] @connect(http: {GET: "/machines"}, selection: "id name") }
            type Machine @key(fields: "id") @connect(http: {GET: "/machines/{$this.id}"}, selection: "name secret") {
              id: ID!
              name: String!
              secret: String @requiresScopes(scopes: [["secrets"]])
            }"#,
        ),
        contribution(
            "telemetry",
            r#"
            type Machine @key(fields: "id")
              @connect(
                http: {POST: "/latest", body: "ids: $batch.id", headers: [{name: "X-Extra", value: "v1"}]}
                batch: {maxSize: 50}
                selection: "$.found { id: machine.id hours place { city } }"
              ) {
              id: ID!
              hours: Float
              place: Place
            }
            type Place {
              city: String!
              weather: Weather @connect(http: {GET: "/weather/{$this.city}"}, selection: "sky")
            }
            type Weather { sky: String }"#,
        ),
        contribution(
            "orders",
            r#"
            extend type Query {
              orders: [Order!] @connect(http: {GET: "/orders"}, selection: "number machine: { id: machineId }")
            }
            type Order { number: Int! machine: Machine! }
            type Machine @key(fields: "id") { id: ID! }"#,
        ),
    ]
}

fn fleet_answer(seen: &Seen) -> Answer {
    let known: HashMap<&str, &str> = [
        ("machines GET /machines", r#"[{"id":1,"name":"one"},{"id":2,"name":"two"}]"#),
        ("machines GET /machines/1", r#"{"name":"one","secret":"s1"}"#),
        ("machines GET /machines/2", r#"{"name":"two","secret":"s2"}"#),
        ("orders GET /orders", r#"[{"number":7,"machineId":"2"},{"number":8,"machineId":"1"}]"#),
        (
            "telemetry POST /latest",
            r#"{"found":[{"machine":{"id":"1"},"hours":1.5,"place":{"city":"Bonn"}},{"machine":{"id":2},"hours":2,"place":{"city":"Bonn"}}]}"#,
        ),
        ("telemetry GET /weather/Bonn", r#"{"sky":"grey"}"#),
    ]
    .into();
    let key = format!("{} {}", seen.component, seen.line);
    Answer::Json(200, known.get(key.as_str()).copied().unwrap_or_else(|| panic!("{key}")))
}

#[tokio::test]
async fn a_type_is_put_together_from_components_by_its_key() {
    let host = host_of(&fleet(), settings(), fleet_answer).await;
    let got =
        host.ask("{machines{name hours place{city weather{sky}}} orders{machine{id name hours}}}").await;
    assert_eq!(
        got,
        r#"{"data":{"machines":[{"name":"one","hours":1.5,"place":{"city":"Bonn","weather":{"sky":"grey"}}},{"name":"two","hours":2,"place":{"city":"Bonn","weather":{"sky":"grey"}}}],"orders":[{"machine":{"id":"2","name":"two","hours":2}},{"machine":{"id":"1","name":"one","hours":1.5}}]}}"#
    );
    let mut lines = host.lines();
    let second = lines.split_off(2);
    assert_eq!(lines, ["GET /machines", "GET /orders"]);
    // The name comes with the machines of the first; only those of orders are looked up.
    // What both need of another component is asked for by one request.
    assert_eq!(second, ["GET /machines/2", "GET /machines/1", "POST /latest", "GET /weather/Bonn"]);
    let seen = host.fakes.seen.lock().unwrap();
    let batch = seen.iter().find(|seen| seen.line == "POST /latest").unwrap();
    assert_eq!((batch.body.as_str(), batch.extra.as_str()), (r#"{"ids":[1,2]}"#, "v1"));
}

/// GQ8: a field that is made from a guarded one is as guarded.
#[tokio::test]
async fn gq8_a_field_made_from_a_guarded_one_inherits_its_rule() {
    let sdl = r#"
        type Query { me: Me @connect(http: {GET: "/me"}, selection: "id number") }
        type Me {
          id: ID!
          number: String @requiresScopes(scopes: [["personal"]])
          loans: [Loan!] @connect(http: {GET: "/loans/{$this.number}"}, selection: "sum")
        }
        type Loan { sum: Int }"#;
    let host = host_with(sdl, settings(), |seen| match seen.line.as_str() {
        "GET /me" => Answer::Json(200, r#"{"id":1,"number":"n"}"#),
        _ => Answer::Json(200, r#"[{"sum":7}]"#),
    })
    .await;
    let got = host.post(Some("ada"), "{me{loans{sum}}}", Value::Null).await;
    assert_eq!((got.status, got.code().as_str()), (403, "FORBIDDEN"));
    assert!(host.lines().is_empty());
    let got = host.post(Some("ada:personal"), "{me{loans{sum}}}", Value::Null).await;
    assert_eq!(got.body, r#"{"data":{"me":{"loans":[{"sum":7}]}}}"#);
}

const NODES: &str = r#"
type Query {
  node(id: ID!): Node @connect(http: {GET: "/nodes/{$args.id}"}, selection: "__typename: kind id name value")
  found: [Found!]! @connect(http: {GET: "/found"}, selection: "$.items { __typename: kind id name url }")
  guarded: Guarded @connect(http: {GET: "/nodes/a"}, selection: "__typename: $(\"Page\") id")
}
interface Node { id: ID! name: String }
interface Guarded @authenticated { id: ID! @requiresScopes(scopes: [["ids"]]) }
type User implements Node { id: ID! name: String posts: [String!] @connect(http: {GET: "/posts/{$this.id}"}, selection: "$") }
type Secret implements Node @requiresScopes(scopes: [["secrets"]]) { id: ID! name: String value: String }
type Page implements Guarded { id: ID! url: String }
union Found = User | Page
"#;

fn nodes(seen: &Seen) -> Answer {
    match seen.line.as_str() {
        "GET /nodes/u" => Answer::Json(200, r#"{"kind":"User","id":"u","name":"Ada"}"#),
        "GET /nodes/s" => Answer::Json(200, r#"{"kind":"Secret","id":"s","name":"S","value":"x"}"#),
        "GET /nodes/x" => Answer::Json(200, r#"{"kind":"Nothing","id":"x"}"#),
        "GET /nodes/a" => Answer::Json(200, r#"{"id":"a"}"#),
        "GET /found" => Answer::Json(
            200,
            r#"{"items":[{"kind":"Page","id":"p","url":"/p"},{"kind":"User","id":"u","name":"Ada"}]}"#,
        ),
        _ => Answer::Json(200, r#"["one","two"]"#),
    }
}

#[tokio::test]
async fn interfaces_and_unions_are_answered_by_the_type_that_the_answer_names() {
    let host = host_with(NODES, settings(), nodes).await;
    let ask = async |query: &str| host.post(Some("ada:secrets,ids"), query, Value::Null).await.body;
    let got = ask(r#"{node(id:"u"){__typename id ...on User{name posts} ...on Secret{value}}}"#).await;
    assert_eq!(got, r#"{"data":{"node":{"__typename":"User","id":"u","name":"Ada","posts":["one","two"]}}}"#);
    let got = ask("{found{...on User{name posts} ...on Page{url} __typename}}").await;
    assert_eq!(
        got,
        r#"{"data":{"found":[{"url":"/p","__typename":"Page"},{"name":"Ada","posts":["one","two"],"__typename":"User"}]}}"#
    );
    let got: Value = serde_json::from_str(&ask(r#"{node(id:"x"){id}}"#).await).unwrap();
    assert_eq!(got["data"]["node"], Value::Null);
    assert_eq!(got["errors"][0]["extensions"]["code"], "UPSTREAM_ERROR");
    assert_eq!(ask("{guarded{id}}").await, r#"{"data":{"guarded":{"id":"a"}}}"#);
}

/// GQ6: a rule holds whichever way a type is reached, and only where something of it is asked.
#[tokio::test]
async fn gq6_a_rule_on_an_interface_holds_on_its_types_and_back() {
    let host = host_with(NODES, settings(), nodes).await;
    for (token, query, status) in [
        // The rule on the implementing type, through the interface.
        (Some("ada"), r#"{node(id:"s"){id}}"#, 403),
        (Some("ada"), r#"{node(id:"u"){...on User{name}}}"#, 200),
        (Some("ada"), r#"{node(id:"s"){...F}} fragment F on Node{id}"#, 403),
        (Some("ada:secrets"), r#"{node(id:"s"){id}}"#, 200),
        // The rule on the interface and its field, through the type.
        (Some("ada"), "{found{...on Page{url}}}", 200),
        (None, "{found{...on Page{url}}}", 401),
        (Some("ada"), "{found{...on Page{id}}}", 403),
        (Some("ada:ids"), "{found{...on Page{id}}}", 200),
        (None, "{guarded{id}}", 401),
        (None, "{found{...on User{name}}}", 200),
    ] {
        let got = host.post(token, query, Value::Null).await;
        assert_eq!(got.status, status, "{token:?} {query} {}", got.body);
    }
}

#[tokio::test]
async fn a_schema_says_what_is_a_success_and_what_clients_learn_of_an_error() {
    let sdl = r#"
        type Query {
          job: String @connect(
            http: {GET: "/job"}
            isSuccess: "$status = 202, $.ok = true"
            errors: {message: "$.error.text", extensions: "code: $.error.code retry: $.error.after status: $status"}
            selection: "$.id"
          )
        }"#;
    let host = host_with(sdl, settings(), |seen| match seen.component.as_str() {
        _ if seen.extra == "no" => unreachable!(),
        _ => Answer::Json(202, r#"{"ok":true,"id":"j"}"#),
    })
    .await;
    assert_eq!(host.ask("{job}").await, r#"{"data":{"job":"j"}}"#);
    for (status, body, expected) in [
        (
            200,
            r#"{"ok":true,"error":{"text":"not yet","code":"LATER","after":5}}"#,
            json!({"message": "not yet", "code": "LATER", "retry": 5, "status": 200}),
        ),
        (
            409,
            r#"{"error":{"text":"busy","code":"BUSY"},"stack":"at main"}"#,
            json!({"message": "busy", "code": "BUSY", "http": {"status": 409}, "status": 409}),
        ),
    ] {
        let host = host_with(sdl, settings(), move |_| Answer::Json(status, body)).await;
        let got: Value = serde_json::from_str(&host.ask("{job}").await).unwrap();
        let error = &got["errors"][0];
        assert_eq!(error["message"], expected["message"]);
        for (key, value) in expected.as_object().unwrap().iter().filter(|(key, _)| *key != "message") {
            assert_eq!(&error["extensions"][key], value, "{key} {got}");
        }
        assert!(!got.to_string().contains("stack"));
    }
}

#[tokio::test]
async fn a_cost_counts_lists_as_long_as_they_are_said_to_be() {
    let sdl = r#"
        type Query {
          items(first: Int, last: Int): [Item!] @listSize(assumedSize: 50, slicingArguments: ["first", "last"])
            @connect(http: {GET: "/items"}, selection: "name owner { name }")
        }
        type Item { name: String owner: Owner }
        type Owner { name: String }"#;
    let mut limits = settings();
    limits.max_cost = 30;
    let host = host_with(sdl, limits, |_| Answer::Json(200, "[]")).await;
    for (query, variables, good) in [
        ("{items(first: 20){owner{name}}}", Value::Null, true),
        ("{items(first: 20, last: 40){owner{name}}}", Value::Null, false),
        ("{items{owner{name}}}", Value::Null, false),
        ("{items{name}}", Value::Null, true),
        ("query($n: Int){items(first: $n){owner{name}}}", json!({"n": 20}), true),
        ("query($n: Int){items(first: $n){owner{name}}}", json!({"n": 30}), false),
        ("query($n: Int){items(first: $n){owner{name}}}", json!({}), false),
        ("query($n: Int = 3){items(first: $n){owner{name}}}", json!({}), true),
    ] {
        // Twice: the second time the plan is known.
        for _ in 0..2 {
            let got = host.post(Some("ada"), query, variables.clone()).await.json();
            let limit = got["errors"][0]["extensions"]["limit"].as_str();
            assert_eq!(limit, if good { None } else { Some("cost") }, "{query} {variables} {got}");
        }
    }
}

#[tokio::test]
async fn an_event_is_completed_by_what_its_objects_are_looked_up_with() {
    let sdl = r#"
        type Query { ping: String @connect(http: {GET: "/ping"}, selection: "$") }
        type Subscription {
          done(uploadId: String): Done @subscribe(topic: "analysis.completed", filter: "uploadId = $args.uploadId", selection: "uploadId")
        }
        type Done {
          uploadId: ID!
          upload: Upload @connect(http: {GET: "/uploads/{$this.uploadId}"}, selection: "name")
        }
        type Upload { name: String }"#;
    let host =
        host_with(sdl, settings(), |seen| Answer::Text(200, json!({"name": seen.line}).to_string())).await;
    let mut client = super::socket::connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{done{upload{name} uploadId}}", Value::Null).await;
    host.topics.watched(1).await;
    host.topics.publish(completed("ada", "a1"));
    assert_eq!(
        client.next().await["payload"],
        json!({"data": {"done": {"upload": {"name": "GET /uploads/a1"}, "uploadId": "a1"}}})
    );
}
