//! A client of the platform's front door, as a phone has one: GraphQL over HTTP for the
//! upload, a WebSocket for what comes back, a pre-signed URL for the photo itself.
//!
//! `try_photo` drives it for people; journeys and load tests drive it for themselves.
//! It prints nothing, reads no files and knows nothing of the platform but its contract.
//! Cheap to clone; clones share connections.

mod error;
mod http;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::uri::{Authority, Scheme};
use ::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use monopod_core::context::CorrelationId;
use monopod_core::{BoxError, full};
use monopod_edge::client::Connector;
use serde_json::{Value, json};

pub use error::{Error, Refusal};
pub use socket::{Event, Kind, Watch};

/// The scope that uploads and their events need.
const SCOPE: &str = "analysis";

/// How long an answer may take. The front door itself gives up after 30 s.
const ANSWER: Duration = Duration::from_secs(35);

/// How long a photo may take on its way: as long as the front door waits for it.
const UPLOAD: Duration = Duration::from_secs(600);

/// How much of a photo is handed over at a time, and so how finely progress is told.
const CHUNK: usize = 64 << 10;

const START: &str = "mutation Start($filename: String!, $contentType: String!) {
  startUpload(filename: $filename, contentType: $contentType) {
    correlationId imageUploadPayload { uploadId key putUrl expiresAt }
  }
}";

const CONFIRM: &str = "mutation Confirm($uploadId: String!, $bytes: Int!, $checksum: String!) {
  confirmUpload(uploadId: $uploadId, bytes: $bytes, checksum: $checksum) { status }
}";

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Ties together all that follows from it.
    pub correlation_id: String,
    /// Names it.
    pub upload_id: String,
    /// Where the photo will lie.
    pub key: String,
    /// Where the photo goes, once, without a token.
    pub put_url: String,
    /// When that ends, RFC 3339.
    pub expires_at: String,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Client {
    http: Arc<http::Http>,
    scheme: Scheme,
    authority: Authority,
    token: Option<HeaderValue>,
    correlation: Option<HeaderValue>,
}

