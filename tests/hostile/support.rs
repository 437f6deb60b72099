//! An engine with the probe in it, over a real store in a folder of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use monopod_core::component::{Component, Grants, Instances, Limits};
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::identity::{Owner, Principal, User};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, DeliveryId, Message};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::outgoing::{Outgoing, Place, Resolver};
use monopod_core::store::{Committed, Store};
use monopod_core::unit::{Cause, Unit};
use monopod_core::{Body, BoxError, Millis, full};
use monopod_edge::outgoing::{Client, Settings};
use monopod_engine::{Compiled, Engine};
use monopod_state::{BlobSettings, LocalBlobs, SqliteStore};
use monopod_tests::nowhere::Nowhere;
use tempfile::TempDir;

/// What an ordinary test gives the probe.
pub fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), ..Limits::default() }
}

pub fn probe() -> ComponentName {
    "probe".parse().unwrap()
}

fn neighbour() -> ComponentName {
    "neighbour".parse().unwrap()
}

fn probe_grants() -> Grants {
    Grants {
        call: [probe(), "other".parse().unwrap()].into(),
        publish: [topic("probe.out")].into(),
        consume: [topic("probe.in")].into(),
        buckets: ["counters".parse().unwrap()].into(),
        timers: true,
        ..Grants::default()
    }
}

/// What the probe's code imports has to be granted before it is loaded; messages are not given
/// to it, so that each has one reader.
fn neighbours_grants() -> Grants {
    Grants { consume: BTreeSet::new(), ..probe_grants() }
}

fn component(wasm: PathBuf, digest: &str, limits: Limits, grants: Grants) -> Component {
    Component {
        name: probe(),
        version: "0.1.0".into(),
        wasm,
        digest: digest.to_owned(),
        schema: None,
        settings: Default::default(),
        grants,
        limits,
        instances: Instances::default(),
    }
}

/// Compiled code for all houses of this run but those that say otherwise.
fn compiled() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

pub struct House {
    pub folder: Arc<TempDir>,
    pub engine: Engine,
    pub store: Arc<SqliteStore>,
    pub compiled: Compiled,
}

struct Quiet;

impl Committed for Quiet {
    fn published(&self, _: u64, _: &Arc<Message>, _: &[DeliveryId]) {}
    fn redelivered(&self, _: &ComponentName) {}
    fn timer_set(&self, _: Millis) {}
}

/// A client, for names that lead where a test says.
pub fn client(names: Arc<dyn Resolver>) -> Client {
    let runtime = tokio::runtime::Handle::current();
    Client::new(Settings { ca: None, resolver: names, runtime }).unwrap()
}

/// What of the world outside the probe is granted, and who goes there.
pub struct Outside {
    granted: BTreeSet<Place>,
    client: Arc<dyn Outgoing>,
}

impl Outside {
    /// `granted` as in a platform file; names are resolved by `names`.
    pub fn new(granted: &[&str], names: Arc<dyn Resolver>) -> Self {
        Self::by(client(names), granted)
    }

    /// The same by a client that is there.
    pub fn by(client: Client, granted: &[&str]) -> Self {
        let granted = granted.iter().map(|place| place.parse().unwrap()).collect();
        Self { granted, client: Arc::new(client) }
    }

    fn nowhere() -> Self {
        Self { granted: BTreeSet::new(), client: Arc::new(Nowhere) }
    }
}

impl House {
    pub async fn new() -> Self {
        Self::with(limits()).await
    }

    pub async fn with(limits: Limits) -> Self {
        Self::reaching(limits, Outside::nowhere())
    }

    pub fn load(folder: &Arc<TempDir>, limits: Limits) -> Self {
        let bundle = monopod_tests::bundle("probe");
        Self::try_load(folder, limits, bundle.wasm, &bundle.wasm_digest).unwrap()
    }

