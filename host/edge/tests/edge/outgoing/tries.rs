//! Sending again: only where the component said that it does no harm.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use monopod_core::full;
use monopod_core::outgoing::{Error, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Ask, HELLO, House, Server, ask, head, text};

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

/// Answers connection by connection, each with one of `answers`; none: it is cut.
async fn saying(answers: &'static [Option<&'static str>]) -> Server {
    Server::new(move |number, mut stream| async move {
        head(&mut stream).await;
        if let Some(Some(answer)) = answers.get(number) {
            let _ = stream
                .write_all(answer.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes())
                .await;
        }
    })
    .await
}

fn with_tries(server: &Server, retries: u32) -> Ask {
    let mut ask = ask(server, "/");
    ask.bounds.retries = retries;
    ask
}

#[tokio::test]
async fn nothing_is_sent_twice_unless_the_component_says_so() {
    let house = House::new();
    for method in [Method::GET, Method::PUT, Method::POST] {
        let server = saying(&[None, Some(HELLO)]).await;
        let error = house.send(Ask { method: method.clone(), ..with_tries(&server, 0) }).await.unwrap_err();
        assert!(matches!(error, Error::Cut(Phase::FirstByte)), "{method}: {error}");
        let server = saying(&[Some(BUSY), Some(HELLO)]).await;
        let answer = house.send(Ask { method, ..with_tries(&server, 0) }).await.unwrap();
        assert_eq!((answer.status().as_u16(), server.accepted()), (503, 1));
    }
}

#[tokio::test]
async fn a_cut_and_a_busy_server_are_tried_again_as_often_as_was_said() {
    let house = House::new();
    let server = saying(&[None, Some(BUSY), Some(HELLO)]).await;
    assert_eq!(text(house.send(with_tries(&server, 2)).await), "hello");
    assert_eq!(server.accepted(), 3);
    let server = saying(&[None, Some(BUSY), Some(HELLO)]).await;
    assert_eq!(house.send(with_tries(&server, 1)).await.unwrap().status(), 503);
    // Not more than the host allows, whatever is asked for.
    let server = saying(&[None, None, None, None, Some(HELLO)]).await;
    assert!(house.send(with_tries(&server, 1_000)).await.is_err());
    assert_eq!(server.accepted(), 4);
    // An answer is an answer.
    let server = saying(&[Some("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), Some(HELLO)]).await;
    assert_eq!(house.send(with_tries(&server, 3)).await.unwrap().status(), 500);
}

#[tokio::test]
async fn the_name_is_resolved_and_checked_for_every_try() {
    let (house, server) = (House::new(), saying(&[None, Some(HELLO)]).await);
    house.names.say("here.test", &["127.0.0.1", "169.254.169.254"]);
    let error = house.send(with_tries(&server, 3)).await.unwrap_err();
    assert!(matches!(error, Error::Address { .. }), "{error}");
    assert_eq!((server.accepted(), house.names.asked()), (1, 2), "and a refusal is not tried again");
}

#[tokio::test]
async fn the_same_body_is_sent_each_time_and_one_too_large_to_be_held_only_once() {
    let house = House::new();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let server = Server::new(move |number, mut stream| {
        let seen = seen.clone();
        async move {
            let head = head(&mut stream).await;
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            seen.lock().unwrap().push(body.len());
            if number > 0 {
                stream.write_all(HELLO.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let post = |size: usize| {
        let body = full(vec![7; size]);
        let headers =
            [(http::header::CONTENT_LENGTH, size.to_string().parse().unwrap())].into_iter().collect();
        Ask { method: Method::POST, body, headers, ..with_tries(&server, 1) }
    };
    assert_eq!(text(house.send(post(1_000)).await), "hello");
    assert_eq!(*bodies.lock().unwrap(), [1_000, 1_000]);

    let cutting = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        stream.read_exact(&mut vec![0; 300_000]).await.unwrap();
    })
    .await;
    let mut large = post(300_000);
    (large.grant, large.url) = (ask(&cutting, "/").grant, ask(&cutting, "/").url);
    assert!(house.send(large).await.is_err());
    assert_eq!(cutting.accepted(), 1);
}

#[tokio::test]
async fn no_try_begins_after_the_deadline_and_a_servers_wish_to_wait_is_heard() {
    let house = House::new();
    let server =
        saying(&[Some("HTTP/1.1 503 Later\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n"), Some(HELLO)])
            .await;
    let began = Instant::now();
    let mut ask = with_tries(&server, 3);
    ask.bounds.deadline = began + Duration::from_secs(10);
    assert_eq!(house.send(ask).await.unwrap().status(), 503);
    assert!(began.elapsed() < Duration::from_secs(10), "the answer is given at once");
    assert_eq!(server.accepted(), 1);
}
