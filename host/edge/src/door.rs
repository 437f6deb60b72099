//! One request: read once, named once, sent to its route, answered, logged.
//!
//! Called by `accept` for every request. The way to GraphQL is the hot one: it is part of
//! this future, the others are boxed, so that a connection's future stays small.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Version, header, request};
use hyper::body::Incoming;
use monopod_core::BoxFuture;
use monopod_core::blob::Blobs;
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::identity::{Principal, Refused};
use monopod_core::invoke::Components;
use monopod_core::name::ComponentName;
use tower::Service;

use crate::answer::{self, Answer, CORRELATION};
use crate::body::{Inbound, Outbound};
use crate::identity::Verifier;
use crate::issuer::Issuer;
use crate::limits::{COMPONENT_BODY, FORM_BODY, GRAPHQL_BODY, REQUEST};
use crate::plain::Names;
use crate::pulse::{Flight, Pulse};
use crate::route::{Route, Table};
use crate::{Error, blobs, component, health, path};

/// Asked for `/health/ready`: ready, or the reasons why not, for people to read.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Vec<String>>> + Send + Sync>;

/// The rooms behind the front door.
#[derive(Clone)]
pub struct Parts {
    /// Answers everything at and below `/graphql`, path included. Finds the
    /// `core::context::Context` in the request's extensions; upgrades work.
    pub graphql: Router,
    /// The components.
    pub components: Arc<dyn Components>,
    /// Which components are reached from outside: path prefix and name.
    pub exposed: Vec<(String, ComponentName)>,
    /// The objects behind pre-signed URLs.
    pub blobs: Arc<dyn Blobs>,
    /// Whether the platform is ready.
    pub ready: Ready,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("exposed", &self.exposed).finish_non_exhaustive()
    }
}

/// The components that are reached from outside, and under which prefixes.
pub struct Exposed {
    table: Table,
    components: Arc<dyn Components>,
}

impl Exposed {
    /// These prefixes, answered by these components. The error says which cannot be.
    pub fn new(
        prefixes: Vec<(String, ComponentName)>,
        components: Arc<dyn Components>,
    ) -> Result<Self, Error> {
        Ok(Self { table: Table::new(prefixes)?, components })
    }
}

impl std::fmt::Debug for Exposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposed").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Puts other components behind the front door while it serves. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Behind(Arc<ArcSwapOption<Exposed>>);

impl Behind {
    /// From now on requests go there. Those under way end where they began.
    pub fn put(&self, exposed: Exposed) {
        self.0.store(Some(Arc::new(exposed)));
    }
}

/// The parts, ready to answer.
pub(crate) struct Door {
    graphql: Router,
    behind: Behind,
    blobs: Arc<dyn Blobs>,
    ready: Ready,
    verifier: Arc<Verifier>,
    issuer: Option<Arc<Issuer>>,
    body_time: Duration,
}

/// A request whose head is read, but for its body.
struct Head {
    parts: request::Parts,
    /// The normalised path where it is not the one that was sent.
    changed: Option<String>,
    correlation: CorrelationId,
    trace: TraceId,
    began: Instant,
}

impl Head {
    fn path(&self) -> &str {
        self.changed.as_deref().unwrap_or(self.parts.uri.path())
    }
}

impl Door {
    pub(crate) fn new(
        parts: Parts,
        verifier: Arc<Verifier>,
        issuer: Option<Arc<Issuer>>,
        body_time: Duration,
        behind: Behind,
    ) -> Result<Self, Error> {
        let Parts { graphql, components, exposed, blobs, ready } = parts;
        behind.put(Exposed::new(exposed, components)?);
        Ok(Self { graphql, behind, blobs, ready, verifier, issuer, body_time })
    }

