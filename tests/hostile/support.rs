//! An engine with the probe in it, over a real store in a folder of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use monopod_core::component::{Component, Grants, Limits};
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::identity::{Owner, Principal, User};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, DeliveryId, Message};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Committed, Store};
use monopod_core::unit::{Cause, Unit};
use monopod_core::{Millis, full};
use monopod_engine::{Compiled, Engine};
use monopod_state::{BlobSettings, LocalBlobs, SqliteStore};
use tempfile::TempDir;

/// What an ordinary test gives the probe.
pub fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(20), ..Limits::default() }
}

pub fn probe() -> ComponentName {
    "probe".parse().unwrap()
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
    fn published(&self, _: &Arc<Message>, _: &[DeliveryId]) {}
    fn timer_set(&self, _: Millis) {}
}

impl House {
    pub async fn new() -> Self {
        Self::with(limits()).await
    }

    pub async fn with(limits: Limits) -> Self {
        Self::load(&Arc::new(tempfile::tempdir().unwrap()), limits)
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
        let grants = Grants {
            call: [probe()].into(),
            publish: [topic("probe.out")].into(),
            consume: [topic("probe.in")].into(),
            buckets: ["counters".parse().unwrap()].into(),
            blobs: BTreeSet::new(),
            timers: true,
        };
        Self::granting(folder, limits, wasm, digest, grants)
    }

    /// A function in the probe's place, with a bucket.
    pub fn function(bundle: &str) -> Self {
        let bundle = monopod_tests::bundle(bundle);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let grants = Grants { buckets: ["counters".parse().unwrap()].into(), ..Grants::default() };
        Self::granting(&folder, limits(), bundle.wasm, &bundle.wasm_digest, grants).unwrap()
    }

    fn granting(
        folder: &Arc<TempDir>,
        limits: Limits,
        wasm: PathBuf,
        digest: &str,
        grants: Grants,
    ) -> Result<Self, monopod_engine::Error> {
        // A store of its own for each: one folder is open once at a time.
        let state = folder.path().join(format!("state-{}", uuid::Uuid::new_v4()));
        let topology = monopod_state::Topology {
            topics: [("probe.in", true), ("probe.out", false)]
                .into_iter()
                .map(|(name, consumed)| {
                    let consumers: BTreeSet<_> = consumed.then(probe).into_iter().collect();
                    (topic(name), monopod_state::Topic { retention: Duration::from_secs(3_600), consumers })
                })
                .collect(),
        };
        let settings = monopod_state::Settings { folder: state.clone(), topology };
        let store = Arc::new(SqliteStore::open(settings, Arc::new(Quiet)).unwrap());
        let blobs =
            LocalBlobs::open(BlobSettings { folder: state, public_url: "https://localhost".into() }).unwrap();
        let component = Component {
            name: probe(),
            version: "0.1.0".into(),
            wasm,
            digest: digest.to_owned(),
            schema: None,
            settings: Default::default(),
            grants,
            limits,
        };
        let settings = monopod_engine::Settings {
            cache: folder.path().join("cache"),
            store: store.clone(),
            blobs: Arc::new(blobs),
            progress: Box::new(|_| {}),
        };
        let (engine, reports) = Engine::load(settings, vec![component])?;
        Ok(Self { folder: folder.clone(), engine, store, compiled: reports[0].compiled })
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
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            // What a client might send to pass for somebody else.
            .header("x-user", "mallory")
            .header("x-forwarded-user", "mallory")
            .body(full(body.to_owned()))
            .unwrap();
        let context = Context::new(who, Duration::from_secs(30));
        let response = self.engine.http(&probe(), request, &context).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
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
