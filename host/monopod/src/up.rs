//! `monopod up`: starts the platform, serves, drains. A script from top to bottom:
//! check everything, take the socket, open the state, load the components, serve.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use monopod_config::Plan;
use monopod_core::BoxFuture;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::Store;
use monopod_edge::outgoing;
use monopod_engine::{Compiled, Engine};
use monopod_messaging::{Hub, Messaging, broker};
use monopod_state::{BlobSettings, LocalBlobs, OpenError, SqliteStore};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{Log, Up};
use crate::live::Live;
use crate::platform::{self, Platform};
use crate::seen::Rooms;
use crate::telemetry::Telemetry;
use crate::{FAILED, USAGE, admin, reload, screen, topics, try_photo};

/// The folder of certificates and the development issuer, below the state folder.
const EDGE: &str = "edge";

/// The key on the owners of messages that go through brokers, in the state folder.
const SEAL: &str = "brokers.key";

/// Between two lines that say what is compiled.
const COMPILING: Duration = Duration::from_secs(1);

/// Between two looks whether the state is free: short against the start of a pod.
const LOCK_LOOK: Duration = Duration::from_millis(50);

pub fn run(options: &Up) -> ExitCode {
    let began = Instant::now();
    let mut platform = match platform::load(&options.file.file, options.file.bundles.as_deref()) {
        Ok(platform) => platform,
        Err(failed) => {
            failed.print();
            return ExitCode::from(failed.code());
        }
    };
    platform.plan.listen_at(options.listen);
    let _logs = match logs(options) {
        Ok(guard) => guard,
        Err(error) => {
            screen::error(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime cannot start: {error}")),
    };
    let code = runtime
        .block_on(serve(options, platform, began))
        .unwrap_or_else(|error| failed(&format!("{error:#}")));
    // What still runs had its grace; blocking threads are not waited for.
    runtime.shutdown_background();
    code
}

fn failed(text: &str) -> ExitCode {
    screen::error(text);
    ExitCode::from(FAILED)
}

/// Logs go to standard error until the guard is dropped.
fn logs(options: &Up) -> Result<monopod_operate::logs::Guard, monopod_operate::logs::Error> {
    use monopod_operate::logs::{Format, Settings, init};
    let format = match options.log {
        Log::Auto => Format::for_stderr(),
        Log::Text => Format::Text,
        Log::Json => Format::Json,
    };
    init(Settings { format, filter: options.log_filter.clone() })
}

async fn serve(options: &Up, platform: Platform, began: Instant) -> anyhow::Result<ExitCode> {
    let Platform { plan, components, schema, size, telemetry } = platform;
    let state = options.state.clone().unwrap_or_else(|| plan.state.clone());

    // The socket first: it is what most often fails, and costs nothing.
    let bound = monopod_edge::bind(edge(&plan, &state))?;
    let public_url = bound.public_url().to_owned();
    let name = plan.name.as_str().into();
    let plain = bound.plain_addr();

    let hub = Hub::new();
    // Listened to from the first moment that may take long: the first process of a container
    // is not ended by a signal that it does not listen to.
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let opened = open_store(&plan, &state, hub.clone(), options.wait);
    let Some(store) = signals.unless_stopped(opened).await else { return Ok(ExitCode::from(FAILED)) };
    let store = Arc::new(store?);
    let blob_settings = BlobSettings { folder: state.clone(), public_url: public_url.clone() };
    let opened = patiently(options.wait, move || LocalBlobs::open(blob_settings.clone()));
    let Some(blobs) = signals.unless_stopped(opened).await else { return Ok(ExitCode::from(FAILED)) };
    let blobs = blobs?;
    let blobs: Arc<LocalBlobs> = Arc::new(blobs);
    let outgoing = outgoing::Client::new(outgoing::Settings {
        ca: plan.outgoing_ca.clone(),
        resolver: Arc::new(outgoing::SystemResolver::default()),
        runtime: tokio::runtime::Handle::current(),
    })?;
    let outgoing = Arc::new(outgoing);
    let telemetry = Telemetry::new(&plan, telemetry)?;
    let figures = monopod_operate::admin::bind(figures(&plan, &state)).await?;
    let settings = monopod_engine::Settings {
        cache: state.join("cache"),
        store: store.clone(),
        blobs: blobs.clone(),
        progress: Box::new(compiling()),
        outgoing: outgoing.clone(),
    };
    let names: Vec<String> = components.iter().map(|c| c.name.to_string()).collect();
    let load = tokio::task::spawn_blocking(move || Engine::load(settings, components));
    let Some(loaded) = signals.unless_stopped(load).await else { return Ok(ExitCode::from(FAILED)) };
    let (engine, reports) = loaded??;
    resolves(&engine, schema.as_ref())?;
    let live = Arc::new(Live::new(engine));
    let engine = live.now();

    let shutdown = CancellationToken::new();
    let messaging = monopod_messaging::start(
        hub,
        store.clone(),
        live.clone(),
        messaging_settings(&plan, &state)?,
        shutdown.clone(),
    );
    let graph = schema.map(|schema| {
        let parts = monopod_graph::Parts {
            components: engine.clone(),
            outgoing,
            events: messaging.clone(),
            authenticator: bound.authenticator(),
            shutdown: shutdown.clone(),
        };
        monopod_graph::Graph::new(schema, parts)
    });
    let parts = monopod_edge::Parts {
        graphql: graph.as_ref().map_or_else(monopod_graph::absent, monopod_graph::Graph::router),
        components: engine,
        exposed: exposed(&plan),
        blobs,
        ready: ready(store.clone(), messaging.clone()),
    };

    let desk = topics::Desk {
        topics: store.clone(),
        store: store.clone(),
        declared: Arc::new(plan.topics.keys().cloned().collect()),
    };
    let reload = reload::Desk::new(reload::Running {
        file: options.file.file.clone(),
        bundles: options.file.bundles.clone(),
        listen: options.listen,
        live: live.clone(),
        graph: graph.clone(),
        behind: bound.behind(),
        plan,
    });
    let router = topics::router(desk).merge(reload::router(reload));
    // A file system without sockets takes the commands away, not the platform.
    if let Err(error) = admin::serve(&state, router, shutdown.clone()) {
        screen::warning("admin", &format!("commands cannot reach this platform: {error}"));
    }

    let rooms = Rooms {
        name,
        began: Instant::now(),
        engine: live,
        store: store.clone(),
        messaging: messaging.clone(),
        telemetry: telemetry.as_ref().map(|telemetry| telemetry.counts.clone()),
        graph,
    };
    let operator = figures.address();
    let rooms = Arc::new(rooms);
    let pushing = telemetry.map(|telemetry| telemetry.start(rooms.clone()));
    // Ends with the process: an operator may watch it drain.
    tokio::spawn(figures.serve(rooms, bound.authenticator()));

    let development = bound.development_issuer().is_some();
    let marks = Marks { public_url: &public_url, plain, development, operator };
    marks.started(&names, &reports, size, began.elapsed());
    let mut door = tokio::spawn(bound.serve(parts, {
        let shutdown = shutdown.clone();
        async move { shutdown.cancelled().await }
    }));

    let code = tokio::select! {
        code = until_stopped(options, &state, &marks, &mut signals) => code,
        ended = &mut door => {
            ended.context("the front door ended")??;
            anyhow::bail!("the front door ended by itself");
        }
    };
    shutdown.cancel();
    let drained = async {
        let _served = door.await.context("the front door ended")??;
        messaging.drained().await;
        if let Some(pushing) = pushing {
            pushing.end().await;
        }
        store.close().await;
        anyhow::Ok(())
    };
    tokio::select! {
        drained = drained => drained?,
        () = signals.next() => screen::warning("stopped", "at once; what was under way is done again at the next start"),
    }
    Ok(code)
}

/// Refuses a schema whose fields in code nobody answers.
pub fn resolves(engine: &Engine, schema: Option<&monopod_graph::Schema>) -> anyhow::Result<()> {
    let resolving = schema.map(monopod_graph::Schema::resolving).unwrap_or_default();
    match resolving.iter().find(|name| !engine.resolves(name)) {
        None => Ok(()),
        Some(name) => anyhow::bail!(
            "component `{name}` has fields with @resolve, but does not export monopod:graph/resolver@0.1.0\n  \
             fix: export it, or answer the fields with @connect"
        ),
    }
}

/// Which components are reached from outside, and where.
pub fn exposed(plan: &Plan) -> Vec<(String, ComponentName)> {
    let exposed = plan.components.iter();
    exposed.filter_map(|(name, component)| Some((component.expose.clone()?, name.clone()))).collect()
}

/// Tries the photo if there is one, then waits for a signal.
async fn until_stopped(options: &Up, state: &Path, marks: &Marks<'_>, signals: &mut Signals) -> ExitCode {
    if let Some(photo) = &options.r#try {
        let attempt = try_photo::Attempt {
            photo: photo.clone(),
            url: marks.public_url.to_owned(),
            ca: Some(monopod_edge::development_ca(&state.join(EDGE))),
        };
        let code = tokio::select! {
            code = try_photo::attempt(attempt) => code,
            () = signals.next() => return ExitCode::from(FAILED),
        };
        if options.once {
            return ExitCode::from(code);
        }
    }
    marks.addresses();
    signals.next().await;
    screen::line("stopping", "draining; Ctrl-C again stops at once");
    ExitCode::SUCCESS
}

/// Ctrl-C, and the signal with which Kubernetes and systemd stop a process. Listened to all the
/// time: one that comes while nobody waits for it is there when somebody does.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// What comes of `work`; none if a signal came before.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn figures(plan: &Plan, state: &Path) -> monopod_operate::admin::Settings {
    let monopod_config::Admin { listen, policy, metrics } = plan.admin.clone();
    monopod_operate::admin::Settings { folder: state.to_owned(), listen, policy, metrics }
}

