//! Fakes of the ports, a schema like Trackunit's, and a server on a free port.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use bytes::Bytes;
use http_body_util::BodyExt;
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::event::{Event, Events};
use monopod_core::identity::{Authenticator, Owner, Principal, Refused, User};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::Message;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::outgoing::{self, Outgoing};
use monopod_core::store::{After, Page, Past, Retained};
use monopod_core::topics::Stored;
use monopod_core::{Body, BoxFuture, BoxStream, component, resolve};
use monopod_graph::{Condition, Contribution, Graph, Parts, Policy, Schema, Service, Settings, compose};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// Trackunit's contract with some fields more.
pub const SDL: &str = r#"
type Query {
  ping: String! @connect(http: {GET: "/ping"}, selection: "$.pong")
  maybe: String @connect(http: {GET: "/maybe"}, selection: "$.pong")
  echo(text: String, number: Int = 7, flag: Boolean, when: DateTime, kind: Kind, input: Filter, tags: [String!]): JSON
    @connect(http: {POST: "/echo", body: "$args { text number flag when kind input tags }"}, selection: "$")
  upload(id: String!): Upload @policy(policies: [["RequireApiScope"]])
    @connect(http: {GET: "/v1/uploads/{$args.id}/status"}, selection: "uploadId state owner { name email } parts { number size }")
  search(text: String, limit: Int): [Upload!]!
    @connect(http: {GET: "/v1/uploads?text={$args.text}&limit={$args.limit}"}, selection: "$.items { uploadId state owner { name email } parts { number size } }")
  strict: Strict @connect(http: {GET: "/strict"}, selection: "a b nested: inner.value { c } constant: $(true)")
  admin: Secret @authenticated @connect(http: {GET: "/admin"}, selection: "value")
  both: String @requiresScopes(scopes: [["a", "b"], ["c"]]) @connect(http: {GET: "/both"}, selection: "$.x")
}
type Mutation {
  startUpload(filename: String!, contentType: String!): StartUploadPayload! @policy(policies: [["RequireApiScope"]]) @cost(weight: 10)
    @connect(http: {POST: "/v1/uploads/start", body: "$args { filename contentType }"}, selection: "correlationId: $context.correlationId imageUploadPayload: { uploadId key putUrl expiresAt }")
  confirmUpload(uploadId: String!, bytes: Int!, checksum: String!): ConfirmUploadPayload! @policy(policies: [["RequireApiScope"]]) @cost(weight: 10)
    @connect(http: {POST: "/v1/uploads/confirm", body: "$args { uploadId bytes checksum }"}, selection: "status")
  count(by: Int): Int @connect(http: {POST: "/count", body: "by: $args.by"}, selection: "$.value")
}
extend type Subscription {
  onAnalysisStarted(correlationId: String, uploadId: String): AnalysisStarted! @policy(policies: [["RequireApiScope"]])
    @subscribe(topic: "analysis.started", filter: "correlationId = $args.correlationId, uploadId = $args.uploadId", selection: "objectKey correlationId uploadId")
  onAnalysisCompleted(correlationId: String, uploadId: String): AnalysisCompleted! @policy(policies: [["RequireApiScope"]])
    @subscribe(topic: "analysis.completed", filter: "correlationId = $args.correlationId, uploadId = $args.uploadId", selection: "success recognitionPayload { provider { name } } correlationId uploadId")
    @subscribe(topic: "analysis.failed", filter: "correlationId = $args.correlationId, uploadId = $args.uploadId", selection: "success correlationId uploadId")
}
enum Kind { RED BLUE }
input Filter { name: String! size: Int = 3 more: Filter }
type Upload { uploadId: String! state: Kind! owner: Owner parts: [Part!] }
type Owner { name: String! email: String }
type Part { number: Int! size: Long }
type Strict { a: Int! b: Float nested: Inner constant: Boolean! }
type Inner { c: String! }
type Secret @requiresScopes(scopes: [["admin"]]) { value: String }
type StartUploadPayload { correlationId: String! imageUploadPayload: ImageUploadPayload! }
type ImageUploadPayload { uploadId: String! key: String! putUrl: String! expiresAt: DateTime! }
type ConfirmUploadPayload { status: String! @deprecated(reason: "always the same") }
type AnalysisStarted { objectKey: String! correlationId: String! uploadId: String! }
type AnalysisCompleted { success: Boolean! recognitionPayload: Recognition correlationId: String! uploadId: String! }
type Recognition { provider: Provider! }
type Provider { name: String! }
"#;