impl Client {
    /// A client of the platform at `url` (`https://host[:port]`; `http` only on a
    /// loopback address, since a token goes over it).
    pub fn new(url: &str, connector: Connector) -> Result<Self, Error> {
        let wrong = || Error::Address(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(wrong()) };
        let loopback = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
        let safe = *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && loopback);
        if !safe || authority.host().is_empty() || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        Ok(Self {
            http: Arc::new(http::Http::new(connector)),
            scheme: scheme.clone(),
            authority: authority.clone(),
            token: None,
            correlation: None,
        })
    }

    /// The same client, with a bearer token.
    pub fn with_token(mut self, token: &str) -> Result<Self, Error> {
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// The same client, whose requests all belong to the action `id`.
    pub fn with_correlation(mut self, id: &CorrelationId) -> Self {
        self.correlation = HeaderValue::from_str(id.as_str()).ok();
        self
    }

    /// A token of the development issuer for the user called `user`.
    pub async fn development_token(&self, user: &str) -> Result<String, Error> {
        const DOING: &str = "asking for a token";
        let form = format!("grant_type=client_credentials&scope={SCOPE}&client_id={}", encoded(user));
        let request = self
            .request(Method::POST, "/identity/token", DOING)?
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(full(form))
            .map_err(|_| Error::Address(self.authority.to_string()))?;
        let response = self.send(request, ANSWER, DOING).await?;
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if let Some(token) = answer.get("access_token").and_then(Value::as_str) {
            return Ok(token.to_owned());
        }
        match (response.status(), text(&answer, "error_description").or(text(&answer, "error"))) {
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) | (_, None) => Err(Error::NoIssuer),
            (status, Some(why)) => Err(Error::Status { doing: DOING, status, text: why.to_owned() }),
        }
    }

    /// Begins an upload.
    pub async fn start_upload(&self, filename: &str, content_type: &str) -> Result<Upload, Error> {
        const DOING: &str = "starting the upload";
        let variables = json!({ "filename": filename, "contentType": content_type });
        let data = self.graphql(START, variables, DOING).await?;
        let read = || {
            let payload = data.get("startUpload")?;
            let upload = payload.get("imageUploadPayload")?;
            Some(Upload {
                correlation_id: text(payload, "correlationId")?.to_owned(),
                upload_id: text(upload, "uploadId")?.to_owned(),
                key: text(upload, "key")?.to_owned(),
                put_url: text(upload, "putUrl")?.to_owned(),
                expires_at: text(upload, "expiresAt")?.to_owned(),
            })
        };
        read().ok_or(Error::Unexpected { doing: DOING })
    }

    /// Sends the photo to the URL of its upload. `sent` is told, as parts are handed
    /// over, how many bytes are on their way.
    pub async fn put(
        &self,
        put_url: &str,
        content_type: &str,
        photo: Bytes,
        mut sent: impl FnMut(u64) + Send + 'static,
    ) -> Result<(), Error> {
        const DOING: &str = "sending the photo";
        let (length, mut rest, mut total) = (photo.len(), photo, 0);
        let parts = std::iter::from_fn(move || {
            let part = rest.split_to(rest.len().min(CHUNK));
            total += part.len() as u64;
            sent(total);
            (!part.is_empty()).then_some(Ok::<_, BoxError>(Frame::data(part)))
        });
        let body = http_body_util::BodyExt::boxed_unsync(StreamBody::new(stream::iter(parts)));
        // No token: the URL itself is the permission, and may lead to another host.
        let request = Request::builder()
            .method(Method::PUT)
            .uri(put_url)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, length)
            .body(body)
            .map_err(|_| Error::Address(put_url.to_owned()))?;
        let response = self.send(request, UPLOAD, DOING).await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(status(DOING, &response))
    }

    /// Says that the photo is there: its size and `sha256:<64 hex>`. Returns the status.
    pub async fn confirm_upload(&self, upload_id: &str, bytes: u64, checksum: &str) -> Result<String, Error> {
        const DOING: &str = "confirming the upload";
        let variables = json!({ "uploadId": upload_id, "bytes": bytes, "checksum": checksum });
        let data = self.graphql(CONFIRM, variables, DOING).await?;
        let status = data.get("confirmUpload").and_then(|payload| text(payload, "status"));
        status.map(str::to_owned).ok_or(Error::Unexpected { doing: DOING })
    }

    /// Opens a connection on which events of uploads can be watched.
    pub async fn watch(&self) -> Result<Watch, Error> {
        let opened = tokio::time::timeout(ANSWER, socket::open(self)).await;
        opened.unwrap_or(Err(Error::Slow { doing: socket::OPENING }))
    }

    /// Runs one operation and returns its `data`. `doing` names it in errors.
    pub async fn graphql(
        &self,
        document: &str,
        variables: Value,
        doing: &'static str,
    ) -> Result<Value, Error> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let mut request = self
            .request(Method::POST, "/graphql", doing)?
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/graphql-response+json, application/json")
            .body(full(body))
            .map_err(|_| Error::Address(self.authority.to_string()))?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let response = self.send(request, ANSWER, doing).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(error::unauthenticated(&response));
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(response.body()) else {
            return Err(status(doing, &response));
        };
        let refusals = Refusal::all(&answer);
        if !refusals.is_empty() {
            return Err(Error::Refused { doing, refusals });
        }
        match answer.get_mut("data").map(Value::take) {
            Some(data @ Value::Object(_)) => Ok(data),
            _ => Err(status(doing, &response)),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        doing: &'static str,
    ) -> Result<::http::request::Builder, Error> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        let uri = uri.path_and_query(path).build().map_err(|_| Error::Unexpected { doing })?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(correlation) = &self.correlation {
            request = request.header("x-correlation-id", correlation);
        }
        Ok(request)
    }

    async fn send(
        &self,
        request: Request<monopod_core::Body>,
        within: Duration,
        doing: &'static str,
    ) -> Result<Response<Bytes>, Error> {
        let sent = tokio::time::timeout(within, Box::pin(self.http.send(request, doing))).await;
        sent.unwrap_or(Err(Error::Slow { doing }))
    }
}

/// The error of a response that is not what was hoped for, with what it says.
fn status(doing: &'static str, response: &Response<Bytes>) -> Error {
    let body = String::from_utf8_lossy(response.body());
    let said: Option<Value> = serde_json::from_str(&body).ok();
    let said = said.as_ref().and_then(|v| text(v, "error").or(text(v, "message")));
    // What is not ours is usually a page of HTML: its first line is enough.
    let said = said.unwrap_or_else(|| body.lines().next().unwrap_or_default().trim());
    Error::Status { doing, status: response.status(), text: said.chars().take(200).collect() }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// As a form wants it.
fn encoded(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
