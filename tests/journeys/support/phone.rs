//! A person with a phone: asks, uploads, waits for the end.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use monopod_tests::client::{Client, Upload};
use monopod_tests::photo::Photo;
use monopod_tests::socket::Socket;
use serde_json::{Value, json};

/// A phone.
#[derive(Clone)]
pub struct Phone {
    pub client: Client,
}

/// An upload that was begun: what `startUpload` answered.
#[derive(Debug, Clone)]
pub struct Begun {
    pub id: String,
    pub key: String,
    pub put_url: String,
    pub expires_at: String,
    pub correlation_id: String,
}

impl Phone {
    /// Runs an operation that has to go well, and returns its data.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let (status, mut answer) = self.client.graphql(query, variables).await.unwrap();
        assert!(status == StatusCode::OK && answer["errors"].is_null(), "{status} {answer}");
        answer["data"].take()
    }

    /// Runs an operation that has to be refused, and returns the one error.
    pub async fn refusal(&self, query: &str, variables: Value) -> Value {
        let (_, answer) = self.client.graphql(query, variables).await.unwrap();
        match answer["errors"].as_array().map(Vec::as_slice) {
            Some([error]) => error.clone(),
            _ => panic!("not one error: {answer}"),
        }
    }

    /// `startUpload`.
    pub async fn start(&self, photo: &Photo) -> Begun {
        const START: &str = "mutation ($filename: String!, $contentType: String!) {
            startUpload(filename: $filename, contentType: $contentType) {
                correlationId imageUploadPayload { uploadId key putUrl expiresAt } } }";
        let variables = json!({ "filename": photo.name, "contentType": photo.content_type });
        let data = self.data(START, variables).await;
        let payload = &data["startUpload"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let upload = |name: &str| text(&payload["imageUploadPayload"][name]);
        Begun {
            id: upload("uploadId"),
            key: upload("key"),
            put_url: upload("putUrl"),
            expires_at: upload("expiresAt"),
            correlation_id: text(&payload["correlationId"]),
        }
    }

    /// Sends a photo, whatever comes of it.
    pub async fn try_put(&self, begun: &Begun, content_type: &str, bytes: Bytes) -> Response<Bytes> {
        self.client.put(&begun.upload(), content_type, bytes).await.unwrap()
    }

    /// Sends the photo.
    pub async fn put(&self, begun: &Begun, photo: &Photo) {
        let answer = self.try_put(begun, photo.content_type, photo.bytes.clone()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
    }

    /// `confirmUpload`, in truth.
    pub async fn confirm(&self, begun: &Begun, photo: &Photo) {
        let confirmed = self.client.confirm(&begun.upload(), &photo.bytes).await.unwrap();
        assert_eq!(confirmed, Ok(()));
    }

    /// All three.
    pub async fn send(&self, photo: &Photo) -> Begun {
        let begun = self.start(photo).await;
        self.put(&begun, photo).await;
        self.confirm(&begun, photo).await;
        begun
    }

    /// A connection for events.
    pub async fn socket(&self) -> Socket {
        Socket::open(&self.client).await
    }

    /// Waits for the end of an analysis, however late, and returns `onAnalysisCompleted`.
    pub async fn ended(&self, upload_id: &str) -> Value {
        let mut socket = self.socket().await;
        socket.subscribe("end", ENDED, json!({ "uploadId": upload_id })).await;
        socket.event("end").await
    }
}

/// `onAnalysisCompleted` with everything about it.
pub const ENDED: &str = "subscription ($uploadId: String, $correlationId: String) {
    onAnalysisCompleted(uploadId: $uploadId, correlationId: $correlationId) {
        success objectKey correlationId uploadId
        recognitionPayload {
            provider { name apiVersion featureset maxResults }
            aggregate { brand type model name typeSource confidence isConfident typeConfidence evidence { kind text } }
        } } }";

impl Begun {
    /// As the shared client has it.
    pub fn upload(&self) -> Upload {
        Upload { id: self.id.clone(), put_url: self.put_url.clone() }
    }
}

/// A token of the development issuer: `user` with these scopes, for so many seconds.
pub async fn token(client: &Client, user: &str, scope: &str, seconds: i64) -> String {
    let form = format!("grant_type=client_credentials&client_id={user}&scope={scope}&expires_in={seconds}");
    let request = Request::post(format!("{}/identity/token", client.url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(form))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// A plain request with the client's token, its answer's body as JSON if it is.
pub async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Response<Value> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", client.url()));
    if let Some(token) = client.token() {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let answer = client.send(request.body(Full::new(bytes)).unwrap()).await.unwrap();
    answer.map(|body| serde_json::from_slice(&body).unwrap_or(Value::Null))
}
