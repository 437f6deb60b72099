//! The chart: what it renders, what it refuses, and what a real API server says to it.
//! `UPDATE=1` writes down anew what is generated or kept as a snapshot; the difference is
//! then read by a person.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod accepted;
mod fronts;
mod generated;
mod policies;
mod refused;
mod rendered;
mod support;
