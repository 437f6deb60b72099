//! GraphQL over HTTP: `POST` with JSON, `GET` for queries, and the doors to the two
//! streaming protocols. Follows the specification's draft where its audits do; for
//! `application/json` a request that is well formed is always answered 200.

use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use serde::Deserialize;

use super::accept::{Accepts, Answer, accepts};
use super::operation::Params;
use super::{graphiql, socket, sse};
use crate::body;
use crate::error::{self, Failure, code};
use crate::execute::Run;
use crate::graph::{Inner, Served};
use crate::json::Json;
use crate::plan::scan::exceeded;
use crate::subscribe;

/// The parameters of a `GET`.
#[derive(Deserialize)]
struct Parameters {
    query: Option<String>,
    #[serde(rename = "documentId")]
    document: Option<String>,
    #[serde(rename = "operationName")]
    operation: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Answers whatever comes to the route.
pub async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let context = context(&mut parts, &inner);
    let upgrade = parts
        .headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if upgrade && parts.method == Method::GET {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => socket::accept(upgrade, inner, context),
            Err(rejection) => rejection.into_response(),
        };
    }
    let accepts = accepts(&parts.headers);
    if accepts.page
        && matches!(parts.method, Method::GET | Method::HEAD)
        && let Some(login) = inner.schema.load().settings.graphiql
    {
        return graphiql::page(login);
    }
    let answer = match accepts {
        Accepts { answer: Some(answer), .. } => answer,
        // Errors before the stream begins are documents.
        Accepts { stream: true, .. } => Answer::Response,
        _ => {
            let text =
                "Send Accept: application/graphql-response+json, application/json or text/event-stream.";
            return plain(StatusCode::NOT_ACCEPTABLE, text);
        }
    };
    let after = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned());
    let exchange = Exchange { inner, schema: None, context, accepts, answer, after };
    match parts.method {
        Method::POST => exchange.post(&parts, body).await,
        Method::GET => exchange.get(&parts).await,
        _ => exchange.method_not_allowed("GET, POST", "GraphQL is asked with POST, or GET for queries."),
    }
}

/// The context that the front door made; without one nobody is anybody.
fn context(parts: &mut Parts, inner: &Inner) -> Context {
    parts
        .extensions
        .remove::<Context>()
        .unwrap_or_else(|| Context::new(Principal::Anonymous, inner.schema.load().settings.timeout))
}

/// One request and how its answer is to look.
struct Exchange {
    inner: Arc<Inner>,
    schema: Option<Arc<Served>>,
    context: Context,
    accepts: Accepts,
    answer: Answer,
    /// `Last-Event-ID`: from where a stream that broke off goes on.
    after: Option<String>,
}

impl Exchange {
    async fn post(mut self, parts: &Parts, body: Body) -> Response {
        if let Err(text) = json_body(parts, true) {
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
        let schema = self.load();
        let max = schema.settings.max_body;
        let bytes = match body::read(body, max).await {
            Ok(bytes) => bytes,
            Err(body::Error::TooLong(_)) => {
                return plain(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    &format!("A request holds at most {max} bytes."),
                );
            }
            // The client went away; nobody reads this.
            Err(body::Error::Broken(_)) => return plain(StatusCode::BAD_REQUEST, "The request broke off."),
        };
        let params = match Json::parse(&bytes) {
            Ok(Json::Array(items)) if schema.settings.max_batch > 0 => {
                return self.batch(&schema, items).await;
            }
            Ok(json) => Params::read(json),
            Err(_) if bytes.is_empty() => Err(Failure::new(code::BAD_REQUEST, "The request has no body.")),
            Err(error) => Err(Failure::new(code::BAD_REQUEST, format!("The request is not JSON: {error}."))),
        };
        match params {
            Ok(params) => self.run(params, &Method::POST).await,
            Err(failure) => self.refuse(&[failure]),
        }
    }

    /// Several operations in one request, answered in their order, one after another: each is as
    /// bounded as if it came alone.
    async fn batch(&self, schema: &Served, items: Vec<Json<'_>>) -> Response {
        let max = schema.settings.max_batch;
        if items.is_empty() {
            return self.refuse(&[Failure::new(code::BAD_REQUEST, "The list has no operation.")]);
        }
        if items.len() > max {
            return self.refuse(&[exceeded("batch", max, "operations in one request")]);
        }
        let mut body = vec![b'['];
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            let prepared = Params::read(item)
                .map_err(|failure| vec![failure])
                .and_then(|params| params.prepare(schema, &self.context, &schema.ports));
            body.extend_from_slice(&match prepared {
                Ok(prepared) if prepared.plan.kind == OperationType::Subscription => {
                    let text = "A subscription cannot be answered in a list.";
                    error::response(&[Failure::new(code::NOT_STREAMABLE, text)])
                }
                Ok(prepared) => Run::new(&schema.ports, schema, &prepared, &self.context).execute().await,
                Err(failures) => error::response(&failures),
            });
        }
        body.push(b']');
        self.respond(StatusCode::OK, body)
    }

    async fn get(self, parts: &Parts) -> Response {
        // A GET with a body type that a form can send may come from any page: refused, so
        // that answers cannot be measured across sites (GHSA-9q82-xgwf-vj6h).
        if let Err(text) = json_body(parts, false) {
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        }
        // The address as a whole is bounded at 64 KiB by the `http` crate.
        let Query(given) = match Query::<Parameters>::try_from_uri(&parts.uri) {
            Ok(given) => given,
            Err(_) => {
                return self.refuse(&[Failure::new(
                    code::BAD_REQUEST,
                    "The parameters cannot be read: is one given twice?",
                )]);
            }
        };
        let params = match parameters(&given) {
            Ok(params) => params,
            Err(failure) => return self.refuse(&[failure]),
        };
        self.run(params, &Method::GET).await
    }

