//! The platform file as it is written: every section and key, with its default. This
//! is the one list; `check` turns it into a [`crate::Plan`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use monopod_core::component::{Instances as Kept, Limits as Defaults, Reuse};
use monopod_core::name::{BucketName, ComponentName, ContainerName, TopicName};
use monopod_core::outgoing::Place;
use monopod_core::size::Size;

use crate::section::section;
use crate::value::{Bytes, Count, Each, Set, Span};
use crate::words::{
    Audience, Authorization, Below, BrokerName, BrokerUrl, Condition, Header, Issuer, Origin, PolicyName,
    Prefix, Routing, Scope, ServiceUrl, SettingName, Subject, Text, UserName,
};

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000;
const DAY: u64 = 86_400 * SECOND;

/// The folder of the state where the file does not say.
pub const STATE: &str = ".monopod";
/// The port of the front door where the file does not say.
const PORT: u16 = 8443;
/// The grace that Kubernetes is set to in this system's deployments is 20 s.
const DRAIN: Duration = Duration::from_secs(20);
/// What OpenTelemetry's own exporters take.
const INTERVAL: Duration = Duration::from_secs(60);
/// What the topics of this system have always been kept for.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

section! {
    /// A platform: the components that run in one process, and what they may do.
    struct File {
        /// What this platform is and where its files are.
        required platform "platform": Platform, "[platform] with a `name`";
        /// The front door. Outside of this machine it speaks HTTPS only.
        section edge "edge": Edge;
        /// The operator's door: figures, for people and for Prometheus.
        section admin "admin": Admin;
        /// The collector that figures are pushed to, over OTLP. Without it they are only there
        /// to be fetched.
        optional telemetry "telemetry": Telemetry;
        /// Who issues the tokens that callers bring: either the built-in development
        /// issuer, or one OpenID Connect issuer.
        required identity "identity": Identity, "[identity] with `development = true`, or with `issuer` and `audience`";
        /// How requests of components to servers outside are sent.
        section outgoing "outgoing": Outgoing;
        /// Servers outside that schemas may name, as `@connect(to: "<name>")`: `[services.<name>]`.
        section services "services": Each<ComponentName, Service>;
        /// What `@policy` in a schema may name: `[policies.<name>]`.
        section policies "policies": Each<PolicyName, Policy>;
        /// Limits of the GraphQL interface.
        section graphql "graphql": Graphql;
        /// The brokers that may stand behind topics: `[brokers.<name>]`.
        section brokers "brokers": Each<ComponentName, Broker>;
        /// The topics messages are published to: `[topics."<name>"]`.
        section topics "topics": Each<TopicName, Topic>;
        /// The components that run: `[components.<name>]`.
        section components "components": Each<ComponentName, Component>;
    }
}

section! {
    /// What this platform is and where its files are.
    struct Platform {
        /// The name of the platform, in logs and in the console.
        required name "name": ComponentName, "\"trackunit\"";
        /// The folder for everything that must survive a restart, relative to the
        /// working directory.
        default state "state": PathBuf = PathBuf::from(STATE);
        /// The folder of the components' bundles, relative to this file's folder.
        optional bundles "bundles": PathBuf;
    }
}

section! {
    /// The front door. Outside of this machine it speaks HTTPS only.
    struct Edge {
        /// The address it listens on. Port 0 takes any free one.
        default listen "listen": SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        /// The address clients use: it goes into pre-signed URLs and tokens. On a
        /// loopback address it may be left out and is https://localhost with the port.
        optional public_url "public-url": Origin;
        /// How long requests that are under way may take after a stop is asked for.
        default drain "drain": Span<0, { 600 * SECOND }> = Span(DRAIN);
        /// The file of the certificate chain (PEM), relative to this file's folder.
        /// Without one a self-signed certificate is made, on loopback addresses only.
        optional certificate "certificate": PathBuf;
        /// The file of the certificate's private key (PEM), relative to this file's folder.
        optional key "key": PathBuf;
        /// A second address, without TLS, that answers /health/live and /health/ready and
        /// nothing else: for probes that know no certificate.
        optional health "health": SocketAddr;
        /// A further address of the front door that speaks HTTP/1.1 without TLS, on a
        /// loopback address only: for a proxy on the same machine, and for load tests.
        optional plain "plain": SocketAddr;
        /// Open connections, WebSockets included; more wait in the kernel's queue. Each takes
        /// some tens of kilobytes, and one of the process's file descriptors.
        default connections "connections": Count<16, 1_000_000> = Count(4_096);
    }
}

