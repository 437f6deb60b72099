//! The numbers of outgoing requests. A component may ask for shorter times, never for longer.

use std::time::Duration;

/// Until there is a connection: waiting for a free one, resolving, connecting, TLS.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// From then to the response's head. Longer than a request of a client may take, so that the
/// component's own deadline comes first.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(60);

/// Between two pieces of a response's body.
pub(super) const BETWEEN_BYTES: Duration = Duration::from_secs(30);

/// For one address of a name that has several: a machine that is gone must not use up the time
/// of those that are there.
pub(super) const ADDRESS: Duration = Duration::from_secs(3);

/// Addresses of one name that are tried, the first ones.
pub(super) const ADDRESSES: usize = 4;

/// Names that are looked up at once. Each takes a thread of the blocking pool for as long as the
/// system's resolver likes, and files are read there too.
pub(super) const LOOKUPS: usize = 32;

/// Connections of all components at once: half of what is left of 4,096 file descriptors.
pub(super) const CONNECTIONS: usize = 1_024;

/// Requests of a component that may wait for a connection, as a multiple of its connections.
pub(super) const WAITING: usize = 8;

/// Requests at once on one HTTP/2 connection; what servers usually allow.
pub(super) const STREAMS: usize = 100;

/// How long a connection without a request is kept. Servers close theirs after a minute or so,
/// and a request sent at that moment is lost.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// After this a connection takes no new request: a name may lead elsewhere by now, and every
/// address is checked when it is connected to.
pub(super) const AGE: Duration = Duration::from_secs(300);

/// How long a connection may take from the end of a response until it could take another
/// request, before it is closed instead.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

/// The head of a response.
pub(super) const HEAD: usize = 64 << 10;

/// What is read ahead of a component that does not read: for one stream, and for all of one
/// HTTP/2 connection.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
pub(super) const CONNECTION_WINDOW: u32 = 1 << 20;

/// The largest body that is held so that it can be sent again.
pub(super) const HELD: usize = 256 << 10;

/// The most tries after the first.
pub(super) const RETRIES: u32 = 3;

/// The pause before the second try; doubled for each further one.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// How often a silent HTTP/2 server is asked whether it lives, and how long it may take.
pub(super) const PING: Duration = Duration::from_secs(20);
