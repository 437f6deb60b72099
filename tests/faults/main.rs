//! What must not be lost when things go wrong around a running host: `kill -9` under load,
//! a full disk, cut connections, and a hundred thousand timers under a clock that jumps.
//!
//! All but the timers is seen from outside: a real process, clients that speak to its front door, and
//! at the end an independent look into the state file. A kill keeps what the kernel has taken,
//! so these tests do not show that an answer waits for the disk; `state`'s own tests do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod audit;
mod connections;
mod disk;
mod kills;
mod ledger;
mod load;
mod timers;
