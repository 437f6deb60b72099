//! A front door on a free port with fakes behind it, and the clients that knock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use monopod_core::blob::{Access, Blobs, Error as BlobError, Info, Location, Permit, Presigned};
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::invoke::{Components, Error as InvokeError};
use monopod_core::name::ComponentName;
use monopod_core::{Body, BoxFuture};
use monopod_edge::client::{self, Stream};
use monopod_edge::limits::Limits;
use monopod_edge::{Bound, Drained, Identity, Parts, Settings, Tls, bind, development_ca};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// More than all the buffers between a component and a client that does not read.
pub const LARGE: usize = 32 << 20;

/// What the fakes saw and can be told.
#[derive(Default)]
pub struct Behind {
    pub calls: Mutex<Vec<Call>>,
    pub writes: Mutex<Vec<Bytes>>,
    pub entered: Notify,
    pub release: Notify,
    pub unready: Mutex<Vec<String>>,
}

/// What a component was called with.
pub struct Call {
    pub component: String,
    pub uri: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    pub context: Context,
}

pub struct House {
    pub port: u16,
    /// The listener for probes, if there is one.
    pub health: Option<SocketAddr>,
    /// The listener without TLS, if there is one.
    pub plain: Option<SocketAddr>,
    pub behind: Arc<Behind>,
    pub folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Drained>>,
}

pub fn settings(folder: &TempDir) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: "https://localhost:0".to_owned(),
        tls: Tls::SelfSigned { folder: folder.path().join("tls") },
        identity: Identity::Development { folder: folder.path().join("identity") },
        health: None,
        plain: None,
        drain: PATIENCE,
        limits: Limits::default(),
    }
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder);
        change(&mut settings);
        Self::serve(bind(settings).unwrap(), folder)
    }

    pub fn serve(bound: Bound, folder: TempDir) -> Self {
        let behind = Arc::new(Behind::default());
        let (port, health) = (bound.local_addr().port(), bound.health_addr());
        let plain = bound.plain_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let parts = parts(&behind);
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            bound.serve(parts, shutdown).await.unwrap()
        });
        Self { port, health, plain, behind, folder, stop: Some(stop), task: Some(task) }
    }

    pub fn ca(&self) -> PathBuf {
        development_ca(&self.folder.path().join("tls"))
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    pub async fn connect(&self) -> Stream {
        client::connect(&self.url("/").parse().unwrap(), Some(self.ca())).await.unwrap()
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Response<Bytes> {
        let io = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = request.body(Full::new(body.into())).unwrap();
        let host = format!("localhost:{}", self.port).parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        Response::from_parts(parts, body)
    }

    pub async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(path), "").await
    }

    /// Sends a form to the issuer.
    pub async fn form(&self, path: &str, form: &str) -> (u16, serde_json::Value) {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let response = self.send(request, form.to_owned()).await;
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    /// A token for anybody.
    pub async fn token(&self, more: &str) -> String {
        let form = format!("grant_type=client_credentials&client_id=ada{more}");
        let (status, answer) = self.form("/identity/token", &form).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends bytes as they are, and reads what comes back until the end.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    pub async fn stop(mut self) -> Drained {
        self.ask_to_stop();
        self.stopped().await
    }

    pub fn ask_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stopped(&mut self) -> Drained {
        tokio::time::timeout(PATIENCE, self.task.take().unwrap()).await.unwrap().unwrap()
    }
}

pub async fn read_to_end(stream: &mut Stream) -> String {
    let mut answer = Vec::new();
    // A close without TLS's own goodbye is an error, and fine here.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the blank line behind a head.
pub async fn read_head(stream: &mut Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap();
        match byte {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

fn parts(behind: &Arc<Behind>) -> Parts {
    let name = |name: &str| name.parse::<ComponentName>().unwrap();
    let ready = behind.clone();
    Parts {
        graphql: graphql(behind.clone()),
        components: behind.clone(),
        exposed: vec![("/".to_owned(), name("web")), ("/v1/uploads".to_owned(), name("ingestion"))],
        blobs: behind.clone(),
        ready: Arc::new(move || {
            let reasons = ready.unready.lock().unwrap().clone();
            Box::pin(async move { if reasons.is_empty() { Ok(()) } else { Err(reasons) } })
        }),
    }
}

fn who(context: &Context) -> String {
    match &context.principal {
        Principal::User(user) => format!("{} {}", user.owner.subject, user.scopes.join(",")),
        other => format!("{other:?}"),
    }
}

fn graphql(behind: Arc<Behind>) -> Router {
    let slow = move || {
        let behind = behind.clone();
        async move {
            behind.entered.notify_one();
            behind.release.notified().await;
            "done"
        }
    };
    let echo = |Extension(context): Extension<Context>, upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |mut socket| async move {
            let _ = socket.send(Message::Text(who(&context).into())).await;
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_)) {
                    let _ = socket.send(message).await;
                }
            }
        })
    };
    let asked = |Extension(context): Extension<Context>, body: Bytes| async move {
        format!("{} {} {}", who(&context), context.trace, body.len())
    };
    Router::new()
        .route("/graphql", post(asked).get(echo))
        .route("/graphql/slow", any(slow))
        .route("/graphql/who", get(asked))
}

