//! The platform in a real Kubernetes: installed by its chart, used through its service,
//! upgraded, rolled back, killed, taken away; and what goes wrong on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

#[path = "../faults/audit.rs"]
#[expect(dead_code, reason = "the suite of faults uses the rest")]
mod audit;
mod faults;
#[path = "../faults/ledger.rs"]
#[expect(dead_code, reason = "the suite of faults uses the rest")]
mod ledger;
mod life;
mod policies;
mod support;
mod traffic;
mod ways;
