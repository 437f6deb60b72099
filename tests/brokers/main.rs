//! Real servers behind the platform: brokers behind topics, a database behind the state.
//! Nothing lost, nothing doubled in effect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod house;
mod postgres;
mod rabbitmq;
mod trouble;

// The tests of the SQLite store, word for word, over the store of `backend`: a PostgreSQL.
mod backend;
#[path = "../../host/state/tests/state/expiry.rs"]
mod expiry;
#[path = "../../host/state/tests/state/isolation.rs"]
mod isolation;
#[path = "../../host/state/tests/state/messages.rs"]
mod messages;
#[path = "../../host/state/tests/state/operations.rs"]
mod operations;
#[path = "../../host/state/tests/state/retention.rs"]
mod retention;
#[path = "../../host/state/tests/state/support.rs"]
mod support;
#[path = "../../host/state/tests/state/timers.rs"]
mod timers;
#[path = "../../host/state/tests/state/units.rs"]
mod units;
