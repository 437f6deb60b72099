//! Runs: one end each, whatever comes, however often, in whatever order.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::time::Duration;

use monopod_sdk::http::{Method, Request};
use monopod_sdk::ports::{Failure, Message, Millis, Outgoing, Timer};
use monopod_sdk::testing::Fake;
use proptest::prelude::*;
use serde_json::{Value, json};
use trackunit_contracts::topics;

const ID: &str = "019ab000-0000-7000-8000-000000000001";
const KEY: &str = "images/2026/11/23/019ab000-0000-7000-8000-000000000001.jpg";

fn message(topic: &str, payload: &Value) -> Message {
    Message {
        id: "m".into(),
        topic: topic.into(),
        key: Some(KEY.into()),
        headers: Vec::new(),
        payload: payload.to_string().into_bytes(),
        correlation_id: "c-1".into(),
        published_at: Millis(0),
        attempt: 1,
    }
}

fn uploaded() -> Message {
    let payload = json!({"uploadId": ID, "objectKey": KEY, "contentType": "image/jpeg", "bytes": 4,
        "checksum": "sha256:x", "occurredAt": "2026-11-23T05:12:00.000Z"});
    message(topics::IMAGES_UPLOADED, &payload)
}

fn commanded() -> Message {
    message(topics::ANALYSIS_COMMANDS, &json!({"objectKey": KEY, "correlationId": "c-1", "uploadId": ID}))
}

fn found() -> Value {
    json!({
        "provider": {"name": "offline", "apiVersion": "1", "featureset": ["fleet-tag"], "maxResults": null},
        "aggregate": {"brand": "Volvo", "type": "excavator", "model": "EC220E", "name": "Volvo EC220E",
            "confidence": 0.97, "isConfident": true, "typeConfidence": 0.9, "typeSource": "fleet-tag",
            "weight": null, "year": null, "attachments": [], "evidence": []},
    })
}

fn recognised() -> Message {
    let mut payload = found();
    for (name, value) in [("correlationId", "c-1"), ("uploadId", ID), ("objectKey", KEY)] {
        payload[name] = json!(value);
    }
    message(topics::RECOGNITION_COMPLETED, &payload)
}

fn unrecognised() -> Message {
    let payload = json!({"reason": "not a photo", "correlationId": "c-1", "uploadId": ID, "objectKey": KEY});
    message(topics::RECOGNITION_FAILED, &payload)
}

fn handle(fake: &Fake, message: &Message) -> Result<(), Failure> {
    fake.unit(|fake| orchestrator::handle(fake, message))
}

/// Fires the timer whose name begins so, if it is set.
fn fire(fake: &Fake, prefix: &str) -> bool {
    let Some((name, _)) = fake.timers().into_iter().find(|(name, _)| name.starts_with(prefix)) else {
        return false;
    };
    let payload = fake.take_timer(&name).unwrap();
    let timer = Timer { name, payload, correlation_id: "c-1".into(), due_at: Millis(0), attempt: 1 };
    fake.unit(|fake| orchestrator::fire(fake, &timer)).unwrap();
    true
}

fn fake() -> Fake {
    Fake::new().user("anna")
}

fn payload(message: &Outgoing) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

fn topics_of(fake: &Fake) -> Vec<String> {
    fake.published().into_iter().map(|message| message.topic).collect()
}

fn ends(fake: &Fake) -> Vec<Outgoing> {
    let end = |topic: &str| topic == topics::ANALYSIS_COMPLETED || topic == topics::ANALYSIS_FAILED;
    fake.published().into_iter().filter(|message| end(&message.topic)).collect()
}

