//! What an operator sees of the process: its logs, its metrics, its status.
//!
//! Every room logs through `tracing`; the binary calls [`logs::init`] once, first of all.
//! Figures come through [`monopod_core::seen::Source`]; this room gathers none itself.

pub mod admin;
pub mod logs;
pub mod metrics;
mod process;
pub mod prometheus;
pub mod status;
pub mod table;
pub mod telemetry;
