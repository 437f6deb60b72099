//! Where a name leads, and what goes over the wire.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method};
use monopod_core::full;
use monopod_core::outgoing::{Error, Kind};
use tokio::io::AsyncWriteExt;

use super::server::{Ask, HELLO, House, Server, ask, head, text};

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let (house, server) = (
        House::new(),
        Server::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await,
    );
    // An answer that changes from one question to the next: a check that asks again is fooled.
    house.names.say("here.test", &["127.0.0.1", "169.254.169.254"]);
    house.send(ask(&server, "/")).await.unwrap();
    assert_eq!((house.names.asked(), server.accepted()), (1, 1));
    // A new connection is a new question, and a new check.
    let error = house.send(ask(&server, "/")).await.unwrap_err();
    assert!(matches!(error, Error::Address { kind: Kind::Metadata, .. }), "{error}");
    assert_eq!((house.names.asked(), server.accepted()), (2, 1));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_and_nobody_is_connected_to() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    let without = |grant: &str| Ask { grant: grant.to_owned(), ..ask(&server, "/") };
    let origin = format!("http://here.test:{}/", server.port);
    for (answer, kind) in [
        ("127.0.0.1", Kind::Loopback),
        ("::1", Kind::Loopback),
        ("10.0.0.1", Kind::Private),
        ("100.64.0.1", Kind::Private),
        ("169.254.169.254", Kind::Metadata),
        ("fd00:ec2::254", Kind::Metadata),
        ("169.254.1.1", Kind::LinkLocal),
        ("::ffff:127.0.0.1", Kind::Dressed),
        ("64:ff9b::7f00:1", Kind::Dressed),
        ("2002:7f00:1::", Kind::Dressed),
        ("0.0.0.0", Kind::Reserved),
        ("224.0.0.1", Kind::Multicast),
    ] {
        house.names.say("here.test", &[answer]);
        let error = house.send(without(&origin)).await.unwrap_err();
        assert!(matches!(error, Error::Address { kind: found, .. } if found == kind), "{answer}: {error}");
    }
    // A network that is granted is not another one.
    house.names.say("here.test", &["127.0.0.1"]);
    let error = house.send(without(&format!("{origin} at 10.0.0.0/8"))).await.unwrap_err();
    assert!(matches!(error, Error::Address { kind: Kind::Loopback, .. }), "{error}");
    assert_eq!(server.accepted(), 0);
    // Of many answers only those that may be are used.
    house.names.say("here.test", &["169.254.169.254 10.0.0.1 127.0.0.1"]);
    assert_eq!(text(house.send(without(&format!("{origin} at 127.0.0.1"))).await), "hello");
}

#[tokio::test]
async fn a_granted_address_is_reached_without_asking_anybody() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    let origin = format!("http://127.0.0.1:{}/", server.port);
    let by_address = Ask { grant: origin.clone(), url: origin, ..ask(&server, "/") };
    assert_eq!(text(house.send(by_address).await), "hello");
    assert_eq!(house.names.asked(), 0);
}

#[tokio::test]
async fn a_name_nobody_knows_and_one_without_addresses_are_errors() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    house.names.say("empty.test", &[""]);
    for name in ["unknown.test", "empty.test"] {
        let url = format!("http://{name}:{}/", server.port);
        let error = house.send(Ask { grant: url.clone(), url, ..ask(&server, "/") }).await.unwrap_err();
        assert!(matches!(error, Error::Resolve(..)), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_host_header_is_ours_and_what_belongs_to_the_connection_does_not_pass() {
    let seen = Arc::new(Mutex::new(String::new()));
    let saw = seen.clone();
    let server = Server::new(move |_, mut stream| {
        let saw = saw.clone();
        async move {
            *saw.lock().unwrap() = head(&mut stream).await;
            stream.write_all(HELLO.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "evil.test"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("x-mine", "stays"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    let house = House::new();
    house.send(Ask { headers, ..ask(&server, "/a?b=http://evil.test/") }).await.unwrap();
    let seen = seen.lock().unwrap();
    let lines: Vec<&str> = seen.trim_end().split("\r\n").collect();
    assert_eq!(lines[0], "GET /a?b=http://evil.test/ HTTP/1.1");
    let mut rest = lines[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, [format!("host: here.test:{}", server.port), "x-mine: stays".to_owned()]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (house, server) = (
        House::new(),
        Server::answering(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n",
        )
        .await,
    );
    let answer = house.send(ask(&server, "/")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (302, &"http://169.254.169.254/latest/".parse().unwrap())
    );
    assert_eq!((house.names.asked(), server.accepted()), (1, 1));
}

#[tokio::test]
async fn tunnels_and_echoes_are_not_asked_for() {
    let (house, server) = (House::new(), Server::answering(HELLO).await);
    for method in [Method::CONNECT, Method::TRACE] {
        let error = house.send(Ask { method, body: full(""), ..ask(&server, "/") }).await.unwrap_err();
        assert!(matches!(error, Error::Method(_)), "{error}");
    }
    assert_eq!(server.accepted(), 0);
}
