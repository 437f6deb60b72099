//! Connections: kept for the next request, shared with nobody else, bounded.

use std::sync::Arc;

use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use monopod_core::full;
use monopod_core::outgoing::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::server::{Ask, HELLO, House, SHORT, Server, ask, head, text};

/// Asks until the connection of the request before is used again: giving it back is a task of
/// its own. Returns how many connections that took.
async fn settled(house: &House, server: &Server, request: impl Fn() -> Ask) -> usize {
    let before = server.accepted();
    for _ in 0..100 {
        let accepted = server.accepted();
        assert_eq!(text(house.send(request()).await), "hello");
        if server.accepted() == accepted {
            return accepted - before;
        }
    }
    panic!("no connection was ever used again");
}

#[tokio::test]
async fn a_connection_is_used_again_by_its_component_and_by_no_other() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    settled(&house, &server, || ask(&server, "/")).await;
    let before = server.accepted();
    let other = Ask { component: "two", ..ask(&server, "/") };
    assert_eq!(text(house.send(other).await), "hello");
    assert_eq!(server.accepted(), before + 1, "another component has a connection of its own");
    // Nor is one used by another right: its address might not be allowed by that.
    let origin = format!("http://here.test:{}/", server.port);
    let wider = Ask { grant: format!("{origin} at 127.0.0.0/8"), ..ask(&server, "/") };
    assert_eq!(text(house.send(wider).await), "hello");
    assert_eq!(server.accepted(), before + 2);
}

#[tokio::test]
async fn a_login_of_the_connection_is_for_one_request_only() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    for (at, value) in ["NTLM x", "negotiate x", "Negotiate y"].into_iter().enumerate() {
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(text(house.send(Ask { headers, ..ask(&server, "/") }).await), "hello");
        assert_eq!(server.accepted(), at + 1, "{value}");
    }
    house.empty().await;
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_meanwhile_costs_no_error() {
    let house = House::new();
    let server = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        stream.write_all(HELLO.as_bytes()).await.unwrap();
        // And closes, without having said so.
    })
    .await;
    for at in 1..=20 {
        assert_eq!(text(house.send(ask(&server, "/")).await), "hello");
        // The end of the connection may not have been seen yet: what was sent then is lost, and
        // rightly an error. That it was seen is waited for.
        house.empty().await;
        assert_eq!(server.accepted(), at);
    }
}

#[tokio::test]
async fn a_response_that_is_not_read_to_its_end_takes_its_connection_along() {
    let house = House::new();
    let server = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n{}", "x".repeat(500_000));
        let _ = stream.write_all(large.as_bytes()).await;
        let _ = stream.read_u8().await;
    })
    .await;
    let mut response = house.open(ask(&server, "/")).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    drop(response);
    house.empty().await;
}

#[tokio::test]
async fn beyond_its_connections_a_component_waits_and_beyond_the_queue_it_is_refused() {
    let house = House::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let server = Server::new(move |_, mut stream| {
        let held = held.clone();
        async move {
            while !head(&mut stream).await.is_empty() {
                held.acquire().await.unwrap().forget();
                if stream.write_all(HELLO.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let one = || {
        let mut ask = ask(&server, "/");
        ask.bounds.connections = 2;
        ask
    };
    // Two are sent, 16 wait, and of the rest nobody knows when.
    let all: Vec<_> = (0..30).map(|_| house.send(one())).collect();
    let answers = futures_util::future::join_all(all);
    let open = async {
        while server.accepted() < 2 {
            tokio::time::sleep(SHORT / 20).await;
        }
        gate.add_permits(18);
    };
    let (answers, ()) = futures_util::future::join(answers, open).await;
    let refused = answers.iter().filter(|it| matches!(it, Err(Error::Connections(2)))).count();
    let answered = answers.iter().filter(|it| it.is_ok()).count();
    assert_eq!((answered, refused), (18, 12));
    assert!(house.client.connections() <= 2);
    // Who waits longer than it wants to is told.
    let busy: Vec<_> = (0..2).map(|_| house.open(one())).collect();
    let late = async {
        let mut late = one();
        late.bounds.connect = Some(SHORT);
        let error = house.send(late).await.unwrap_err();
        gate.add_permits(2);
        error
    };
    let (busy, error) = futures_util::future::join(futures_util::future::join_all(busy), late).await;
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(busy.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_connection_that_waits_makes_room_for_one_that_is_needed() {
    let house = House::new();
    let (first, second) = (Server::answering(HELLO).await, Server::answering(HELLO).await);
    for _ in 0..3 {
        for server in [&first, &second] {
            let mut ask = ask(server, "/");
            ask.bounds.connections = 1;
            assert_eq!(text(house.send(ask).await), "hello");
        }
    }
    assert!(house.client.connections() <= 1);
}

#[tokio::test]
async fn bodies_go_both_ways() {
    let house = House::new();
    let server = Server::new(|_, mut stream| async move {
        let head = head(&mut stream).await;
        assert!(head.contains("content-length: 300000\r\n"), "{head}");
        let mut body = vec![0; 300_000];
        stream.read_exact(&mut body).await.unwrap();
        let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
    })
    .await;
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let answer = house
        .send(Ask { method: Method::POST, body: full(sent.clone()), ..ask(&server, "/") })
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    assert!(*answer.body() == sent);
}
