//! Drafts of WASI that components already use: adapters over what this host has anyway.
//!
//! Their versions are names of snapshots, not promises, so each is linked under every name seen
//! in the wild. They are linked by hand, since one implementation serves several names.

mod config;
mod keyvalue;
mod logging;
mod otel;

use wasmtime::component::Linker;

use crate::guest::Guest;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    config::add_to_linker(linker)?;
    keyvalue::add_to_linker(linker)?;
    logging::add_to_linker(linker)?;
    otel::add_to_linker(linker)
}

/// The names under which the drafts are linked; `examine` offers exactly these.
pub(crate) mod names {
    /// `wasi:config`; the interface was called `runtime` for a while.
    pub(crate) const CONFIG: &[&str] = &["0.2.0-rc.1", "0.2.0-draft", "0.2.0-draft-2024-09-27"];
    pub(crate) const CONFIG_INTERFACES: &[&str] = &["store", "runtime"];
    /// `wasi:keyvalue`, two drafts of different shape.
    pub(crate) const KEYVALUE: &[&str] = &["0.2.0-draft"];
    pub(crate) const KEYVALUE_2: &[&str] = &["0.2.0-draft2"];
    pub(crate) const LOGGING: &[&str] = &["0.1.0-draft"];
    pub(crate) const OTEL: &[&str] = &["0.2.0-draft", "0.2.0-rc.1", "0.2.0-rc.2"];
}
