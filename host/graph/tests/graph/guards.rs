//! What operations cost: estimated before, measured after, paid out of a budget; and who is
//! told how they are answered.

use std::time::Duration;

use ::http::Request;
use monopod_core::resolve::Value as Typed;
use monopod_graph::{Budget, Settings};
use serde_json::{Value, json};

use super::socket::connect;
use super::support::{Answer, Got, Host, Seen, completed, host_with, schema, settings};

const SDL: &str = r#"
type Query {
  ping: String @connect(http: {GET: "/ping"}, selection: "$.pong")
  items(first: Int): [Item!] @listSize(slicingArguments: ["first"], assumedSize: 20)
    @connect(http: {GET: "/items"}, selection: "id owner { name }")
}
type Mutation { change: Int @connect(http: {POST: "/change"}, selection: "$.n") }
type Subscription {
  done(after: ID): Done @subscribe(topic: "analysis.completed", since: "$args.after", selection: "id: uploadId")
}
type Done { id: ID item: Item @connect(http: {GET: "/one"}, selection: "id owner { name }") }
type Item {
  id: ID!
  owner: Owner
  kind: Kind @connect(http: {GET: "/kind/{$this.id}"}, selection: "name")
  price: Float @resolve(needs: ["id"], maxSize: 2)
}
type Owner { name: String }
type Kind { name: String }
"#;

