//! Subscriptions by what they promise, whatever the protocol: a client sees its own events,
//! each once, none too few, and the last one even if it comes late.

use serde_json::{Value, json};

use super::socket::{Client, connect};
use super::support::{Host, completed, host, message};

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
