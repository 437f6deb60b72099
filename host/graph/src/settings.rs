//! What the platform file can set for GraphQL, with defaults. Every limit acts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use monopod_core::name::TopicName;

use crate::documents::Trusted;
use crate::policy::Policy;

/// Settings of the GraphQL front.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What `@policy` names mean.
    pub policies: BTreeMap<String, Policy>,
    /// Servers outside that `@connect(to:)` may name.
    pub services: BTreeMap<String, Service>,
    /// Declared topics that this platform only publishes to: their messages never come back, so
    /// that nobody can watch them.
    pub sent_only: BTreeSet<TopicName>,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// How people log in on GraphiQL; none: there is no such page.
    pub graphiql: Option<Login>,
    /// The scopes of who may ask how an operation is answered; none: nobody may.
    pub administrators: Option<BTreeSet<String>>,
    /// Whether every answer says its cost.
    pub show_cost: bool,
    /// Whether fields that the caller may not have are `null`; else the operation is refused.
    pub filter: bool,
    /// What one caller may cost in a while.
    pub budget: Option<Budget>,
    /// The longest document, in bytes.
    pub max_document: usize,
    /// The most tokens of a document.
    pub max_tokens: usize,
    /// The most aliases of a document.
    pub max_aliases: usize,
    /// The most directives of a document.
    pub max_directives: usize,
    /// The most fragment definitions and spreads of a document, taken together.
    pub max_fragments: usize,
    /// The most fields of an operation after its fragments are put in.
    pub max_fields: usize,
    /// How deep fields may nest in an operation.
    pub max_depth: usize,
    /// The highest cost of an operation: the sum of its fields' weights.
    pub max_cost: u64,
    /// The most component calls of one operation; equal calls of a query count once.
    pub max_calls: usize,
    /// The most operations of one HTTP request; 0: one, and not in a list.
    pub max_batch: usize,
    /// The documents that are trusted.
    pub documents: Trusted,
    /// The largest HTTP body, in bytes.
    pub max_body: usize,
    /// The largest WebSocket message, in bytes.
    pub max_message: usize,
    /// Operations open at once on one WebSocket.
    pub max_operations: usize,
    /// Messages that may wait for one slow client.
    pub max_queue: usize,
    /// How long a full queue may stand still before its socket is closed.
    pub patience: Duration,
    /// How long a WebSocket may stay silent before `connection_init`.
    pub init_timeout: Duration,
    /// How often a silent stream is kept alive; a WebSocket that shows no sign of life for
    /// two such spans is closed.
    pub keep_alive: Duration,
    /// The time for one query or mutation over a WebSocket. Over HTTP the front door sets it.
    pub timeout: Duration,
    /// Operations whose plan is kept.
    pub cached_plans: usize,
}

/// How people log in on GraphiQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// With the platform's own login for development, by any name.
    Development,
    /// With a token from elsewhere.
    Token,
}

impl Login {
    /// As the page knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Token => "token",
        }
    }
}

/// What one caller may cost in a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Points; at least the highest cost of an operation.
    pub units: u64,
    /// The time in which a budget that was used up is whole again; more than 0.
    pub interval: Duration,
}

/// A server outside, by a name: its address and what it is told are the platform's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Scheme, host, port and the beginning of all paths; does not end with `/`.
    pub url: String,
    /// Sent with every request; those that hold secrets are marked as sensitive.
    pub headers: Box<[(HeaderName, HeaderValue)]>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: BTreeMap::new(),
            services: BTreeMap::new(),
            sent_only: BTreeSet::new(),
            introspection: true,
            // A page is for people; whoever builds a platform decides.
            graphiql: None,
            administrators: None,
            show_cost: false,
            // A client never has to guess what was left out.
            filter: false,
            budget: None,
            // Four times the introspection query of GraphiQL, with room for comments.
            max_document: 64 << 10,
            // Hand-written documents have hundreds.
            max_tokens: 5_000,
            // More than a page of forms needs; each may be a call.
            max_aliases: 100,
            // Each costs the validator; `@include` on every field of a large page.
            max_directives: 100,
            // A client with one fragment for each view.
            max_fragments: 200,
            // The answer to one operation is at least as long as this.
            max_fields: 5_000,
            // Trackunit's deepest answer has five levels.
            max_depth: 12,
            // A hundred mutations, or a list of lists with a few fields.
            max_cost: 1_000,
            // Every call is a guest instance; a component takes 100 at once.
            max_calls: 50,
            // A client that wants it says so: HTTP/2 carries many requests at once as well.
            max_batch: 0,
            documents: Trusted::default(),
            // A document with variables; uploads are blobs.
            max_body: 256 << 10,
            max_message: 256 << 10,
            // What graphql clients of one page open, many times over.
            max_operations: 100,
            // Some seconds of progress events; at 1 KB each 256 KB of memory per slow client.
            max_queue: 256,
            // A phone changes its network in less.
            patience: Duration::from_secs(10),
            // A phone on a slow network needs some round trips for TLS before.
            init_timeout: Duration::from_secs(10),
            // Below the 30 s after which mobile carriers and proxies drop silent connections.
            keep_alive: Duration::from_secs(12),
            // The front door gives a request as long.
            timeout: Duration::from_secs(30),
            // Clients have tens of documents; at some KB each this is a few megabytes.
            cached_plans: 1_000,
        }
    }
}

impl Settings {
    /// How deep braces, brackets and parentheses of a document may nest, taken together:
    /// the fields, and room for arguments and for the introspection of wrapped types.
    /// Keeps recursive code off the end of the stack.
    pub(crate) fn max_nesting(&self) -> usize {
        self.max_depth.saturating_add(16).max(64)
    }
}
