//! Stopping: what runs may finish, what comes is refused, what hangs is cut.

use std::time::Duration;

use http::Request;
use tokio::io::AsyncWriteExt;
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
