//! What the front door is told, as values: made by the binary from the platform file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits::Limits;

/// The front door's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// The address clients use, `https://host[:port]`: part of the development issuer's
    /// name. Port 0 in it stands for the port that was bound.
    pub public_url: String,
    /// Where the certificate comes from.
    pub tls: Tls,
    /// Whose tokens are accepted.
    pub identity: Identity,
    /// Where `/health/live` and `/health/ready` are answered without TLS, and nothing
    /// else is; none: only behind the front door.
    pub health: Option<SocketAddr>,
    /// Where HTTP/1.1 is spoken without TLS besides; none: nowhere. Only on a loopback address.
    pub plain: Option<SocketAddr>,
    /// How long requests may still run after the shutdown signal.
    pub drain: Duration,
    /// Bounds; the defaults are right for phones and browsers.
    pub limits: Limits,
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub enum Tls {
    /// A certificate of our own for `localhost`, 127.0.0.1 and ::1, kept in `folder`.
    /// Only on a loopback address.
    SelfSigned {
        /// Created if it is not there.
        folder: PathBuf,
    },
    /// PEM files.
    Files {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The leaf's private key.
        key: PathBuf,
    },
}

/// Whose tokens are accepted.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The built-in issuer, `<public_url>/identity`. Only on a loopback address.
    Development {
        /// Where its signing key is kept; created if it is not there.
        folder: PathBuf,
    },
    /// An OpenID Connect issuer.
    Oidc {
        /// Its exact `iss`, for example `https://login.microsoftonline.com/<tenant>/v2.0`.
        issuer: String,
        /// What a token's `aud` must hold.
        audience: String,
        /// A PEM file of certificates to trust besides the machine's own when asking it
        /// for its keys.
        ca: Option<PathBuf>,
        /// Scopes that callers have besides those in their tokens, by exact `sub`: for
        /// issuers whose tokens carry none.
        subjects: BTreeMap<String, BTreeSet<String>>,
    },
}