fn get(fake: &Fake, target: &str) -> (u16, Value) {
    let response = orchestrator::answer(fake, Request::new(Method::Get, target)).unwrap_or_else(Into::into);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

#[test]
fn a_photo_is_analysed_step_by_step_to_a_good_end() {
    let fake = fake();
    handle(&fake, &uploaded()).unwrap();
    assert_eq!(
        topics_of(&fake),
        [topics::ANALYSIS_STARTED, topics::ANALYSIS_PROGRESS, topics::RECOGNITION_REQUEST]
    );
    let about = json!({"objectKey": KEY, "correlationId": "c-1", "uploadId": ID});
    let published = fake.published();
    assert_eq!(payload(&published[0]), about);
    let mut asked = about.clone();
    asked["checksum"] = json!("sha256:x");
    assert_eq!(payload(&published[2]), asked, "the photo that was confirmed is meant, and no other");
    assert_eq!(published[0].key.as_deref(), Some(ID));
    assert_eq!(published[2].key.as_deref(), Some(KEY));
    assert_eq!(fake.timers().len(), 1);
    assert_eq!(get(&fake, &format!("/v1/runs/{ID}")).1["state"], "analysing");

    handle(&fake, &recognised()).unwrap();
    let published = fake.published();
    assert_eq!(payload(&published[3])["state"], "completed");
    let mut expected = json!({"success": true, "recognitionPayload": found()});
    expected.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
    assert_eq!(published[4].topic, topics::ANALYSIS_COMPLETED);
    assert_eq!(payload(&published[4]), expected);
    assert_eq!(published[4].key.as_deref(), Some(ID));
    assert!(published.iter().all(|message| message.correlation_id.as_deref() == Some("c-1")));
    assert!(fake.timers().is_empty());
    let (_, run) = get(&fake, &format!("/v1/runs/{ID}"));
    assert_eq!((&run["state"], &run["recognitionPayload"]), (&json!("completed"), &found()));
    assert_eq!(run["steps"][0]["state"], "completed");
}

#[test]
fn a_failed_recognition_ends_the_run_with_its_reason() {
    let fake = fake();
    handle(&fake, &commanded()).unwrap();
    handle(&fake, &unrecognised()).unwrap();
    let ended = ends(&fake);
    assert_eq!(ended.len(), 1);
    let expected = json!({"success": false, "reason": "not a photo", "step": "recognition",
        "objectKey": KEY, "correlationId": "c-1", "uploadId": ID});
    assert_eq!(payload(&ended[0]), expected);
    assert!(fake.timers().is_empty());
    let (_, run) = get(&fake, &format!("/v1/runs/{ID}"));
    assert_eq!((&run["state"], &run["reason"]), (&json!("failed"), &json!("not a photo")));
    assert_eq!(run["recognitionPayload"], json!(null));
}

#[test]
fn a_silent_recognition_ends_the_run_at_its_deadline() {
    let fake = fake().with_setting("recognition-timeout", "2s");
    handle(&fake, &uploaded()).unwrap();
    fake.advance(Duration::from_secs(2));
    assert!(fire(&fake, "deadline/"));
    let ended = ends(&fake);
    assert_eq!(payload(&ended[0])["reason"], "recognition did not answer within 2 s");
    handle(&fake, &recognised()).unwrap();
    assert_eq!(ends(&fake).len(), 1, "an answer after the end changes nothing");
}

#[test]
fn an_answer_before_the_run_is_kept_and_used() {
    let fake = fake();
    handle(&fake, &recognised()).unwrap();
    assert!(fake.published().is_empty());
    handle(&fake, &uploaded()).unwrap();
    assert_eq!(ends(&fake).len(), 1);
    assert_eq!(ends(&fake)[0].topic, topics::ANALYSIS_COMPLETED);
    assert!(fake.published_to(topics::RECOGNITION_REQUEST).is_empty(), "what is answered is not asked");
    assert!(fake.timers().is_empty());
}

#[test]
fn an_answer_to_a_run_that_never_begins_is_forgotten() {
    let fake = fake();
    handle(&fake, &unrecognised()).unwrap();
    assert!(fire(&fake, "early/"));
    handle(&fake, &uploaded()).unwrap();
    assert!(ends(&fake).is_empty());
    assert_eq!(fake.published_to(topics::RECOGNITION_REQUEST).len(), 1);
}

#[test]
fn what_cannot_be_read_is_rejected_and_what_cannot_be_done_now_retried() {
    let fake = fake();
    for bad in [
        message(topics::IMAGES_UPLOADED, &json!({"uploadId": 1})),
        message(topics::RECOGNITION_COMPLETED, &json!({"uploadId": ID})),
        message(topics::RECOGNITION_FAILED, &json!([])),
        message("another.topic", &json!({})),
        message(topics::ANALYSIS_COMMANDS, &json!({"objectKey": KEY, "correlationId": "c", "uploadId": ""})),
    ] {
        assert!(matches!(handle(&fake, &bad), Err(Failure::Reject(_))), "{}", bad.topic);
    }
    let misconfigured = fake.clone().with_setting("recognition-timeout", "soon");
    assert!(matches!(handle(&misconfigured, &uploaded()), Err(Failure::Retry { .. })));
    assert!(misconfigured.published().is_empty(), "a failed unit leaves nothing");
    fake.set_unavailable(true);
    assert!(matches!(handle(&fake, &uploaded()), Err(Failure::Retry { .. })));
}

#[test]
fn a_user_sees_their_own_runs_only() {
    let mut fake = fake();
    handle(&fake, &uploaded()).unwrap();
    let (one, list) =
        (format!("/v1/runs/{ID}"), format!("/v1/runs?ids={ID},x,019ab000-0000-7000-8000-000000000002"));
    assert_eq!(get(&fake, &list).1.as_array().map(Vec::len), Some(1));
    fake.be("berta");
    assert_eq!(get(&fake, &one).0, 404);
    assert_eq!(get(&fake, &list), (200, json!([])));
    assert_eq!(get(&fake, "/v1/runs").0, 422);
    assert_eq!(get(&fake, &format!("/v1/runs?ids={}", "a,".repeat(101))).0, 422);
    assert_eq!(get(&Fake::new(), &one).0, 401);
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Uploaded,
    Commanded,
    Recognised,
    Unrecognised,
    Deadline,
    EarlyForgotten,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        Just(Uploaded),
        Just(Commanded),
        Just(Recognised),
        Just(Unrecognised),
        Just(Deadline),
        Just(EarlyForgotten),
    ]
}

