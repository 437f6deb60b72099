//! Real brokers behind topics: nothing lost, nothing doubled in effect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod house;
mod rabbitmq;
mod trouble;
