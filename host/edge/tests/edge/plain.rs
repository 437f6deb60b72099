//! The listener without TLS: what the front door answers, for this machine only.

use monopod_edge::{Error, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, settings};

async fn ask(house: &House, request: &str) -> String {
    let mut stream = TcpStream::connect(house.plain.unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn without_tls_the_same_routes_and_the_same_identity_rules_hold() {
    let house = House::with(|settings| settings.plain = Some("127.0.0.1:0".parse().unwrap())).await;
    let get = async |path: &str, more: &str| {
        ask(&house, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"))
            .await
    };
    assert!(get("/health/live", "").await.starts_with("HTTP/1.1 200 "));
    assert!(get("/graphql/who", "").await.contains("Anonymous"));
    assert!(get("/graphql/who", "X-User: root\r\nX-Forwarded-User: root\r\n").await.contains("Anonymous"));
    let token = house.token("").await;
    assert!(
        get("/graphql/who", &format!("Authorization: Bearer {token}\r\n")).await.contains("\r\n\r\nada ")
    );
    assert!(get("/graphql/who", "Authorization: Bearer x\r\n").await.starts_with("HTTP/1.1 401 "));
    assert_eq!(house.stop().await.cut, 0);
}

#[tokio::test]
async fn without_tls_a_name_that_somebody_pointed_here_is_refused() {
    let house = House::with(|settings| settings.plain = Some("127.0.0.1:0".parse().unwrap())).await;
    for host in ["evil.example", "evil.example:80", "localhost.evil.example"] {
        let request = format!("GET /v1/uploads/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = ask(&house, &request).await;
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("MISDIRECTED"), "{answer}");
    }
    assert!(house.behind.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_tls_is_only_for_a_loopback_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = settings(&folder);
    open.plain = Some("0.0.0.0:8080".parse().unwrap());
    let error = bind(open).unwrap_err();
    assert!(matches!(error, Error::PlainExposed { .. }), "{error}");
    assert!(error.to_string().contains("plain = \"127.0.0.1:8080\""), "{error}");
}