    pub fn try_load(
        folder: &Arc<TempDir>,
        limits: Limits,
        wasm: PathBuf,
        digest: &str,
    ) -> Result<Self, monopod_engine::Error> {
        let component = component(wasm, digest, limits, probe_grants());
        Self::build(folder, &folder.path().join("cache"), component, Outside::nowhere())
    }

    /// A component that is granted nothing, in the probe's place.
    pub fn bare(folder: &Arc<TempDir>, limits: Limits, wasm: PathBuf, digest: &str) -> Self {
        let component = component(wasm, digest, limits, Grants::default());
        Self::build(folder, compiled(), component, Outside::nowhere()).unwrap()
    }

    /// A function in the probe's place, with a bucket.
    pub fn function(bundle: &str) -> Self {
        let bundle = monopod_tests::bundle(bundle);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let grants = Grants { buckets: ["counters".parse().unwrap()].into(), ..Grants::default() };
        let component = component(bundle.wasm, &bundle.wasm_digest, limits(), grants);
        Self::build(&folder, compiled(), component, Outside::nowhere()).unwrap()
    }

    /// The probe, with servers outside.
    pub fn reaching(limits: Limits, outside: Outside) -> Self {
        let bundle = monopod_tests::bundle("probe");
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let grants = Grants { http: outside.granted.clone(), ..probe_grants() };
        let component = component(bundle.wasm, &bundle.wasm_digest, limits, grants);
        Self::build(&folder, compiled(), component, outside).unwrap()
    }

    /// Several components, all of them the probe.
    pub fn of(components: Vec<(&str, Limits, Instances)>) -> Self {
        Self::try_of(components).unwrap()
    }

    pub fn try_of(components: Vec<(&str, Limits, Instances)>) -> Result<Self, monopod_engine::Error> {
        let bundle = monopod_tests::bundle("probe");
        let components = components.into_iter().map(|(name, limits, instances)| Component {
            name: name.parse().unwrap(),
            instances,
            ..component(bundle.wasm.clone(), &bundle.wasm_digest, limits, probe_grants())
        });
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::build_all(&folder, compiled(), components.collect(), Outside::nowhere())
    }

    fn build(
        folder: &Arc<TempDir>,
        cache: &Path,
        component: Component,
        outside: Outside,
    ) -> Result<Self, monopod_engine::Error> {
        // Somebody who does no harm: what the other one does must not matter to it.
        let bundle = monopod_tests::bundle("probe");
        let neighbour = Component {
            name: neighbour(),
            ..self::component(bundle.wasm, &bundle.wasm_digest, limits(), neighbours_grants())
        };
        Self::build_all(folder, cache, vec![component, neighbour], outside)
    }

    fn build_all(
        folder: &Arc<TempDir>,
        cache: &Path,
        components: Vec<Component>,
        outside: Outside,
    ) -> Result<Self, monopod_engine::Error> {
        // A store of its own for each: one folder is open once at a time.
        let state = folder.path().join(format!("state-{}", uuid::Uuid::new_v4()));
        let topology = monopod_state::Topology {
            topics: [("probe.in", true), ("probe.out", false)]
                .into_iter()
                .map(|(name, consumed)| {
                    let consumers: BTreeSet<_> = consumed.then(probe).into_iter().collect();
                    (
                        topic(name),
                        monopod_state::Topic {
                            retention: Duration::from_secs(3_600),
                            compact: false,
                            consumers,
                            broker: None,
                        },
                    )
                })
                .collect(),
        };
        let settings = monopod_state::Settings { folder: state.clone(), topology };
        let store = Arc::new(SqliteStore::open(settings, Arc::new(Quiet)).unwrap());
        let blobs =
            LocalBlobs::open(BlobSettings { folder: state, public_url: "https://localhost".into() }).unwrap();
        let settings = monopod_engine::Settings {
            cache: cache.to_owned(),
            store: store.clone(),
            blobs: Arc::new(blobs),
            outgoing: outside.client,
            progress: Box::new(|_| {}),
        };
        let (engine, reports) = Engine::load(settings, components)?;
        Ok(Self { folder: folder.clone(), engine, store, compiled: reports[0].compiled })
    }