fn world(seen: &Seen) -> Answer {
    match seen.line.as_str() {
        "GET /items" => {
            Answer::Json(200, r#"[{"id":1,"owner":{"name":"a"}},{"id":2},{"id":1,"owner":{"name":"b"}}]"#)
        }
        "GET /one" => Answer::Json(200, r#"{"id":7,"owner":{"name":"o"}}"#),
        "GET /kind/2" => Answer::Trap,
        "POST /change" => Answer::Json(200, r#"{"n":1}"#),
        _ => Answer::Json(200, r#"{"pong":"pong","name":"k"}"#),
    }
}

async fn house(change: impl FnOnce(&mut Settings)) -> Host {
    let mut settings = settings();
    settings.administrators = Some(["operate".to_owned()].into());
    change(&mut settings);
    let host = host_with(SDL, settings, world).await;
    *host.fakes.resolver.lock().unwrap() =
        Some(Box::new(|field| Ok(field.parents.iter().map(|_| Ok(Typed::Float(0.5))).collect())));
    host
}

async fn with(host: &Host, token: Option<&str>, query: &str, extensions: Value) -> Got {
    let body = json!({"query": query, "extensions": extensions}).to_string();
    let mut request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    host.send(request.body(body.into()).unwrap()).await
}

const ADMINISTRATOR: Option<&str> = Some("ada:operate");

#[tokio::test]
async fn how_an_operation_is_answered_is_told_to_administrators_and_to_nobody_else() {
    let host = house(|_| {}).await;
    for wanted in [json!({"plan": true}), json!({"cost": true})] {
        let got = with(&host, None, "{ping}", wanted.clone()).await;
        assert_eq!((got.status, got.code().as_str()), (401, "UNAUTHENTICATED"));
        let got = with(&host, Some("ada"), "{ping}", wanted.clone()).await;
        assert_eq!((got.status, got.code().as_str()), (403, "FORBIDDEN"));
        assert_eq!(got.json()["errors"][0]["extensions"]["missingScopes"], json!(["operate"]));
    }
    // Where the platform names no administrators there are none, whatever a token says.
    let nobody = house(|settings| settings.administrators = None).await;
    let got = with(&nobody, ADMINISTRATOR, "{ping}", json!({"plan": true})).await;
    assert_eq!((got.status, got.code().as_str()), (403, "FORBIDDEN"));
    assert_eq!((host.lines().len(), nobody.lines().len()), (0, 0));

    let query = "{items{kind{name} price} more: items{id}}";
    let got = with(&host, ADMINISTRATOR, query, json!({"plan": true, "cost": true})).await.json();
    let waves = got["extensions"]["plan"]["waves"].as_array().unwrap().clone();
    let shown = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let count = |key: &str| entry[key].as_u64().unwrap();
        assert!(entry["ms"].as_f64().unwrap() >= 0.0);
        (
            text("field"),
            text("component"),
            text("how"),
            [count("objects"), count("calls"), count("batches"), count("failed")],
        )
    };
    let shown: Vec<Vec<_>> =
        waves.iter().map(|wave| wave.as_array().unwrap().iter().map(shown).collect()).collect();
    let by =
        |field: &str, how: &str, counts| (field.to_owned(), "ingestion".to_owned(), how.to_owned(), counts);
    assert_eq!(
        shown,
        [
            // The second asks for the same, and there is one call.
            vec![
                by("Query.items", "GET /items", [1, 1, 0, 0]),
                by("Query.items", "GET /items", [1, 0, 0, 0])
            ],
            vec![
                // Three objects with two ids; one of the calls has no answer.
                by("Item.kind", "GET /kind/{$this.id}", [3, 2, 0, 1]),
                by("Item.price", "code", [3, 1, 1, 0])
            ]
        ],
        "{got}"
    );
    assert!(waves[0][0]["bytes"].as_u64().unwrap() > 50);
    // An operation that asks for nothing of this is told nothing of it.
    let got = with(&host, ADMINISTRATOR, "{ping}", json!({"plan": false, "cost": 1})).await;
    assert_eq!(got.body, r#"{"data":{"ping":"pong"}}"#);
}

#[tokio::test]
async fn a_cost_is_estimated_before_and_measured_by_what_the_lists_held() {
    let host = house(|_| {}).await;
    for (query, estimated, actual) in [
        ("{ping}", 1, 1),
        // Twenty items and their owners; three items came.
        ("{items{owner{name}}}", 21, 4),
        ("{items(first: 2){owner{name}}}", 3, 4),
        ("{items{id kind{name}}}", 21, 4),
        ("mutation{change}", 10, 10),
    ] {
        let got = with(&host, ADMINISTRATOR, query, json!({"cost": true})).await.json();
        assert_eq!(got["extensions"]["cost"], json!({"estimated": estimated, "actual": actual}), "{query}");
    }
    let host = house(|settings| settings.show_cost = true).await;
    let got = with(&host, None, "{ping}", Value::Null).await;
    assert_eq!(
        got.json(),
        json!({"data": {"ping": "pong"}, "extensions": {"cost": {"estimated": 1, "actual": 1}}})
    );
    // Of a subscription each event, beside the event's own id.
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "subscription{done{id item{owner{name}}}}", Value::Null).await;
    host.topics.watched(1).await;
    host.topics.publish(completed("ada", "u"));
    let got = client.next().await["payload"]["extensions"].clone();
    assert_eq!(got, json!({"eventId": "1", "cost": {"estimated": 3, "actual": 3}}));
}

#[tokio::test]
async fn a_caller_has_a_budget_of_cost_and_is_told_when_there_is_more() {
    let budget = Budget { units: 30, interval: Duration::from_secs(3_600) };
    let host = house(|settings| {
        settings.budget = Some(budget);
        settings.max_cost = 30;
        settings.max_batch = 2;
    })
    .await;
    // Estimated at 21 and worth 4: what was not used goes back.
    for _ in 0..3 {
        assert_eq!(with(&host, Some("ada"), "{items{owner{name}}}", Value::Null).await.status, 200);
    }
    let calls = host.lines().len();
    let got = with(&host, Some("ada"), "{items{owner{name}}}", Value::Null).await;
    assert_eq!((got.status, got.code().as_str()), (429, "BUDGET_EXCEEDED"));
    let wait: u64 = got.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{wait}");
    assert_eq!(got.json()["errors"][0]["extensions"]["retryAfter"], json!(wait));
    assert_eq!(host.lines().len(), calls, "somebody was asked for a refused operation");
    // What is cheap enough goes on, and so do others; what is refused anyway costs nothing.
    assert_eq!(with(&host, Some("ada"), "{ping}", Value::Null).await.status, 200);
    assert_eq!(with(&host, Some("bob"), "{items{owner{name}}}", Value::Null).await.status, 200);
    for _ in 0..40 {
        assert_eq!(with(&host, Some("eve"), "{ping}", json!({"plan": true})).await.status, 403);
    }
    assert_eq!(with(&host, Some("eve"), "{items{owner{name}}}", Value::Null).await.status, 200);
    // All who are not logged in are one caller; operations of a list are paid one by one.
    let list = json!([{"query": "{items{id}}"}, {"query": "mutation{a: change b: change}"}]).to_string();
    let request = || Request::post("/graphql").header("content-type", "application/json");
    let first = host.send(request().body(list.clone().into()).unwrap()).await.json();
    assert_eq!((&first[0]["errors"], &first[1]["errors"]), (&Value::Null, &Value::Null));
    let second = host.send(request().body(list.into()).unwrap()).await.json();
    assert_eq!(second[0]["errors"], Value::Null);
    assert_eq!(second[1]["errors"][0]["extensions"]["code"], "BUDGET_EXCEEDED");
    // The same over a socket, and another schema forgives nothing.
    host.graph.swap(schema(SDL, &Settings { budget: Some(budget), ..settings() }));
    let mut client = connect(&host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", "{items{owner{name}}}", Value::Null).await;
    let got = client.next().await;
    assert_eq!(
        (&got["type"], &got["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("BUDGET_EXCEEDED"))
    );
}

#[tokio::test]
async fn every_field_that_somebody_is_asked_for_is_counted_also_after_a_swap() {
    let host = house(|_| {}).await;
    for _ in 0..2 {
        host.ask("{items{id kind{name} price}}").await;
    }
    host.graph.swap(schema(SDL, &settings()));
    host.ask("{ping}").await;
    let seen = host.graph.seen();
    let names: Vec<_> = seen.iter().map(|field| field.name.as_str()).collect();
    let wanted = [
        "Done.item",
        "Item.kind",
        "Item.price",
        "Mutation.change",
        "Query.items",
        "Query.ping",
        "Subscription.done",
    ];
    assert_eq!(names, wanted, "fields that are part of others have no numbers");
    let of = |name: &str| seen.iter().find(|field| field.name == name).unwrap();
    let numbers = |name: &str| {
        let field = of(name);
        (field.component.as_str(), field.calls, field.values, field.errors, field.cost)
    };
    assert_eq!(numbers("Query.items"), ("ingestion", 2, 2, 0, 2));
    assert_eq!(numbers("Item.kind"), ("ingestion", 4, 6, 2, 6));
    assert_eq!(numbers("Item.price"), ("ingestion", 2, 6, 0, 0));
    assert_eq!(numbers("Query.ping"), ("ingestion", 1, 1, 0, 1));
    assert_eq!(numbers("Subscription.done"), ("analysis.completed", 0, 0, 0, 0));
    assert!(of("Query.items").bytes > 100 && of("Query.items").time > Duration::ZERO);
}
