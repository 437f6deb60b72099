//! The store's promises, through its public interface alone.
#![allow(missing_docs, reason = "tests are named by their promise")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests stop at the first surprise"
)]
#![allow(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod crash;
mod messages;
mod opening;
mod retention;
mod support;
mod timers;
mod units;
