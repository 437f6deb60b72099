//! The ingestion service: upload sessions. A client starts one, puts its photo to the URL it
//! gets, and confirms; from then on the photo is the orchestrator's.
//!
//! Called through GraphQL. A session belongs to who started it, and nobody else learns that it
//! exists. Whether a photo is there, and which, is asked of the object store, never believed.
//! It must not look at photos: that is the vision adapter's.

mod confirm;
#[cfg(target_arch = "wasm32")]
mod guest;
mod request;
mod session;
mod start;
mod view;

use monopod_sdk::graph::{Answers, Field, Refusal, Value};
use monopod_sdk::http::{Method, Problem, Request, Response};
use monopod_sdk::ports::{
    Blobs, Buckets, Clock, Identity, Outgoing, Publisher, Random, Services, Settings, User,
};

/// The largest request body, in bytes: names, numbers, a checksum.
const MAX_BODY: usize = 8 * 1024;
/// What this component calls itself in messages.
const PRODUCER: &str = "ingestion";

/// Everything this component touches.
pub trait Ports: Blobs + Buckets + Clock + Identity + Publisher + Random + Services + Settings {}
impl<P: Blobs + Buckets + Clock + Identity + Publisher + Random + Services + Settings> Ports for P {}

/// Answers a request.
pub fn answer(ports: &impl Ports, request: Request) -> Result<Response, Problem> {
    match (request.method(), request.segments().as_slice()) {
        (Method::Get, ["v1", "ping"]) => Ok(Response::raw_json(r#"{"pong":"pong"}"#)),
        (Method::Post, ["v1", "uploads", "start"]) => {
            start::start(ports, &caller(ports)?, request.json(MAX_BODY)?)
        }
        (Method::Post, ["v1", "uploads", "confirm"]) => {
            confirm::confirm(ports, &caller(ports)?, request.json(MAX_BODY)?)
        }
        (Method::Get, ["v1", "uploads"]) => {
            view::list(ports, &caller(ports)?, request.query("limit"), request.query("after"))
        }
        (Method::Get, ["v1", "uploads", id]) => view::session(ports, &caller(ports)?, id),
        (Method::Get, ["v1", "uploads", id, "status"]) => view::status(ports, &caller(ports)?, id),
        (Method::Post, ["v1", "analyses"]) => {
            request::request(ports, &caller(ports)?, request.json(MAX_BODY)?)
        }
        _ => Err(Problem::no_route(&request)),
    }
}

/// Answers the fields of the schema that are answered in code.
pub fn resolve(field: &Field) -> Answers {
    match field.name.as_str() {
        "ping" => Ok(field.parents.iter().map(|_| Ok(Value::from("pong"))).collect()),
        name => Err(Refusal::new("UNKNOWN_FIELD", format!("Nobody answers {}.{name}.", field.parent_type))),
    }
}

/// Who asks; sessions belong to people and programs with a token, never to anybody.
fn caller(ports: &impl Identity) -> Result<User, Problem> {
    ports.caller().user().cloned().ok_or_else(Problem::unauthenticated)
}

/// Publishes with the headers that every message has, as part of the action `correlation_id`.
fn publish(
    ports: &impl Publisher,
    topic: &str,
    key: &str,
    correlation_id: &str,
    payload: &impl serde::Serialize,
) -> Result<(), Problem> {
    let mut message = Outgoing::json(topic, key, payload)?.correlation(correlation_id);
    message.headers = trackunit_contracts::headers::of(topic, correlation_id, PRODUCER);
    ports.publish(&message)?;
    Ok(())
}
