//! A connection to a server: resolved, checked, connected, secured, and HTTP on top.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use monopod_core::Body;
use monopod_core::outgoing::{Destination, Error, Host, Network, Phase, allowed};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Inner;
use super::limits::{ADDRESS, ADDRESSES, CONNECT, CONNECTION_WINDOW, HEAD, PING, STREAM_WINDOW};
use super::pool::{Key, Place, Sender};
use crate::client::Stream;

impl Inner {
    /// A new connection. It lives in a task of its own, which has `place` and ends when nobody
    /// can send over it any more.
    pub(super) async fn connect(&self, key: &Key, place: Place) -> Result<Sender, Error> {
        let to = &key.destination;
        let stream = tcp(to, &self.addresses(to, &key.networks).await?).await?;
        let stream = if to.secure {
            let name = match &to.host {
                Host::Address(address) => ServerName::from(*address),
                Host::Name(name) => {
                    let name = ServerName::try_from(name.to_string());
                    name.map_err(|_| Error::Certificate("no certificate can have this name".to_owned()))?
                }
            };
            self.connector.secure(name, stream).await.map_err(untrusted)?
        } else {
            Stream::Plain(stream)
        };
        let http2 = stream.is_http2();
        let io = TokioIo::new(stream);
        if http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING);
            let (sender, connection) = builder.handshake(io).await.map_err(|e| broken(&e))?;
            self.runtime.spawn(async move {
                // How it ended is told to whoever waits for an answer.
                let _told = connection.await;
                drop(place);
            });
            return Ok(Sender::many(sender));
        }
        let mut builder = http1::Builder::new();
        builder.max_header_size(HEAD).max_buf_size(HEAD);
        let (sender, connection): (http1::SendRequest<Body>, _) =
            builder.handshake(io).await.map_err(|e| broken(&e))?;
        self.runtime.spawn(async move {
            let _told = connection.await;
            drop(place);
        });
        Ok(Sender::One(sender))
    }

    /// The addresses of a server that may be connected to.
    async fn addresses(&self, to: &Destination, networks: &[Network]) -> Result<Vec<IpAddr>, Error> {
        let (found, name) = match &to.host {
            Host::Address(address) => (vec![*address], address.to_string()),
            Host::Name(name) => {
                let resolved = self.resolver.resolve(name).await;
                let found = resolved.map_err(|e| Error::Resolve(name.to_string(), e.to_string()))?;
                (found, name.to_string())
            }
        };
        let mut refused = None;
        let mut good = Vec::new();
        for address in found {
            match allowed(address, networks) {
                Ok(()) => good.push(address),
                Err(kind) => refused = refused.or(Some((address, kind))),
            }
        }
        match refused {
            Some((address, kind)) if good.is_empty() => Err(Error::Address { name, address, kind }),
            _ if good.is_empty() => Err(Error::Resolve(name, "it has no address".to_owned())),
            _ => Ok(good),
        }
    }
}

/// To the first address that answers.
async fn tcp(to: &Destination, addresses: &[IpAddr]) -> Result<TcpStream, Error> {
    let mut last = Error::Connect("no address".to_owned());
    let tried: Vec<_> = addresses.iter().take(ADDRESSES).collect();
    for (at, address) in tried.iter().enumerate() {
        let address = SocketAddr::new(**address, to.port);
        // Those behind it shall have their turn. The last one may take what time there is.
        let patience: Duration = if at + 1 < tried.len() { ADDRESS } else { CONNECT };
        last = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let settled = stream.set_nodelay(true);
                return settled.map(|()| stream).map_err(|e| Error::Connect(format!("{address}: {e}")));
            }
            Ok(Err(error)) => Error::Connect(format!("{address}: {error}")),
            Err(_) => Error::TimedOut(Phase::Connect),
        };
    }
    Err(last)
}

/// Why there is no TLS.
fn untrusted(error: io::Error) -> Error {
    let tls = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::Certificate(error.to_string())
        }
        Some(_) => Error::Tls(error.to_string()),
        None => Error::Cut(Phase::Connect),
    }
}

/// Why HTTP did not begin.
fn broken(error: &hyper::Error) -> Error {
    if error.is_closed() || error.is_canceled() {
        Error::Cut(Phase::Connect)
    } else {
        Error::Protocol(error.to_string())
    }
}
