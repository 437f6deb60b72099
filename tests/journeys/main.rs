//! A user's whole way, against the real host: a process of its own, its own state folder, a free
//! port, real TLS. Nothing here looks into the host except where a promise is about what is kept
//! (`kept`); everything else is what a phone, a browser or a person at a terminal can see.
//!
//! The host, the bundles and the photos come from `MONOPOD_BIN`, `MONOPOD_BUNDLES` and
//! `MONOPOD_SAMPLES`; `make test SUITE=journeys` builds them and says where they are. Tests share
//! one host where they can: each is a user of its own, which is itself a promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite stops at the first surprise"
)]

mod attempt;
mod check;
mod confirm;
mod contract;
mod expiry;
mod input;
mod kept;
mod late;
mod login;
mod operator;
mod ownership;
mod page;
mod photos;
mod ps;
mod put;
mod reload;
mod services;
mod start;
mod stop;
mod support;
mod telemetry;
mod tokens;
mod traces;