    /// What is seen of the guest.
    pub fn seen(&self) -> monopod_core::seen::Component {
        self.engine.seen().into_iter().find(|component| component.name == probe()).unwrap()
    }

    /// How often it reached a limit.
    pub fn reached(&self, limit: monopod_core::limit::Limit) -> u64 {
        self.seen().limits[limit.index()]
    }

    /// The text of an answer, whatever its status.
    pub async fn get(&self, path: &str) -> Result<String, Error> {
        self.send("GET", path, "").await.map(|(_, text)| text)
    }

    pub async fn post(&self, path: &str, body: &str) -> Result<String, Error> {
        self.send("POST", path, body).await.map(|(_, text)| text)
    }

    pub async fn get_as(&self, path: &str, issuer: &str, subject: &str) -> Result<String, Error> {
        let user = User {
            owner: Owner { issuer: issuer.into(), subject: subject.into() },
            name: None,
            scopes: Vec::new(),
            expires_at: u64::MAX,
        };
        self.call("GET", path, "", Principal::User(Arc::new(user))).await.map(|(_, text)| text)
    }

    /// The same of the component that does no harm.
    pub async fn neighbour(&self, path: &str) -> Result<String, Error> {
        let answer = self.ask(&neighbour(), "GET", path, "", Principal::Anonymous).await;
        answer.map(|(_, text)| text)
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> Result<(u16, String), Error> {
        self.call(method, path, body, Principal::Anonymous).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: &str,
        who: Principal,
    ) -> Result<(u16, String), Error> {
        self.ask(&probe(), method, path, body, who).await
    }

    async fn ask(
        &self,
        component: &ComponentName,
        method: &str,
        path: &str,
        body: &str,
        who: Principal,
    ) -> Result<(u16, String), Error> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            // What a client might send to pass for somebody else.
            .header("x-user", "mallory")
            .header("x-forwarded-user", "mallory")
            .body(full(body.to_owned()))
            .unwrap();
        let context = Context::new(who, Duration::from_secs(30));
        let response = self.engine.http(component, request, &context).await?;
        let status = response.status().as_u16();
        // A response on its way can only break off.
        let broken = |error: BoxError| Error::Trapped { component: probe(), reason: error.to_string() };
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    }

    /// An answer as it comes.
    pub async fn open(&self, method: &str, path: &str, body: Body) -> Result<Response<Body>, Error> {
        let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
        let context = Context::new(Principal::Anonymous, Duration::from_secs(30));
        self.engine.http(&probe(), request, &context).await
    }

    /// The text of an answer of another component.
    pub async fn get_of(&self, component: &str, path: &str) -> Result<String, Error> {
        let request = http::Request::builder().uri(path).body(full("")).unwrap();
        let context = Context::new(Principal::Anonymous, Duration::from_secs(30));
        let response = self.engine.http(&component.parse().unwrap(), request, &context).await?;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    /// Publishes a message to the probe and returns its delivery.
    pub async fn publish_to_probe(&self, payload: &str) -> Delivery {
        let mut unit = Unit::new(probe(), Cause::Request, CorrelationId::new(), TraceId::new(), None);
        let id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
        unit.messages.push(Message {
            id: id.clone(),
            topic: topic("probe.in"),
            key: None,
            headers: Vec::new(),
            payload: payload.to_owned().into(),
            correlation: unit.correlation.clone(),
            trace: unit.trace,
            owner: None,
            published_at: 0,
        });
        self.store.commit(unit).await.unwrap();
        let waiting = self.store.deliveries(&probe(), 0, 1_000).await.unwrap();
        waiting.into_iter().find(|delivery| delivery.message.id == id).unwrap()
    }
}