section! {
    /// The operator's door: figures, for people and for Prometheus. The socket in the state
    /// folder that `monopod ps` uses is always there; these are more ways in.
    struct Admin {
        /// A loopback address that answers /admin, /admin/status and /metrics, without TLS.
        optional listen "listen": SocketAddr;
        /// What a bearer token must allow there, by its name in [policies]. Without it
        /// whoever is logged in on this machine may look.
        optional policy "policy": PolicyName;
        /// An address that answers /metrics and nothing else, without TLS and without a
        /// token: for a scraper in the same cluster.
        optional metrics "metrics": SocketAddr;
    }
}

section! {
    /// The collector that figures are pushed to, over OTLP: HTTP, with protobuf in it.
    struct Telemetry {
        /// Its address; `/v1/metrics` is appended.
        required endpoint "endpoint": ServiceUrl, "\"https://collector.example:4318\"";
        /// Between two pushes.
        default interval "interval": Span<SECOND, { 3_600 * SECOND }> = Span(INTERVAL);
        /// A file of certificates (PEM) to trust besides the machine's own, relative to this
        /// file's folder.
        optional ca "ca": PathBuf;
        /// Headers that are sent with every push.
        section headers "headers": Each<Header, Text>;
        /// Headers whose values are in files, relative to this file's folder: keys, tokens.
        section secrets "secrets": Each<Header, PathBuf>;
    }
}

section! {
    /// Who issues the tokens that callers bring: either the built-in development
    /// issuer, or one OpenID Connect issuer.
    struct Identity {
        /// The built-in issuer, which gives a token to anybody who asks. On loopback
        /// addresses only.
        default development "development": bool = false;
        /// The address of the OpenID Connect issuer, as its tokens have it in `iss`.
        optional issuer "issuer": Issuer;
        /// What the tokens must have in `aud`.
        optional audience "audience": Audience;
        /// A file of certificates (PEM) to trust besides the machine's own when asking
        /// the issuer for its keys, relative to this file's folder.
        optional ca "ca": PathBuf;
        /// Scopes for callers whose tokens carry none, such as service accounts of
        /// Kubernetes: `[identity.subjects."<sub>"]`.
        section subjects "subjects": Each<Subject, Caller>;
    }
}

section! {
    /// A caller known by the `sub` of its tokens.
    struct Caller {
        /// What it may do, besides the scopes of its token.
        required scopes "scopes": Set<Scope>, "[\"analysis\"]";
    }
}

section! {
    /// How requests of components to servers outside are sent. Where they may go is in each
    /// component's grants.
    struct Outgoing {
        /// A file of certificates (PEM) to trust besides the machine's own, relative to this
        /// file's folder.
        optional ca "ca": PathBuf;
    }
}

section! {
    /// A server outside that fields of GraphQL are answered by. Which component may send
    /// requests there is in the components' grants.
    struct Service {
        /// Its address, with the path that all others begin with.
        required url "url": ServiceUrl, "\"https://vision.example/v1\"";
        /// Headers that are sent with every request.
        section headers "headers": Each<Header, Text>;
        /// Headers whose values are in files, relative to this file's folder: keys, tokens.
        section secrets "secrets": Each<Header, PathBuf>;
    }
}

section! {
    /// What is asked of a caller: scopes, a condition, or both.
    struct Policy {
        /// The scopes its token needs, all of them.
        optional scopes "scopes": Set<Scope>;
        /// What must hold of the caller and the field's arguments, in the Common Expression
        /// Language: `caller.subject == args.owner`.
        optional allow "allow": Condition;
    }
}

