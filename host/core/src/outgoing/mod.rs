//! Requests to servers outside, on behalf of components.
//!
//! `engine` decides by a component's grants ([`permit`]) and hands what may be sent to
//! [`Outgoing`], which `edge` implements: only it knows TLS. A [`Permit`] cannot be made in
//! any other way, so that nothing is sent that was not decided.

mod address;
mod place;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use address::{Kind, Network, allowed, kind};
pub use place::{Destination, Fix, Host, Permit, Place, Refusal, grant_line, permit};

use crate::name::ComponentName;
use crate::size::Size;
use crate::{Body, BoxFuture};

/// A request that may be sent.
pub struct Request {
    /// Who sends it. Connections are never shared between two components.
    pub component: ComponentName,
    /// Where it goes. The address in `request` does not count.
    pub permit: Permit,
    /// Method, headers and body.
    pub request: http::Request<Body>,
    /// What it may use up.
    pub bounds: Bounds,
}

/// What one request may use up.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Nobody waits for it longer than this, its body and further tries included.
    pub deadline: Instant,
    /// Until there is a connection: waiting for a free one, resolving, connecting, TLS.
    pub connect: Option<Duration>,
    /// From then until the response's head has come.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response's body.
    pub between_bytes: Option<Duration>,
    /// The request's body, and the response's.
    pub body: Size,
    /// The component's connections at once, idle ones included.
    pub connections: u32,
    /// How often it may be sent again after it failed. Only where the component says that
    /// sending it twice does no harm.
    pub retries: u32,
}

/// Sends requests to servers outside.
pub trait Outgoing: Send + Sync {
    /// Sends one request and returns the response's head as soon as it has come. Called by
    /// `engine` for each request a component sends. Follows no redirect. Dropping the future or
    /// the response's body ends the exchange. Errors of the body are [`Error`]s in a box.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<http::Response<Body>, Error>>;
}

/// Sends the host's own requests, to servers that the platform file names: they need no grant,
/// and where such a name leads is the operator's affair. `edge` implements it: only it knows TLS.
pub trait Direct: Send + Sync {
    /// Sends one request to the absolute address in it, and returns the response's head as soon
    /// as it has come. Follows no redirect, tries nothing again, and bounds only the time until
    /// there is a connection: all else is whoever calls it. Dropping the future or the response's
    /// body ends the exchange.
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'static, Result<http::Response<Body>, Error>>;
}

/// Turns names into addresses. A port, so that tests can be the ones who answer.
pub trait Resolver: Send + Sync {
    /// All addresses of `name`, as somebody's server gives them: nothing is checked yet.
    /// Called once for each new connection; dropping the future gives up.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// In which phase an exchange was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Getting a connection.
    Connect,
    /// Waiting for the response's head.
    FirstByte,
    /// Reading the response's body.
    Body,
}

/// Why there is no response, or no more of it. A component sees the kind, the log the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or nobody could be asked.
    #[error("the name `{0}` cannot be resolved: {1}")]
    Resolve(String, String),
    /// The name leads where it may not.
    #[error("`{name}` leads to {address}, {}", kind.as_str())]
    Address {
        /// The name that was resolved.
        name: String,
        /// The first of its addresses that is not allowed.
        address: IpAddr,
        /// What it is.
        kind: Kind,
    },
    /// Nobody listens there.
    #[error("no connection: {0}")]
    Connect(String),
    /// Somebody listens, whose certificate is not trusted.
    #[error("its certificate is not trusted: {0}")]
    Certificate(String),
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A phase took too long.
    #[error("it took too long, {0}")]
    TimedOut(Phase),
    /// The component has all the connections it may have, or all wait that may wait.
    #[error("the component has no free connection: its limit is {0}")]
    Connections(u32),
    /// The method cannot be sent.
    #[error("the method {0} is not sent: it makes a tunnel of the connection or an echo of the headers")]
    Method(String),
    /// The request's body is larger than it may be.
    #[error("the request's body is larger than {0}")]
    RequestSize(Size),
    /// The request's body broke off: the component ended it.
    #[error("the request's body broke off")]
    RequestCut,
    /// The response's head is larger than it may be.
    #[error("the head of the response is larger than {0}")]
    HeadSize(Size),
    /// The response's body is larger than it may be.
    #[error("the response's body is larger than {0}")]
    ResponseSize(Size),
    /// The connection ended before the response did.
    #[error("the connection ended {0}")]
    Cut(Phase),
    /// What came is not HTTP.
    #[error("what came is not HTTP: {0}")]
    Protocol(String),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "while connecting",
            Self::FirstByte => "before the response began",
            Self::Body => "before the response was complete",
        })
    }
}
