//! Confirming an upload: the claim is compared with what is really there, once.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{House, Phone, Platform, sample, small, trackunit};

const CONFIRM: &str = "mutation ($id: String!, $bytes: Int!, $checksum: String!) {
    confirmUpload(uploadId: $id, bytes: $bytes, checksum: $checksum) { status } }";

fn claim(id: &str, bytes: usize, checksum: &str) -> Value {
    json!({ "id": id, "bytes": bytes, "checksum": checksum })
}

/// What is wrong with which field.
async fn fields(phone: &Phone, claim: Value) -> Value {
    let error = phone.refusal(CONFIRM, claim).await;
    assert_eq!(error["extensions"]["code"], "UNPROCESSABLE", "{error}");
    assert_eq!(error["extensions"]["http"]["status"], 422, "{error}");
    error["extensions"]["errors"].clone()
}

fn dummy() -> String {
    format!("sha256:{}", "0".repeat(64))
}

#[tokio::test]
async fn a_claim_that_does_not_fit_is_refused_with_what_was_found_and_can_be_mended() {
    let house = trackunit().await;
    let phone = house.phone("confirm.misfit").await;
    let photo = small();
    let (size, truth) = (photo.bytes.len(), monopod_tests::digest(&photo.bytes));
    let begun = phone.start(&photo).await;
    phone.put(&begun, &photo).await;
    let bytes = json!([format!("does not fit: the photo has {size} bytes")]);
    let checksum = json!([format!("does not fit: the photo has {truth}")]);
    for (claim, errors) in [
        (claim(&begun.id, size + 1, &truth), json!({ "bytes": bytes })),
        (claim(&begun.id, size, &dummy()), json!({ "checksum": checksum })),
        (claim(&begun.id, 1, &dummy()), json!({ "bytes": bytes, "checksum": checksum })),
    ] {
        assert_eq!(fields(&phone, claim).await, errors);
    }
    // Nothing of that began an analysis; the truth, in capitals too, does.
    let state = phone.client.upload(&begun.id).await.unwrap();
    assert_eq!(state["state"], "pending");
    let capitals = truth.to_uppercase().replace("SHA", "sha");
    let data = phone.data(CONFIRM, claim(&begun.id, size, &capitals)).await;
    assert_eq!(data["confirmUpload"]["status"], "Accepted");
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}

#[tokio::test]
async fn a_claim_of_the_wrong_form_is_refused_field_by_field() {
    let house = trackunit().await;
    let phone = house.phone("confirm.form").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    phone.put(&begun, &photo).await;
    let truth = monopod_tests::digest(&photo.bytes);
    let form = json!({ "checksum": ["must be sha256: and 64 hexadecimal digits"] });
    for checksum in
        ["", "sha256:", &truth[7..], &truth[..70], &truth.replace("sha256", "md5"), &format!("{truth}0")]
    {
        assert_eq!(fields(&phone, claim(&begun.id, photo.bytes.len(), checksum)).await, form, "{checksum:?}");
    }
    assert_eq!(
        fields(&phone, claim(&begun.id, 0, &truth)).await,
        json!({ "bytes": ["must be greater than 0"] })
    );
    let all = fields(&phone, claim("", 0, "")).await;
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["bytes", "checksum", "uploadId"]);
    let error = phone.refusal(CONFIRM, claim("no-upload", 7, &truth)).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
}

#[tokio::test]
async fn a_confirmation_before_the_photo_is_refused_and_may_come_again() {
    let house = trackunit().await;
    let phone = house.phone("confirm.early").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    let claim = claim(&begun.id, photo.bytes.len(), &monopod_tests::digest(&photo.bytes));
    let error = phone.refusal(CONFIRM, claim).await;
    // With the component's own code, so that clients can tell it from other conflicts.
    let told = json!({ "code": "CONFLICT", "http": { "status": 409 }, "reason": "NOT_UPLOADED" });
    assert_eq!(error["extensions"], told);
    assert!(error["message"].as_str().unwrap().contains("PUT"), "it says what to do: {error}");
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
    assert_eq!(phone.ended(&begun.id).await["success"], true);
}

