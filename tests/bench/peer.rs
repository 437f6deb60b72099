//! The peer of `ping`: what a native axum handler behind the same TLS gives, that answers the same
//! bytes and knows nothing of GraphQL, components or limits. It is a ceiling rather than a rival.
//!
//! It takes its certificate, and the answer that it is to give, from a folder.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The files in the folder.
pub const CERTIFICATE: &str = "certificate.pem";
/// Its key.
pub const KEY: &str = "key.pem";
/// Headers of the answer: `name: value` in lines.
pub const HEAD: &str = "head";
/// Its body.
pub const BODY: &str = "body";

/// What it is, for the table.
pub fn name() -> String {
    "axum 0.8 + rustls, constant answer".to_owned()
}

/// Serves until it is killed. Prints its port first.
pub async fn serve(folder: &Path) {
    let head = std::fs::read_to_string(folder.join(HEAD)).unwrap();
    let headers: HeaderMap = head
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let body = Bytes::from(std::fs::read(folder.join(BODY)).unwrap());
    let router = Router::new().route(
        "/graphql",
        post(move |question: Bytes| {
            let (headers, body) = (headers.clone(), body.clone());
            async move {
                assert!(!question.is_empty());
                let mut answer = Response::new(Body::from(body));
                *answer.headers_mut() = headers;
                answer
            }
        }),
    );

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_file_iter(folder.join(CERTIFICATE)).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(folder.join(KEY)).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        // A client that goes ends its connection, not the peer.
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            if let Ok(stream) = acceptor.accept(stream).await {
                let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}
