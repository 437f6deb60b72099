//! Other people's test suites, clients and components against what is ours: what we say of
//! ourselves is not asked here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod clients;
mod components;
mod drafts;
