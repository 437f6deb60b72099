//! Where requests go, and what goes with them.

use futures_util::{SinkExt, StreamExt};
use http::Request;
use monopod_core::identity::Principal;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::house::House;

#[tokio::test]
async fn a_component_gets_its_requests_and_who_asks_but_no_identity_header() {
    let house = House::new().await;
    let token = house.token("").await;
    let request = Request::post("/v1/uploads/start?a=b%2Fc")
        .header("authorization", format!("Bearer {token}"))
        .header("x-correlation-id", "phone-1")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("content-type", "application/json")
        .header("x-forwarded-user", "admin")
        .header("X_Forwarded_User", "admin")
        .header("x-auth-request-email", "admin@example.org")
        .header("cookie", "session=1")
        .header("remote_user", "admin")
        .header("connection", "close, x-private")
        .header("x-private", "1");
    let response = house.send(request, "{}").await;
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"ingestion"[..]));
    assert_eq!(response.headers()["x-correlation-id"], "phone-1");

    let calls = house.behind.calls.lock().unwrap();
    let call = &calls[0];
    assert_eq!(call.uri, "/v1/uploads/start?a=b%2Fc");
    assert_eq!(&call.body[..], b"{}");
    let mut names: Vec<_> = call.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "traceparent", "x-correlation-id"]);
    let Principal::User(user) = &call.context.principal else { panic!("{:?}", call.context) };
    assert_eq!(&*user.owner.subject, "ada");
    assert_eq!(call.context.correlation.as_str(), "phone-1");
    assert_eq!(call.context.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(call.context.remaining().as_secs() >= 20);
}

#[tokio::test]
async fn paths_with_two_readings_reach_nobody() {
    let house = House::new().await;
    for path in [
        "/v1/uploads/%2e%2e/secret",
        "/v1/uploads/../secret",
        "/v1/uploads/.%2E/secret",
        "/v1/uploads/%2e%2e%2fsecret",
        "/v1/uploads/..%2fsecret",
        "/v1/uploads/..%5csecret",
        "/v1/uploads/..\\secret",
        "/v1/uploads/..;/secret",
        "//graphql",
        "/v1//uploads",
        "/v1/uploads/%00",
        "/v1/uploads/%c0%ae%c0%ae/secret",
        "/./v1",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = house.raw(head).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    assert!(house.behind.calls.lock().unwrap().is_empty());
    for (path, component, seen) in [
        ("/v1/uploads", "ingestion", "/v1/uploads"),
        ("/v1/%75ploads/a", "ingestion", "/v1/uploads/a"),
        ("/v1/uploadsx", "web", "/v1/uploadsx"),
        ("/", "web", "/"),
        ("/secret%23/bar", "web", "/secret%23/bar"),
        ("/x?y=/../v1/uploads", "web", "/x?y=/../v1/uploads"),
        ("http://localhost/v1/uploads/b", "ingestion", "/v1/uploads/b"),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(house.raw(head).await.starts_with("HTTP/1.1 200 "), "{path}");
        let call = house.behind.calls.lock().unwrap().pop().unwrap();
        assert_eq!((call.component.as_str(), call.uri.as_str()), (component, seen), "{path}");
    }
}

#[tokio::test]
async fn requests_that_are_no_proper_http_are_refused() {
    let house = House::new().await;
    for request in [
        "GET /graphql HTTP/1.1\r\n\r\n",
        "GET /graphql HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /graphql HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /graphql HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST /graphql HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut bytes = request.to_owned();
        if let Some(at) = bytes.find("\r\n") {
            bytes.insert_str(at, "\r\nConnection: close");
        }
        let answer = house.raw(bytes).await;
        assert!(
            answer.starts_with("HTTP/1.1 40") || answer.starts_with("HTTP/1.0 40"),
            "{request:?}: {answer}"
        );
        assert!(!answer.contains("Anonymous"), "{request:?}");
    }
    // Both framings: the length is ignored and the connection ends with the answer.
    let smuggled = "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /v1/uploads HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = house.raw(smuggled).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(house.behind.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bodies_and_heads_beyond_their_limits_are_refused_unread() {
    let house = House::new().await;
    for (path, size) in [("/graphql", (2 << 20) + 1), ("/v1/uploads", (64 << 20) + 1)] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
        );
        let answer = house.raw(head).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(33 << 10));
    assert!(house.raw(head).await.starts_with("HTTP/1.1 431 "));
    assert!(house.behind.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_served_by_nobody_is_404_in_json() {
    let house = House::new().await;
    for path in ["/health", "/health/other", "/identity/nothing"] {
        let response = house.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["code"], "NOT_FOUND");
        assert_eq!(
            response.headers()["content-security-policy"],
            "default-src 'none'; frame-ancestors 'none'"
        );
    }
}

