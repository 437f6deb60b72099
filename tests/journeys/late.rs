//! A client that comes late, or was away, misses nothing that it asks for.

use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{House, Phone, sample, small, trackunit};

const UPLOAD: &str = "query ($id: String!) { upload(id: $id) {
    uploadId objectKey correlationId filename contentType state createdAt expiresAt confirmedAt endedAt
    bytes checksum reason steps { name state startedAt endedAt reason }
    recognitionPayload { aggregate { name type confidence isConfident evidence { kind } } } } }";

#[tokio::test]
async fn a_subscriber_who_comes_late_with_the_uploads_id_still_gets_each_last_event() {
    let house = trackunit().await;
    let phone = house.phone("late.subscriber").await;
    let begun = phone.send(&sample("excavator-tagged.jpg")).await;
    assert_eq!(phone.ended(&begun.id).await["uploadId"], begun.id);
    // By now all of it is over, and was on nobody's other connection.
    let mut socket = phone.socket().await;
    for (field, more) in
        [("onAnalysisStarted", ""), ("onAnalysisProgress", "step state"), ("onAnalysisCompleted", "success")]
    {
        for (argument, value) in [("uploadId", &begun.id), ("correlationId", &begun.correlation_id)] {
            let document =
                format!("subscription {{ {field}({argument}: \"{value}\") {{ objectKey {more} }} }}");
            let id = format!("{field} {argument}");
            socket.subscribe(&id, &document, json!({})).await;
            let event = socket.event(&id).await;
            assert_eq!(event["objectKey"], begun.key, "{id}");
            if field == "onAnalysisProgress" {
                assert_eq!((&event["step"], &event["state"]), (&json!("recognition"), &json!("completed")));
            }
        }
    }
}

#[tokio::test]
async fn a_subscriber_who_comes_late_to_a_failure_gets_it_on_both_subscriptions() {
    let house = trackunit().await;
    let phone = house.phone("late.failure").await;
    let begun = phone.send(&sample("damaged.jpg")).await;
    let completed = phone.ended(&begun.id).await;
    assert_eq!((&completed["success"], &completed["recognitionPayload"]), (&json!(false), &Value::Null));
    let mut socket = phone.socket().await;
    let document = "subscription ($id: String) { onAnalysisFailed(uploadId: $id) { reason step uploadId } }";
    socket.subscribe("failed", document, json!({ "id": begun.id })).await;
    let failed = socket.event("failed").await;
    assert_eq!((&failed["step"], &failed["uploadId"]), (&json!("recognition"), &json!(begun.id)));
    assert!(failed["reason"].as_str().unwrap().contains("incomplete"), "{failed}");
}

#[tokio::test]
async fn a_subscriber_without_arguments_gets_what_happens_from_then_on_and_nothing_old() {
    let house = trackunit().await;
    let phone = house.phone("late.live").await;
    let old = phone.send(&small()).await;
    phone.ended(&old.id).await;
    let mut socket = phone.socket().await;
    socket.subscribe("all", "subscription { onAnalysisCompleted { uploadId } }", json!({})).await;
    let new = phone.send(&small()).await;
    assert_eq!(socket.event("all").await, json!({ "uploadId": new.id }));
}