fn edge(plan: &Plan, state: &Path) -> monopod_edge::Settings {
    let listen = plan.edge.listen;
    let folder = state.join(EDGE);
    monopod_edge::Settings {
        listen,
        public_url: plan
            .edge
            .public_url
            .clone()
            .unwrap_or_else(|| format!("https://localhost:{}", listen.port())),
        tls: match &plan.edge.tls {
            None => monopod_edge::Tls::SelfSigned { folder: folder.clone() },
            Some(tls) => {
                monopod_edge::Tls::Files { certificate: tls.certificate.clone(), key: tls.key.clone() }
            }
        },
        identity: match &plan.identity {
            monopod_config::Identity::Development => monopod_edge::Identity::Development { folder },
            monopod_config::Identity::Issuer { issuer, audience, ca, subjects } => {
                monopod_edge::Identity::Oidc {
                    issuer: issuer.clone(),
                    audience: audience.clone(),
                    ca: ca.clone(),
                    subjects: subjects.clone(),
                }
            }
        },
        health: plan.edge.health,
        plain: plan.edge.plain,
        drain: plan.edge.drain,
        limits: monopod_edge::limits::Limits {
            connections: usize::try_from(plan.edge.connections).unwrap_or(usize::MAX),
            ..Default::default()
        },
    }
}

