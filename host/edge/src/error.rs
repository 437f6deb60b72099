//! Why the front door cannot open. Each text names the fix.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the front door cannot open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else has the port.
    #[error(
        "cannot listen on {listen}: another process serves there. End it, or set another address: [edge] {key} = \"{}:{}\"",
        listen.ip(), listen.port().wrapping_add(1)
    )]
    PortTaken {
        /// The key of the address in [edge].
        key: &'static str,
        /// Where.
        listen: SocketAddr,
    },
    /// A port below 1024 without the privilege for it.
    #[error(
        "cannot listen on {listen}: ports below 1024 need a privilege. Use a higher one ([edge] {key} = \"{}:8443\"), or grant CAP_NET_BIND_SERVICE",
        listen.ip()
    )]
    PortPrivileged {
        /// The key of the address in [edge].
        key: &'static str,
        /// Where.
        listen: SocketAddr,
    },
    /// The socket cannot be had for another reason.
    #[error("cannot listen on {listen}: set [edge] {key} to an address this machine has")]
    Listen {
        /// The key of the address in [edge].
        key: &'static str,
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Development shortcuts on an address that others can reach.
    #[error(
        "{what} is for development and only allowed on a loopback address, but [edge] listen is {listen}. Listen on 127.0.0.1, or set {instead}"
    )]
    NotLoopback {
        /// Which shortcut.
        what: &'static str,
        /// Where.
        listen: SocketAddr,
        /// The keys that replace it.
        instead: &'static str,
    },
    /// A listener without TLS on an address that others can reach.
    #[error(
        "[edge] plain is without TLS and only allowed on a loopback address, but it is {listen}. Write plain = \"127.0.0.1:{}\"",
        listen.port()
    )]
    PlainExposed {
        /// Where.
        listen: SocketAddr,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {fix}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What would help.
        fix: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A private key that others can read.
    #[error(
        "the private key {} can be read by other users: chmod 600 it, or delete it to have a new one made",
        path.display()
    )]
    KeyExposed {
        /// Which.
        path: PathBuf,
    },
    /// A certificate or key file holds something else.
    #[error("{} holds no usable {what}: {fix}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What would help.
        fix: &'static str,
    },
    /// TLS cannot be set up with what it was given.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The public address is not one.
    #[error(
        "[edge] public-url `{0}` is not an address clients can use: write https://host or https://host:port"
    )]
    PublicUrl(String),
    /// The issuer cannot be used.
    #[error("[identity] issuer `{issuer}` cannot be used: {why}")]
    Issuer {
        /// As configured.
        issuer: String,
        /// Why, and what would be right.
        why: &'static str,
    },
    /// Connections to the issuer cannot be set up.
    #[error("connections to the issuer cannot be set up")]
    Client(#[source] crate::client::Error),
    /// A component is exposed where it cannot be.
    #[error("component `{component}` cannot be exposed under `{prefix}`: {why}")]
    Exposed {
        /// Which component.
        component: String,
        /// Where.
        prefix: String,
        /// Why, and what would be right.
        why: String,
    },
    /// Randomness or cryptography failed: the machine is broken.
    #[error("cryptography failed: {0}")]
    Crypto(&'static str),
}
