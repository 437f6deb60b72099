//! What the storage service signs, and what it refuses with which code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use monopod_sdk::http::{Method, Request, Response};
use monopod_sdk::testing::Fake;
use serde_json::{Value, json};

fn send(fake: &Fake, route: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(&format!("/internal/v1/storage/{route}"), body);
    let response: Response = storage::answer(fake, request).unwrap_or_else(Into::into);
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

#[test]
fn a_put_is_signed_for_its_type_its_size_and_its_time() {
    let body = json!({"key": "images/2026/11/23/a.jpg", "contentType": "image/jpeg", "ttlSec": 300});
    let (status, answer) = send(&Fake::new(), "presign-put", &body);
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({
            "url": "https://blobs.test/trackunit-images/images/2026/11/23/a.jpg?put:image/jpeg:10485760",
            "expiresAt": "2026-11-23T05:17:00.000Z",
        })
    );
}

#[test]
fn a_get_needs_no_content_type() {
    let (status, answer) = send(&Fake::new(), "presign-get", &json!({"key": "a.jpg", "ttlSec": 1}));
    assert_eq!(status, 200);
    assert_eq!(answer["url"], "https://blobs.test/trackunit-images/a.jpg?get");
}

#[test]
fn every_fault_of_a_key_has_its_code() {
    let long = "x".repeat(201);
    for (key, code) in [
        ("", "Required"),
        (long.as_str(), "MaxLengthExceeded"),
        ("/a.jpg", "InvalidPathShape"),
        ("a//b.jpg", "InvalidPathShape"),
        ("a/", "InvalidPathShape"),
        ("a\\b.jpg", "InvalidPathShape"),
        ("../a.jpg", "InvalidPathTraversal"),
        ("a/./b.jpg", "InvalidPathTraversal"),
        ("a\\..\\b.jpg", "InvalidPathTraversal"),
        ("a b.jpg", "InvalidCharacterSet"),
        ("ä.jpg", "InvalidCharacterSet"),
        ("a%2e.jpg", "InvalidCharacterSet"),
        ("a?b.jpg", "InvalidCharacterSet"),
    ] {
        let body = json!({"key": key, "contentType": "image/png", "ttlSec": 300});
        for route in ["presign-put", "presign-get"] {
            let (status, answer) = send(&Fake::new(), route, &body);
            assert_eq!((status, &answer), (422, &json!({"errors": {"key": [code]}})), "{key}");
        }
    }
    let (status, _) = send(&Fake::new(), "presign-get", &json!({"key": "x".repeat(200), "ttlSec": 300}));
    assert_eq!(status, 200);
}

#[test]
fn every_fault_of_type_and_time_has_its_code_and_all_are_told_at_once() {
    for content_type in ["text/html", "image/", "Image/png", "image/png; q=1", "image/a\r\nx: y"] {
        let body = json!({"key": "a.png", "contentType": content_type, "ttlSec": 300});
        let (status, answer) = send(&Fake::new(), "presign-put", &body);
        let expected = json!({"errors": {"contentType": ["MustStartWithImageSlash"]}});
        assert_eq!((status, &answer), (422, &expected), "{content_type:?}");
    }
    for ttl in [json!(0), json!(-1), json!(3601), json!(null), json!(i64::MAX)] {
        let body = json!({"key": "a.png", "contentType": "image/png", "ttlSec": ttl});
        let (status, answer) = send(&Fake::new(), "presign-put", &body);
        assert_eq!((status, &answer), (422, &json!({"errors": {"ttlSec": ["Range1To3600"]}})), "{ttl}");
    }
    let (_, answer) = send(&Fake::new(), "presign-put", &json!({}));
    let expected = json!({"errors":
        {"key": ["Required"], "contentType": ["Required"], "ttlSec": ["Range1To3600"]}});
    assert_eq!(answer, expected);
}

#[test]
fn what_is_no_request_of_ours_is_answered_so() {
    let fake = Fake::new();
    let status = |request| storage::answer(&fake, request).unwrap_or_else(Into::into).status;
    assert_eq!(status(Request::new(Method::Get, "/internal/v1/storage/presign-get")), 404);
    assert_eq!(status(Request::post("/internal/v1/storage/presign", &json!({}))), 404);
    assert_eq!(status(Request::post("/internal/v1/storage/presign-get", &json!([1]))), 400);
    assert_eq!(status(Request::post("/internal/v1/storage/presign-get", &"x".repeat(5_000))), 413);
    fake.set_unavailable(true);
    let body = json!({"key": "a.png", "contentType": "image/png", "ttlSec": 300});
    assert_eq!(status(Request::post("/internal/v1/storage/presign-put", &body)), 503);
}
