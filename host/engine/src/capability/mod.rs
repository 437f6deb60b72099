//! What a guest can ask of the host: one module for each WIT package.
//!
//! How to add a capability: its WIT under `wit/<package>/`, its import in `bindings.rs`, a
//! module here that implements the generated `Host` trait for [`Guest`] and checks the
//! grant first, and one line in [`linker`].

mod blobs;
pub(crate) mod drafts;
pub(crate) mod http;
mod identity;
mod messaging;
mod outside;
mod state;
mod timers;

use monopod_core::limit::{Limit, READS};
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::monopod;
use crate::guest::Guest;
use crate::runtime::Kind;

/// Why there can be no more changes. The response may be with the client already, who must not be
/// told of what can still fail to be committed.
const SEALED: &str =
    "the response was set before this change, and is on its way: change state first, then set the response";

/// A linker with everything this host offers: what `examine/offers.rs` lists. Whether a component
/// may use it is decided by its grants: at load for a whole interface, at each call for the rest.
pub(crate) fn linker(engine: &Engine, kind: Kind) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    // The standard library of most languages imports all of it. Nothing of the machine is
    // reachable through it: no folder is opened, sockets refuse, arguments are empty.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if kind == Kind::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    monopod::identity::caller::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    monopod::state::buckets::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    monopod::messaging::types::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    monopod::messaging::publisher::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    monopod::timers::timers::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    monopod::blobs::blobs::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, Guest::called)?;
    drafts::add_to_linker(&mut linker)?;
    Ok(linker)
}

impl Guest {
    /// What a denial says: the line that would allow it. Logged once, here.
    fn denied(&self, kind: &str, what: &str) -> String {
        let name = &self.loaded.component.name;
        let fix = if kind == "timers" {
            format!("[components.{name}.grants] timers = true")
        } else {
            format!("[components.{name}.grants] {kind} = [\"{what}\"]")
        };
        if self.loaded.may_log(fix.len()) {
            tracing::warn!(component = %name, correlation = %self.context.correlation, trace = %self.context.trace,
                kind, what, why = "not granted", fix, "capability refused");
        }
        fix
    }

    /// Makes room for one more change of `size` bytes in the unit, or says which limit is reached.
    fn reserve(&mut self, size: usize) -> Result<(), String> {
        if self.reply.as_ref().is_some_and(|reply| !reply.change()) {
            return Err(SEALED.to_owned());
        }
        let limits = &self.loaded.component.limits;
        let unit = &self.unit;
        let changes = unit.writes.len() + unit.messages.len() + unit.timers.len();
        if changes >= usize::try_from(limits.changes).unwrap_or(usize::MAX) {
            return Err(self.reached(Limit::Changes, limits.changes).to_string());
        }
        let total = self.unit_size.saturating_add(size);
        if total > limits.unit.as_usize() {
            return Err(self.reached(Limit::Unit, limits.unit).to_string());
        }
        self.unit_size = total;
        Ok(())
    }

    /// Makes room for `keys` more that the unit has read and must remember.
    fn remember(&mut self, keys: usize) -> Result<(), String> {
        let total = self.unit_reads.saturating_add(u32::try_from(keys).unwrap_or(u32::MAX));
        if total > READS {
            return Err(self.reached(Limit::Reads, READS).to_string());
        }
        self.unit_reads = total;
        Ok(())
    }
}
