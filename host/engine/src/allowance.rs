//! How far an instance may grow. Asked by wasmtime before each growth; counts what the
//! component's instances take together.

use std::fmt::Display;
use std::sync::Arc;

use monopod_core::limit::Limit;
use wasmtime::ResourceLimiter;

use crate::load::Loaded;

/// The memory and tables of one instance.
pub(crate) struct Allowance {
    loaded: Arc<Loaded>,
    memory: usize,
    tables: usize,
    /// The last growth that was allowed, in case that it fails.
    growing: usize,
}

impl Allowance {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        Self { loaded, memory: 0, tables: 0, growing: 0 }
    }

    fn count(&self, bytes: usize, sign: i64) {
        self.loaded.account.memory(i64::try_from(bytes).unwrap_or(0) * sign);
    }

    /// The guest sees a growth that failed, and most then trap: this says why.
    fn refuse(&self, limit: Limit, max: impl Display) -> wasmtime::Result<bool> {
        self.loaded.account.hit(limit);
        let name = &self.loaded.component.name;
        let why = limit.reached(name, max);
        if self.loaded.may_log(why.len()) {
            tracing::warn!(component = %name, why, "an instance may not grow");
        }
        Ok(false)
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Its own wish.
            return Ok(false);
        }
        let growth = desired.saturating_sub(current);
        let total = self.memory.saturating_add(growth);
        if total > self.loaded.component.limits.memory.as_usize() {
            return self.refuse(Limit::Memory, self.loaded.component.limits.memory);
        }
        self.memory = total;
        self.growing = growth;
        self.count(growth, 1);
        self.loaded.account.grown(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        let growth = std::mem::take(&mut self.growing);
        self.memory = self.memory.saturating_sub(growth);
        self.count(growth, -1);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.tables.saturating_add(desired.saturating_sub(current));
        if total > usize::try_from(self.loaded.component.limits.tables).unwrap_or(usize::MAX) {
            return self.refuse(Limit::Tables, self.loaded.component.limits.tables);
        }
        self.tables = total;
        Ok(true)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.count(self.memory, -1);
    }
}
