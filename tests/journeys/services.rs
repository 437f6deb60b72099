//! The services' own REST interfaces, as the systems around know them. Trackunit exposes none of
//! them; here the platform file does.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{House, Platform, call, small};

async fn exposed() -> Arc<House> {
    let platform = Platform::trackunit()
        .component("storage", "expose = \"/internal/v1/storage\"")
        .component("media-access", "expose = \"/internal/v0/media\"");
    Arc::new(House::of(&platform).await)
}

#[tokio::test]
async fn storage_signs_what_fits_and_names_each_fault_by_its_code() {
    let house = exposed().await;
    let client = house.anybody();
    let long = format!("images/{}", "x".repeat(200));
    for route in ["presign-put", "presign-get"] {
        let path = format!("/internal/v1/storage/{route}");
        let good = json!({ "key": "images/2026/11/23/a.jpg", "contentType": "image/jpeg", "ttlSec": 3600 });
        let asked = OffsetDateTime::now_utc();
        let answer = call(&client, "POST", &path, Some(&good)).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let url = answer.body()["url"].as_str().unwrap();
        assert!(url.starts_with(&house.at("/blobs/trackunit-images/images/2026/11/23/a.jpg?")), "{url}");
        let ends = OffsetDateTime::parse(answer.body()["expiresAt"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!((3_599..3_620).contains(&(ends - asked).whole_seconds()));

        for (field, value, code) in [
            ("key", Value::Null, "Required"),
            ("key", json!(""), "Required"),
            ("key", json!(long), "MaxLengthExceeded"),
            ("key", json!("images//a.jpg"), "InvalidPathShape"),
            ("key", json!("/images/a.jpg"), "InvalidPathShape"),
            ("key", json!("images/../a.jpg"), "InvalidPathTraversal"),
            ("key", json!("images/a b.jpg"), "InvalidCharacterSet"),
            ("contentType", json!("text/html"), "MustStartWithImageSlash"),
            ("ttlSec", json!(0), "Range1To3600"),
            ("ttlSec", json!(3_601), "Range1To3600"),
            ("ttlSec", json!(-1), "Range1To3600"),
            ("ttlSec", Value::Null, "Range1To3600"),
        ] {
            let mut body = good.clone();
            body[field] = value.clone();
            let answer = call(&client, "POST", &path, Some(&body)).await;
            let expected = json!({ "errors": { field: [code] } });
            assert_eq!(
                (answer.status().as_u16(), answer.body()),
                (422, &expected),
                "{route} {field} {value}"
            );
        }
    }
}

#[tokio::test]
async fn media_access_gives_the_owner_alone_a_url_to_read_the_photo() {
    const ROUTE: &str = "/internal/v0/media/get-url";
    let house = exposed().await;
    let (owner, other) = (house.phone("services.owner").await, house.phone("services.other").await);
    let photo = small();
    let begun = owner.send(&photo).await;
    let wanted = json!({ "objectKey": begun.key });
    let answer = call(&owner.client, "POST", ROUTE, Some(&wanted)).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let by_graphql = "query ($key: String!) { imageUrl(objectKey: $key) { url expiresAt } }";
    let data = owner.data(by_graphql, json!({ "key": begun.key })).await;
    // The URL is the permission: no token goes with it.
    for url in [&answer.body()["url"], &data["imageUrl"]["url"]] {
        let request = Request::get(url.as_str().unwrap()).body(Full::default()).unwrap();
        let read = house.anybody().send(request).await.unwrap();
        assert_eq!((read.status().as_u16(), read.body()), (200, &photo.bytes));
        assert_eq!(read.headers()["content-type"], photo.content_type);
        assert!(read.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
    }
    assert_eq!(call(&other.client, "POST", ROUTE, Some(&wanted)).await.status(), 404);
    assert_eq!(call(&house.anybody(), "POST", ROUTE, Some(&wanted)).await.status(), 401);
    let started = owner.start(&photo).await;
    let nothing = json!({ "objectKey": started.key });
    assert_eq!(
        call(&owner.client, "POST", ROUTE, Some(&nothing)).await.status(),
        404,
        "there is no photo yet"
    );
    for (key, code) in [("", "Required"), ("a/../b", "InvalidPathTraversal")] {
        let answer = call(&owner.client, "POST", ROUTE, Some(&json!({ "objectKey": key }))).await;
        let expected = json!({ "errors": { "objectKey": [code] } });
        assert_eq!((answer.status().as_u16(), answer.body()), (422, &expected));
    }
}
