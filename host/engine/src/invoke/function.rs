//! Functions: a request becomes a name and bytes, and bytes or a problem become its response. No
//! header, stream or handle stands between, which makes this the shortest way into a guest.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use monopod_core::component::Component;
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::unit::Cause;
use monopod_core::{Body, full};
use serde_json::json;

use super::http::{read, refusal};
use crate::Shared;
use crate::bindings::exports::monopod::function::handler::{Call, Error as Wit, Field, GuestIndices, Kind};
use crate::load::Loaded;
use crate::reached::Reached;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Shared {
    /// Calls a function with what a request brings.
    pub(super) async fn function(
        &self,
        loaded: &Arc<Loaded>,
        handler: &GuestIndices,
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
        let body = match call.in_time(read(body, loaded.component.limits.body.as_usize())).await? {
            Ok(body) => body,
            Err(unread) => return Ok(refusal(loaded, &unread)),
        };
        let kind = parts.headers.remove(CONTENT_TYPE).unwrap_or(BYTES);
        let name = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let given = Call { name, body: body.into() };
        call.run(Cause::Request, |mut store, instance| {
            let (given, kind) = (&given, kind.clone());
            Box::pin(async move {
                let Component { name, limits, .. } = &loaded.component;
                let result = handler.load(&mut store, &instance)?.call_handle(&mut store, given).await?;
                let response = match result {
                    Ok(result) if result.len() > limits.body.as_usize() => {
                        loaded.account.hit(Limit::Body);
                        return Err(Reached::new(Limit::Body, name, limits.body).into());
                    }
                    Ok(result) => answer(StatusCode::OK, kind, result),
                    Err(error) => problem(error),
                };
                Ok((response, store.into_data().unit))
            })
        })
        .await
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
