//! The validated plan: what the binary starts. Every value is typed and every name in
//! it is declared; nothing here needs to be checked again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use monopod_core::component::{Grants, Instances, Limits};
use monopod_core::diagnostic::{Diagnostic, Place};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::size::Size;

/// What is to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The platform's name.
    pub name: String,
    /// The folder of everything that must survive, relative to the working directory.
    pub state: PathBuf,
    /// The folder of the bundles, the platform file's folder already in front; none: the
    /// binary's default.
    pub bundles: Option<PathBuf>,
    /// The front door.
    pub edge: Edge,
    /// The operator's door.
    pub admin: Admin,
    /// The collector that figures are pushed to, if there is one.
    pub telemetry: Option<Telemetry>,
    /// Whose tokens count.
    pub identity: Identity,
    /// Certificates to trust besides the machine's own when components send requests to servers
    /// outside, the platform file's folder already in front.
    pub outgoing_ca: Option<PathBuf>,
    /// The servers outside that schemas may name.
    pub services: BTreeMap<ComponentName, Service>,
    /// The policies that schemas may name.
    pub policies: BTreeMap<String, Policy>,
    /// The GraphQL interface's limits.
    pub graphql: Graphql,
    /// The brokers that stand behind topics. No component has the name of one.
    pub brokers: BTreeMap<ComponentName, Broker>,
    /// The declared topics. Dead-letter topics are implied and not among them.
    pub topics: BTreeMap<TopicName, Topic>,
    /// The components.
    pub components: BTreeMap<ComponentName, Component>,
    pub(crate) source: Source,
}

/// The front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients call it, without a path or `/` at the end. None only on a loopback
    /// address: then it is `https://localhost:<the port that was bound>`.
    pub public_url: Option<String>,
    /// The grace for requests under way.
    pub drain: Duration,
    /// The certificate; none, on a loopback address only: self-signed.
    pub tls: Option<Tls>,
    /// Where probes are answered without TLS; never the front door's own address.
    pub health: Option<SocketAddr>,
    /// Where HTTP/1.1 is spoken without TLS, if anywhere; a loopback address.
    pub plain: Option<SocketAddr>,
    /// Open connections at once.
    pub connections: u32,
}

/// The files of a certificate, the platform file's folder already in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// The operator's door, besides its socket in the state folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address that answers everything.
    pub listen: Option<SocketAddr>,
    /// The scopes a token must have there.
    pub policy: Option<BTreeSet<String>>,
    /// An address that answers `/metrics` and nothing else.
    pub metrics: Option<SocketAddr>,
}

/// A collector that speaks OTLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// Its address; does not end with `/`.
    pub endpoint: String,
    /// Between two pushes.
    pub interval: Duration,
    /// Certificates to trust besides the machine's own, the folder already in front.
    pub ca: Option<PathBuf>,
    /// Headers that are sent with every push.
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are in files, the folder already in front.
    pub secrets: BTreeMap<String, PathBuf>,
}

/// Whose tokens count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The built-in issuer. The front door listens on a loopback address.
    Development,
    /// An OpenID Connect issuer.
    Issuer {
        /// As in `iss`.
        issuer: String,
        /// As in `aud`.
        audience: String,
        /// Certificates to trust besides the machine's own when asking it for its keys,
        /// the platform file's folder already in front.
        ca: Option<PathBuf>,
        /// Scopes that callers have besides those in their tokens, by `sub`.
        subjects: BTreeMap<String, BTreeSet<String>>,
    },
}

/// A server outside that answers fields of GraphQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its address; does not end with `/`.
    pub url: String,
    /// Headers that are sent with every request.
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are in files, the platform file's folder already in front.
    pub secrets: BTreeMap<String, PathBuf>,
}

/// What is asked of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// All of these.
    pub scopes: BTreeSet<String>,
    /// This condition besides, as written: `graph` compiles it.
    pub allow: Option<String>,
}

