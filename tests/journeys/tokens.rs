//! Who asks: nobody, somebody without the scope, somebody with something that is no token. Each
//! protocol answers in its own way.

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use monopod_tests::client::Client;
use monopod_tests::socket::Socket;
use monopod_tests::stream::Stream;
use serde_json::{Value, json};

use crate::support::{token, trackunit};

/// Everything that needs `RequireApiScope`.
const GUARDED: [&str; 6] = [
    "mutation { startUpload(filename: \"a.jpg\", contentType: \"image/jpeg\") { correlationId } }",
    "mutation { confirmUpload(uploadId: \"x\", bytes: 1, checksum: \"x\") { status } }",
    "mutation { requestAnalysis(input: { objectKey: \"x\" }) { correlationId } }",
    "{ upload(id: \"x\") { uploadId } }",
    "{ uploads { uploadId } }",
    "{ imageUrl(objectKey: \"x\") { url } }",
];
const EVENTS: [&str; 4] = [
    "subscription { onAnalysisStarted { objectKey } }",
    "subscription { onAnalysisProgress { objectKey } }",
    "subscription { onAnalysisCompleted { objectKey } }",
    "subscription { onAnalysisFailed { objectKey } }",
];

/// Nothing guarded is done for this client, over whichever protocol; it is told this code.
async fn may_nothing(client: &Client, status: StatusCode, code: &str) {
    for document in GUARDED {
        let answer = client.send(client.graphql_request(document, json!({}))).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(answer.status(), status, "{document}: {body}");
        assert_eq!(body["errors"][0]["extensions"]["code"], code, "{document}: {body}");
        assert_eq!(body.get("data"), None, "nothing was executed: {body}");
        assert_eq!(answer.headers().contains_key(WWW_AUTHENTICATE), status == StatusCode::UNAUTHORIZED);
    }
    let mut socket = Socket::open(client).await;
    for document in EVENTS {
        let stream = Stream::open(client, document, json!({})).await;
        assert_eq!(stream.status, status, "{document}");
        socket.subscribe(document, document, json!({})).await;
        let told = socket.about(document).await;
        assert_eq!(
            (&told["type"], &told["payload"][0]["extensions"]["code"]),
            (&json!("error"), &json!(code))
        );
    }
    // What needs nobody's scope is answered all the same.
    let (status, answer) = client.graphql("{ ping }", json!({})).await.unwrap();
    assert_eq!((status, &answer["data"]["ping"]), (StatusCode::OK, &json!("pong")));
}

#[tokio::test]
async fn without_a_token_nothing_guarded_is_done() {
    let house = trackunit().await;
    let client = house.anybody();
    may_nothing(&client, StatusCode::UNAUTHORIZED, "UNAUTHENTICATED").await;
}

#[tokio::test]
async fn without_the_scope_nothing_guarded_is_done() {
    let house = trackunit().await;
    // Scopes are whole words between spaces; `analysis` is not in these.
    for scope in ["profile", "analysis.read", "Analysis", "re-analysis%20x"] {
        let token = token(&house.anybody(), "tokens.scope", scope, 60).await;
        may_nothing(&house.anybody().with_token(&token), StatusCode::FORBIDDEN, "FORBIDDEN").await;
    }
    let enough = token(&house.anybody(), "tokens.scope", "profile%20analysis", 60).await;
    let (status, answer) = house.anybody().with_token(&enough).graphql(GUARDED[4], json!({})).await.unwrap();
    assert_eq!((status, answer), (StatusCode::OK, json!({ "data": { "uploads": [] } })));
}

#[tokio::test]
async fn what_is_no_token_of_the_issuer_is_refused_by_every_protocol() {
    let house = trackunit().await;
    let good = token(&house.anybody(), "tokens.good", "analysis", 60).await;
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let flipped = |text: &str| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &text[1..])
    };
    // Header `{"alg":"none"}`.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let others = trackunit_elsewhere().await;
    for garbage in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        format!("{head}.{claims}.{}", flipped(signature)),
        format!("{head}.{}.{signature}", flipped(claims)),
        format!("{head}.{claims}."),
        unsigned,
        others,
        "x".repeat(20_000),
    ] {
        let client = house.anybody().with_token(&garbage);
        let answer = client.send(client.graphql_request(GUARDED[0], json!({}))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{garbage}");
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""), "{challenge}");
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{body}");
        assert_eq!(Stream::open(&client, EVENTS[2], json!({})).await.status, StatusCode::UNAUTHORIZED);
        let bearer = format!("Bearer {garbage}");
        let refused = Socket::upgrade(&client, &[("authorization", &bearer)]).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let (mut socket, _) = Socket::upgrade(&client, &[]).await.unwrap();
        socket.say(&json!({ "type": "connection_init", "payload": { "Authorization": bearer } })).await;
        assert_eq!(socket.closed().await.code, 4403);
    }
}

/// A good token of another platform's issuer.
async fn trackunit_elsewhere() -> String {
    let house = crate::support::House::of(&crate::support::Platform::trackunit()).await;
    token(&house.anybody(), "tokens.good", "analysis", 60).await
}

#[tokio::test]
async fn an_operation_before_the_connection_was_acknowledged_closes_it() {
    let house = trackunit().await;
    let client = house.anybody();
    let (mut socket, _) = Socket::upgrade(&client, &[]).await.unwrap();
    let payload = json!({ "query": EVENTS[0] });
    socket.say(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    assert_eq!(socket.closed().await.code, 4401);
}

#[tokio::test]
async fn a_token_may_come_with_the_upgrade_instead() {
    let house = trackunit().await;
    let phone = house.phone("tokens.upgrade").await;
    let bearer = format!("Bearer {}", phone.client.token().unwrap());
    let (mut socket, _) = Socket::upgrade(&house.anybody(), &[("authorization", &bearer)]).await.unwrap();
    socket.say(&json!({ "type": "connection_init" })).await;
    assert_eq!(socket.hear().await.unwrap()["type"], "connection_ack");
    socket.subscribe("all", EVENTS[2], json!({})).await;
    let begun = phone.send(&crate::support::small()).await;
    assert_eq!(socket.event("all").await, json!({ "objectKey": begun.key }));
}