section! {
    /// Limits of the GraphQL interface.
    struct Graphql {
        /// Whether clients may ask for the schema.
        default introspection "introspection": bool = true;
        /// Whether browsers get GraphiQL at /graphql. With the development login it is on
        /// unless this or `introspection` says otherwise, with an issuer off.
        optional graphiql "graphiql": bool;
        /// Who may ask for `extensions.plan` and `extensions.cost`, by a name in [policies]
        /// that has `scopes` alone. Without it nobody.
        optional administrators "administrators": PolicyName;
        /// Whether every answer says its cost, estimated and actual.
        default show_cost "show-cost": bool = false;
        /// What a caller may not have: `reject` refuses the operation before anything runs,
        /// `filter` answers `null` in its place, with an error that says so.
        default authorization "authorization": Authorization = Authorization("reject".to_owned());
        /// The cost that one caller may cause in each `budget-interval`; all who are not
        /// logged in are one caller. At least `max-cost`. Without it there is no such bound.
        optional budget "budget": Count<1, 1_000_000_000>;
        /// The time in which a budget that was used up is whole again; 1 minute if it is
        /// left out.
        optional budget_interval "budget-interval": Span<{ SECOND }, { DAY }>;
        /// The longest document.
        default max_document "max-document": Bytes<1_024, MIB> = Bytes(Size::bytes(64 << 10));
        /// The most tokens of a document.
        default max_tokens "max-tokens": Count<1, 1_000_000> = Count(5_000);
        /// How deep fields may nest in an operation.
        default max_depth "max-depth": Count<1, 64> = Count(12);
        /// The most aliases of a document.
        default max_aliases "max-aliases": Count<0, 10_000> = Count(100);
        /// The most fields of an operation after its fragments are put in.
        default max_fields "max-fields": Count<1, 1_000_000> = Count(5_000);
        /// The highest cost of an operation: the sum of its fields' weights, as `@cost`
        /// gives them.
        default max_cost "max-cost": Count<1, 1_000_000> = Count(1_000);
        /// The most component calls of one operation.
        default max_calls "max-calls": Count<1, 10_000> = Count(50);
        /// Operations open at once on one WebSocket.
        default max_operations "max-operations": Count<1, 10_000> = Count(100);
        /// The most operations of one HTTP request; 0: one, and not in a list.
        default max_batch "max-batch": Count<0, 1_000> = Count(0);
        /// The folder of trusted documents (`*.graphql`, each with one document), relative to
        /// this file's folder. Clients may send their SHA-256 instead of them.
        optional documents "documents": PathBuf;
        /// Whether only trusted documents are answered.
        default documents_required "documents-required": bool = false;
        /// Whether clients may register documents under their SHA-256 (automatic persisted
        /// queries).
        default documents_automatic "documents-automatic": bool = false;
    }
}

section! {
    /// A RabbitMQ.
    struct Broker {
        /// Its address: `amqps://host:port/vhost`, or `amqp` without TLS. No user and no
        /// password: they stand beside it.
        required url "url": BrokerUrl, "\"amqps://rabbitmq.example:5671\"";
        /// Who logs in.
        default user "user": UserName = UserName("guest".to_owned());
        /// The file with the password, relative to this file's folder; read at each
        /// connection. Without it the password is `guest`, on loopback addresses only.
        optional password_file "password-file": PathBuf;
        /// A file of certificates (PEM) to trust besides the machine's own, relative to this
        /// file's folder.
        optional ca "ca": PathBuf;
    }
}

section! {
    /// A topic.
    struct Topic {
        /// How long its messages are kept.
        default retention "retention": Span<{ 60 * SECOND }, { 3_650 * DAY }> = Span(RETENTION);
        /// Whether of each key only the last message is kept, as soon as the others are
        /// handled: for topics that say how things stand.
        default compact "compact": bool = false;
        /// The broker behind it, by its name in [brokers]. Without one it is embedded.
        optional backend "backend": ComponentName;
        /// The exchange that it is published to; the topic's name if it is left out.
        optional exchange "exchange": BrokerName;
        /// How the exchange routes: `fanout` to every queue (an event), `direct` and `topic`
        /// by the routing key (a command).
        optional exchange_kind "exchange-kind": Routing;
        /// With which key messages are published and the queue is bound; the topic's name
        /// if it is left out, and nothing where the exchange is a fanout.
        optional routing_key "routing-key": BrokerName;
        /// The queue that is bound to the exchange and taken from. Without one messages are
        /// only published: nobody here is given them.
        optional queue "queue": BrokerName;
        /// Whether the queue is a replicated one (a quorum queue).
        default quorum "quorum": bool = false;
    }
}

section! {
    /// A component that runs.
    struct Component {
        /// The folder of its bundle, below the folder of bundles.
        required bundle "bundle": Below, "\"<folder>\"";
        /// The path under which the front door serves its REST interface; `/` takes
        /// everything that nothing else does. Without it, it is reached from inside only.
        optional expose "expose": Prefix;
        /// Values for the settings its manifest declares.
        section settings "settings": Each<SettingName, Text>;
        /// What it may touch. Everything else is denied.
        section grants "grants": Grants;
        /// What it may use up.
        section limits "limits": Limits;
        /// The instances that its calls run in, and the queue before them.
        section instances "instances": Instances;
    }
}

section! {
    /// What a component may touch. Everything else is denied.
    struct Grants {
        /// Components it may call at `http://<name>.internal/`.
        default call "call": Set<ComponentName> = Set::<ComponentName>::default();
        /// Servers outside it may send requests to, as scheme, host and path:
        /// `https://vision.example/v1/`. Where a name leads to a private network, that network
        /// behind it: `http://search.default.svc:9200/ at 10.96.0.0/12`.
        default http "http": Set<Place> = Set::<Place>::default();
        /// Topics it may publish to.
        default publish "publish": Set<TopicName> = Set::<TopicName>::default();
        /// Topics whose messages it is given.
        default consume "consume": Set<TopicName> = Set::<TopicName>::default();
        /// Buckets of its own state.
        default buckets "buckets": Set<BucketName> = Set::<BucketName>::default();
        /// Containers of blobs.
        default blobs "blobs": Set<ContainerName> = Set::<ContainerName>::default();
        /// Whether it may set timers.
        default timers "timers": bool = false;
    }
}

