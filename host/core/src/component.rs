//! What a component is and what it may do, as the platform file says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{BucketName, ComponentName, ContainerName, TopicName};
use crate::outgoing::Place;
use crate::size::Size;
use crate::unit::{MAX_CHANGES, MAX_UNIT};

/// A component that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What the platform calls it.
    pub name: ComponentName,
    /// Its version, from the bundle.
    pub version: String,
    /// The component's code as the bundle has it.
    pub wasm: PathBuf,
    /// The digest of that file, `sha256:<64 hex>`.
    pub digest: String,
    /// What it adds to the GraphQL schema, if anything.
    pub schema: Option<Schema>,
    /// Its settings, by the name of the environment variable in which it finds them.
    pub settings: BTreeMap<String, String>,
    /// What it may touch.
    pub grants: Grants,
    /// What it may use up.
    pub limits: Limits,
    /// The instances its calls run in.
    pub instances: Instances,
}

/// A component's `schema.graphql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// How messages call the file.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// Everything a component may touch. What is not here is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Components it may call at `http://<name>.internal/`.
    pub call: BTreeSet<ComponentName>,
    /// Servers outside it may send requests to.
    pub http: BTreeSet<Place>,
    /// Topics it may publish to.
    pub publish: BTreeSet<TopicName>,
    /// Topics whose messages it is given.
    pub consume: BTreeSet<TopicName>,
    /// Buckets of its own state.
    pub buckets: BTreeSet<BucketName>,
    /// Containers of blobs.
    pub blobs: BTreeSet<ContainerName>,
    /// Whether it may set timers.
    pub timers: bool,
}

/// What a component may use up. What each means, and what happens when it is reached,
/// stands in [`crate::limit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance.
    pub memory: Size,
    /// Elements of one instance's tables.
    pub tables: u32,
    /// Time for one call, waiting included.
    pub deadline: Duration,
    /// Processor time of one call.
    pub cpu: Duration,
    /// Processor time of all calls together, in percent of all cores.
    pub cpu_share: u32,
    /// Calls at once.
    pub concurrency: u32,
    /// Host calls of one call.
    pub host_calls: u32,
    /// Handles open at once in one instance.
    pub handles: u32,
    /// Request and response bodies.
    pub body: Size,
    /// Headers of a request or response that the guest makes.
    pub headers: u32,
    /// Names and values of those headers together.
    pub header_size: Size,
    /// Log lines for each second.
    pub log: Size,
    /// Writes, messages and timers of one unit of work.
    pub changes: u32,
    /// Bytes of one unit of work.
    pub unit: Size,
    /// Tries for one message or timer, the first included.
    pub attempts: u32,
    /// Connections to servers outside at once, idle ones included.
    pub connections: u32,
    /// The body of a request to a server outside, and that of its response.
    pub outgoing_body: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Room for decoding a photograph of 12 megapixels with space to spare.
            memory: Size::mebibytes(64),
            // A large program has some ten thousand functions that are called by reference.
            tables: 100_000,
            // What a person waits for a page before they turn away.
            deadline: Duration::from_secs(10),
            // Half the deadline: decoding that photograph takes a tenth of it.
            cpu: Duration::from_secs(5),
            // The rest is for neighbours, and for the host's own work.
            cpu_share: 80,
            // More than two cores can serve at once; bounds memory to 100 instances.
            concurrency: 100,
            // A hundred times what streaming the largest body in small pieces takes.
            host_calls: 1_000_000,
            // A handler has tens of them open.
            handles: 10_000,
            // Larger things are blobs.
            body: Size::mebibytes(1),
            // What proxies take.
            headers: 100,
            header_size: Size::kibibytes(32),
            // Some 500 lines: more than a person reads and a disk notices.
            log: Size::kibibytes(64),
            changes: MAX_CHANGES as u32,
            unit: Size::bytes(MAX_UNIT as u64),
            // With the back-off of `messaging` about two minutes of trying.
            attempts: 8,
            // Three servers at ten requests each. A server sees one address for all.
            connections: 32,
            // A photograph of 12 megapixels; they stream through and are not held.
            outgoing_body: Size::mebibytes(16),
        }
    }
}

/// The instances that a component's calls run in, and the queue before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// Whether one serves more than one call.
    pub reuse: Reuse,
    /// Kept ready, even when nobody calls. Not with `Reuse::Fresh`.
    pub min: u32,
    /// At once; none: as many as calls may run at once.
    pub max: Option<u32>,
    /// Calls that one serves before it is replaced.
    pub max_uses: u32,
    /// How old one may become before it is replaced.
    pub max_age: Duration,
    /// Calls that may wait for an instance; none: eight times as many as may run.
    pub queue: Option<u32>,
    /// How long one may wait; none: until its deadline.
    pub queue_deadline: Option<Duration>,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            reuse: Reuse::Fresh,
            min: 0,
            max: None,
            // Often enough that making one costs nothing, seldom enough that a leak of a page
            // for each call stays below the default memory limit.
            max_uses: 1_000,
            // What a guest remembers wrongly is forgotten after a coffee break.
            max_age: Duration::from_secs(10 * 60),
            queue: None,
            queue_deadline: None,
        }
    }
}

/// Whether an instance serves more than one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One call: nothing of one caller is left for the next.
    Fresh,
    /// Many calls, one after another.
    Serial,
    /// Many calls, several at the same time. Only components of WASI 0.3 can.
    Concurrent,
}