/// What a fake component answers.
pub enum Answer {
    /// Status and JSON.
    Json(u16, &'static str),
    /// The same, made on the spot.
    Text(u16, String),
    /// Nothing, ever.
    Hang,
    /// A trap.
    Trap,
}

/// A request as a component saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub component: String,
    pub line: String,
    pub body: String,
    /// Of the header `x-extra`.
    pub extra: String,
}

type Resolver = dyn Fn(&resolve::Field) -> resolve::Answer + Send + Sync;
type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// Components that answer by a function and remember what they were asked.
pub struct Fakes {
    handler: Box<Handler>,
    pub seen: Mutex<Vec<Seen>>,
    /// What code was asked for, and how it answers.
    pub asked: Mutex<Vec<(String, resolve::Field)>>,
    pub resolver: Mutex<Option<Box<Resolver>>>,
    pub open: AtomicU64,
    pub most_open: AtomicU64,
    /// While set, calls wait for each other: released when so many are open.
    pub together: AtomicU64,
    gather: Notify,
}

struct Held<'f>(&'f Fakes);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Components for Fakes {
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        request: ::http::Request<Body>,
        _context: &'a Context,
    ) -> BoxFuture<'a, Result<::http::Response<Body>, Error>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let seen = Seen {
                component: component.to_string(),
                line: format!("{} {}", parts.method, parts.uri.path_and_query().unwrap()),
                body: String::from_utf8(body.to_vec()).unwrap(),
                extra: parts.headers.get("x-extra").map_or("", |value| value.to_str().unwrap()).to_owned(),
            };
            self.seen.lock().unwrap().push(seen.clone());
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            let _held = Held(self);
            self.most_open.fetch_max(open, Ordering::SeqCst);
            let together = self.together.load(Ordering::SeqCst);
            if together > 0 {
                let gathered = self.gather.notified();
                if open >= together {
                    self.gather.notify_waiters();
                } else {
                    gathered.await;
                }
            }
            match (self.handler)(&seen) {
                answer @ (Answer::Json(..) | Answer::Text(..)) => {
                    let (status, text) = match answer {
                        Answer::Json(status, "$echo") => (status, seen.body.clone()),
                        Answer::Json(status, text) => (status, text.to_owned()),
                        Answer::Text(status, text) => (status, text),
                        _ => unreachable!(),
                    };
                    let mut response = ::http::Response::new(monopod_core::full(text));
                    *response.status_mut() = status.try_into().unwrap();
                    Ok(response)
                }
                Answer::Hang => std::future::pending().await,
                Answer::Trap => Err(Error::Trapped {
                    component: component.clone(),
                    reason: "unreachable at secret.rs:7".to_owned(),
                }),
            }
        })
    }

    fn resolve<'a>(
        &'a self,
        component: &'a ComponentName,
        field: &'a resolve::Field,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<resolve::Answer, Error>> {
        self.asked.lock().unwrap().push((component.to_string(), field.clone()));
        let answer = self.resolver.lock().unwrap().as_ref().map(|resolver| resolver(field));
        Box::pin(async move { answer.ok_or_else(|| Error::NotServed(component.clone())) })
    }
}

/// Nobody is outside; what is asked there is shown in `tests/hostile`.
struct Nowhere;

impl Outgoing for Nowhere {
    fn send(
        &self,
        _: outgoing::Request,
    ) -> BoxFuture<'static, Result<::http::Response<Body>, outgoing::Error>> {
        Box::pin(async { Err(outgoing::Error::Connect("nobody listens".to_owned())) })
    }
}

/// Topics in memory.
pub struct Topics {
    live: broadcast::Sender<Stored>,
    kept: Mutex<Vec<Stored>>,

    /// Published while somebody looks back: after watching, before the answer.
    pub on_look: Mutex<VecDeque<Message>>,
    pub watchers: tokio::sync::watch::Sender<usize>,
}

impl Topics {
    pub fn publish(&self, message: Message) {
        let mut kept = self.kept.lock().unwrap();
        let stored = Stored { sequence: kept.len() as u64 + 1, message: Arc::new(message) };
        kept.push(stored.clone());
        let _nobody = self.live.send(stored);
    }

    /// Returns when so many watch.
    pub async fn watched(&self, by: usize) {
        let mut watchers = self.watchers.subscribe();
        tokio::time::timeout(Duration::from_secs(10), watchers.wait_for(|now| *now >= by))
            .await
            .unwrap()
            .unwrap();
    }
}

