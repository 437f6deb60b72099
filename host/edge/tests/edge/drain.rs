//! Stopping: what runs may finish, what comes is refused, what hangs is cut.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, PATIENCE, read_to_end};

async fn refuses_connections(port: u16) {
    let refused = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test]
async fn a_running_request_is_finished_and_nothing_new_is_taken() {
    let mut house = House::new().await;
    let behind = house.behind.clone();
    let idle = house.connect().await;
    let mut stream = house.connect().await;
    stream.write_all(b"GET /graphql/slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    behind.entered.notified().await;

    house.ask_to_stop();
    refuses_connections(house.port).await;
    behind.release.notify_one();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    assert!(answer.contains("connection: close"), "the client is told: {answer}");
    assert_eq!(house.stopped().await.cut, 0);
    drop(idle);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_and_counted() {
    let mut house = House::with(|settings| settings.drain = Duration::from_millis(50)).await;
    let behind = house.behind.clone();
    let mut stream = house.connect().await;
    stream.write_all(b"GET /graphql/slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    behind.entered.notified().await;
    house.ask_to_stop();
    assert_eq!(house.stopped().await.cut, 1);
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn an_open_websocket_is_waited_for() {
    let mut house = House::new().await;
    let request = house.url("/graphql").replace("https", "wss");
    let (mut socket, _) = tokio_tungstenite::client_async(request, house.connect().await).await.unwrap();
    house.ask_to_stop();
    refuses_connections(house.port).await;
    socket.close(None).await.unwrap();
    drop(socket);
    assert_eq!(house.stopped().await.cut, 0);
}

#[tokio::test]
async fn a_door_with_nobody_at_it_closes_at_once() {
    let house = House::new().await;
    assert_eq!(house.send(Request::get("/health/live"), "").await.status(), 200);
    assert_eq!(house.stop().await.cut, 0);
}

/// One plain request to the listener for probes: the head's first line and the body.
async fn probe(house: &House, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(house.health.unwrap()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn probes_without_tls_learn_of_health_and_of_nothing_else() {
    let mut house = House::with(|settings| settings.health = Some("127.0.0.1:0".parse().unwrap())).await;
    let status = async |path: &str| probe(&house, path).await.0;
    assert_eq!(status("/health/live").await, "HTTP/1.1 200 OK");
    assert_eq!(status("/health/ready").await, "HTTP/1.1 200 OK");
    for path in
        ["/", "/graphql", "/v1/uploads/a", "/identity/jwks", "/blobs/a/b", "/health", "//health/live/x"]
    {
        assert_eq!(status(path).await, "HTTP/1.1 404 Not Found", "{path}");
    }
    house.behind.unready.lock().unwrap().push("state: the disk is full".to_owned());
    let (status, body) = probe(&house, "/health/ready").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(body.contains("the disk is full"), "{body}");
    house.behind.unready.lock().unwrap().clear();

    // While what runs is finished, the process is alive and wants nothing new.
    let behind = house.behind.clone();
    let mut stream = house.connect().await;
    stream.write_all(b"GET /graphql/slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    behind.entered.notified().await;
    house.ask_to_stop();
    refuses_connections(house.port).await;
    assert_eq!(probe(&house, "/health/live").await.0, "HTTP/1.1 200 OK");
    let (status, body) = probe(&house, "/health/ready").await;
    assert!(status.contains("503") && body.contains("DRAINING"), "{status} {body}");
    behind.release.notify_one();
    assert_eq!(house.stopped().await.cut, 0);
}