    fn load(&mut self) -> Arc<Served> {
        Arc::clone(self.schema.get_or_insert_with(|| self.inner.schema.load_full()))
    }

    async fn run(mut self, mut params: Params<'_>, method: &Method) -> Response {
        let schema = self.load();
        let plan = match params.plan(&schema) {
            Ok(plan) => plan,
            Err(failures) => return self.refuse(&failures),
        };
        if plan.kind == OperationType::Mutation && *method == Method::GET {
            return self.method_not_allowed("POST", "A mutation is sent with POST.");
        }
        let prepared = match params.prepare_planned(plan, &schema, &self.context, &schema.ports) {
            Ok(prepared) => prepared,
            Err(failures) => return self.refuse(&failures),
        };
        if prepared.plan.kind == OperationType::Subscription {
            if !self.accepts.stream {
                let text = "A subscription is sent over a WebSocket, or with Accept: text/event-stream.";
                return self.refuse(&[Failure::new(code::NOT_STREAMABLE, text)]);
            }
            let after = match &self.after {
                None => None,
                Some(id) => match subscribe::event_id(id) {
                    Ok(after) => Some(after),
                    Err(failure) => return self.refuse(&[failure]),
                },
            };
            let (served, prepared) = (Arc::clone(&schema.schema), prepared.own());
            let opened = subscribe::open(served, prepared, &self.context, &self.inner, after).await;
            return match opened {
                Ok(feed) => sse::stream(feed, &self.context.principal, &schema.settings, &self.inner.stop),
                Err(failure) => self.refuse(&[failure]),
            };
        }
        let run = Run::new(&schema.ports, &schema, &prepared, &self.context);
        let body = run.execute().await;
        if self.accepts.answer.is_none() || self.accepts.prefers_stream {
            return sse::single(&body);
        }
        self.respond(StatusCode::OK, body)
    }

    fn respond(&self, status: StatusCode, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.answer.content_type()));
        response
    }

    /// The answer to a request of which nothing was executed.
    fn refuse(&self, failures: &[Failure]) -> Response {
        let first = failures.first().map_or(code::BAD_REQUEST, |failure| &failure.code);
        let status = match (first, self.answer) {
            (code::UNAUTHENTICATED, _) => StatusCode::UNAUTHORIZED,
            (code::FORBIDDEN, _) => StatusCode::FORBIDDEN,
            (code::UPSTREAM_ERROR, _) => StatusCode::BAD_GATEWAY,
            (code::TIMED_OUT, _) => StatusCode::GATEWAY_TIMEOUT,
            (code::BUDGET_EXCEEDED, _) => StatusCode::TOO_MANY_REQUESTS,
            // A document that does not fit, and variables, are errors of GraphQL and not of
            // HTTP, which clients of `application/json` learn from the body alone.
            (
                code::PARSE_FAILED
                | code::VALIDATION_FAILED
                | code::BAD_USER_INPUT
                | code::NO_OPERATION
                | code::NOT_PERSISTED
                | code::NOT_REGISTRABLE,
                Answer::Json,
            ) => StatusCode::OK,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = self.respond(status, error::response(failures));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let wait = failures.first().and_then(|first| {
            first.extensions.iter().find(|(key, _)| key == "retryAfter").map(|(_, value)| value)
        });
        if let Some(Json::Large(seconds)) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }

    fn method_not_allowed(&self, allow: &'static str, text: &'static str) -> Response {
        let failure = Failure::new(code::METHOD_NOT_ALLOWED, text);
        let mut response = self.respond(StatusCode::METHOD_NOT_ALLOWED, error::response(&[failure]));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    }
}

fn parameters(given: &Parameters) -> Result<Params<'_>, Failure> {
    let json = |name: &'static str, text: &'_ Option<String>| match text.as_deref() {
        None | Some("") => Ok(()),
        Some(text) => Json::parse(text.as_bytes())
            .map(drop)
            .map_err(|_| Failure::new(code::BAD_REQUEST, format!("\"{name}\" is not JSON."))),
    };
    json("variables", &given.variables)?;
    json("extensions", &given.extensions)?;
    let value = |text: &'_ Option<String>| -> Json<'_> {
        match text.as_deref() {
            None | Some("") => Json::Null,
            Some(text) => Json::parse(text.as_bytes()).map_or(Json::Null, Json::into_owned),
        }
    };
    let mut entries =
        vec![("variables".into(), value(&given.variables)), ("extensions".into(), value(&given.extensions))];
    for (name, text) in
        [("query", &given.query), ("documentId", &given.document), ("operationName", &given.operation)]
    {
        if let Some(text) = text {
            entries.push((name.into(), Json::String(text.as_str().into())));
        }
    }
    Params::read(Json::Object(entries))
}

/// Whether the body is JSON in UTF-8, by its declaration; `needed`: it must have one.
fn json_body(parts: &Parts, needed: bool) -> Result<(), &'static str> {
    const JSON: &str = "Send Content-Type: application/json.";
    let Some(value) = parts.headers.get(header::CONTENT_TYPE) else {
        return if needed { Err(JSON) } else { Ok(()) };
    };
    let mut parameters = value.to_str().unwrap_or_default().split(';').map(str::trim);
    if !parameters.next().unwrap_or_default().eq_ignore_ascii_case("application/json") {
        return Err(JSON);
    }
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Err("JSON is sent in UTF-8.");
        }
    }
    Ok(())
}

/// A refusal by HTTP itself, for people.
fn plain(status: StatusCode, text: &str) -> Response {
    let failure = Failure::new(code::BAD_REQUEST, text.to_owned());
    let mut response = Response::new(Body::from(error::response(&[failure])));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(Answer::Json.content_type()));
    response
}
