//! Subscriptions by what they promise, whatever the protocol: a client sees its own events,
//! each once, none too few, and the last one even if it comes late.

use serde_json::{Value, json};

use super::socket::{Client, connect};
use super::support::{Answer, Host, completed, host, host_with, message, settings};

const COMPLETED: &str = "subscription($c: String, $u: String) { onAnalysisCompleted(correlationId: $c, uploadId: $u) \
                         { success uploadId recognitionPayload { provider { name } } } }";

async fn quiet() -> Host {
    host(|_| super::support::Answer::Json(200, r#"{"pong":"pong"}"#)).await
}

fn upload(received: &Value) -> &str {
    received["payload"]["data"]["onAnalysisCompleted"]["uploadId"].as_str().unwrap_or_default()
}

async fn subscribed(host: &Host, token: &str, variables: Value) -> Client {
    let before = *host.topics.watchers.borrow();
    let mut client = connect(host, Some(token)).await;
    client.init().await;
    client.subscribe("1", COMPLETED, variables).await;
    host.topics.watched(before + 1).await;
    client
}

#[tokio::test]
async fn two_users_at_once_each_see_only_their_own_events() {
    let host = quiet().await;
    let mut ada = subscribed(&host, "ada", json!({})).await;
    let mut bob = subscribed(&host, "bob", json!({})).await;
    // Asking for another's upload by name gives nothing either.
    let mut eve = subscribed(&host, "eve", json!({"u": "a1"})).await;
    for (owner, id) in [("ada", "a1"), ("bob", "b1"), ("ada", "a2"), ("bob", "b2"), ("eve", "a1")] {
        host.topics.publish(completed(owner, id));
    }
    assert_eq!([upload(&ada.next().await), upload(&ada.next().await)], ["a1", "a2"]);
    assert_eq!([upload(&bob.next().await), upload(&bob.next().await)], ["b1", "b2"]);
    assert_eq!(upload(&eve.next().await), "a1");
    for client in [&mut ada, &mut bob, &mut eve] {
        client.quiet().await;
    }
}

#[tokio::test]
async fn messages_that_nobody_began_reach_nobody() {
    let host = quiet().await;
    let mut ada = subscribed(&host, "ada", json!({})).await;
    let mut orphan = completed("ada", "a1");
    orphan.owner = None;
    host.topics.publish(orphan);
    let mut stranger = completed("ada", "a2");
    stranger.owner.as_mut().unwrap().issuer = "another issuer".into();
    host.topics.publish(stranger);
    ada.quiet().await;
}

#[tokio::test]
async fn a_late_subscriber_that_names_its_upload_gets_the_final_event() {
    let host = quiet().await;
    host.topics.publish(completed("ada", "a1"));
    host.topics.publish(completed("ada", "a2"));
    for variables in [json!({"u": "a1"}), json!({"c": "c-a1"}), json!({"c": "c-a1", "u": "a1"})] {
        let mut client = subscribed(&host, "ada", variables.clone()).await;
        assert_eq!(upload(&client.next().await), "a1", "{variables}");
        client.quiet().await;
    }
    let mut bob = subscribed(&host, "bob", json!({"u": "a1"})).await;
    bob.quiet().await;
    let mut both = subscribed(&host, "ada", json!({"u": "a1", "c": "c-a2"})).await;
    both.quiet().await;
    let mut live_only = subscribed(&host, "ada", json!({})).await;
    live_only.quiet().await;
}

#[tokio::test]
async fn a_failed_analysis_ends_the_wait_for_a_completed_one() {
    let host = quiet().await;
    let payload = r#"{"success":false,"reason":"no picture","correlationId":"c-a1","uploadId":"a1"}"#;
    host.topics.publish(message("analysis.failed", "ada", "a1", payload));
    let mut client = subscribed(&host, "ada", json!({"u": "a1"})).await;
    let got = client.next().await;
    assert_eq!(
        got["payload"],
        json!({"data": {"onAnalysisCompleted": {"success": false, "uploadId": "a1", "recognitionPayload": null}}})
    );
}

#[tokio::test]
async fn between_the_retained_message_and_live_ones_there_is_no_gap_and_no_double() {
    let host = quiet().await;
    host.topics.publish(completed("ada", "a1"));
    // Published after watching began and before the look back was answered: the second
    // becomes the retained one and is on its way live as well.
    host.topics.on_look.lock().unwrap().extend([completed("ada", "a1"), completed("ada", "a1")]);
    let mut client = subscribed(&host, "ada", json!({"u": "a1"})).await;
    let mut last = completed("ada", "a1");
    last.payload = r#"{"success":false,"correlationId":"c-a1","uploadId":"a1"}"#.into();
    let first = client.next().await;
    assert_eq!(first["payload"]["data"]["onAnalysisCompleted"]["success"], true);
    host.topics.publish(last);
    let second = client.next().await;
    assert_eq!(second["payload"]["data"]["onAnalysisCompleted"]["success"], false, "a double: {second}");
    client.quiet().await;
}

#[tokio::test]
async fn an_event_that_does_not_fit_its_type_is_an_error_and_not_the_end() {
    let host = quiet().await;
    let mut client = subscribed(&host, "ada", json!({})).await;
    host.topics.publish(message("analysis.completed", "ada", "a1", "not JSON"));
    let got = client.next().await;
    assert_eq!(got["payload"]["errors"][0]["extensions"]["code"], "UPSTREAM_ERROR", "{got}");
    host.topics.publish(message("analysis.completed", "ada", "a1", r#"{"success":"yes","uploadId":"a1"}"#));
    let got = client.next().await;
    assert_eq!(got["payload"]["errors"][0]["path"], json!(["onAnalysisCompleted", "success"]));
    assert_eq!(got["payload"]["data"], Value::Null);
    host.topics.publish(completed("ada", "a1"));
    assert_eq!(upload(&client.next().await), "a1");
}

/// Jobs of which each ends: progress until it is done, and a word at the end.
const JOBS: &str = r#"
type Query { ping: String @connect(http: {GET: "/ping"}, selection: "$.pong") }
type Subscription {
  progress(id: ID, since: DateTime): Step
    @subscribe(topic: "analysis.progress", filter: "id = $args.id", since: "$args.since", selection: "id step",
      until: "$.step = 3, $.last = true")
    @subscribe(topic: "analysis.failed", filter: "id = $args.id", since: "$args.since", until: "always")
  steps(from: ID): Step
    @subscribe(topic: "analysis.progress", since: "$args.from", selection: "id step")
}
type Step { id: ID! step: Int! }
"#;

async fn jobs() -> Host {
    host_with(JOBS, settings(), |_| Answer::Json(200, r#"{"pong":"pong"}"#)).await
}

fn step(owner: &str, id: &str, step: i32) -> monopod_core::message::Message {
    message("analysis.progress", owner, id, &json!({"id": id, "step": step, "last": true}).to_string())
}

fn failed(owner: &str, id: &str) -> monopod_core::message::Message {
    message("analysis.failed", owner, id, &json!({"id": id}).to_string())
}

async fn watching(host: &Host, query: &str) -> Client {
    let before = *host.topics.watchers.borrow();
    let mut client = connect(host, Some("ada")).await;
    client.init().await;
    client.subscribe("1", query, Value::Null).await;
    host.topics.watched(before + 1).await;
    client
}

/// The steps that come, up to `complete`.
async fn all(client: &mut Client) -> Vec<i64> {
    let mut steps = Vec::new();
    loop {
        let next = client.next().await;
        if next["type"] == "complete" {
            return steps;
        }
        steps.push(next["payload"]["data"]["progress"]["step"].as_i64().unwrap_or_else(|| panic!("{next}")));
    }
}

#[tokio::test]
async fn a_subscription_ends_with_the_last_event_of_what_it_waits_for() {
    let host = jobs().await;
    let mut client = watching(&host, r#"subscription{progress(id:"a"){step}}"#).await;
    let mut everything = watching(&host, "subscription{progress{id step}}").await;
    for number in 1..=3 {
        host.topics.publish(step("ada", "b", number));
        host.topics.publish(step("ada", "a", number));
    }
    assert_eq!(all(&mut client).await, [1, 2, 3]);
    for _ in 0..6 {
        assert_eq!(everything.next().await["type"], "next", "who names nothing waits for nothing that ends");
    }
    // The topic that is not shown ends it as well.
    let mut client = watching(&host, r#"subscription{progress(id:"c"){step}}"#).await;
    host.topics.publish(step("ada", "c", 1));
    host.topics.publish(failed("bob", "c"));
    host.topics.publish(step("ada", "c", 2));
    host.topics.publish(failed("ada", "c"));
    assert_eq!(all(&mut client).await, [1, 2]);
    everything.next().await;
    everything.next().await;
    everything.quiet().await;
}

#[tokio::test]
async fn who_comes_when_it_is_over_gets_the_last_state_and_the_end() {
    let host = jobs().await;
    for number in 1..=3 {
        host.topics.publish(step("ada", "a", number));
    }
    host.topics.publish(step("ada", "c", 1));
    host.topics.publish(failed("ada", "c"));
    host.topics.publish(failed("ada", "d"));
    for (id, wanted) in [("a", vec![3]), ("c", vec![1]), ("d", vec![])] {
        let mut client = watching(&host, &format!("subscription{{progress(id:\"{id}\"){{step}}}}")).await;
        assert_eq!(all(&mut client).await, wanted, "{id}");
    }
}

#[tokio::test]
async fn a_subscription_begins_where_the_client_says() {
    let host = jobs().await;
    for number in 1..=7 {
        host.topics.publish(step("ada", "a", number));
        host.topics.publish(step("bob", "a", number));
    }
    // Messages of the fake are published one millisecond after another.
    let third = step("ada", "a", 0).published_at - 2 * 7 + 4;
    let since = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(third) * 1_000_000).unwrap();
    let since = since.format(&time::format_description::well_known::Rfc3339).unwrap();
    let mut client = watching(&host, &format!("subscription{{progress(since:\"{since}\"){{step}}}}")).await;
    host.topics.publish(step("ada", "a", 8));
    for number in 3..=8 {
        assert_eq!(client.next().await["payload"]["data"]["progress"]["step"], number);
    }
    client.quiet().await;
    // One that ends does so also where it lies in the past, and shows nothing behind it.
    let mut client =
        watching(&host, r#"subscription{progress(id:"a",since:"1970-01-01T00:00:00Z"){step}}"#).await;
    assert_eq!(all(&mut client).await, [1, 2, 3]);
}

#[tokio::test]
async fn an_event_says_its_id_and_a_client_that_comes_back_with_it_goes_on_behind_it() {
    let host = jobs().await;
    let mut client = watching(&host, "subscription{steps{step}}").await;
    host.topics.publish(step("ada", "a", 1));
    host.topics.publish(step("ada", "a", 2));
    let first = client.next().await;
    assert_eq!(first["payload"], json!({"data": {"steps": {"step": 1}}, "extensions": {"eventId": "1"}}));
    drop(client);
    for number in 3..=5 {
        host.topics.publish(step("ada", "a", number));
        host.topics.publish(step("bob", "a", number));
    }
    let mut client = watching(&host, r#"subscription{steps(from:"1"){step}}"#).await;
    host.topics.publish(step("ada", "a", 6));
    for number in 2..=6 {
        assert_eq!(client.next().await["payload"]["data"]["steps"]["step"], number);
    }
    client.quiet().await;
    let mut wrong = connect(&host, Some("ada")).await;
    wrong.init().await;
    wrong.subscribe("1", r#"subscription{steps(from:"first"){step}}"#, Value::Null).await;
    assert_eq!(wrong.next().await["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
}
