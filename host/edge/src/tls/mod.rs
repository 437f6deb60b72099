//! The server's side of TLS: which certificate, which versions.
//!
//! Called once, by `bind`. Nothing outside this folder, `accept` and `client` may know
//! rustls.

mod development;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};

use crate::settings::Tls;
use crate::{Error, files};

pub use development::development_ca;

/// The versions spoken: older ones are broken.
pub(crate) const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The name by which ALPN calls HTTP/2.
pub(crate) const H2: &[u8] = b"h2";

/// And HTTP/1.1.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// A certificate chain with its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The one provider of cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The server's configuration: certificate loaded or made, tickets with rotating keys,
/// HTTP/2 and HTTP/1.1 by ALPN.
pub(crate) fn server(tls: &Tls, listen: SocketAddr) -> Result<Arc<ServerConfig>, Error> {
    let (chain, key) = match tls {
        Tls::SelfSigned { .. } if !listen.ip().is_loopback() => {
            return Err(Error::NotLoopback {
                what: "a self-signed certificate",
                listen,
                instead: "[edge] certificate and key",
            });
        }
        Tls::SelfSigned { folder } => development::certificate(folder)?,
        Tls::Files { certificate, key } => from_files(certificate, key)?,
    };
    let failed = |e: rustls::Error| Error::Tls(e.to_string());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| {
            match e {
            rustls::Error::InconsistentKeys(_) => Error::Tls(
                "the private key does not belong to the certificate: set [edge] certificate and key to a pair"
                    .to_owned(),
            ),
            e => failed(e),
        }
        })?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    // Resumption without memory on our side; its keys rotate every six hours.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
    Ok(Arc::new(config))
}

fn from_files(certificate: &Path, key: &Path) -> Result<Identity, Error> {
    let fix = "set [edge] certificate and key to PEM files this user may read";
    let pem = |path: &Path, what| Error::Pem { path: path.to_owned(), what, fix };
    let chain = parse_chain(&files::read(certificate, fix)?)
        .ok_or_else(|| pem(certificate, "certificate (-----BEGIN CERTIFICATE-----)"))?;
    let key = PrivateKeyDer::from_pem_slice(&files::read(key, fix)?)
        .map_err(|_| pem(key, "private key (-----BEGIN PRIVATE KEY-----)"))?;
    Ok((chain, key))
}

/// The certificates of a PEM file; none if there are none or one is damaged.
pub(crate) fn parse_chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}

/// The certificates of a file that is to be trusted.
pub(crate) fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fix = "name a PEM file of certificates to trust";
    parse_chain(&files::read(path, fix)?).ok_or_else(|| Error::Pem {
        path: path.to_owned(),
        what: "certificate (-----BEGIN CERTIFICATE-----)",
        fix,
    })
}
