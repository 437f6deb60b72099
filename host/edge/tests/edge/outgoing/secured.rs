//! TLS: who is trusted, and which HTTP is spoken.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use monopod_core::outgoing::Error;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::server::{Ask, HELLO, House, Server, ask, text};

/// An authority, and its certificate as a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// TLS with a certificate for `name`, ended `ended` days ago, that offers `protocols`.
    fn acceptor(&self, name: &str, ended: i64, protocols: &[&str]) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(30);
        params.not_after = now - time::Duration::days(ended);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A server behind it, which says how it was asked.
    async fn server(&self, name: &str, ended: i64, protocols: &[&str]) -> Server {
        let acceptor = self.acceptor(name, ended, protocols);
        Server::new(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
                    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
                    let host = request.headers().get("host").map(|it| it.to_str().unwrap().to_owned());
                    let text = format!("{:?} {authority} {}", request.version(), host.unwrap_or_default());
                    Ok::<_, http::Error>(Response::new(Full::new(Bytes::from(text))))
                });
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await
    }
}

fn secure(server: &Server) -> Ask {
    let origin = format!("https://here.test:{}/", server.port);
    Ask { grant: format!("{origin} at 127.0.0.1"), url: origin, ..ask(server, "/") }
}

#[tokio::test]
async fn the_best_http_that_both_speak_is_spoken_and_one_connection_of_http2_serves_many() {
    let authority = Authority::new();
    let house = House::trusting(Some(authority.file()));
    let modern = authority.server("here.test", -1, &["h2", "http/1.1"]).await;
    let place = format!("here.test:{}", modern.port);
    assert_eq!(text(house.send(secure(&modern)).await), format!("HTTP/2.0 {place} "));
    let many: Vec<_> = (0..50).map(|_| house.send(secure(&modern))).collect();
    for answer in futures_util::future::join_all(many).await {
        assert!(text(answer).starts_with("HTTP/2.0"));
    }
    assert_eq!(modern.accepted(), 1);
    for protocols in [&["http/1.1"][..], &[]] {
        let plain = authority.server("here.test", -1, protocols).await;
        let answer = text(house.send(secure(&plain)).await);
        assert_eq!(answer, format!("HTTP/1.1  here.test:{}", plain.port));
    }
}

#[tokio::test]
async fn a_server_that_is_not_who_it_must_be_gets_no_request() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let house = House::trusting(Some(authority.file()));
    for (server, what) in [
        (authority.server("other.test", -1, &["h2"]).await, "another name"),
        (authority.server("here.test", 1, &["h2"]).await, "expired"),
        (stranger.server("here.test", -1, &["h2"]).await, "an authority nobody knows"),
    ] {
        let error = house.send(secure(&server)).await.unwrap_err();
        assert!(matches!(error, Error::Certificate(_)), "{what}: {error}");
    }
    // Nor one that speaks no TLS at all.
    let plain =
        Server::new(|_, mut stream| async move { drop(stream.write_all(HELLO.as_bytes()).await) }).await;
    let error = house.send(secure(&plain)).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_) | Error::Cut(_)), "{error}");
    house.empty().await;
}

#[tokio::test]
async fn a_certificate_for_an_address_is_checked_too() {
    let authority = Authority::new();
    let house = House::trusting(Some(authority.file()));
    for (name, good) in [("127.0.0.1", true), ("127.0.0.2", false), ("here.test", false)] {
        let server = authority.server(name, -1, &[]).await;
        let url = format!("https://127.0.0.1:{}/", server.port);
        let answer = house.send(Ask { grant: url.clone(), url, ..ask(&server, "/") }).await;
        assert_eq!(answer.is_ok(), good, "{name}: {answer:?}");
    }
}

/// A frame of HTTP/2 without content.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_server_that_sends_empty_frames_for_ever_is_left() {
    let authority = Authority::new();
    let house = House::trusting(Some(authority.file()));
    let acceptor = authority.acceptor("here.test", -1, &["h2"]);
    let server = Server::new(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            // Settings, and that theirs are seen; the head of an answer of 200 to the first request.
            let mut begin = [frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat();
            begin.extend(frame(1, 4, 1, &[0x88]));
            // Not before the request is there: an answer to nothing is refused for another reason.
            let mut seen = Vec::new();
            while !seen.windows(8).any(|it| it[3..] == [1, 5, 0, 0, 0] || it[3..] == [1, 4, 0, 0, 0]) {
                let Ok(byte) = stream.read_u8().await else { return };
                seen.push(byte);
            }
            if stream.write_all(&begin).await.is_err() {
                return;
            }
            let empty = frame(0, 0, 1, &[]).repeat(1_000);
            while stream.write_all(&empty).await.is_ok() {}
        }
    })
    .await;
    let error = house.send(secure(&server)).await.unwrap_err();
    assert!(matches!(error, Error::Cut(_)), "{error}");
    house.empty().await;
}

#[tokio::test]
async fn certificates_to_trust_that_cannot_be_read_are_an_error_at_the_start() {
    let names = House::new().names;
    let runtime = tokio::runtime::Handle::current();
    let settings =
        monopod_edge::outgoing::Settings { ca: Some("missing.pem".into()), resolver: names, runtime };
    let error = monopod_edge::outgoing::Client::new(settings).err().unwrap();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}
