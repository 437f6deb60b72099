//! Photos and how their analysis ends: with a machine, without one, or with the reason.

use serde_json::{Value, json};

use crate::support::{House, Platform, sample, small, trackunit};

const FAILED: &str = "subscription ($id: String) { onAnalysisFailed(uploadId: $id) { reason step uploadId objectKey correlationId } }";

#[tokio::test]
async fn a_photo_with_a_fleet_tag_ends_with_the_machine_and_its_evidence() {
    let house = trackunit().await;
    let phone = house.phone("photos.tag").await;
    let begun = phone.send(&sample("excavator-tagged.jpg")).await;
    let ended = phone.ended(&begun.id).await;
    assert_eq!((&ended["success"], &ended["objectKey"]), (&json!(true), &json!(begun.key)));
    let machine = &ended["recognitionPayload"]["aggregate"];
    for (field, value) in [
        ("brand", json!("Volvo")),
        ("type", json!("excavator")),
        ("model", json!("EC220E")),
        ("name", json!("Volvo EC220E")),
        ("typeSource", json!("fleet-tag")),
        ("isConfident", json!(true)),
    ] {
        assert_eq!(machine[field], value, "{field}");
    }
    assert!(machine["confidence"].as_f64().unwrap() >= 0.9, "{machine}");
    assert_eq!(machine["evidence"][0]["kind"], "fleet-tag", "the strongest first: {machine}");
}

#[tokio::test]
async fn a_photo_with_exif_alone_ends_with_the_machine_and_its_evidence() {
    let house = trackunit().await;
    let phone = house.phone("photos.exif").await;
    let begun = phone.send(&sample("loader-exif.jpg")).await;
    let ended = phone.ended(&begun.id).await;
    let machine = &ended["recognitionPayload"]["aggregate"];
    assert_eq!((&ended["success"], &machine["isConfident"]), (&json!(true), &json!(true)), "{machine}");
    assert_eq!((&machine["typeSource"], &machine["evidence"][0]["kind"]), (&json!("exif"), &json!("exif")));
    assert!(
        machine["brand"].is_string() && machine["model"].is_string() && machine["type"].is_string(),
        "{machine}"
    );
}

#[tokio::test]
async fn a_photo_without_evidence_is_completed_and_not_confident() {
    let house = trackunit().await;
    let phone = house.phone("photos.nothing").await;
    let begun = phone.send(&sample("empty-yard.webp")).await;
    let ended = phone.ended(&begun.id).await;
    let machine = &ended["recognitionPayload"]["aggregate"];
    assert_eq!((&ended["success"], &machine["isConfident"]), (&json!(true), &json!(false)), "{machine}");
    assert!(machine["confidence"].as_f64().unwrap() < 0.5, "{machine}");
    for nothing in ["brand", "model", "name"] {
        assert_eq!(machine[nothing], Value::Null, "{nothing}");
    }
}

#[tokio::test]
async fn a_damaged_photo_is_failed_with_the_reason_and_nobody_waits_for_ever() {
    let house = trackunit().await;
    let phone = house.phone("photos.damaged").await;
    let photo = sample("damaged.jpg");
    let begun = phone.start(&photo).await;
    // An old client watches `onAnalysisCompleted` alone: it is told too.
    let mut socket = phone.socket().await;
    let completed =
        "subscription { onAnalysisCompleted { success recognitionPayload { provider { name } } } }";
    socket.subscribe("completed", completed, json!({})).await;
    socket.subscribe("failed", FAILED, json!({ "id": begun.id })).await;
    let progress = "subscription { onAnalysisProgress { step state } }";
    socket.subscribe("progress", progress, json!({})).await;
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
    assert_eq!(socket.event("completed").await, json!({ "success": false, "recognitionPayload": null }));
    let expected = json!({
        "reason": "the JPEG file is incomplete: it breaks off in the middle of the picture",
        "step": "recognition", "uploadId": begun.id, "objectKey": begun.key, "correlationId": begun.correlation_id,
    });
    assert_eq!(socket.event("failed").await, expected);
    for state in ["started", "failed"] {
        assert_eq!(socket.event("progress").await, json!({ "step": "recognition", "state": state }));
    }
}

#[tokio::test]
async fn a_recognition_that_never_answers_is_ended_by_its_deadline() {
    // The platform without the one who would answer: the command waits for nobody.
    let platform = Platform::trackunit()
        .without("vision-adapter")
        .with("recognition-timeout = \"60s\"", "recognition-timeout = \"1s\"");
    let house = House::of(&platform).await;
    let phone = house.phone("photos.silence").await;
    let begun = phone.send(&small()).await;
    let ended = phone.ended(&begun.id).await;
    assert_eq!((&ended["success"], &ended["recognitionPayload"]), (&json!(false), &Value::Null));
    let mut socket = phone.socket().await;
    socket.subscribe("failed", FAILED, json!({ "id": begun.id })).await;
    assert_eq!(socket.event("failed").await["reason"], "recognition did not answer within 1 s");
    let upload = phone.client.upload(&begun.id).await.unwrap();
    assert_eq!(
        (&upload["state"], &upload["reason"]),
        (&json!("failed"), &json!("recognition did not answer within 1 s"))
    );
}

#[tokio::test]
async fn a_photo_replaced_between_confirmation_and_recognition_is_not_looked_at() {
    // An adapter that cannot look at a photo leaves the time to write to the URL again. Then it is mended.
    let unwell = Platform::trackunit().with("memory      = \"256MiB\"", "memory      = \"3MiB\"");
    let house = House::of(&unwell).await;
    let phone = house.phone("photos.replaced").await;
    let (confirmed, other) = (sample("excavator-tagged.jpg"), sample("loader-exif.jpg"));
    let mut socket = phone.socket().await;
    let progress = "subscription { onAnalysisProgress { step state } }";
    socket.subscribe("progress", progress, json!({})).await;
    let begun = phone.send(&confirmed).await;
    assert_eq!(socket.event("progress").await, json!({ "step": "recognition", "state": "started" }));
    phone.put(&begun, &other).await;
    let untouched = phone.send(&confirmed).await;
    let failing = |line: &Value| line["component"] == "vision-adapter" && line["level"] == "warn";
    house.logged("failed attempt of the adapter", failing).await;
    drop(socket);

    let house = house.again(&Platform::trackunit()).await;
    let phone = house.phone("photos.replaced").await;
    let ended = phone.ended(&begun.id).await;
    assert_eq!((&ended["success"], &ended["recognitionPayload"]), (&json!(false), &Value::Null), "{ended}");
    let reason = phone.client.upload(&begun.id).await.unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("the photo was replaced after it was confirmed"), "{reason}");
    for photo in [&confirmed, &other] {
        assert!(reason.contains(&monopod_tests::digest(&photo.bytes)), "{reason}");
    }
    // The one that was left alone is looked at, and whoever means the new photo can ask for it.
    assert_eq!(phone.ended(&untouched.id).await["success"], true);
    let again = "mutation ($key: String!) { requestAnalysis(input: { objectKey: $key }) { uploadId } }";
    let data = phone.data(again, json!({ "key": begun.key })).await;
    let ended = phone.ended(data["requestAnalysis"]["uploadId"].as_str().unwrap()).await;
    assert_eq!(ended["recognitionPayload"]["aggregate"]["evidence"][0]["kind"], "exif", "{ended}");
}