/// Says what is compiled: the first, and then now and then.
fn compiling() -> impl Fn(monopod_engine::Progress<'_>) + Send {
    let said = Cell::new(None::<Instant>);
    move |progress| {
        if said.get().is_none_or(|at| at.elapsed() >= COMPILING) {
            said.set(Some(Instant::now()));
            let monopod_engine::Progress { component, number, of } = progress;
            screen::line("compiling", &format!("{component} ({number} of {of}), once for each version"));
        }
    }
}

/// Opens the state. One that another process has is waited for as long as `patience` says:
/// where a new pod comes while the old one still drains.
async fn open_store(plan: &Plan, state: &Path, hub: Hub, patience: Duration) -> anyhow::Result<SqliteStore> {
    let consumers = |topic: &TopicName| -> BTreeSet<_> {
        let consumes = |(_, c): &(_, &monopod_config::Component)| c.grants.consume.contains(topic);
        plan.components.iter().filter(consumes).map(|(name, _)| name.clone()).collect()
    };
    let topics = plan.topics.iter().map(|(name, topic)| {
        let (retention, compact) = (topic.retention, topic.compact);
        let broker = topic.backend.as_ref().map(|backend| monopod_state::Broker {
            name: backend.broker.clone(),
            returns: backend.queue.is_some(),
        });
        (name.clone(), monopod_state::Topic { retention, compact, consumers: consumers(name), broker })
    });
    let topology = monopod_state::Topology { topics: topics.collect() };
    let settings = monopod_state::Settings { folder: state.to_owned(), topology };
    patiently(patience, move || SqliteStore::open(settings.clone(), Arc::new(hub.clone()))).await
}

/// Opens what another process may have, until that one lets go or the time is over.
async fn patiently<T: Send + 'static>(
    patience: Duration,
    open: impl Fn() -> Result<T, OpenError> + Clone + Send + 'static,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match tokio::task::spawn_blocking(open.clone()).await? {
            Err(OpenError::Locked { .. }) if began.elapsed() < patience => {
                tokio::time::sleep(LOCK_LOOK).await;
            }
            opened => return Ok(opened?),
        }
    }
}

fn messaging_settings(plan: &Plan, state: &Path) -> anyhow::Result<monopod_messaging::Settings> {
    let consumers = plan.components.iter().filter(|(_, c)| !c.grants.consume.is_empty());
    let timers = plan.components.iter().filter(|(_, c)| c.grants.timers);
    Ok(monopod_messaging::Settings {
        brokers: brokers(plan, state)?,
        consumers: consumers
            .map(|(name, c)| monopod_messaging::Consumer {
                component: name.clone(),
                concurrency: c.limits.concurrency,
                attempts: c.limits.attempts,
            })
            .collect(),
        timers: timers
            .map(|(name, c)| monopod_messaging::TimerOwner {
                component: name.clone(),
                attempts: c.limits.attempts,
            })
            .collect(),
        grace: plan.edge.drain,
        clock: Arc::new(monopod_core::now),
    })
}

