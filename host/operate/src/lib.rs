//! What an operator sees of the process: for now its logs.
//!
//! Every room logs through `tracing`; the binary calls [`logs::init`] once, first of all.

pub mod logs;
