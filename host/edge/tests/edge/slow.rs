//! Clients that take their time.

use std::time::{Duration, Instant};

use http::Request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::house::{House, LARGE, PATIENCE, read_head, read_to_end};

/// Short for a client that does nothing, long enough for one that acts on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let house = House::with(|settings| settings.limits.head = SHORT).await;
    for begun in ["", "GET /graphql/who HTTP/1.1\r\nHost: local"] {
        let mut stream = house.connect().await;
        let began = Instant::now();
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
        assert!(began.elapsed() < PATIENCE / 2, "{begun}");
    }
    // Drop by drop does not help either: the clock runs from the first byte.
    let mut stream = house.connect().await;
    stream.write_all(b"GET /graphql/who HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let dripped = async {
        while stream.write_all(b"G").await.is_ok() && stream.flush().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dripped).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let house = House::with(|settings| settings.limits.handshake = SHORT).await;
    let mut stream = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    let _ = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_order() {
    let house = House::with(|settings| settings.limits.idle = SHORT).await;
    let mut stream = house.connect().await;
    stream.write_all(b"GET /graphql/who HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_that_takes_long_to_answer_is_not_idle() {
    let house = House::with(|settings| {
        settings.limits.idle = SHORT;
        settings.limits.head = SHORT;
    })
    .await;
    let behind = house.behind.clone();
    let mut stream = house.connect().await;
    stream
        .write_all(b"GET /graphql/slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    behind.entered.notified().await;
    // Another connection is idled out meanwhile: that is how long we wait.
    let mut idle = house.connect().await;
    assert_eq!(read_to_end(&mut idle).await, "");
    behind.release.notify_one();
    assert!(read_to_end(&mut stream).await.ends_with("done"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let house = House::with(|settings| settings.limits.body = SHORT).await;
    let mut stream = house.connect().await;
    let head = "POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(house.behind.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let house = House::with(|settings| settings.limits.connections = 1).await;
    let first = house.connect().await;
    let second = house.send(Request::get("/health/live"), "");
    let mut second = std::pin::pin!(second);
    assert!(tokio::time::timeout(SHORT / 5, &mut second).await.is_err(), "there is one place");
    drop(first);
    let response = tokio::time::timeout(PATIENCE, second).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let house = House::with(|settings| settings.limits.stalled = SHORT).await;
    let mut stream = house.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    // Draining would wait for it far longer than this.
    assert_eq!(house.stop().await.cut, 0);
    assert!(read_to_end(&mut stream).await.len() < LARGE);
}
