//! The listener for probes: `/health/live` and `/health/ready` without TLS, for those who
//! know no certificate. Called by `bound`, beside the front door; it must never learn to
//! answer anything else, because whoever reaches the port is let in.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::door::Ready;
use crate::limits::{ACCEPT_PAUSE, BUFFER, PROBE_TIME, PROBES};
use crate::{health, path};

/// What probes are told.
#[derive(Clone)]
pub(crate) struct Probes {
    ready: Ready,
    /// Set once the front door takes nothing new.
    draining: Arc<AtomicBool>,
}

impl Probes {
    pub(crate) fn new(ready: Ready, draining: Arc<AtomicBool>) -> Self {
        Self { ready, draining }
    }

    /// Answers until it is dropped; what is under way then is cut.
    pub(crate) async fn answer(self, listener: TcpListener) -> Infallible {
        let places = Arc::new(Semaphore::new(PROBES));
        let mut connections = JoinSet::new();
        loop {
            // Whoever finds no place is not accepted yet. The semaphore is never closed.
            let place = places.clone().acquire_owned().await.ok();
            match listener.accept().await {
                Ok((stream, _)) => {
                    let probes = self.clone();
                    connections.spawn(async move {
                        // One that fails or is slow has itself to blame.
                        let _ended = timeout(PROBE_TIME, probes.connection(stream)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a probe could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connection(self, stream: TcpStream) {
        let service = service_fn(|request| {
            let probes = self.clone();
            async move { Ok::<_, Infallible>(probes.one(request).await) }
        });
        let mut http1 = http1::Builder::new();
        // One request for each connection: a kubelet does not keep them either.
        http1.keep_alive(false).header_read_timeout(None).max_buf_size(BUFFER);
        if let Err(error) = http1.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "a probe's connection failed");
        }
    }

    async fn one(&self, request: Request<Incoming>) -> Answer {
        let path = path::normalise(request.uri().path()).unwrap_or_default();
        match &*path {
            "/health/live" | "/health/ready" if request.method() != Method::GET => answer::method("GET"),
            "/health/live" => health::live(),
            "/health/ready" if self.draining.load(Ordering::Relaxed) => {
                answer::error(StatusCode::SERVICE_UNAVAILABLE, "DRAINING", "the platform is stopping")
            }
            "/health/ready" => health::ready(&self.ready).await,
            _ => answer::unknown(),
        }
    }
}
