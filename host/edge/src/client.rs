//! The client's side of TLS, for command-line clients, for asking issuers for keys, and for
//! [`crate::outgoing`], the requests of components.
//!
//! ```no_run
//! # async fn f() -> Result<(), monopod_edge::client::Error> {
//! let url = "https://localhost:8443/graphql".parse().unwrap();
//! let stream = monopod_edge::client::connect(&url, Some(".monopod/tls/ca.pem".into())).await?;
//! # Ok(()) }
//! ```
//!
//! The stream goes into hyper's HTTP/1 client (with `TokioIo` around it) or into
//! `tokio_tungstenite::client_async`.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::CONNECT;
use crate::tls;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an address that can be connected to.
    #[error("`{0}` is not an address: write https://host or https://host:port")]
    Address(String),
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust cannot be used")]
    Trust(#[source] Box<crate::Error>),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
    /// Nobody answers there.
    #[error("nobody answers at {0}")]
    Connect(String, #[source] io::Error),
    /// Somebody answers, but not with a certificate that is trusted.
    #[error("{0} cannot be trusted; a development certificate is trusted by naming its ca.pem")]
    Untrusted(String, #[source] io::Error),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Slow(String),
}

/// Makes connections. Cheap to clone; making one reads the machine's certificates, which
/// takes some milliseconds.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    via: Option<Arc<str>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// Trusts the machine's certificates, and those of the PEM file `ca`.
    pub fn new(ca: Option<PathBuf>) -> Result<Self, Error> {
        let more = ca.as_deref().map(tls::read_roots).transpose().map_err(|e| Error::Trust(Box::new(e)))?;
        Self::trusting(more.unwrap_or_default(), &[tls::HTTP1])
    }

    /// Trusts the machine's certificates and `more`; offers `protocols`, the first one first.
    pub(crate) fn trusting(more: Vec<CertificateDer<'static>>, protocols: &[&[u8]]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Single certificates of the machine that cannot be read concern nobody here.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in more {
            roots.add(root).map_err(|e| Error::Setup(e.to_string()))?;
        }
        let mut config = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|e| Error::Setup(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), via: None })
    }

    /// The same, but for every host the connection goes to `address` (`host:port`): for a
    /// platform whose public name is not known here. TLS still asks for the public name.
    pub fn via(self, address: &str) -> Self {
        Self { via: Some(address.into()), ..self }
    }

    /// Connects to the host of `url`: with TLS for `https` and `wss`, plainly for `http`
    /// and `ws`. Path and query do not matter.
    pub async fn connect(&self, url: &Uri) -> Result<Stream, Error> {
        let shown = url.authority().map_or_else(|| url.to_string(), ToString::to_string);
        let shown = self.via.as_ref().map_or(shown.clone(), |via| format!("{shown} (via {via})"));
        let wrong = || Error::Address(url.to_string());
        let (secure, port) = match url.scheme_str() {
            Some("https" | "wss") => (true, 443),
            Some("http" | "ws") => (false, 80),
            _ => return Err(wrong()),
        };
        let host = url.host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        let connected = timeout(CONNECT, async {
            let stream = match &self.via {
                Some(address) => TcpStream::connect(&**address).await,
                None => TcpStream::connect((host, url.port_u16().unwrap_or(port))).await,
            };
            let stream = stream
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
                .map_err(|e| Error::Connect(shown.clone(), e))?;
            if !secure {
                return Ok(Stream::Plain(stream));
            }
            match self.secure(name, stream).await {
                Ok(stream) => Ok(stream),
                Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(Error::Untrusted(shown.clone(), e)),
                Err(e) => Err(Error::Connect(shown.clone(), e)),
            }
        });
        connected.await.unwrap_or_else(|_| Err(Error::Slow(shown.clone())))
    }

    /// TLS over a connection that is there, to a server that must be `name`.
    pub(crate) async fn secure(&self, name: ServerName<'static>, stream: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Tls(Box::new(self.tls.connect(name, stream).await?)))
    }
}

/// One connection to `url`, trusting the machine's certificates and those of `ca`.
pub async fn connect(url: &Uri, ca: Option<PathBuf>) -> Result<Stream, Error> {
    Connector::new(ca)?.connect(url).await
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether both sides agreed on HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(tls::H2),
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $body:expr) => {
        match $self.get_mut() {
            Self::Plain(stream) => {
                let $stream = Pin::new(stream);
                $body
            }
            Self::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $body
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}