proptest! {
    #[test]
    fn any_order_and_repetition_ends_at_most_once_and_a_begun_run_always_ends(
        happenings in prop::collection::vec(happening(), 0..24)
    ) {
        let fake = fake();
        for happening in happenings {
            let result = match happening {
                Happening::Uploaded => handle(&fake, &uploaded()),
                Happening::Commanded => handle(&fake, &commanded()),
                Happening::Recognised => handle(&fake, &recognised()),
                Happening::Unrecognised => handle(&fake, &unrecognised()),
                Happening::Deadline => { fire(&fake, "deadline/"); Ok(()) }
                Happening::EarlyForgotten => { fire(&fake, "early/"); Ok(()) }
            };
            prop_assert!(result.is_ok());
            prop_assert!(ends(&fake).len() <= 1);
        }
        // Whatever happened: once the last timer has fired, what began has ended.
        while fire(&fake, "") {}
        let begun = fake.published_to(topics::ANALYSIS_STARTED).len();
        prop_assert!(begun <= 1);
        prop_assert_eq!(ends(&fake).len(), begun);
        prop_assert!(fake.published_to(topics::RECOGNITION_REQUEST).len() <= 1);
        // Every step that began has ended, and the end came last.
        let progress = fake.published_to(topics::ANALYSIS_PROGRESS).len();
        prop_assert_eq!(progress, begun * 2);
        if begun == 1 {
            let last = fake.published().last().map(|message| message.topic.clone());
            prop_assert!(last.is_some_and(|topic| topic == topics::ANALYSIS_COMPLETED || topic == topics::ANALYSIS_FAILED));
        }
    }
}
