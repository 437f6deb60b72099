//! A server that is slow, talks nonsense, says too much or goes away, in each phase.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use monopod_core::outgoing::{Bounds, Error, Phase};
use monopod_core::size::Size;
use monopod_core::{Body, BoxError, full};
use tokio::io::AsyncWriteExt;

use super::server::{Ask, House, SHORT, Server, ask, closed, head, phase};

/// Answers with `said`, then does nothing until the client goes.
async fn silent(said: &'static str) -> Server {
    Server::new(move |_, mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(said.as_bytes()).await;
        closed(&mut stream).await;
    })
    .await
}

/// Answers with `said` and closes.
async fn leaving(said: &'static str) -> Server {
    Server::new(move |_, mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(said.as_bytes()).await;
    })
    .await
}

fn short(ask: Ask) -> Ask {
    let bounds =
        Bounds { connect: Some(SHORT), first_byte: Some(SHORT), between_bytes: Some(SHORT), ..ask.bounds };
    Ask { bounds, ..ask }
}

#[tokio::test]
async fn silence_ends_in_each_phase_and_the_connection_with_it() {
    let house = House::new();
    let server = silent("").await;
    let name = format!("http://never.test:{}/", server.port);
    let error =
        house.send(short(Ask { grant: name.clone(), url: name, ..ask(&server, "/") })).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(Phase::Connect)), "resolving: {error}");
    let secure = format!("https://here.test:{}/", server.port);
    let tls = Ask { grant: format!("{secure} at 127.0.0.1"), url: secure, ..ask(&server, "/") };
    let error = house.send(short(tls)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(Phase::Connect)), "TLS: {error}");
    for (said, wanted) in [
        ("", Phase::FirstByte),
        ("HTTP/1.1 200 O", Phase::FirstByte),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Phase::Body),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", Phase::Body),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Phase::Body),
    ] {
        let server = silent(said).await;
        let error = house.send(short(ask(&server, "/"))).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut(phase) if phase == wanted), "{said:?}: {error}");
    }
    house.empty().await;
}

#[tokio::test]
async fn a_drip_that_never_stops_ends_at_the_callers_deadline() {
    let server = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    })
    .await;
    let house = House::new();
    let mut ask = ask(&server, "/");
    let began = Instant::now();
    ask.bounds.deadline = began + 5 * SHORT;
    let error = house.send(ask).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(Phase::Body)), "{error}");
    assert!(began.elapsed() >= 5 * SHORT);
    house.empty().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_said_in_each_phase() {
    let house = House::new();
    let closed = Server::new(|_, stream| async move { drop(stream) }).await;
    let error = house.send(ask(&closed, "/")).await.unwrap_err();
    assert_eq!(phase(&error), Some(Phase::FirstByte), "{error}");
    for (said, wanted) in [
        ("", Phase::FirstByte),
        ("HTTP/1.1 200 OK\r\ncontent-len", Phase::FirstByte),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", Phase::Body),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Phase::Body),
    ] {
        let server = leaving(said).await;
        let error = house.send(ask(&server, "/")).await.unwrap_err();
        assert!(matches!(error, Error::Cut(phase) if phase == wanted), "{said:?}: {error}");
    }
    // Nobody listens: the port was given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let error = house.send(Ask { grant: url.clone(), url, ..ask(&closed, "/") }).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
    house.empty().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let house = House::new();
    for said in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 xyz OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        let server = leaving(said).await;
        let error = house.send(ask(&server, "/")).await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_) | Error::Cut(_)), "{said:?}: {error}");
    }
    house.empty().await;
}

#[tokio::test]
async fn a_head_or_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let house = House::new();
    let many = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        // For ever, without an end.
        while stream.write_all(b"x-header: some value of some length\r\n").await.is_ok() {}
    })
    .await;
    let error = house.send(ask(&many, "/")).await.unwrap_err();
    assert!(matches!(error, Error::HeadSize(_)), "{error}");
    let declared = silent("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n").await;
    let error = house.send(ask(&declared, "/")).await.unwrap_err();
    assert!(matches!(error, Error::ResponseSize(_)), "{error}");
    let endless = Server::new(|_, mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while stream.write_all(format!("2000\r\n{}\r\n", "x".repeat(0x2000)).as_bytes()).await.is_ok() {}
    })
    .await;
    let error = house.send(ask(&endless, "/")).await.unwrap_err();
    assert!(matches!(error, Error::ResponseSize(_)), "{error}");
    house.empty().await;
    // HEAD says how long the body would be.
    let response = house.send(Ask { method: Method::HEAD, ..ask(&declared, "/") }).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1048577");
}

#[tokio::test]
async fn a_request_that_is_too_large_or_breaks_off_is_the_components_fault() {
    let house = House::new();
    let server = Server::new(|_, mut stream| async move { closed(&mut stream).await }).await;
    let mut large = ask(&server, "/");
    large.method = Method::POST;
    large.bounds.body = Size::bytes(1_000);
    large.body = full(vec![0; 1_001]);
    let error = house.send(large).await.unwrap_err();
    assert!(matches!(error, Error::RequestSize(_)), "{error}");

    let pieces: [Result<_, BoxError>; 2] =
        [Ok(http_body::Frame::data(Bytes::from_static(b"part"))), Err("the guest trapped".into())];
    let body: Body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let error = house.send(Ask { method: Method::POST, body, ..ask(&server, "/") }).await.unwrap_err();
    assert!(matches!(error, Error::RequestCut), "{error}");
    house.empty().await;
}

#[tokio::test]
async fn who_does_not_wait_any_more_ends_the_exchange() {
    let house = House::new();
    let (begun, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::new(move |_, mut stream| {
        let begun = begun.clone();
        async move {
            head(&mut stream).await;
            begun.send("begun").unwrap();
            closed(&mut stream).await;
            begun.send("closed").unwrap();
        }
    })
    .await;
    let waiting = house.open(ask(&server, "/"));
    tokio::select! {
        _ = waiting => panic!("nobody answers"),
        said = seen.recv() => assert_eq!(said, Some("begun")),
    }
    assert_eq!(seen.recv().await, Some("closed"));
    house.empty().await;
}