#[tokio::test]
async fn a_client_that_was_away_finds_state_and_machine_of_its_uploads() {
    let house = trackunit().await;
    let phone = house.phone("late.away").await;
    let photo = sample("excavator-tagged.jpg");
    let begun = phone.start(&photo).await;
    let upload = |data: Value| data["upload"].clone();
    let before = upload(phone.data(UPLOAD, json!({ "id": begun.id })).await);
    assert_eq!((&before["state"], &before["filename"]), (&json!("pending"), &json!(photo.name)));
    for nothing in ["confirmedAt", "endedAt", "bytes", "checksum", "reason", "recognitionPayload"] {
        assert_eq!(before[nothing], Value::Null, "{nothing}");
    }
    phone.put(&begun, &photo).await;
    phone.confirm(&begun, &photo).await;
    phone.ended(&begun.id).await;

    // Whoever saw the event finds the same here: both were committed together.
    let after = upload(phone.data(UPLOAD, json!({ "id": begun.id })).await);
    assert_eq!((&after["state"], &after["objectKey"]), (&json!("completed"), &json!(begun.key)));
    assert_eq!(
        (&after["expiresAt"], &after["correlationId"]),
        (&json!(begun.expires_at), &json!(begun.correlation_id))
    );
    assert_eq!(
        (&after["bytes"], &after["checksum"]),
        (&json!(photo.bytes.len()), &json!(monopod_tests::digest(&photo.bytes)))
    );
    let machine = &after["recognitionPayload"]["aggregate"];
    assert_eq!((&machine["name"], &machine["isConfident"]), (&json!("Volvo EC220E"), &json!(true)));
    let [step] = &after["steps"].as_array().unwrap()[..] else { panic!("{after}") };
    assert_eq!((&step["name"], &step["state"]), (&json!("recognition"), &json!("completed")));
    let times =
        [&after["createdAt"], &after["confirmedAt"], &step["startedAt"], &step["endedAt"], &after["endedAt"]];
    let times = times.map(|time| time.as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");

    let failed = phone.send(&sample("damaged.jpg")).await;
    phone.ended(&failed.id).await;
    let listed = phone.data("{ uploads { uploadId state reason } }", json!({})).await;
    let [last, first] = &listed["uploads"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!((&first["uploadId"], &first["state"]), (&json!(begun.id), &json!("completed")));
    assert_eq!((&last["uploadId"], &last["state"]), (&json!(failed.id), &json!("failed")));
    assert!(last["reason"].as_str().unwrap().contains("incomplete"), "{last}");
}

#[tokio::test]
async fn whoever_subscribes_at_whatever_moment_gets_the_end_exactly_once() {
    let house = trackunit().await;
    let phone = house.phone("late.any-moment").await;
    let photo = sample("excavator-tagged.jpg");
    let begun = phone.start(&photo).await;
    phone.put(&begun, &photo).await;
    // Connections that are open already, so that their subscriptions come close together: before
    // the confirmation, while the analysis runs, and after its end.
    let mut sockets = Vec::new();
    for _ in 0..24 {
        sockets.push(phone.socket().await);
    }
    let document = "subscription ($id: String) { onAnalysisCompleted(uploadId: $id) { uploadId } }";
    let (id, one) = (&begun.id, json!({ "uploadId": begun.id }));
    let watch = sockets.into_iter().enumerate().map(|(number, mut socket)| {
        let one = &one;
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(3 * number as u64)).await;
            socket.subscribe("end", document, json!({ "id": id })).await;
            assert_eq!(socket.event("end").await, *one, "{number}");
            socket
        }
    });
    let (mut sockets, ()) =
        tokio::join!(futures_util::future::join_all(watch), phone.confirm(&begun, &photo));
    // A later event of the same topic: a double would have come before it.
    for socket in &mut sockets {
        socket.subscribe("all", "subscription { onAnalysisCompleted { uploadId } }", json!({})).await;
    }
    let next = phone.send(&small()).await;
    for socket in &mut sockets {
        assert_eq!(socket.event("all").await, json!({ "uploadId": next.id }));
        assert_eq!(socket.unasked("end"), Vec::<Value>::new());
    }
}

/// An upload whose action the client names itself.
async fn named(house: &House, phone: &Phone, action: &str) -> String {
    let body = json!({ "query": "mutation { startUpload(filename: \"a.jpg\", contentType: \"image/jpeg\") {
        correlationId imageUploadPayload { uploadId putUrl } } }" });
    let request = Request::post(house.at("/graphql"))
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", phone.client.token().unwrap()))
        .header("x-correlation-id", action)
        .body(Full::from(body.to_string()))
        .unwrap();
    let answer = phone.client.send(request).await.unwrap();
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    let begun = &answer["data"]["startUpload"];
    assert_eq!(begun["correlationId"], action, "{answer}");
    let text = |name: &str| begun["imageUploadPayload"][name].as_str().unwrap().to_owned();
    let upload = monopod_tests::client::Upload { id: text("uploadId"), put_url: text("putUrl") };
    let photo = sample("damaged.jpg");
    phone.client.put(&upload, "image/jpeg", photo.bytes.clone()).await.unwrap();
    phone.client.confirm(&upload, &photo.bytes).await.unwrap().unwrap();
    phone.ended(&upload.id).await;
    upload.id
}

#[tokio::test]
async fn a_name_that_another_user_gave_to_an_action_too_does_not_hide_the_own_event() {
    let house = trackunit().await;
    let (anna, berta) = (house.phone("late.anna").await, house.phone("late.berta").await);
    let action = "the-same-name-for-both";
    let own = named(&house, &anna, action).await;
    named(&house, &berta, action).await;
    let mut socket = anna.socket().await;
    let document = "subscription ($id: String) { onAnalysisCompleted(correlationId: $id) { uploadId } }";
    socket.subscribe("late", document, json!({ "id": action })).await;
    assert_eq!(socket.event("late").await, json!({ "uploadId": own }));
}
