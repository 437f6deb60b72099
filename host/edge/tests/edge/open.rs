//! Opening the door: what is refused at once, and TLS itself.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use monopod_edge::client::{self, Connector};
use monopod_edge::{Error, Identity, Tls, bind, development_ca};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::{House, settings};

fn config(house: &House, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(house.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

async fn handshake(
    house: &House,
    config: Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
    TlsConnector::from(config).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

#[tokio::test]
async fn tls_1_3_and_1_2_are_spoken_under_every_name_of_the_machine() {
    let house = House::new().await;
    for (version, expect) in
        [(&version::TLS13, ProtocolVersion::TLSv1_3), (&version::TLS12, ProtocolVersion::TLSv1_2)]
    {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let config = Arc::new(config(&house, &[version], &[]));
            let stream = handshake(&house, config, name).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(expect), "{name}");
        }
    }
    let config = Arc::new(config(&house, &[&version::TLS13], &[]));
    assert!(handshake(&house, config, "example.org").await.is_err());
}

#[tokio::test]
async fn tls_1_1_and_plain_http_are_turned_away() {
    let house = House::new().await;
    // A ClientHello of TLS 1.1 by hand: no library here speaks it.
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let mut record = vec![0x16, 0x03, 0x01, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    for bytes in [record, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()] {
        let mut stream = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        // An alert (21) that is fatal (2), or nothing at all.
        assert!(answer.is_empty() || (answer[0] == 21 && answer[5] == 2), "{answer:?}");
    }
    assert_eq!(house.get("/health/live").await.status(), 200);
}

#[tokio::test]
async fn a_returning_client_resumes_its_session() {
    let house = House::new().await;
    for version in [&version::TLS13, &version::TLS12] {
        let config = Arc::new(config(&house, &[version], &[]));
        for expect in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            let mut stream = handshake(&house, config.clone(), "localhost").await.unwrap();
            let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(expect), "{version:?}");
        }
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_a_client_offers_it() {
    let house = House::new().await;
    let config = Arc::new(config(&house, &[&version::TLS13], &[b"h2", b"http/1.1"]));
    let stream = handshake(&house, config, "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let requests = (0..20).map(|n| {
        let request = Request::post(house.url("/graphql"))
            .header("x-correlation-id", format!("action-{n}"))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        (n, sender.send_request(request))
    });
    for (n, response) in requests.collect::<Vec<_>>() {
        let response = response.await.unwrap();
        assert_eq!(response.headers()["x-correlation-id"], format!("action-{n}"));
        assert!(response.into_body().collect().await.unwrap().to_bytes().starts_with(b"Anonymous"));
    }
    let request = Request::head(house.url("/graphql")).body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert!(response.headers().contains_key("content-length"));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty(), "HEAD has no body");
    drop(sender);
    let drained = house.stop().await;
    assert_eq!(drained.cut, 0);
    let _ = connection.await;
}

#[tokio::test]
async fn development_shortcuts_are_refused_where_others_can_reach_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = settings(&folder);
    open.listen = "0.0.0.0:0".parse().unwrap();
    let error = bind(open.clone()).unwrap_err();
    assert!(matches!(error, Error::NotLoopback { .. }) && error.to_string().contains("issuer"), "{error}");

    let (issuer, audience) = ("https://issuer.example".to_owned(), "a".to_owned());
    open.identity = Identity::Oidc { issuer, audience, ca: None, subjects: Default::default() };
    let error = bind(open).unwrap_err();
    assert!(
        matches!(error, Error::NotLoopback { .. }) && error.to_string().contains("certificate"),
        "{error}"
    );
    assert!(!folder.path().join("tls").exists(), "and nothing is written");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_fix() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut second = settings(&folder);
    second.listen.set_port(house.port);
    let error = bind(second).unwrap_err();
    assert!(matches!(error, Error::PortTaken { .. }));
    let text = error.to_string();
    for part in
        [format!("127.0.0.1:{}", house.port), "another process".to_owned(), "[edge] listen".to_owned()]
    {
        assert!(text.contains(&part), "{text}");
    }
}

#[tokio::test]
async fn certificates_from_files_are_served_and_bad_ones_named() {
    let made = House::new().await;
    let from = made.folder.path().join("tls");
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&folder);
    let pair = |certificate: &str, key: &str| Tls::Files {
        certificate: from.join(certificate),
        key: from.join(key),
    };

    settings.tls = pair("certificate.pem", "key.pem");
    let house = House::serve(bind(settings.clone()).unwrap(), folder);
    let stream = client::connect(&house.url("/").parse().unwrap(), Some(development_ca(&from))).await;
    assert!(stream.is_ok());

    for (tls, expect) in [
        (pair("missing.pem", "key.pem"), "missing.pem"),
        (pair("key.pem", "key.pem"), "holds no usable certificate"),
        (pair("certificate.pem", "certificate.pem"), "holds no usable private key"),
        (pair("ca.pem", "key.pem"), "does not belong"),
    ] {
        settings.tls = tls;
        let error = bind(settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[tokio::test]
async fn an_unwritable_state_folder_is_named_and_a_key_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    std::fs::write(folder.path().join("tls"), "a file in the way").unwrap();
    let error = bind(settings.clone()).unwrap_err().to_string();
    assert!(error.contains("tls") && error.contains("state"), "{error}");

    std::fs::remove_file(folder.path().join("tls")).unwrap();
    drop(bind(settings.clone()).unwrap());
    let key = folder.path().join("identity/issuer.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = bind(settings).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_client_trusts_the_named_ca_and_nobody_else() {
    let (house, other) = (House::new().await, House::new().await);
    let url = house.url("/").parse().unwrap();
    for ca in [None, Some(other.ca())] {
        let error = Connector::new(ca).unwrap().connect(&url).await.unwrap_err();
        assert!(matches!(error, client::Error::Untrusted(..)), "{error}");
    }
    for bad in ["localhost:1", "ftp://localhost/", "/path"] {
        let error = Connector::new(None).unwrap().connect(&bad.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, client::Error::Address(_)), "{bad}: {error}");
    }
    let missing = Connector::new(Some("missing.pem".into())).unwrap_err();
    assert!(matches!(missing, client::Error::Trust(_)));
}

#[tokio::test]
async fn an_exposure_that_cannot_be_is_refused_before_serving() {
    let folder = tempfile::tempdir().unwrap();
    let bound = bind(settings(&folder)).unwrap();
    let house = House::new().await;
    let parts = monopod_edge::Parts {
        graphql: axum::Router::new(),
        components: house.behind.clone(),
        exposed: vec![("/graphql/x".to_owned(), "web".parse().unwrap())],
        blobs: house.behind.clone(),
        ready: Arc::new(|| Box::pin(async { Ok(()) })),
    };
    assert!(matches!(bound.serve(parts, async {}).await, Err(Error::Exposed { .. })));
}