#[tokio::test]
async fn health_is_told_by_path_and_says_why_not() {
    let house = House::new().await;
    assert_eq!(house.get("/health/live").await.status(), 200);
    assert_eq!(house.get("/health/ready").await.status(), 200);
    house.behind.unready.lock().unwrap().push("the broker does not move".to_owned());
    for agent in ["kube-probe/1.33", "GoogleHC/1.0"] {
        let response = house.send(Request::get("/health/ready").header("user-agent", agent), "").await;
        assert_eq!(response.status(), 503);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["reasons"][0], "the broker does not move");
    }
    assert_eq!(house.get("/health/live").await.status(), 200, "unready is not dead");
    assert_eq!(house.send(Request::post("/health/live"), "").await.status(), 405);
}

#[tokio::test]
async fn a_components_failure_is_told_without_its_details() {
    let house = House::new().await;
    for (path, status, code) in [("/trap", 502, "UPSTREAM_ERROR"), ("/busy", 503, "OVERLOADED")] {
        let response = house.get(path).await;
        assert_eq!(response.status().as_u16(), status);
        let body = std::str::from_utf8(response.body()).unwrap();
        assert!(body.contains(code) && !body.contains("secret"), "{body}");
    }
}

#[tokio::test]
async fn a_component_cannot_speak_for_the_connection_and_its_page_keeps_its_policy() {
    let house = House::new().await;
    let response = house.get("/liar").await;
    assert_eq!(&response.body()[..], b"web", "its length was wrong and is not believed");
    for name in ["x-hop", "transfer-encoding"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(house.get("/page").await.headers()["content-security-policy"], "default-src 'self'");
}

#[tokio::test]
async fn a_correlation_id_is_taken_if_well_formed_and_made_otherwise() {
    let house = House::new().await;
    for (given, kept) in [("phone-1.2_3", true), ("a b", false), ("", false), (&*"x".repeat(65), false)] {
        let response = house.send(Request::get("/graphql/who").header("x-correlation-id", given), "").await;
        let id = response.headers()["x-correlation-id"].to_str().unwrap().to_owned();
        assert_eq!(id == given, kept, "{given}: {id}");
        assert!(!id.is_empty());
    }
}

#[tokio::test]
async fn a_websocket_works_through_the_door_with_its_identity() {
    let house = House::new().await;
    let token = house.token("").await;
    let mut request = house.url("/graphql").replace("https", "wss").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let (mut socket, response) =
        tokio_tungstenite::client_async(request, house.connect().await).await.unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-correlation-id"));
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("ada analysis"));
    for n in 0..100 {
        let text = Message::text(format!("message {n}"));
        socket.send(text.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), text);
    }
    socket.close(None).await.unwrap();
    assert_eq!(house.stop().await.cut, 0);
}

#[tokio::test]
async fn an_upgrade_reaches_no_component() {
    let house = House::new().await;
    let answer = house
        .raw(
            "GET /v1/uploads HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let calls = house.behind.calls.lock().unwrap();
    assert!(!calls[0].headers.contains_key("upgrade") && !calls[0].headers.contains_key("connection"));
}
