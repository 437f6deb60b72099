//! A phone, as far as suites need one: HTTP over one kept TLS connection, GraphQL, a photo's
//! three steps.
//!
//! It retries nothing and hides nothing: a request is answered, or it is known that no whole
//! answer came, and the suite decides what follows from that. Clones share the connection;
//! whoever wants a connection of its own makes a [`Client::another`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use monopod_edge::client::{Connector, Stream};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Longer than the front door lets a request take (30 s): who waits longer waits for ever.
const ANSWER: Duration = Duration::from_secs(40);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Nobody listens: nothing was sent.
    Unconnected(String),
    /// Something was sent, and no whole answer came: it may have happened or not.
    Unanswered(String),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unconnected(why) => write!(f, "not connected: {why}"),
            Self::Unanswered(why) => write!(f, "no answer: {why}"),
        }
    }
}

/// An upload that was begun.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Names it.
    pub id: String,
    /// Where the photo goes.
    pub put_url: String,
}

/// The client.
#[derive(Clone)]
pub struct Client {
    connector: Connector,
    url: String,
    token: Option<String>,
    patience: Duration,
    kept: Arc<Mutex<Option<SendRequest<Full<Bytes>>>>>,
}

impl Client {
    /// A client of the platform at `url`, trusting `ca`, without a token.
    pub fn new(url: &str, ca: &Path) -> Self {
        let connector = Connector::new(Some(ca.to_owned())).unwrap();
        Self { connector, url: url.to_owned(), token: None, patience: ANSWER, kept: Arc::default() }
    }

    /// The same, with a connection of its own.
    pub fn another(&self) -> Self {
        Self { kept: Arc::default(), ..self.clone() }
    }

    /// The same, with a connection and the development issuer's token of its own.
    pub async fn login(&self, user: &str) -> Self {
        let form = format!("grant_type=client_credentials&client_id={user}&scope=analysis&expires_in=86400");
        let request = Request::post(format!("{}/identity/token", self.url))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))
            .unwrap();
        let answer = self.send(request).await.unwrap();
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
        Self { token: Some(token.to_owned()), ..self.another() }
    }

    /// The same, where all connections go to `address` (`host:port`) whatever the URL says.
    pub fn via(&self, address: &str) -> Self {
        Self { connector: self.connector.clone().via(address), ..self.another() }
    }

    /// The same, with a connection of its own and this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.another() }
    }

    /// The same, with a connection of its own, which gives up an answer after `patience`.
    pub fn within(&self, patience: Duration) -> Self {
        Self { patience, ..self.another() }
    }

    /// What makes its connections.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The address it talks to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token, if it has one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Sends a request with an absolute address, and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Lost> {
        let sent = tokio::time::timeout(self.patience, Box::pin(self.exchange(request))).await;
        sent.unwrap_or_else(|_| Err(Lost::Unanswered(format!("none within {:?}", self.patience))))
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Lost> {
        let uri = std::mem::take(request.uri_mut());
        let host = uri.authority().expect("an absolute address").as_str().parse().unwrap();
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse().unwrap();
        let mut kept = self.kept.lock().await;
        // Kept only if it could be used again; a lost answer loses the connection too.
        let mut again = kept.take();
        if let Some(sender) = &mut again
            && sender.ready().await.is_err()
        {
            again = None;
        }
        let mut sender = match again {
            Some(sender) => sender,
            None => self.connect(&uri).await?,
        };
        let lost = |error: hyper::Error| Lost::Unanswered(error.to_string());
        let (head, body) = sender.send_request(request).await.map_err(lost)?.into_parts();
        let body = body.collect().await.map_err(lost)?.to_bytes();
        *kept = Some(sender);
        Ok(Response::from_parts(head, body))
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<Full<Bytes>>, Lost> {
        let stream = self.connector.connect(uri).await.map_err(|e| Lost::Unconnected(e.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Lost::Unconnected(error.to_string()))?;
        // Ends with the connection; what went wrong is told to the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A connection to do anything with.
    pub async fn raw(&self) -> Stream {
        self.connector.connect(&self.url.parse().unwrap()).await.unwrap()
    }

    /// Runs an operation and returns the answer's body, errors and all.
    pub async fn graphql(&self, query: &str, variables: Value) -> Result<(StatusCode, Value), Lost> {
        let request = self.graphql_request(query, variables);
        let answer = self.send(request).await?;
        let body = serde_json::from_slice(answer.body());
        let body = body.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(answer.body())));
        Ok((answer.status(), body))
    }

    /// The request of an operation.
    pub fn graphql_request(&self, query: &str, variables: Value) -> Request<Full<Bytes>> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let mut request =
            Request::post(format!("{}/graphql", self.url)).header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::from(body)).unwrap()
    }

    /// `startUpload`; what was answered instead, if it was refused.
    pub async fn start(&self, filename: &str, content_type: &str) -> Result<Result<Upload, Value>, Lost> {
        const START: &str = "mutation ($filename: String!, $contentType: String!) {
            startUpload(filename: $filename, contentType: $contentType) {
                imageUploadPayload { uploadId putUrl } } }";
        let variables = json!({ "filename": filename, "contentType": content_type });
        let (_, answer) = self.graphql(START, variables).await?;
        let payload = &answer["data"]["startUpload"]["imageUploadPayload"];
        let text = |name: &str| payload[name].as_str().map(str::to_owned);
        Ok(match (text("uploadId"), text("putUrl")) {
            (Some(id), Some(put_url)) => Ok(Upload { id, put_url }),
            _ => Err(answer),
        })
    }

    /// Sends a photo to where `startUpload` said.
    pub async fn put(
        &self,
        upload: &Upload,
        content_type: &str,
        photo: Bytes,
    ) -> Result<Response<Bytes>, Lost> {
        let request = Request::builder().method(Method::PUT).uri(&upload.put_url);
        self.send(request.header(CONTENT_TYPE, content_type).body(Full::new(photo)).unwrap()).await
    }

    /// `confirmUpload`; what was answered instead, if it was refused.
    pub async fn confirm(&self, upload: &Upload, photo: &[u8]) -> Result<Result<(), Value>, Lost> {
        let (_, answer) = self.graphql(CONFIRM, confirmation(upload, photo)).await?;
        Ok(if answer["data"]["confirmUpload"]["status"] == "Accepted" { Ok(()) } else { Err(answer) })
    }

    /// `upload(id)`; null if there is none.
    pub async fn upload(&self, id: &str) -> Result<Value, Lost> {
        const UPLOAD: &str = "query ($id: String!) { upload(id: $id) { uploadId state reason } }";
        let (status, answer) = self.graphql(UPLOAD, json!({ "id": id })).await?;
        assert!(
            status.is_success() && (answer["errors"].is_null() || answer["data"]["upload"].is_null()),
            "upload({id}) was answered {status} {answer}"
        );
        Ok(answer["data"]["upload"].clone())
    }
}

/// The document of a confirmation.
pub const CONFIRM: &str = "mutation ($uploadId: String!, $bytes: Int!, $checksum: String!) {
    confirmUpload(uploadId: $uploadId, bytes: $bytes, checksum: $checksum) { status } }";

/// The variables of a confirmation.
pub fn confirmation(upload: &Upload, photo: &[u8]) -> Value {
    json!({ "uploadId": upload.id, "bytes": photo.len(), "checksum": crate::digest(photo) })
}
