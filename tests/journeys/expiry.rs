//! What ends by the clock: a signed URL, a token at the door, a token on an open subscription.

use http::header::WWW_AUTHENTICATE;
use http::{Request, StatusCode};
use http_body_util::Full;
use monopod_tests::socket::{Closed, Socket};
use monopod_tests::stream::Stream;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::put::Head;
use crate::support::{House, Phone, Platform, call, small, token, trackunit};

/// How far behind a client's clock may be at the door, in seconds.
const LEEWAY: i64 = 60;
const EVENTS: &str = "subscription { onAnalysisCompleted { uploadId } }";

/// Waits until this moment is over, by the clock that counts.
async fn over(moment: OffsetDateTime) {
    while OffsetDateTime::now_utc() <= moment {
        let left = moment - OffsetDateTime::now_utc();
        tokio::time::sleep(left.unsigned_abs() + std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_url_that_has_ended_is_refused_before_the_photo_is_read() {
    // The service that signs, reached from outside, so that a URL of one second can be had.
    let house = House::of(&Platform::trackunit().component("storage", "expose = \"/internal\"")).await;
    let client = house.anybody();
    let photo = small();
    let key = "images/2026/11/23/expiry.jpg";
    let signed = async |what: &str| -> (String, OffsetDateTime) {
        let body = json!({ "key": key, "contentType": photo.content_type, "ttlSec": 1 });
        let answer =
            call(&client, "POST", &format!("/internal/v1/storage/presign-{what}"), Some(&body)).await;
        let text = |name: &str| answer.body()[name].as_str().unwrap();
        (text("url").to_owned(), OffsetDateTime::parse(text("expiresAt"), &Rfc3339).unwrap())
    };
    let (put, ends) = signed("put").await;
    let head = Head::put(&client, &put, photo.content_type, photo.bytes.len()).await;
    assert_eq!(head.status, 100, "it lives for a second");
    assert_eq!(head.finish(&photo.bytes).await.0, 200);
    let get = |url: &str| Request::get(url).body(Full::default()).unwrap();
    let (read, read_ends) = signed("get").await;
    assert_eq!(client.send(get(&read)).await.unwrap().into_body(), photo.bytes);

    over(ends.max(read_ends)).await;
    let head = Head::put(&client, &put, photo.content_type, photo.bytes.len()).await;
    assert_eq!((head.status, &head.body["code"]), (403, &json!("EXPIRED")), "{}", head.body);
    assert!(head.body["error"].as_str().unwrap().contains("ask for a new one"));
    assert_eq!(client.send(get(&read)).await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_token_that_ends_while_it_is_in_use_is_refused_from_then_on() {
    let house = trackunit().await;
    // Over for a minute less a moment: the leeway is what keeps it alive.
    let asked = OffsetDateTime::now_utc();
    let brief = token(&house.anybody(), "expiry.in-use", "analysis", 2 - LEEWAY).await;
    let phone = Phone { client: house.anybody().with_token(&brief) };
    const UPLOADS: &str = "{ uploads { uploadId } }";
    assert_eq!(phone.data(UPLOADS, json!({})).await, json!({ "uploads": [] }));
    over(asked + time::Duration::seconds(3)).await;
    let request = phone.client.graphql_request(UPLOADS, json!({}));
    let answer = phone.client.send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert_eq!(challenge, "Bearer error=\"invalid_token\", error_description=\"the token has expired\"");
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{body}");
}

#[tokio::test]
async fn a_subscription_ends_with_its_token_and_says_so_over_a_websocket() {
    let house = trackunit().await;
    let brief = token(&house.anybody(), "expiry.socket", "analysis", 2).await;
    let phone = Phone { client: house.anybody().with_token(&brief) };
    let mut socket = phone.socket().await;
    socket.subscribe("all", EVENTS, json!({})).await;
    // It works until then.
    let begun = phone.send(&small()).await;
    assert_eq!(socket.event("all").await, json!({ "uploadId": begun.id }));
    assert_eq!(socket.closed().await, Closed { code: 4403, reason: "The token has expired".to_owned() });
}

#[tokio::test]
async fn a_subscription_ends_with_its_token_and_says_so_over_server_sent_events() {
    let house = trackunit().await;
    let brief = token(&house.anybody(), "expiry.stream", "analysis", 2).await;
    let client = house.anybody().with_token(&brief);
    let mut stream = Stream::open(&client, EVENTS, json!({})).await;
    assert!(stream.streams(), "{:?}", stream.status);
    let told = stream.next().await.unwrap();
    assert_eq!(told.data["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{told:?}");
    assert_eq!(stream.next().await.unwrap().kind, "complete");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_token_that_had_ended_opens_nothing() {
    let house = trackunit().await;
    let over = token(&house.anybody(), "expiry.over", "analysis", -3_600).await;
    let client = house.anybody().with_token(&over);
    let (status, answer) = client.graphql("{ ping }", json!({})).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED, "even where none is needed: {answer}");
    let stream = Stream::open(&client, EVENTS, json!({})).await;
    assert_eq!(stream.status, StatusCode::UNAUTHORIZED);
    let bearer = format!("Bearer {over}");
    let refused = Socket::upgrade(&client, &[("authorization", &bearer)]).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let (mut socket, _) = Socket::upgrade(&client, &[]).await.unwrap();
    socket.say(&json!({ "type": "connection_init", "payload": { "authorization": bearer } })).await;
    assert_eq!(socket.closed().await, Closed { code: 4403, reason: "The token has expired".to_owned() });
}
