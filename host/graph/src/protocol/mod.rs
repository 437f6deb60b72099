//! The protocols that clients speak at `/graphql`: GraphQL over HTTP, server-sent events
//! in distinct connections mode, and `graphql-transport-ws`. They share `operation`: from
//! parameters to a plan that the caller may run.

mod accept;
mod graphiql;
mod http;
mod message;
mod operation;
mod queue;
mod socket;
mod sse;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

use crate::graph::Inner;
pub use operation::{Prepared, Wants};

/// The route of all protocols.
pub const PATH: &str = "/graphql";

/// Everything at [`PATH`].
pub fn router(inner: Arc<Inner>) -> Router {
    graphiql::files().route(PATH, any(http::serve)).with_state(inner)
}