fn brokers(plan: &Plan, state: &Path) -> anyhow::Result<Vec<broker::Broker>> {
    if plan.brokers.is_empty() {
        return Ok(Vec::new());
    }
    let seal = broker::Seal::open(&state.join(SEAL))?;
    let of = |name: &ComponentName| {
        let topics = plan.topics.iter().filter_map(|(topic, declared)| {
            let backend = declared.backend.as_ref().filter(|backend| backend.broker == *name)?;
            let at = broker::RabbitTopic {
                exchange: backend.exchange.clone(),
                kind: match backend.kind.as_str() {
                    "direct" => broker::ExchangeKind::Direct,
                    "topic" => broker::ExchangeKind::Topic,
                    _ => broker::ExchangeKind::Fanout,
                },
                routing_key: backend.routing_key.clone(),
                queue: backend.queue.clone(),
                quorum: backend.quorum,
            };
            Some((topic.clone(), at))
        });
        topics.collect()
    };
    let broker = |(name, at): (&ComponentName, &monopod_config::Broker)| broker::Broker {
        name: name.clone(),
        attempts: broker::ATTEMPTS,
        kind: broker::Kind::Rabbit(broker::Rabbit {
            url: at.url.clone(),
            user: at.user.clone(),
            password: at.password.clone(),
            ca: at.ca.clone(),
            client: format!("monopod {}", plan.name),
            topics: of(name),
            seal: seal.clone(),
            patience: broker::Patience::default(),
        }),
    };
    Ok(plan.brokers.iter().map(broker).collect())
}

/// Ready: the state takes writes and messages move. That the bundles are loaded is plain:
/// nothing is served before.
fn ready(store: Arc<SqliteStore>, messaging: Arc<Messaging>) -> monopod_edge::Ready {
    Arc::new(move || -> BoxFuture<'static, Result<(), Vec<String>>> {
        let (store, messaging) = (store.clone(), messaging.clone());
        Box::pin(async move {
            let mut reasons = Vec::new();
            if let Err(error) = store.writable().await {
                reasons.push(format!("state: {error}"));
            }
            let health = messaging.health();
            if !health.moving() {
                reasons.push(format!("messaging: {health}"));
            }
            // One that is away is waited for, and the outbox holds what is published; one that
            // is otherwise than declared waits for a person.
            reasons
                .extend(messaging.brokers().iter().filter(|b| b.wrong().is_some()).map(ToString::to_string));
            if reasons.is_empty() { Ok(()) } else { Err(reasons) }
        })
    })
}

/// What is printed about the platform.
struct Marks<'a> {
    public_url: &'a str,
    plain: Option<SocketAddr>,
    development: bool,
    operator: Option<SocketAddr>,
}

impl Marks<'_> {
    fn started(&self, names: &[String], reports: &[monopod_engine::Report], size: u64, took: Duration) {
        let compiled = reports.iter().filter(|r| r.compiled == Compiled::Now).count();
        let how = if compiled == 0 { String::new() } else { format!(", {compiled} compiled") };
        let size = monopod_core::size::Size::bytes(size);
        let mark = if self.development {
            "   (development: self-signed, built-in login, loopback only)"
        } else {
            ""
        };
        screen::line("bundles", &format!("{}  {size}", names.join(" ")));
        screen::line("monopod", &format!("{}{mark}", self.public_url));
        if let Some(plain) = self.plain {
            screen::line("plain", &format!("http://{plain}   (without TLS, for this machine only)"));
        }
        let memory = resident().map_or(String::new(), |bytes| format!(", {} MB", bytes / 1_000_000));
        screen::line(
            "started",
            &format!("{} components in {} ms{how}{memory}", names.len(), took.as_millis()),
        );
    }

    fn addresses(&self) {
        let url = self.public_url;
        screen::print("");
        screen::line("page", &format!("{url}/          drop a photo of your own"));
        screen::line("graphql", &format!("{url}/graphql   POST, WebSocket or SSE"));
        screen::line("try", "monopod try my.jpg              or: make run PHOTO=my.jpg");
        screen::line("ps", "monopod ps --watch              what runs, how fast, what fails");
        if let Some(operator) = self.operator {
            screen::line("admin", &format!("http://{operator}/admin"));
        }
        screen::print("Serving. Ctrl-C drains and stops.");
    }
}

/// The process's resident memory in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string(PathBuf::from("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1_024)
}
