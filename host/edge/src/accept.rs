//! The accept loop: sockets in, connections served, everything drained at the end.
//!
//! One task for each connection and none for a request over HTTP/1. A connection's task
//! ends by itself (closed, upgraded, too slow) or, when the drain time is over, by being
//! aborted; its failure concerns nobody else.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::limits::{self, Limits};
use crate::plain::Names;
use crate::pulse::{Finding, Pulse};
use crate::socket::{Socket, Stream};
use crate::tls;

/// How a drained front door went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were not done when the time was over, and were cut.
    pub cut: usize,
}

/// What every connection needs.
pub(crate) struct Server {
    door: Arc<Door>,
    tls: TlsAcceptor,
    /// What a request without TLS may call us.
    names: Arc<Names>,
    limits: Limits,
    drain: Duration,
    /// Cancelled when serving is to end.
    stop: CancellationToken,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Server {
    pub(crate) fn new(
        door: Arc<Door>,
        tls: TlsAcceptor,
        names: Names,
        limits: Limits,
        drain: Duration,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        // `pulse` keeps the times.
        http1.header_read_timeout(None).max_header_size(limits::HEAD_SIZE).max_buf_size(limits::BUFFER);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits::HEAD_SIZE).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits::STREAMS)
            .keep_alive_interval(limits::PING)
            .keep_alive_timeout(limits::PING);
        Self {
            door,
            tls,
            names: Arc::new(names),
            limits,
            drain,
            stop: CancellationToken::new(),
            http1,
            http2,
        }
    }

    /// Serves `listener` with TLS, and `plain` without, until `shutdown`; then drains.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        plain: Option<TcpListener>,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let server = Arc::new(self);
        let places = Arc::new(Semaphore::new(server.limits.connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (place, stream, peer, way) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener, plain.as_ref(), &places) => accepted,
            };
            connections.spawn(server.clone().connection(place, stream, peer, way));
        }
        drop((listener, plain));
        server.stop.cancel();
        server.drained(connections, &places).await
    }

    /// Waits for connections, and then for sockets that were upgraded, within the time.
    async fn drained(&self, mut connections: JoinSet<()>, places: &Semaphore) -> Drained {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let finished = timeout(self.drain, async {
            while connections.join_next().await.is_some() {}
            // The semaphore is never closed.
            let _all = places.acquire_many(all).await;
        })
        .await;
        let cut = match finished {
            Ok(()) => 0,
            Err(_) => self.limits.connections.saturating_sub(places.available_permits()),
        };
        connections.shutdown().await;
        Drained { cut }
    }

    async fn connection(
        self: Arc<Self>,
        place: OwnedSemaphorePermit,
        stream: TcpStream,
        peer: SocketAddr,
        way: Way,
    ) {
        // An answer is written at once and whole; waiting to fill a packet only delays it.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (stream, names, multiplexed) = match way {
            Way::Plain => (Stream::Plain(stream), Some(self.names.clone()), false),
            Way::Tls => {
                let Some(stream) = self.handshake(stream, peer).await else { return };
                let multiplexed = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
                (Stream::Tls(Box::new(stream)), None, multiplexed)
            }
        };
        let pulse = Pulse::new(multiplexed);
        let io = TokioIo::new(Socket::new(stream, pulse.clone(), place));
        let service = service_fn({
            let (door, pulse) = (self.door.clone(), pulse.clone());
            move |request| {
                let (door, pulse, names) = (door.clone(), pulse.clone(), names.clone());
                async move {
                    Ok::<_, std::convert::Infallible>(
                        door.answer(request, peer, names.as_deref(), &pulse).await,
                    )
                }
            }
        });
        if multiplexed {
            self.drive(pin!(self.http2.serve_connection(io, service)), &pulse, peer).await;
        } else {
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            self.drive(pin!(connection), &pulse, peer).await;
        }
    }

    async fn handshake(&self, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
        let handshake = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            handshake = timeout(self.limits.handshake, self.tls.accept(stream)) => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake did not end in time"),
        }
        None
    }

    /// Polls a connection to its end, and looks after its pulse now and then.
    async fn drive<C: Connection>(&self, mut connection: Pin<&mut C>, pulse: &Pulse, peer: SocketAddr) {
        // Four looks within the shortest of the times: late by a quarter at most.
        let every = self.limits.head.min(self.limits.idle).min(self.limits.stalled) / 4;
        let mut stop = pin!(self.stop.cancelled());
        let mut look = pin!(sleep_until(Instant::now() + every));
        let mut closing = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection failed");
                    }
                    return;
                }
                () = &mut stop, if !closing => {
                    closing = true;
                    connection.as_mut().close();
                }
                () = &mut look => {
                    match pulse.look(&self.limits) {
                        Finding::Well => {}
                        Finding::Idle if !closing => {
                            closing = true;
                            connection.as_mut().close();
                        }
                        // Asked to close in order and still here: the client holds on.
                        Finding::Idle => return,
                        Finding::Lapsed(why) => return tracing::debug!(%peer, why, "connection cut"),
                    }
                    look.as_mut().reset(Instant::now() + every);
                }
            }
        }
    }
}

/// By which of the two listeners a connection came.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tls,
    Plain,
}

/// The next connection, once there is a place for it. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    plain: Option<&TcpListener>,
    places: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, TcpStream, SocketAddr, Way) {
    let plainly = async || match plain {
        Some(plain) => plain.accept().await,
        None => std::future::pending().await,
    };
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // Never closed; if it were, nobody could be let in.
            std::future::pending::<()>().await;
            continue;
        };
        let (accepted, way) = tokio::select! {
            accepted = listener.accept() => (accepted, Way::Tls),
            accepted = plainly() => (accepted, Way::Plain),
        };
        match accepted {
            Ok((stream, peer)) => return (place, stream, peer, way),
            Err(error) => {
                drop(place);
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What hyper's two kinds of connection have in common.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Finish what runs, take nothing new.
    fn close(self: Pin<&mut Self>);
}

impl<I, S, B> Connection for http1::UpgradeableConnection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<monopod_core::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<monopod_core::BoxError>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Connection for http2::Connection<I, S, E>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<monopod_core::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<monopod_core::BoxError>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
