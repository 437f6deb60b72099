//! Connections of the operator's door: few, short, and each for one request.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use monopod_core::identity::{Authenticator, Refused};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::View;
use super::answer::{self, Answer};
use crate::prometheus;

/// Connections at once: some operators and their scrapers. More wait to be accepted.
const CONNECTIONS: usize = 32;
/// How long one may take from its first byte to the last of the answer.
const TIME: Duration = Duration::from_secs(10);
/// The most bytes of a request's head; hyper takes no less than 8 KiB.
const HEAD: usize = 16 << 10;
/// The pause after a connection could not be accepted, for example for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is let in.
#[derive(Clone)]
pub(crate) enum Guard {
    /// Whoever can connect.
    Open,
    /// Whoever can connect and means this machine: a page of another site that makes a
    /// browser ask here under a name of its own is not let in.
    Local,
    /// Besides that, who brings a token with these scopes.
    Token { scopes: BTreeSet<String>, authenticator: Arc<dyn Authenticator> },
}

/// One door.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) view: Arc<View>,
    pub(crate) guard: Guard,
    pub(crate) only_metrics: bool,
}

macro_rules! accept {
    ($listener:ident, $door:ident) => {{
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.ok();
            match $listener.accept().await {
                Ok((stream, _)) => {
                    let door = $door.clone();
                    tokio::spawn(async move {
                        // One that fails or is slow has itself to blame.
                        let _ended = timeout(TIME, door.connection(stream)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }};
}

pub(crate) async fn unix(listener: UnixListener, door: Door) {
    accept!(listener, door)
}

pub(crate) async fn tcp(listener: TcpListener, door: Door) {
    accept!(listener, door)
}

impl Door {
    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let door = &self;
        let service = service_fn(|request| async move { Ok::<_, Infallible>(door.one(&request).await) });
        let mut http1 = http1::Builder::new();
        http1.keep_alive(false).header_read_timeout(None).max_buf_size(HEAD);
        if let Err(error) = http1.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "an operator's connection failed");
        }
    }

    async fn one(&self, request: &Request<Incoming>) -> Answer {
        if let Err(refused) = self.guard.admit(request.headers()).await {
            return *refused;
        }
        if request.method() != Method::GET {
            let mut answer = answer::error(StatusCode::METHOD_NOT_ALLOWED, "only GET can be used here");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        match request.uri().path() {
            "/metrics" => answer::new(StatusCode::OK, prometheus::CONTENT_TYPE, self.view.metrics()),
            _ if self.only_metrics => answer::error(StatusCode::NOT_FOUND, "only /metrics is answered here"),
            "/admin/status" => match serde_json::to_vec(&self.view.status()) {
                Ok(body) => answer::new(StatusCode::OK, "application/json", body),
                Err(error) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            "/" | "/admin/" => answer::elsewhere("/admin"),
            path => answer::page(path).unwrap_or_else(|| {
                answer::error(StatusCode::NOT_FOUND, "there are /admin, /admin/status and /metrics")
            }),
        }
    }
}

impl Guard {
    async fn admit(&self, headers: &HeaderMap) -> Result<(), Box<Answer>> {
        let Self::Token { scopes, authenticator } = self else {
            return match self {
                Self::Local => local(headers),
                _ => Ok(()),
            };
        };
        local(headers)?;
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(challenge("bring a token: Authorization: Bearer …"));
        };
        match authenticator.bearer(token.trim()).await {
            Ok(user) if scopes.iter().all(|scope| user.scopes.contains(scope)) => Ok(()),
            Ok(_) => Err(Box::new(answer::error(StatusCode::FORBIDDEN, "the token does not allow this"))),
            Err(refused @ Refused::Unavailable(_)) => {
                Err(Box::new(answer::error(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string())))
            }
            Err(refused) => Err(challenge(&refused.to_string())),
        }
    }
}

fn challenge(why: &str) -> Box<Answer> {
    let mut answer = answer::error(StatusCode::UNAUTHORIZED, why);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Box::new(answer)
}

/// Whether the host that was asked for is this machine by its own name.
fn local(headers: &HeaderMap) -> Result<(), Box<Answer>> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = host.parse::<http::uri::Authority>().ok();
    let name = authority.as_ref().map_or("", |a| a.host()).trim_start_matches('[').trim_end_matches(']');
    let here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if here {
        Ok(())
    } else {
        Err(Box::new(answer::error(StatusCode::MISDIRECTED_REQUEST, "ask for localhost or 127.0.0.1")))
    }
}
