//! GraphQL: composition of the components' schemas, planning, execution, subscriptions,
//! and the protocols that clients speak.
//!
//! The binary composes a [`Schema`] from all contributions and serves it with [`Graph`];
//! requests come from `edge` with their context, calls go out to components through
//! [`monopod_core::invoke::Components`], events come in through
//! [`monopod_core::event::Events`]. No other room knows a GraphQL library, and this one
//! knows no socket, no TLS, no token format and no store.
//!
//! ```text
//! compose  schema.graphql files -> Schema        once per platform
//! plan     document -> Plan                      once per document; rights on every request
//! execute  Plan + variables -> bytes             queries and mutations
//! subscribe Plan + variables -> stream of bytes  subscriptions
//! protocol HTTP, server-sent events, graphql-transport-ws
//! ```

mod body;
mod budget;
mod compose;
mod diff;
mod documents;
mod error;
mod execute;
mod graph;
mod json;
mod mapping;
mod plan;
mod policy;
mod protocol;
mod report;
mod scalar;
mod schema;
mod seen;
mod settings;
mod subscribe;

pub use compose::{Contribution, compose};
pub use diff::{Change, Class, diff};
pub use documents::Trusted;
pub use error::code::ALL as CODES;
pub use graph::{Graph, Parts, absent};
pub use policy::{Condition, Policy};
pub use report::Answered;
pub use schema::Schema;
pub use settings::{Budget, Login, Service, Settings};
