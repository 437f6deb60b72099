//! Whose an upload is: its events, its state and its photo are for who began it, and nobody else
//! learns that it exists.

use serde_json::{Value, json};

use crate::support::{Phone, small, trackunit};

const ALL: [(&str, &str); 4] = [
    ("started", "subscription { onAnalysisStarted { uploadId correlationId objectKey } }"),
    ("progress", "subscription { onAnalysisProgress { uploadId correlationId objectKey step state } }"),
    ("completed", "subscription { onAnalysisCompleted { uploadId correlationId objectKey success } }"),
    ("failed", "subscription { onAnalysisFailed { uploadId correlationId objectKey reason step } }"),
];
const UPLOADS: &str = "{ uploads { uploadId } }";

async fn uploads(phone: &Phone) -> Vec<Value> {
    let data = phone.data(UPLOADS, json!({})).await;
    data["uploads"].as_array().unwrap().iter().map(|upload| upload["uploadId"].clone()).collect()
}

#[tokio::test]
async fn two_users_at_once_see_their_own_events_and_uploads_alone() {
    let house = trackunit().await;
    let (anna, berta) = (house.phone("ownership.anna").await, house.phone("ownership.berta").await);
    let (mut at_annas, mut at_bertas) = (anna.socket().await, berta.socket().await);
    for (id, document) in ALL {
        at_annas.subscribe(id, document, json!({})).await;
        at_bertas.subscribe(id, document, json!({})).await;
    }
    // Interleaved: each of them uploads three while the other does.
    let mut of_anna = Vec::new();
    let mut of_berta = Vec::new();
    for _ in 0..3 {
        let (photo, other) = (small(), small());
        let (hers, theirs) = tokio::join!(anna.send(&photo), berta.send(&other));
        of_anna.push(hers);
        of_berta.push(theirs);
    }
    // Events of one topic come in the order in which they happened. So whoever has seen the end
    // of the own uploads, and nothing else before, has not been shown another's.
    for (socket, own) in [(&mut at_annas, &of_anna), (&mut at_bertas, &of_berta)] {
        let mine = |event: &Value| {
            let of = own.iter().find(|begun| event["uploadId"] == *begun.id);
            let of = of.unwrap_or_else(|| panic!("another's event: {event}"));
            assert_eq!(
                (&event["correlationId"], &event["objectKey"]),
                (&json!(of.correlation_id), &json!(of.key))
            );
        };
        for (id, times) in [("started", 3), ("progress", 6), ("completed", 3)] {
            for _ in 0..times {
                mine(&socket.event(id).await);
            }
        }
        assert!(ALL.iter().all(|(id, _)| socket.unasked(id).is_empty()), "{socket:?}");
    }
    let newest_first = |own: &[crate::support::Begun]| -> Vec<Value> {
        own.iter().rev().map(|begun| json!(begun.id)).collect()
    };
    assert_eq!(uploads(&anna).await, newest_first(&of_anna));
    assert_eq!(uploads(&berta).await, newest_first(&of_berta));
}

#[tokio::test]
async fn arguments_narrow_further_to_one_upload_or_one_action() {
    const BY: &str = "subscription ($uploadId: String, $correlationId: String) {
        onAnalysisCompleted(uploadId: $uploadId, correlationId: $correlationId) { uploadId } }";
    let house = trackunit().await;
    let phone = house.phone("ownership.narrow").await;
    let (one, other) = (small(), small());
    let (first, second) = (phone.start(&one).await, phone.start(&other).await);
    let mut socket = phone.socket().await;
    socket.subscribe("upload", BY, json!({ "uploadId": second.id })).await;
    socket.subscribe("action", BY, json!({ "correlationId": second.correlation_id })).await;
    let neither = json!({ "uploadId": first.id, "correlationId": second.correlation_id });
    socket.subscribe("neither", BY, neither).await;
    socket.subscribe("all", BY, json!({})).await;
    for (begun, photo) in [(&first, &one), (&second, &other)] {
        phone.put(begun, photo).await;
        phone.confirm(begun, photo).await;
        assert_eq!(socket.event("all").await, json!({ "uploadId": begun.id }));
    }
    for id in ["upload", "action"] {
        assert_eq!(socket.event(id).await, json!({ "uploadId": second.id }), "{id}");
        assert!(socket.unasked(id).is_empty());
    }
    assert!(socket.unasked("neither").is_empty());
}