#[tokio::test]
async fn confirming_twice_gives_the_same_answer_one_analysis_and_one_event() {
    let house = trackunit().await;
    let phone = house.phone("confirm.twice").await;
    let photo = small();
    let begun = phone.start(&photo).await;
    phone.put(&begun, &photo).await;
    let mut socket = phone.socket().await;
    socket.subscribe("started", "subscription { onAnalysisStarted { uploadId } }", json!({})).await;
    socket.subscribe("completed", "subscription { onAnalysisCompleted { uploadId } }", json!({})).await;
    // Eight at once on connections of their own, as an impatient client sends them, then one more
    // when all is over.
    let claim = claim(&begun.id, photo.bytes.len(), &monopod_tests::digest(&photo.bytes));
    let at_once = (0..8).map(|_| {
        let (client, claim) = (phone.client.another(), claim.clone());
        async move { client.graphql(CONFIRM, claim).await.unwrap() }
    });
    let mut answers = futures_util::future::join_all(at_once).await;
    phone.ended(&begun.id).await;
    answers.push(phone.client.graphql(CONFIRM, claim).await.unwrap());
    let accepted = json!({ "data": { "confirmUpload": { "status": "Accepted" } } });
    for answer in answers {
        assert_eq!(answer, (StatusCode::OK, accepted.clone()));
    }
    // The next events after the first are of the next upload: there was no second analysis.
    let next = phone.send(&small()).await;
    phone.ended(&next.id).await;
    for id in ["started", "completed"] {
        assert_eq!(socket.event(id).await, json!({ "uploadId": begun.id }), "{id}");
        assert_eq!(socket.event(id).await, json!({ "uploadId": next.id }), "{id}");
        assert!(socket.unasked(id).is_empty(), "{id}");
    }
    // A wrong claim stays wrong after a right one.
    let late = json!({ "id": begun.id, "bytes": 1, "checksum": dummy() });
    assert_eq!(fields(&phone, late).await.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn report_accepts_old_clients_that_send_a_dummy_and_records_the_difference() {
    let platform = Platform::trackunit().with("verify = \"strict\"", "verify = \"report\"");
    let house = House::of(&platform).await;
    let phone = house.phone("confirm.report").await;
    let photo = sample("excavator-tagged.jpg");
    let begun = phone.start(&photo).await;
    phone.put(&begun, &photo).await;
    for _ in 0..2 {
        let data = phone.data(CONFIRM, claim(&begun.id, 1, &dummy())).await;
        assert_eq!(data["confirmUpload"]["status"], "Accepted");
    }
    // The photo that is really there is what was analysed.
    let ended = phone.ended(&begun.id).await;
    assert_eq!(ended["recognitionPayload"]["aggregate"]["name"], "Volvo EC220E");
    let upload = "query ($id: String!) { upload(id: $id) { bytes checksum difference { bytes checksum } } }";
    let kept = phone.data(upload, json!({ "id": begun.id })).await;
    let truth = json!({ "bytes": photo.bytes.len(), "checksum": monopod_tests::digest(&photo.bytes),
        "difference": { "bytes": 1, "checksum": dummy() } });
    assert_eq!(kept["upload"], truth);
    // And the operator sees it.
    let said = |line: &Value| line["msg"].as_str().is_some_and(|msg| msg.contains(&begun.id));
    let lines = house.logged("line about the difference", said).await;
    assert_eq!((&lines[0]["component"], &lines[0]["level"]), (&json!("ingestion"), &json!("warn")));
    assert_eq!(lines.len(), 1, "once: {lines:?}");

    // Nothing else is let through by it: form, presence, owner.
    let other = phone.start(&photo).await;
    let error = phone.refusal(CONFIRM, claim(&other.id, 1, &dummy())).await;
    assert_eq!(error["extensions"]["reason"], "NOT_UPLOADED", "{error}");
    assert_eq!(fields(&phone, claim(&other.id, 1, "x")).await.as_object().unwrap().len(), 1);
    // A claim that fits leaves no note.
    phone.put(&other, &photo).await;
    phone.confirm(&other, &photo).await;
    let kept = phone.data(upload, json!({ "id": other.id })).await;
    assert_eq!(kept["upload"]["difference"], Value::Null);
}
