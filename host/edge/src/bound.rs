//! Opening the front door, in two steps: what can go wrong at once, then serving.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use monopod_core::identity::Authenticator;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::accept::{Drained, Server};
use crate::door::{Behind, Door, Parts};
use crate::identity::Verifier;
use crate::issuer::Issuer;
use crate::limits::Limits;
use crate::plain::Names;
use crate::probes::Probes;
use crate::settings::{Identity, Settings};
use crate::{Error, tls};

/// A front door that has its socket, certificate and keys, and serves nobody yet.
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
    health: Option<(TcpListener, SocketAddr)>,
    plain: Option<(TcpListener, SocketAddr)>,
    public_url: String,
    tls: Arc<ServerConfig>,
    verifier: Arc<Verifier>,
    issuer: Option<Arc<Issuer>>,
    drain: Duration,
    limits: Limits,
    behind: Behind,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("local", &self.local).field("public_url", &self.public_url).finish()
    }
}

/// Takes the socket and loads or makes certificates and keys. Blocks for some
/// milliseconds. Clients may connect from now on; they wait until [`Bound::serve`].
pub fn bind(settings: Settings) -> Result<Bound, Error> {
    let Settings { listen, public_url, tls, identity, health, plain, drain, limits } = settings;
    if matches!(identity, Identity::Development { .. }) && !listen.ip().is_loopback() {
        return Err(Error::NotLoopback {
            what: "the built-in issuer ([identity] development = true)",
            listen,
            instead: "[identity] issuer and audience",
        });
    }
    if let Some(listen) = plain.filter(|plain| !plain.ip().is_loopback()) {
        return Err(Error::PlainExposed { listen });
    }
    // The socket first: whoever has it may write to the folders below.
    let listener = TcpListener::bind(listen).map_err(|source| refused("listen", listen, source))?;
    let health = health.map(|at| listener_at("health", at)).transpose()?;
    let plain = plain.map(|at| listener_at("plain", at)).transpose()?;
    let tls = tls::server(&tls, listen)?;
    let local = listener.local_addr().map_err(|source| Error::Listen { key: "listen", listen, source })?;
    let public_url = public(&public_url, local)?;
    let (verifier, issuer) = match identity {
        Identity::Development { folder } => {
            let issuer = Arc::new(Issuer::open(&folder, &public_url)?);
            (Verifier::development(&issuer), Some(issuer))
        }
        Identity::Oidc { issuer, audience, ca, subjects } => {
            (Verifier::remote(&issuer, &audience, ca.as_deref())?.granting(subjects), None)
        }
    };
    Ok(Bound {
        listener,
        local,
        health,
        plain,
        public_url,
        tls,
        verifier: Arc::new(verifier),
        issuer,
        drain,
        limits,
        behind: Behind::default(),
    })
}

/// `key` is that of the address in [edge].
fn listener_at(key: &'static str, listen: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listener = TcpListener::bind(listen).map_err(|source| refused(key, listen, source))?;
    let local = listener.local_addr().map_err(|source| Error::Listen { key, listen, source })?;
    Ok((listener, local))
}

fn refused(key: &'static str, listen: SocketAddr, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { key, listen },
        io::ErrorKind::PermissionDenied if listen.port() < 1024 => Error::PortPrivileged { key, listen },
        _ => Error::Listen { key, listen, source },
    }
}

/// The public address without a slash at its end, and with the port that was bound
/// where it says 0.
fn public(url: &str, local: SocketAddr) -> Result<String, Error> {
    let wrong = || Error::PublicUrl(url.to_owned());
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let plain = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
    if uri.scheme_str() != Some("https") || authority.host().is_empty() || !plain {
        return Err(wrong());
    }
    Ok(match authority.port_u16() {
        Some(0) => format!("https://{}:{}", authority.host(), local.port()),
        _ => format!("https://{authority}"),
    })
}

impl Bound {
    /// Where it really listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where probes are answered without TLS, if anywhere.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(|(_, local)| *local)
    }

    /// Where HTTP/1.1 is spoken without TLS, if anywhere.
    pub fn plain_addr(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(|(_, local)| *local)
    }

    /// The address clients use, `https://host[:port]` without a slash at its end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The development issuer's name, if it is on: to be loudly marked.
    pub fn development_issuer(&self) -> Option<&str> {
        self.issuer.as_deref().map(Issuer::name)
    }

    /// What puts other components behind the door while it serves.
    pub fn behind(&self) -> Behind {
        self.behind.clone()
    }

    /// What verifies tokens here, for tokens that arrive inside a WebSocket.
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        self.verifier.clone()
    }

    /// Serves until `shutdown` ends, then takes no more connections, lets requests
    /// finish within the drain time, and cuts what is left.
    ///
    /// WebSockets are drained too: whoever serves them closes them upon the same signal.
    /// Probes are answered to the end: live, and no longer ready.
    pub async fn serve(
        self,
        parts: Parts,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error> {
        let open = |key, listener: TcpListener, listen| {
            let failed = |source| Error::Listen { key, listen, source };
            listener.set_nonblocking(true).map_err(failed)?;
            tokio::net::TcpListener::from_std(listener).map_err(failed)
        };
        let listener = open("listen", self.listener, self.local)?;
        let health = self.health.map(|(listener, at)| open("health", listener, at)).transpose()?;
        let plain = self.plain.map(|(listener, at)| open("plain", listener, at)).transpose()?;
        let draining = Arc::new(AtomicBool::new(false));
        let probes = Probes::new(parts.ready.clone(), draining.clone());
        let shutdown = async {
            shutdown.await;
            draining.store(true, Ordering::Relaxed);
        };
        let door = Door::new(parts, self.verifier, self.issuer, self.limits.body, self.behind)?;
        let names = Names::new(&self.public_url);
        let server = Server::new(Arc::new(door), TlsAcceptor::from(self.tls), names, self.limits, self.drain);
        let drained = match health {
            None => server.run(listener, plain, shutdown).await,
            Some(health) => tokio::select! {
                drained = server.run(listener, plain, shutdown) => drained,
                never = probes.answer(health) => match never {},
            },
        };
        Ok(drained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_https_and_nothing_more_than_host_and_port() {
        let local: SocketAddr = "127.0.0.1:4321".parse().unwrap();
        for (given, expect) in [
            ("https://localhost:8443", "https://localhost:8443"),
            ("https://localhost:8443/", "https://localhost:8443"),
            ("https://localhost:0", "https://localhost:4321"),
            ("https://graphql.local", "https://graphql.local"),
            ("https://[::1]:0", "https://[::1]:4321"),
        ] {
            assert_eq!(public(given, local).unwrap(), expect);
        }
        for bad in [
            "",
            "localhost:8443",
            "http://localhost",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://a/?x",
        ] {
            assert!(public(bad, local).is_err(), "{bad}");
        }
    }
}
