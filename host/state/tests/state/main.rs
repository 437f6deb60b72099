//! The store's promises, through its public interface alone.
#![allow(missing_docs, reason = "tests are named by their promise")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests stop at the first surprise"
)]
#![allow(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod backend;
mod backup;
mod crash;
mod expiry;
mod isolation;
mod messages;
mod opening;
mod operations;
mod retention;
mod space;
mod support;
mod timers;
mod units;
