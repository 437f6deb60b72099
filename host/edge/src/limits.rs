//! Every bound of the front door, each with its reason.
//!
//! Those that depend on who the clients are stand in [`Limits`], a value of the
//! settings, so that a test can make them short; the rest are constants.

use std::time::Duration;

/// How long a request may take, its component calls included: what `graph` and
/// `engine` find as the context's deadline. Longer than any component's own deadline
/// by default, shorter than the minute after which phones and proxies give up.
pub const REQUEST: Duration = Duration::from_secs(30);

/// The largest head of a request. An Entra ID token with 200 groups takes about 12 KB.
pub const HEAD_SIZE: usize = 32 << 10;

/// The most bytes hyper keeps of one connection. Larger buys no speed over TLS, whose
/// records hold 16 KiB.
pub const BUFFER: usize = 64 << 10;

/// The longest path. A blob key has 200 bytes at most; the rest is generosity.
pub const PATH: usize = 4 << 10;

/// The largest GraphQL request: an upload is never inside one.
pub const GRAPHQL_BODY: u64 = 2 << 20;

/// The largest request to an exposed component. `engine` enforces each component's own,
/// smaller limit; this one only keeps nonsense off the wire.
pub const COMPONENT_BODY: u64 = 64 << 20;

/// The largest form of the development issuer: a code, a name and some scopes.
pub const FORM_BODY: u64 = 8 << 10;

/// How long a blob's body may take: 10 MB at 136 kbit/s, the worst of phone networks.
pub const BLOB_TIME: Duration = Duration::from_secs(600);

/// How long the readiness checks may take together before they count as failed. Less
/// than the second after which Kubernetes gives a probe up by default.
pub const READY: Duration = Duration::from_millis(900);

/// Connections to the listener for probes at once: a kubelet has two, a person one.
pub const PROBES: usize = 16;

/// How long one of them may take, request and answer.
pub const PROBE_TIME: Duration = Duration::from_secs(5);

/// HTTP/2 streams of one connection at once; the least the RFC recommends.
pub const STREAMS: u32 = 100;

/// How often a silent HTTP/2 peer is asked whether it lives, and how long it has to
/// answer: a phone that lost its network is noticed within a minute.
pub const PING: Duration = Duration::from_secs(30);

/// After a refusal, how many bytes of an unread body are taken in and dropped so that
/// the answer is not lost to a reset: one photograph and half of another.
pub const LINGER_SIZE: usize = 16 << 20;

/// How long that may take.
pub const LINGER: Duration = Duration::from_secs(2);

/// A pause after `accept` failed, almost always for want of file descriptors: long
/// enough not to spin, short enough not to be noticed.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest token that is looked at; the head's limit leaves room for it.
pub const TOKEN_SIZE: usize = 24 << 10;

/// Verified tokens remembered: as many as connections by default, twice over. About 200 bytes each.
pub const TOKENS: usize = 8_192;

/// How long a verified token is believed without another look at its signature: bounds
/// how long a withdrawn signing key lives on.
pub const TOKEN_TRUST: Duration = Duration::from_secs(300);

/// What clocks may differ by, in seconds. The customary minute.
pub const LEEWAY_SECONDS: u64 = 60;

/// The least time between two fetches of keys because of an unknown key id: so many
/// forged tokens cost the issuer one fetch.
pub const KEYS_COOLDOWN: Duration = Duration::from_secs(10);

/// Keys older than this are fetched again when next used.
pub const KEYS_FRESH: Duration = Duration::from_secs(3_600);

/// Keys older than this are not believed although the issuer cannot be reached: an
/// outage of a working day is survived, a withdrawn key is not believed for ever.
pub const KEYS_STALE: Duration = Duration::from_secs(12 * 3_600);

/// The most keys of one issuer that are looked at. Entra ID publishes about ten.
pub const KEYS: usize = 64;

/// The largest discovery document or key set; Entra ID's key set has 15 KB.
pub const KEYS_SIZE: usize = 512 << 10;

/// How long one fetch from the issuer may take, connecting included.
pub const KEYS_TIME: Duration = Duration::from_secs(5);

/// How long a client's connection attempt may take, TLS included.
pub const CONNECT: Duration = Duration::from_secs(10);

/// Bounds that depend on who the clients are.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections, WebSockets included. More wait in the kernel's queue. At about
    /// 40 KB each, 160 MB in the worst case.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time from the first byte of an HTTP/1 request head to its last.
    pub head: Duration,
    /// Time without any request after which a connection is closed. Longer than the
    /// minute for which clients usually keep one, so that they close it first.
    pub idle: Duration,
    /// Time without progress after which a connection that does not take its answer is
    /// closed.
    pub stalled: Duration,
    /// Time for a request body, but for blobs.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
            body: REQUEST,
        }
    }
}