impl Components for Behind {
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        request: Request<Body>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Response<Body>, InvokeError>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|e| InvokeError::Trapped { component: component.clone(), reason: e.to_string() })?;
            let (component, context) = (component.to_string(), context.clone());
            let (uri, headers, body) = (parts.uri.to_string(), parts.headers, body.to_bytes());
            let path = parts.uri.path().to_owned();
            self.calls.lock().unwrap().push(Call {
                component: component.clone(),
                uri,
                headers,
                body,
                context,
            });
            let response = Response::builder().header("content-type", "text/plain");
            let response = match path.as_str() {
                "/trap" => {
                    let reason = "wasm trap: secret details".to_owned();
                    return Err(InvokeError::Trapped { component: component.parse().unwrap(), reason });
                }
                "/busy" => {
                    let component = component.parse().unwrap();
                    return Err(InvokeError::Overloaded { component, reason: "secret bound" });
                }
                "/page" => response.header("content-security-policy", "default-src 'self'"),
                "/liar" => response
                    .header("content-length", "5000")
                    .header("connection", "keep-alive, x-hop")
                    .header("x-hop", "1")
                    .header("transfer-encoding", "chunked"),
                _ => response,
            };
            let content = if path == "/large" { "x".repeat(LARGE) } else { component };
            Ok(response.body(monopod_core::full(content)).unwrap())
        })
    }
}

/// The most bytes of the fake's uploads.
pub const MAX: u64 = 1_000;

/// Signatures of the fake are the word itself: `?good`, `?old`, anything else is bad.
impl Blobs for Behind {
    fn stat<'a>(&'a self, _: &'a Location) -> BoxFuture<'a, Result<Info, BlobError>> {
        Box::pin(async { Err(BlobError::NotFound) })
    }

    fn read<'a>(&'a self, _: &'a Location, _: u64, _: u64) -> BoxFuture<'a, Result<Bytes, BlobError>> {
        Box::pin(async { Err(BlobError::NotFound) })
    }

    fn open<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<(Info, Body), BlobError>> {
        Box::pin(async move {
            let content_type = match at.key.rsplit('.').next() {
                Some("jpg") => "image/jpeg",
                Some("html") => "text/html",
                _ => return Err(BlobError::NotFound),
            };
            Ok((info(content_type, 5), monopod_core::full("12345")))
        })
    }

    fn write<'a>(
        &'a self,
        _: &'a Location,
        content_type: &'a str,
        max_size: u64,
        body: Body,
    ) -> BoxFuture<'a, Result<Info, BlobError>> {
        Box::pin(async move {
            let mut body = body;
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| BlobError::Interrupted)?;
                bytes.extend_from_slice(frame.data_ref().unwrap());
                if bytes.len() as u64 > max_size {
                    return Err(BlobError::TooLarge { max: max_size });
                }
            }
            let size = bytes.len() as u64;
            self.writes.lock().unwrap().push(bytes.into());
            Ok(info(content_type, size))
        })
    }

    fn presign(&self, _: &Location, _: &Access, _: Duration) -> Result<Presigned, BlobError> {
        Err(BlobError::NotFound)
    }

    fn verify(&self, method: &http::Method, path_and_query: &str) -> Result<Permit, BlobError> {
        let (path, query) = path_and_query.split_once('?').ok_or(BlobError::BadSignature)?;
        match query {
            "good" => {}
            "old" => return Err(BlobError::Expired),
            _ => return Err(BlobError::BadSignature),
        }
        let (container, key) = path
            .strip_prefix("/blobs/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(BlobError::BadSignature)?;
        let access = if method == http::Method::PUT {
            Access::Put { content_type: "image/jpeg".to_owned(), max_size: MAX }
        } else {
            Access::Get
        };
        let location = Location { container: container.parse().unwrap(), key: key.to_owned() };
        Ok(Permit { location, access })
    }
}

fn info(content_type: &str, size: u64) -> Info {
    Info { size, content_type: content_type.to_owned(), sha256: "0".repeat(64), written_at: 0 }
}