impl Events for Topics {
    fn watch(&self, topics: &[TopicName], owner: &Owner) -> BoxStream<'static, Event> {
        let topics: BTreeSet<TopicName> = topics.iter().cloned().collect();
        let owner = owner.clone();
        let receiver = self.live.subscribe();
        self.watchers.send_modify(|now| *now += 1);
        Box::pin(futures_util::stream::unfold(receiver, move |mut receiver| {
            let (topics, owner) = (topics.clone(), owner.clone());
            async move {
                loop {
                    match receiver.recv().await {
                        Ok(Stored { message, .. }) if message.owner.as_ref() != Some(&owner) => {}
                        Ok(stored) if topics.contains(&stored.message.topic) => {
                            return Some((Event::Published(stored), receiver));
                        }
                        Ok(_) => {}
                        Err(broadcast::error::RecvError::Lagged(lost)) => {
                            return Some((Event::Lagged(lost), receiver));
                        }
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            }
        }))
    }

    fn last<'a>(
        &'a self,
        topic: &'a TopicName,
        retained: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, monopod_core::store::Error>> {
        Box::pin(async move {
            while let Some(message) = { self.on_look.lock().unwrap().pop_front() } {
                self.publish(message);
            }
            let kept = self.kept.lock().unwrap();
            let fits = |Stored { message, .. }: &&Stored| {
                message.topic == *topic
                    && retained.key.as_ref().is_none_or(|key| message.key.as_ref() == Some(key))
                    && retained.correlation.as_ref().is_none_or(|id| message.correlation.as_str() == id)
            };
            Ok(kept.iter().rev().find(fits).cloned())
        })
    }

    /// Pages of two messages looked at, so that even a short past has several.
    fn since<'a>(&'a self, past: &'a Past) -> BoxFuture<'a, Result<Page, monopod_core::store::Error>> {
        Box::pin(async move {
            let kept = self.kept.lock().unwrap();
            let behind = |stored: &&Stored| match past.after {
                After::Sequence(sequence) => stored.sequence > sequence,
                After::Time(time) => stored.message.published_at >= time,
            };
            let looked: Vec<_> = kept.iter().filter(behind).take(2).cloned().collect();
            let next = looked.last().filter(|_| looked.len() == 2).map(|last| last.sequence);
            let mine = |stored: &Stored| {
                past.topics.contains(&stored.message.topic)
                    && stored.message.owner.as_ref() == Some(&past.owner)
            };
            Ok(Page { messages: looked.into_iter().filter(mine).collect(), next })
        })
    }
}

/// A message on `topic` that `owner` began.
pub fn message(topic: &str, owner: &str, upload: &str, payload: &str) -> Message {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    Message {
        id: format!("message-{number:06}").into(),
        topic: topic.parse().unwrap(),
        key: Some(upload.into()),
        headers: Vec::new(),
        payload: Bytes::from(payload.to_owned()),
        correlation: CorrelationId::parse(&format!("c-{upload}")).unwrap(),
        trace: TraceId::new(),
        owner: Some(self::owner(owner)),
        published_at: number,
    }
}

pub fn completed(owner: &str, upload: &str) -> Message {
    let payload = format!(
        r#"{{"success":true,"recognitionPayload":{{"provider":{{"name":"fleet"}}}},"correlationId":"c-{upload}","uploadId":"{upload}"}}"#
    );
    message("analysis.completed", owner, upload, &payload)
}

pub fn owner(name: &str) -> Owner {
    Owner { issuer: "test".into(), subject: name.into() }
}

/// Tokens are `<user>`, `<user>:<scope>,<scope>`, `<user>:<scopes>:<seconds left>`.
pub struct Issuer;

pub fn user(token: &str) -> Result<Arc<User>, Refused> {
    let mut parts = token.split(':');
    let name = parts.next().unwrap();
    if name == "expired" {
        return Err(Refused::Expired);
    }
    if name == "bad" {
        return Err(Refused::Invalid("the signature does not fit"));
    }
    if name == "later" {
        return Err(Refused::Unavailable("the issuer's keys cannot be had"));
    }
    let scopes = parts.next().map_or("analysis", |scopes| scopes);
    let left: u64 = parts.next().map_or(3_600, |left| left.parse().unwrap());
    Ok(Arc::new(User {
        owner: owner(name),
        name: None,
        scopes: scopes.split(',').map(str::to_owned).collect(),
        expires_at: monopod_core::now() / 1_000 + left,
    }))
}

impl Authenticator for Issuer {
    fn bearer<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Arc<User>, Refused>> {
        Box::pin(async move { user(token) })
    }
}

/// Declared, and only published to its broker.
const SENT_ONLY: &str = "sent.away";

pub fn contribution(name: &str, text: &str) -> Contribution {
    let topics =
        ["analysis.started", "analysis.progress", "analysis.completed", "analysis.failed", SENT_ONLY];
    Contribution {
        component: name.parse().unwrap(),
        schema: component::Schema { file: format!("{name}/schema.graphql"), text: text.to_owned() },
        may_call: ["storage".parse().unwrap()].into(),
        may_watch: topics.iter().map(|topic| topic.parse().unwrap()).collect(),
        may_send: ["https://vision.example/v1/".parse().unwrap()].into(),
        limits: component::Limits::default(),
    }
}

pub fn settings() -> Settings {
    let policy = Policy { scopes: ["analysis".to_owned()].into(), condition: None };
    let mine = Condition::new("caller.subject == args.owner || 'admin' in caller.scopes").unwrap();
    let mine = Policy { condition: Some(Arc::new(mine)), ..Policy::default() };
    let service = |url: &str| Service { url: url.to_owned(), headers: Box::default() };
    let services = [("vision", "https://vision.example/v1"), ("other", "https://other.example")];
    Settings {
        policies: [("RequireApiScope".to_owned(), policy), ("Mine".to_owned(), mine)].into(),
        services: services.into_iter().map(|(name, url)| (name.to_owned(), service(url))).collect(),
        sent_only: [SENT_ONLY.parse().unwrap()].into(),
        ..Settings::default()
    }
}

pub fn schema(sdl: &str, settings: &Settings) -> Schema {
    composed(&[contribution("ingestion", sdl)], settings)
}

/// A served graph with its fakes.
pub struct Host {
    pub address: SocketAddr,
    pub fakes: Arc<Fakes>,
    pub topics: Arc<Topics>,
    pub graph: Graph,
    pub shutdown: CancellationToken,
}

pub async fn host(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Host {
    host_with(SDL, settings(), handler).await
}

pub async fn host_with(
    sdl: &str,
    settings: Settings,
    handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> Host {
    host_of(&[contribution("ingestion", sdl)], settings, handler).await
}

pub fn composed(contributions: &[Contribution], settings: &Settings) -> Schema {
    compose(contributions, settings).unwrap_or_else(|found| {
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        panic!("{}", text.join("\n"))
    })
}

pub async fn host_of(
    contributions: &[Contribution],
    settings: Settings,
    handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> Host {
    let fakes = Arc::new(Fakes {
        handler: Box::new(handler),
        seen: Mutex::default(),
        asked: Mutex::default(),
        resolver: Mutex::default(),
        open: AtomicU64::new(0),
        most_open: AtomicU64::new(0),
        together: AtomicU64::new(0),
        gather: Notify::new(),
    });
    let topics = Arc::new(Topics {
        live: broadcast::Sender::new(16),
        kept: Mutex::default(),
        on_look: Mutex::default(),
        watchers: tokio::sync::watch::Sender::new(0),
    });
    let shutdown = CancellationToken::new();
    let parts = Parts {
        components: fakes.clone(),
        outgoing: Arc::new(Nowhere),
        events: topics.clone(),
        authenticator: Arc::new(Issuer),
        shutdown: shutdown.clone(),
    };
    let graph = Graph::new(composed(contributions, &settings), parts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = graph.router().layer(from_fn(front_door));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Host { address, fakes, topics, graph, shutdown }
}

/// Does what `edge` does: a context for each request.
async fn front_door(mut request: Request, next: Next) -> axum::response::Response {
    let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let principal = match token.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => Principal::User(user(token).unwrap()),
        None => Principal::Anonymous,
    };
    let mut context = Context::new(principal, Duration::from_secs(5));
    if let Some(millis) = request.headers().get("x-deadline").and_then(|value| value.to_str().ok()) {
        context.deadline = std::time::Instant::now() + Duration::from_millis(millis.parse().unwrap());
    }
    context.correlation = CorrelationId::parse("c-request").unwrap();
    request.extensions_mut().insert(context);
    next.run(request).await
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: ::http::HeaderMap,
    pub body: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
    pub fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Host {
    /// Sends a request straight into the router.
    pub async fn send(&self, request: ::http::Request<axum::body::Body>) -> Got {
        use tower::ServiceExt;
        let router = self.graph.router().layer(from_fn(front_door));
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Got {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub async fn post(&self, token: Option<&str>, query: &str, variables: Value) -> Got {
        let body = serde_json::json!({"query": query, "variables": variables}).to_string();
        let mut request = ::http::Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// The answer's text to a query by `ada`.
    pub async fn ask(&self, query: &str) -> String {
        self.post(Some("ada"), query, Value::Null).await.body
    }

    pub fn lines(&self) -> Vec<String> {
        self.fakes.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }
}

/// The processor time that this thread has used: what else runs on the machine, or a pause of all
/// of it, does not count. Where the system does not say, the clock.
pub fn used() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGAN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}
