//! HTTP/1.1 with kept connections: enough of a pool that a hundred requests one after
//! another need one connection, and no more.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use monopod_core::Body;
use monopod_edge::client::Connector;

use super::Error;

/// The largest answer, in bytes: pages of a list, far below this.
const MAX_ANSWER: usize = 4 << 20;

/// Connections kept for later; more are closed after use. A load test's worth.
const MAX_IDLE: usize = 64;

/// One platform's connections.
pub(super) struct Http {
    connector: Connector,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    scheme: Scheme,
    authority: Authority,
    sender: SendRequest<Body>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request with an absolute URI and reads the whole answer.
    pub(super) async fn send(
        &self,
        mut request: Request<Body>,
        doing: &'static str,
    ) -> Result<Response<Bytes>, Error> {
        let uri = std::mem::take(request.uri_mut());
        let wrong = || Error::Address(uri.to_string());
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(wrong()) };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| wrong())?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| wrong())?;
        request.headers_mut().insert(HOST, host);

        let (response, sender) = loop {
            let kept = self.kept(scheme, authority);
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.open(&uri, doing).await?,
            };
            if !fresh && sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => break (response, sender),
                // A kept connection may have ended meanwhile. What never left is sent anew.
                Err(mut failed) => match failed.take_message().filter(|_| !fresh) {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(doing, failed.into_error())),
                },
            }
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|source| Error::Broken { doing, source })?.to_bytes();
        self.keep(Idle { scheme: scheme.clone(), authority: authority.clone(), sender });
        Ok(Response::from_parts(head, body))
    }

    async fn open(&self, uri: &Uri, doing: &'static str) -> Result<SendRequest<Body>, Error> {
        let stream = self.connector.connect(uri).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| broken(doing, source))?;
        // Drives the connection; ends with it, and what went wrong is told to the sender.
        tokio::spawn(async move {
            let _told = connection.await;
        });
        Ok(sender)
    }

    fn kept(&self, scheme: &Scheme, authority: &Authority) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| !kept.sender.is_closed());
        let at = idle.iter().position(|kept| kept.scheme == *scheme && kept.authority == *authority)?;
        Some(idle.swap_remove(at).sender)
    }

    fn keep(&self, connection: Idle) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }
}

fn broken(doing: &'static str, source: hyper::Error) -> Error {
    Error::Broken { doing, source: source.into() }
}