/// Limits of the GraphQL interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graphql {
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// Whether browsers get GraphiQL.
    pub graphiql: bool,
    /// The scopes of who may ask how operations are answered; none: nobody may.
    pub administrators: Option<BTreeSet<String>>,
    /// Whether every answer says its cost.
    pub show_cost: bool,
    /// Whether what a caller may not have is `null`, instead of refusing the operation.
    pub filter: bool,
    /// The cost that one caller may cause, and in which time.
    pub budget: Option<(u32, Duration)>,
    /// The longest document.
    pub max_document: Size,
    /// The most tokens of a document.
    pub max_tokens: u32,
    /// How deep fields may nest in an operation.
    pub max_depth: u32,
    /// The most aliases of a document.
    pub max_aliases: u32,
    /// The most fields of an operation after its fragments are put in.
    pub max_fields: u32,
    /// The highest cost of an operation: the sum of its fields' weights.
    pub max_cost: u32,
    /// The most component calls of one operation.
    pub max_calls: u32,
    /// Operations open at once on one WebSocket.
    pub max_operations: u32,
    /// The most operations of one HTTP request; 0: one, and not in a list.
    pub max_batch: u32,
    /// The folder of trusted documents, the platform file's folder already in front.
    pub documents: Option<PathBuf>,
    /// Whether only those are answered.
    pub documents_required: bool,
    /// Whether clients may register others.
    pub documents_automatic: bool,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// How long its messages are kept.
    pub retention: Duration,
    /// Whether of each key only the last message is kept.
    pub compact: bool,
    /// Where it is at a broker; none: it is embedded.
    pub backend: Option<Backend>,
}

/// A RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `amqp` or `amqps`, without user and password.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// The file with the password, the platform file's folder already in front. None only on
    /// a loopback address.
    pub password: Option<PathBuf>,
    /// Certificates to trust besides the machine's own, the folder already in front.
    pub ca: Option<PathBuf>,
}

/// Where a topic is at its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Which broker: declared.
    pub broker: ComponentName,
    /// What is published to.
    pub exchange: String,
    /// `fanout`, `direct` or `topic`.
    pub kind: String,
    /// Empty for a fanout, unless it is written.
    pub routing_key: String,
    /// What is taken from.
    pub queue: Option<String>,
    /// Whether that is a quorum queue.
    pub quorum: bool,
}

/// A component as the platform file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The folder of its bundle, below the folder of bundles.
    pub bundle: PathBuf,
    /// The path prefix of its REST interface; no two are the same.
    pub expose: Option<String>,
    /// The settings that the file gives; `check_needs` adds the manifest's defaults.
    pub settings: BTreeMap<String, String>,
    /// What it may touch.
    pub grants: Grants,
    /// What it may use up.
    pub limits: Limits,
    /// The instances its calls run in.
    pub instances: Instances,
}

impl Plan {
    /// The same, to listen elsewhere than the file says: the public address that it gives belongs
    /// to the port that it gives.
    pub fn listen_at(&mut self, listen: Option<SocketAddr>) {
        let Some(listen) = listen else { return };
        self.edge.listen = listen;
        self.edge.public_url = self.edge.public_url.take().filter(|_| !listen.ip().is_loopback());
    }

    /// A mistake in what `component`'s `bundle` key points to, placed there: for what
    /// is found only when the bundle is opened.
    pub fn about_bundle(
        &self,
        component: &ComponentName,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        let span = self.source.marks.get(component).map(|marks| marks.bundle.clone());
        self.source.at(span, message, help)
    }

    /// A mistake in the condition of a policy, placed there.
    pub fn about_condition(&self, policy: &str, message: String, help: Option<String>) -> Diagnostic {
        self.source.at(self.source.conditions.get(policy).cloned(), message, help)
    }
}

/// The file behind a plan, for mistakes that come to light later.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
    pub(crate) marks: BTreeMap<ComponentName, Marks>,
    /// Where the conditions of policies stand.
    pub(crate) conditions: BTreeMap<String, Range<usize>>,
}

/// Where the parts of a component stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// The header.
    pub(crate) header: Range<usize>,
    /// The value of `bundle`.
    pub(crate) bundle: Range<usize>,
    /// The values of the grants that are written, by key.
    pub(crate) grants: BTreeMap<&'static str, Range<usize>>,
    /// Key and value of each setting.
    pub(crate) settings: BTreeMap<String, (Range<usize>, Range<usize>)>,
}

impl Source {
    pub(crate) fn at(&self, span: Option<Range<usize>>, message: String, help: Option<String>) -> Diagnostic {
        let place = span.filter(|s| !s.is_empty()).map(|span| Place::of(&self.text, span));
        Diagnostic { file: self.file.to_string(), place, message, help }
    }
}