#[tokio::test]
async fn a_foreign_upload_is_not_found_in_any_way() {
    let house = trackunit().await;
    let (owner, other) = (house.phone("ownership.owner").await, house.phone("ownership.other").await);
    let photo = small();
    let begun = owner.send(&photo).await;
    owner.ended(&begun.id).await;
    let pending = owner.start(&photo).await;
    owner.put(&pending, &photo).await;
    let unknown = "019ab000-0000-7000-8000-000000000001";

    // What is another's is answered exactly as what never was.
    const UPLOAD: &str = "query ($id: String!) { upload(id: $id) { uploadId } }";
    const CONFIRM: &str = "mutation ($id: String!, $bytes: Int!, $checksum: String!) {
        confirmUpload(uploadId: $id, bytes: $bytes, checksum: $checksum) { status } }";
    const AGAIN: &str =
        "mutation ($key: String!) { requestAnalysis(input: { objectKey: $key }) { correlationId } }";
    const URL: &str = "query ($key: String!) { imageUrl(objectKey: $key) { url } }";
    let claim = |id: &str| json!({ "id": id, "bytes": photo.bytes.len(), "checksum": monopod_tests::digest(&photo.bytes) });
    for (document, foreign, never) in [
        (UPLOAD, json!({ "id": begun.id }), json!({ "id": unknown })),
        (CONFIRM, claim(&pending.id), claim(unknown)),
        (AGAIN, json!({ "key": begun.key }), json!({ "key": begun.key.replace(&begun.id, unknown) })),
        (URL, json!({ "key": begun.key }), json!({ "key": begun.key.replace(&begun.id, unknown) })),
    ] {
        let (status, answer) = other.client.graphql(document, foreign).await.unwrap();
        assert_eq!((status, answer.clone()), other.client.graphql(document, never).await.unwrap());
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{document}: {answer}");
        assert!(!answer.to_string().contains(&begun.id), "{answer}");
    }
    assert_eq!(uploads(&other).await, Vec::<Value>::new());
    // The owner's is untouched by all that.
    owner.confirm(&pending, &photo).await;
    assert_eq!(owner.ended(&pending.id).await["success"], true);
}

#[tokio::test]
async fn who_knows_a_foreign_id_gets_no_event_by_it_early_or_late() {
    const BY: &str = "subscription ($uploadId: String, $correlationId: String) {
        onAnalysisCompleted(uploadId: $uploadId, correlationId: $correlationId) { uploadId } }";
    let house = trackunit().await;
    let (owner, other) = (house.phone("ownership.watched").await, house.phone("ownership.watcher").await);
    let (before, photo) = (owner.send(&small()).await, small());
    owner.ended(&before.id).await;
    let after = owner.start(&photo).await;
    let mut socket = other.socket().await;
    for (id, upload) in [("before", &before), ("after", &after)] {
        socket.subscribe(id, BY, json!({ "uploadId": upload.id })).await;
        let action = format!("action {id}");
        socket.subscribe(&action, BY, json!({ "correlationId": upload.correlation_id })).await;
    }
    owner.put(&after, &photo).await;
    owner.confirm(&after, &photo).await;
    owner.ended(&after.id).await;
    // An event of the watcher's own, later than all of the owner's, and with it the proof that
    // theirs did not come before it.
    socket.subscribe("own", BY, json!({})).await;
    let own = other.send(&small()).await;
    assert_eq!(socket.event("own").await, json!({ "uploadId": own.id }));
    for id in ["before", "after", "action before", "action after"] {
        assert_eq!(socket.unasked(id), Vec::<Value>::new(), "{id}");
    }
}
