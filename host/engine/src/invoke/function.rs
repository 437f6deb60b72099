//! Functions: a request becomes a name and bytes, and bytes or a problem become its response. No
//! header, stream or handle stands between, which makes this the shortest way into a guest.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::unit::Cause;
use monopod_core::{Body, full};
use serde_json::json;

use super::call::Work;
use super::http::refusal;
use super::request;
use crate::bindings::exports::monopod::function::handler::{Call, Error as Wit, Field, Kind};
use crate::instances::Live;
use crate::load::Loaded;
use crate::{Shared, reached};

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Shared {
    /// Calls a function with what a request brings.
    pub(super) async fn function(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        request: Request<Body>,
        context: &Context,
    ) -> Result<Response<Body>, Error> {
        if request.method() != Method::POST {
            let text = json!({"error": "a function is called with POST", "code": "METHOD_NOT_ALLOWED"});
            let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, JSON, text.to_string());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Ok(response);
        }
        let call = self.enter(loaded, context).await?;
        let (mut parts, body) = request.into_parts();
        let body = match call.in_time(request::whole(body, loaded.component.limits.body.as_usize())).await? {
            Ok(body) => body,
            Err(unread) => return Ok(refusal(loaded, unread)),
        };
        let kind = parts.headers.remove(CONTENT_TYPE).unwrap_or(BYTES);
        let name = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        // Kept, in case it is asked again.
        let given = Arc::new(Call { name, body: body.into() });
        call.settle(Cause::Request, || Apply { given: given.clone(), kind: kind.clone() }).await
    }
}

struct Apply {
    given: Arc<Call>,
    kind: HeaderValue,
}

impl Work for Apply {
    type Answer = Response<Body>;

    async fn run(self, live: &mut Live) -> wasmtime::Result<Response<Body>> {
        let loaded = live.store.data().loaded.clone();
        let Some(handler) = &loaded.function else {
            return Err(wasmtime::Error::msg("it is no function"));
        };
        let guest = handler.load(&mut live.store, &live.instance)?;
        Ok(match guest.call_handle(&mut live.store, &self.given).await? {
            Ok(result) if result.len() > loaded.component.limits.body.as_usize() => {
                return Err(reached::body(&loaded).into());
            }
            Ok(result) => answer(StatusCode::OK, self.kind, result),
            Err(error) => problem(error),
        })
    }
}

fn problem(error: Wit) -> Response<Body> {
    let (status, text) = match error {
        Wit::Problem(problem) => {
            let status = match problem.kind {
                Kind::Invalid => StatusCode::BAD_REQUEST,
                Kind::Denied => StatusCode::FORBIDDEN,
                Kind::NotFound => StatusCode::NOT_FOUND,
                Kind::Conflict => StatusCode::CONFLICT,
                Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Kind::Other => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, json!({"error": problem.text, "code": problem.code}))
        }
        Wit::Fields(fields) => {
            let fields: BTreeMap<String, Vec<String>> =
                fields.into_iter().map(|Field { name, wrong }| (name, wrong)).collect();
            (StatusCode::UNPROCESSABLE_ENTITY, json!({ "errors": fields }))
        }
    };
    answer(status, JSON, text.to_string())
}

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
