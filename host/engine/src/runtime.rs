//! The one place where wasmtime is configured. Changing anything here changes what
//! compiled code is compatible with; wasmtime's own hash of it is part of the cache key.

use monopod_core::component::Component;
use monopod_core::limit::{CORE_INSTANCES, INSTANCES, STACK};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Error;

/// Memory of an instance that stays mapped after use and is cleared by what was
/// written, instead of being given back and faulted in again: a fresh call falls from
/// 28 to 11 microseconds, and scales with cores.
const KEEP_MEMORY: usize = 256 << 10;
/// The same for tables.
const KEEP_TABLE: usize = 64 << 10;
/// Room for tables of every instance, at least: a component with a lower limit is then told
/// which one it is, not that it does not fit.
const TABLES: u32 = 20_000;
/// The stack that host and guest share while one call runs.
const ASYNC_STACK: usize = 1 << 20;

/// What an engine is made for. Compiled code and types of one are strangers to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// WASI 0.2: the quick one.
    Plain,
    /// Asynchronous functions, streams and futures, as in WASI 0.3.
    Concurrent,
}

pub(crate) fn engine(kind: Kind, components: &[Component]) -> Result<Engine, Error> {
    let memory = components.iter().map(|c| c.limits.memory.as_usize()).max().unwrap_or(0);
    let tables = components.iter().map(|c| c.limits.tables).fold(TABLES, u32::max);
    let wanted: u32 = components.iter().map(crate::instances::most).fold(0, u32::saturating_add);
    let instances = wanted.clamp(1, INSTANCES);

    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .table_elements(usize::try_from(tables).unwrap_or(usize::MAX))
        .max_memory_size(memory.max(1 << 20))
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        // Clears only pages that were written (Linux 6.7 and later).
        .pagemap_scan(Enabled::Auto)
        // A slot keeps the image of the component it last ran: one for each, at least.
        .max_unused_warm_slots(u32::try_from(components.len()).unwrap_or(100).max(100));

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        // Only WASI 0.3 needs it, and it costs 1.5 microseconds for each fresh call.
        .concurrency_support(kind == Kind::Concurrent)
        .wasm_component_model_async(kind == Kind::Concurrent)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(STACK.as_usize())
        .async_stack_size(ASYNC_STACK)
        // Tables for debuggers and traces of guests, which nobody here reads: a fifth of each file.
        .generate_address_map(false)
        .native_unwind_info(false)
        // Stacks come from the pool and hold only what earlier calls left: invisible to a guest.
        .async_stack_zeroing(false);
    Engine::new(&config).map_err(|e| Error::Engine(format!("{e:#}")))
}
