//! Requests of components to servers outside, against real servers that behave badly.

mod addresses;
mod connections;
mod phases;
mod secured;
mod server;
mod tries;
