//! A graph in this process, without sockets: components answer by a function, topics are
//! silent, nobody has a token. Used by fuzzing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use monopod_core::context::Context;
use monopod_core::event::{Event, Events};
use monopod_core::identity::{Authenticator, Owner, Principal, Refused, User};
use monopod_core::invoke::{Components, Error};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::outgoing::{self, Outgoing};
use monopod_core::store::{Error as StoreError, Page, Past, Retained};
use monopod_core::topics::Stored;
use monopod_core::{BoxFuture, BoxStream, resolve};
use monopod_graph::{Graph, Parts, Schema};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// How components and servers outside answer.
pub trait Answers: Send + Sync + 'static {
    /// The body of a 200 to a request: for a component the URI is its own, for a server
    /// outside `https://` stands before it.
    fn http(&self, uri: &str) -> Bytes;

    /// What code says to a field.
    fn resolve(&self, field: &resolve::Field) -> resolve::Answer {
        Ok(field.parents.iter().map(|_| Ok(resolve::Value::Null)).collect())
    }
}

struct Rooms(Arc<dyn Answers>);

impl Components for Rooms {
    fn http<'a>(
        &'a self,
        _: &'a ComponentName,
        request: http::Request<monopod_core::Body>,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<http::Response<monopod_core::Body>, Error>> {
        let body = self.0.http(&request.uri().to_string());
        Box::pin(async { Ok(http::Response::new(monopod_core::full(body))) })
    }

    fn resolve<'a>(
        &'a self,
        _: &'a ComponentName,
        field: &'a resolve::Field,
        _: &'a Context,
    ) -> BoxFuture<'a, Result<resolve::Answer, Error>> {
        let answer = self.0.resolve(field);
        Box::pin(async { Ok(answer) })
    }
}

impl Outgoing for Rooms {
    fn send(
        &self,
        request: outgoing::Request,
    ) -> BoxFuture<'static, Result<http::Response<monopod_core::Body>, outgoing::Error>> {
        let permit = &request.permit;
        let body = self.0.http(&format!("{}{}", permit.destination(), permit.target()));
        Box::pin(async { Ok(http::Response::new(monopod_core::full(body))) })
    }
}

impl Events for Rooms {
    fn watch(&self, _: &[TopicName], _: &Owner) -> BoxStream<'static, Event> {
        Box::pin(futures_util::stream::empty())
    }

    fn last<'a>(
        &'a self,
        _: &'a TopicName,
        _: &'a Retained,
    ) -> BoxFuture<'a, Result<Option<Stored>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn since<'a>(&'a self, _: &'a Past) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async { Ok(Page::default()) })
    }
}

impl Authenticator for Rooms {
    fn bearer<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Arc<User>, Refused>> {
        Box::pin(async { Err(Refused::Invalid("nobody has one")) })
    }
}

/// A served schema.
pub struct Served {
    router: Router,
    runtime: Runtime,
}

impl Served {
    /// Serves a schema.
    pub fn new(schema: Schema, answers: Arc<dyn Answers>) -> Self {
        let rooms = || Arc::new(Rooms(Arc::clone(&answers)));
        let parts = Parts {
            components: rooms(),
            outgoing: rooms(),
            events: rooms(),
            authenticator: rooms(),
            shutdown: CancellationToken::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { router: Graph::new(schema, parts).router(), runtime }
    }

    /// What somebody who is logged in is answered.
    pub fn ask(&self, document: &str, variables: Option<&Value>) -> (StatusCode, Bytes) {
        let body = serde_json::json!({"query": document, "variables": variables}).to_string();
        let mut request = http::Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json, text/event-stream;q=0.1")
            .body(Body::from(body))
            .unwrap();
        let user = Principal::User(Arc::new(User {
            owner: Owner { issuer: "i".into(), subject: "s".into() },
            name: None,
            scopes: Vec::new(),
            expires_at: u64::MAX,
        }));
        request.extensions_mut().insert(Context::new(user, Duration::from_secs(60)));
        let router = self.router.clone();
        self.runtime.block_on(async move {
            let response = router.oneshot(request).await.unwrap();
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        })
    }
}
