//! The front door: TLS, HTTP, routing and identity.
//!
//! `monopod` (the binary) calls [`bind`] with [`Settings`] before anything else is
//! built, so that a taken port or a damaged certificate is known at once, then
//! [`Bound::serve`] with the other rooms plugged in as [`Parts`]. A request is read
//! once, its path made unambiguous once, its identity established once as a value
//! (`core::context::Context` in the request's extensions), and then handed on.
//!
//! Nothing here knows GraphQL, WebAssembly or the state, and no identity ever leaves
//! this room as a header. [`client`] is the other end of the same TLS, for the command
//! line. Whoever adds a route adds it to [`route`] and answers it in [`door`].

pub mod client;
pub mod direct;
pub mod limits;
pub mod outgoing;

mod accept;
mod answer;
mod blobs;
mod body;
mod bound;
mod component;
mod door;
mod error;
mod files;
mod headers;
mod health;
mod identity;
mod issuer;
mod path;
mod plain;
mod probes;
mod pulse;
mod route;
mod settings;
mod socket;
mod tls;

pub use accept::Drained;
pub use bound::{Bound, bind};
pub use door::{Behind, Exposed, Parts, Ready};
pub use error::Error;
pub use settings::{Identity, Settings, Tls};
pub use tls::development_ca;
