//! What a client may upload, and how it is told what is wrong: field by field, the same by REST
//! and through GraphQL.

use serde_json::{Value, json};

use crate::support::{House, Platform, call, trackunit};

const START: &str = "mutation ($filename: String!, $contentType: String!) {
    startUpload(filename: $filename, contentType: $contentType) { correlationId } }";
const NAME: &str = "must end in one of .jpg, .jpeg, .png, .webp";
const KIND: &str = "must be one of image/jpeg, image/png, image/webp";
const FOLDER: &str = "must be a name without folders and control characters";

/// File name, content type, what is wrong.
fn wrong() -> Vec<(String, &'static str, Value)> {
    let long = format!("{}.jpg", "x".repeat(200));
    [
        ("photo.gif", "image/jpeg", json!({ "filename": [NAME] })),
        ("photo.jpg.exe", "image/jpeg", json!({ "filename": [NAME] })),
        ("photo", "image/jpeg", json!({ "filename": [NAME] })),
        ("", "image/jpeg", json!({ "filename": ["is required"] })),
        ("../photo.jpg", "image/jpeg", json!({ "filename": [FOLDER] })),
        ("a\u{0}.jpg", "image/jpeg", json!({ "filename": [FOLDER] })),
        (&long, "image/jpeg", json!({ "filename": ["must have at most 200 characters"] })),
        ("photo.png", "image/jpeg", json!({ "filename": ["must end in .jpg or .jpeg for image/jpeg"] })),
        ("photo.jpg", "image/gif", json!({ "contentType": [KIND] })),
        ("photo.jpg", "text/html", json!({ "contentType": [KIND] })),
        ("photo.jpg", "", json!({ "contentType": ["is required"] })),
        ("page.html", "text/html", json!({ "filename": [NAME], "contentType": [KIND] })),
    ]
    .map(|(name, kind, errors)| (name.to_owned(), kind, errors))
    .into()
}

#[tokio::test]
async fn a_file_outside_the_allow_list_is_refused_field_by_field_through_graphql() {
    let house = trackunit().await;
    let phone = house.phone("input.graphql").await;
    for (filename, content_type, errors) in wrong() {
        let variables = json!({ "filename": filename, "contentType": content_type });
        let error = phone.refusal(START, variables).await;
        assert_eq!(error["extensions"]["code"], "UNPROCESSABLE", "{filename:?}: {error}");
        assert_eq!(error["extensions"]["http"]["status"], 422, "{filename:?}: {error}");
        assert_eq!(error["extensions"]["errors"], errors, "{filename:?} {content_type:?}");
        assert_eq!(error["path"], json!(["startUpload"]));
    }
    assert_eq!(phone.data("{ uploads { uploadId } }", json!({})).await, json!({ "uploads": [] }));
}

#[tokio::test]
async fn the_same_is_refused_by_rest_with_422_and_the_fields() {
    let house = House::of(&Platform::trackunit().component("ingestion", "expose = \"/v1\"")).await;
    let phone = house.phone("input.rest").await;
    for (filename, content_type, errors) in wrong() {
        let body = json!({ "filename": filename, "contentType": content_type });
        let answer = call(&phone.client, "POST", "/v1/uploads/start", Some(&body)).await;
        assert_eq!(
            (answer.status().as_u16(), answer.body()),
            (422, &json!({ "errors": errors })),
            "{filename:?}"
        );
        assert_eq!(answer.headers()["content-type"], "application/json");
    }
    let both = json!({ "filename": ["is required"], "contentType": ["is required"] });
    let answer = call(&phone.client, "POST", "/v1/uploads/start", Some(&json!({}))).await;
    assert_eq!((answer.status().as_u16(), answer.body()), (422, &json!({ "errors": both })));

    // And what is good, in the shapes of the service before.
    let body = json!({ "filename": "a.webp", "contentType": "image/webp" });
    let answer = call(&phone.client, "POST", "/v1/uploads/start", Some(&body)).await;
    assert_eq!(answer.status(), 200);
    let mut fields: Vec<_> = answer.body().as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["expiresAt", "key", "putUrl", "uploadId"]);
    let id = answer.body()["uploadId"].as_str().unwrap();
    let status = call(&phone.client, "GET", &format!("/v1/uploads/{id}/status"), None).await;
    assert_eq!((status.status().as_u16(), &status.body()["state"]), (200, &json!("pending")));
    let unknown = "/v1/uploads/019ab000-0000-7000-8000-000000000001/status";
    assert_eq!(call(&phone.client, "GET", unknown, None).await.status(), 404);
    // Nobody has no uploads, here as there.
    assert_eq!(call(&house.anybody(), "POST", "/v1/uploads/start", Some(&body)).await.status(), 401);
}

#[tokio::test]
async fn what_is_not_of_the_schemas_types_is_refused_before_anything_is_called() {
    let house = trackunit().await;
    let phone = house.phone("input.types").await;
    const CONFIRM: &str = "mutation ($bytes: Int!) {
        confirmUpload(uploadId: \"x\", bytes: $bytes, checksum: \"x\") { status } }";
    for (document, variables) in [
        (START, json!({ "filename": "a.jpg" })),
        (START, json!({ "filename": null, "contentType": "image/jpeg" })),
        (START, json!({ "filename": 7, "contentType": "image/jpeg" })),
        (CONFIRM, json!({ "bytes": 1.5 })),
        (CONFIRM, json!({ "bytes": 3_000_000_000_u64 })),
        (CONFIRM, json!({ "bytes": "7" })),
    ] {
        let error = phone.refusal(document, variables.clone()).await;
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{variables}: {error}");
    }
}
