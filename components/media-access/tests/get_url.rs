//! Who gets a URL to read which photo.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{Info, Millis};
use monopod_sdk::testing::Fake;
use serde_json::{Value, json};
use trackunit_contracts::IMAGES;

const ID: &str = "019ab000-0000-7000-8000-000000000001";
const KEY: &str = "images/2026/11/23/019ab000-0000-7000-8000-000000000001.jpg";

/// Storage signs all but `bad key`; ingestion knows `ID` with `KEY`, if it is `known`.
fn fake(known: bool) -> Fake {
    Fake::new()
        .with_service("storage", |_, path, body| {
            assert_eq!(path, "/internal/v1/storage/presign-get");
            let body: Value = serde_json::from_slice(body).unwrap();
            Ok(match body["key"].as_str().unwrap() {
                "bad key" => Problem::field("key", "InvalidCharacterSet").into(),
                key => Response::json(200, &json!({"url": format!("https://b/{key}"), "expiresAt": "x"})),
            })
        })
        .with_service("ingestion", move |method, path, _| {
            assert_eq!(method, Method::Get);
            Ok(if known && path == format!("/v1/uploads/{ID}") {
                Response::json(200, &json!({"uploadId": ID, "objectKey": KEY}))
            } else {
                Problem::not_found("no").into()
            })
        })
}

fn uploaded(fake: &Fake, key: &str) {
    let info =
        Info { size: 1, content_type: "image/jpeg".into(), sha256: "0".repeat(64), written_at: Millis(0) };
    fake.put_blob(IMAGES, key, info, vec![0]);
}

fn ask(fake: &Fake, key: &str) -> (u16, Value) {
    let request = Request::post("/internal/v0/media/get-url", &json!({"objectKey": key}));
    let response = media_access::answer(fake, request).unwrap_or_else(Into::into);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

#[test]
fn a_user_reads_their_own_photo() {
    let fake = fake(true).user("anna");
    uploaded(&fake, KEY);
    assert_eq!(ask(&fake, KEY), (200, json!({"url": format!("https://b/{KEY}"), "expiresAt": "x"})));
}

#[test]
fn another_users_photo_is_answered_as_one_that_is_not_there() {
    let others = fake(false).user("berta");
    uploaded(&others, KEY);
    let nobodys = fake(true).user("anna");
    assert_eq!(ask(&others, KEY).0, 404);
    assert_eq!(ask(&others, KEY), ask(&nobodys, KEY));
    assert_eq!(ask(&others, KEY), ask(&others, "images/2026/11/23/none.jpg"));
}

#[test]
fn a_key_that_only_carries_the_id_of_an_upload_is_not_that_upload() {
    let fake = fake(true).user("anna");
    let other = format!("secret/{ID}.jpg");
    uploaded(&fake, &other);
    assert_eq!(ask(&fake, &other).0, 404);
}

#[test]
fn nobody_is_refused_and_a_bad_key_is_told() {
    let anonymous = fake(true);
    uploaded(&anonymous, KEY);
    assert_eq!(ask(&anonymous, KEY).0, 401);
    let fake = fake(true).user("anna");
    assert_eq!(ask(&fake, ""), (422, json!({"errors": {"objectKey": ["Required"]}})));
    assert_eq!(ask(&fake, "bad key"), (422, json!({"errors": {"objectKey": ["InvalidCharacterSet"]}})));
    fake.set_unavailable(true);
    assert_eq!(ask(&fake, KEY).0, 503);
}
