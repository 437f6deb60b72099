//! The host's own requests, to servers that the platform file names: the client behind
//! [`monopod_core::outgoing::Direct`]. HTTP/1.1, one connection for each request: they are few
//! (figures for a collector). Requests of components are `outgoing`'s.

use std::path::Path;

use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use monopod_core::outgoing::{Direct, Error, Phase};
use monopod_core::{Body, BoxFuture};

use crate::client::{self, Connector};
use crate::outgoing::Ended;
use crate::tls;

/// The most of a response's head.
const HEAD: usize = 64 << 10;

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    connector: Connector,
}

impl Client {
    /// Trusts the machine's certificates, and those of the PEM file `ca`. Opens nothing.
    pub fn new(ca: Option<&Path>) -> Result<Self, crate::Error> {
        let more = ca.map(tls::read_roots).transpose()?.unwrap_or_default();
        let connector = Connector::trusting(more, &[tls::HTTP1]).map_err(crate::Error::Client)?;
        Ok(Self { connector })
    }
}

impl Direct for Client {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Error>> {
        let connector = self.connector.clone();
        Box::pin(async move { exchange(&connector, request).await })
    }
}

async fn exchange(connector: &Connector, mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let uri = request.uri().clone();
    let stream = connector.connect(&uri).await.map_err(unconnected)?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    // Ends with the exchange: with this future, and from the response on with its body.
    let driven = Ended::new(tokio::spawn(connection));
    let host = uri.authority().map_or("", |authority| authority.as_str());
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    *request.uri_mut() = uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
    Ok(response.map(|body| {
        let body = body.map_frame(move |frame| {
            let _held = &driven;
            frame
        });
        body.map_err(Into::into).boxed_unsync()
    }))
}

/// Why there is no connection.
fn unconnected(error: client::Error) -> Error {
    match error {
        client::Error::Connect(to, source) => Error::Connect(format!("nobody answers at {to}: {source}")),
        client::Error::Untrusted(_, source) => Error::Certificate(source.to_string()),
        client::Error::Slow(_) => Error::TimedOut(Phase::Connect),
        other => Error::Connect(other.to_string()),
    }
}

/// Why there is no response.
fn broken(error: &hyper::Error) -> Error {
    if error.is_parse() { Error::Protocol(error.to_string()) } else { Error::Cut(Phase::FirstByte) }
}
