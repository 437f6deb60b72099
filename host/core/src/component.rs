//! What a component is and what it may do, as the platform file says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{BucketName, ComponentName, ContainerName, TopicName};
use crate::outgoing::Place;
use crate::size::Size;

/// A component that is to run.
#[derive(Debug, Clone)]
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

/// What a component may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance.
    pub memory: Size,
    /// Time for one invocation, waiting included.
    pub deadline: Duration,
    /// Invocations at once.
    pub concurrency: u32,
    /// Request and response bodies.
    pub body: Size,
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
            // What a person waits for a page before they turn away.
            deadline: Duration::from_secs(10),
            // More than two cores can serve at once; bounds memory to 100 instances.
            concurrency: 100,
            // Larger things are blobs.
            body: Size::mebibytes(1),
            // With the back-off of `messaging` about two minutes of trying.
            attempts: 8,
            // Three servers at ten requests each. A server sees one address for all.
            connections: 32,
            // A photograph of 12 megapixels; they stream through and are not held.
            outgoing_body: Size::mebibytes(16),
        }
    }
}