    /// Answers one request. Never fails: a failure is an answer too. `names` are those it may
    /// call us by, where no certificate vouches for the name.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        names: Option<&Names>,
        pulse: &Arc<Pulse>,
    ) -> Response<Outbound> {
        let flight = Flight::begin(pulse);
        let began = Instant::now();
        let (parts, incoming) = request.into_parts();
        let body = Inbound::new(incoming, pulse, GRAPHQL_BODY, (began + self.body_time).into());
        let correlation = correlation(&parts.headers);
        let trace = trace(&parts.headers);
        let log = tracing::enabled!(target: "monopod_edge::access", tracing::Level::DEBUG);
        let logged = log.then(|| (parts.method.clone(), parts.version));
        let bodiless = parts.method == Method::HEAD;

        // Held to the end of the request: another may take its place meanwhile.
        let exposed = self.behind.0.load_full();
        let (label, mut response) = match readable(&parts, names) {
            Err(refusal) => ("refused", *refusal),
            Ok(changed) => {
                let path = changed.as_deref().unwrap_or(parts.uri.path());
                let route = exposed.as_deref().map_or(Route::Unknown, |exposed| exposed.table.find(path));
                let head = Head { parts, changed, correlation: correlation.clone(), trace, began };
                let response = match route {
                    Route::Graphql => self.graphql(head, body).await,
                    route => Box::pin(self.other(route, exposed.as_deref(), head, body, peer)).await,
                };
                (route.label(), response)
            }
        };
        answer::finish(response.headers_mut(), &correlation);
        if bodiless {
            answer::head_only(&mut response);
        }
        if let Some((method, version)) = logged {
            let status = response.status().as_u16();
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(
                target: "monopod_edge::access",
                %correlation, %trace, %peer, %method, ?version, route = label, status, micros,
                "answered"
            );
        }
        response.map(|body| Outbound::new(body, flight))
    }

    async fn graphql(&self, head: Head, body: Inbound) -> Answer {
        if body.declares_too_much() {
            return answer::too_large(GRAPHQL_BODY);
        }
        let context = match self.context(&head).await {
            Ok(context) => context,
            Err(refused) => return answer::refused(&refused),
        };
        let mut parts = head.parts;
        parts.extensions.insert(context);
        let body = if body.is_empty() { Body::empty() } else { Body::new(body) };
        match self.graphql.clone().call(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn other(
        &self,
        route: Route<'_>,
        exposed: Option<&Exposed>,
        head: Head,
        body: Inbound,
        peer: SocketAddr,
    ) -> Answer {
        let deadline = (head.began + self.body_time).into();
        let mut response = match route {
            // Answered by the caller.
            Route::Graphql | Route::Unknown => answer::unknown(),
            Route::Live | Route::Ready if head.parts.method != Method::GET => answer::method("GET"),
            Route::Live => health::live(),
            Route::Ready => health::ready(&self.ready).await,
            Route::Issuer => match &self.issuer {
                Some(issuer) => {
                    issuer.answer(&head.parts, head.path(), body.within(FORM_BODY, deadline), peer).await
                }
                None => answer::unknown(),
            },
            Route::Blob => return blobs::serve(&*self.blobs, &head.parts, body, &head.correlation).await,
            Route::Component(name) => {
                let Some(exposed) = exposed else { return answer::unknown() };
                let context = match self.context(&head).await {
                    Ok(context) => context,
                    Err(refused) => return answer::refused(&refused),
                };
                let body = body.within(COMPONENT_BODY, deadline);
                let path = head.path().to_owned();
                component::call(&*exposed.components, name, head.parts, &path, body, &context).await
            }
        };
        answer::lock(response.headers_mut());
        response
    }

    /// Who asks, which action, until when: made here, once.
    async fn context(&self, head: &Head) -> Result<Context, Refused> {
        let principal = match bearer(&head.parts.headers)? {
            None => Principal::Anonymous,
            Some(token) => Principal::User(match self.verifier.remembered(token) {
                Some(user) => user,
                None => Box::pin(self.verifier.verify(token)).await?,
            }),
        };
        Ok(Context {
            principal,
            correlation: head.correlation.clone(),
            trace: head.trace,
            deadline: head.began + REQUEST,
            callers: Default::default(),
        })
    }
}

/// The normalised path where it differs, if the head can be read in one way only.
fn readable(parts: &request::Parts, names: Option<&Names>) -> Result<Option<String>, Box<Answer>> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Box::new(answer::error(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "not here",
        )));
    }
    // RFC 9112, section 3.2: exactly one.
    if parts.version == Version::HTTP_11 && parts.headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Box::new(answer::malformed("an HTTP/1.1 request has exactly one Host header")));
    }
    if let (Some(names), Some(host)) = (names, parts.headers.get(header::HOST))
        && !host.to_str().is_ok_and(|host| names.include(host))
    {
        let why = "without TLS this is reached by the machine's own name or the public one only";
        return Err(Box::new(answer::error(StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED", why)));
    }
    match path::normalise(parts.uri.path()) {
        Ok(Cow::Borrowed(_)) => Ok(None),
        Ok(Cow::Owned(path)) => Ok(Some(path)),
        Err(why) => Err(Box::new(answer::malformed(why))),
    }
}

/// The bearer token, if there is an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::Invalid("there is more than one Authorization header"));
    }
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        Some(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(Refused::Invalid("the Authorization header must be: Bearer, a space, the token")),
    }
}

/// The client's own correlation id if it is well-formed and the only one, or a new one.
fn correlation(headers: &HeaderMap) -> CorrelationId {
    let mut values = headers.get_all(CORRELATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(CorrelationId::parse),
        _ => None,
    }
    .unwrap_or_else(CorrelationId::new)
}

fn trace(headers: &HeaderMap) -> TraceId {
    headers
        .get("traceparent")
        .and_then(|value| TraceId::from_traceparent(value.to_str().ok()?))
        .unwrap_or_else(TraceId::new)
}