section! {
    /// What a component may use up.
    struct Limits {
        /// Linear memory of one instance, all its memories together. 32-bit components can
        /// address 4 GiB.
        default memory "memory": Bytes<MIB, { 4_096 * MIB }> = Bytes(Defaults::default().memory);
        /// Elements of one instance's tables together: references to functions.
        default tables "tables": Count<1, 10_000_000> = Count(Defaults::default().tables);
        /// Time for one call, waiting included.
        default deadline "deadline": Span<1, { 3_600 * SECOND }> = Span(Defaults::default().deadline);
        /// Processor time of one call.
        default cpu "cpu": Span<1, { 3_600 * SECOND }> = Span(Defaults::default().cpu);
        /// Processor time of all calls together, in percent of all cores.
        default cpu_share "cpu-share": Count<1, 100> = Count(Defaults::default().cpu_share);
        /// Calls at once.
        default concurrency "concurrency": Count<1, 10_000> = Count(Defaults::default().concurrency);
        /// Calls from one call of the guest to the host.
        default host_calls "host-calls": Count<1, 1_000_000_000> = Count(Defaults::default().host_calls);
        /// Handles open at once in one instance: requests, bodies, streams.
        default handles "handles": Count<10, 1_000_000> = Count(Defaults::default().handles);
        /// Request and response bodies. They are held in memory; larger things are blobs.
        default body "body": Bytes<1, { 64 * MIB }> = Bytes(Defaults::default().body);
        /// Headers of a request or response that the guest makes.
        default headers "headers": Count<1, 10_000> = Count(Defaults::default().headers);
        /// Names and values of those headers together.
        default header_size "header-size": Bytes<64, MIB> = Bytes(Defaults::default().header_size);
        /// Log lines of all calls together, for each second.
        default log "log": Bytes<64, { 1_024 * MIB }> = Bytes(Defaults::default().log);
        /// Writes, messages and timers of one unit of work. One writer serves everybody.
        default changes "changes": Count<1, MAX_CHANGES> = Count(Defaults::default().changes);
        /// Bytes of one unit of work.
        default unit "unit": Bytes<1_024, MAX_UNIT> = Bytes(Defaults::default().unit);
        /// Tries for one message or timer, the first included.
        default attempts "attempts": Count<1, 1_000> = Count(Defaults::default().attempts);
        /// Connections to servers outside at once, idle ones included.
        default connections "connections": Count<1, 1_000> = Count(Defaults::default().connections);
        /// The body of a request to a server outside, and that of its response. They stream.
        default outgoing_body "outgoing-body": Bytes<1, { 4_096 * MIB }> = Bytes(Defaults::default().outgoing_body);
    }
}

const MAX_CHANGES: u32 = monopod_core::unit::MAX_CHANGES as u32;
const MAX_UNIT: u64 = monopod_core::unit::MAX_UNIT as u64;

section! {
    /// The instances that a component's calls run in, and the queue before them.
    struct Instances {
        /// `fresh`: each call has an instance of its own. `serial`: an instance serves many
        /// calls, one after another. `concurrent`: several at the same time, for components
        /// of WASI 0.3 only.
        default reuse "reuse": Reuse = Reuse::Fresh;
        /// Instances kept ready even when nobody calls. Not with `fresh`.
        default min "min": Count<0, 1_000> = Count(Kept::default().min);
        /// Instances at once. Without it as many as calls may run at once.
        optional max "max": Count<1, 1_000>;
        /// Calls that one instance serves before it is replaced. Not with `fresh`.
        default max_uses "max-uses": Count<1, 1_000_000_000> = Count(Kept::default().max_uses);
        /// How old an instance may become before it is replaced. Not with `fresh`.
        default max_age "max-age": Span<{ SECOND }, { 30 * DAY }> = Span(Kept::default().max_age);
        /// Calls that may wait for an instance; 0 refuses at once. Without it eight times
        /// as many as may run.
        optional queue "queue": Count<0, 100_000>;
        /// How long a call may wait for an instance. Without it until its deadline.
        optional queue_deadline "queue-deadline": Span<1, { 3_600 * SECOND }>;
    }
}

/// The JSON Schema of platform files (draft 2020-12).
pub fn schema() -> serde_json::Value {
    crate::section::document::<File>("monopod platform file")
}
