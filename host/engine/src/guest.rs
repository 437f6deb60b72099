//! What belongs to one invocation: the store's data while a guest runs.

use std::sync::Arc;

use monopod_core::context::Context;
use monopod_core::unit::{Cause, Unit};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::Shared;
use crate::capability::http::Outgoing;
use crate::load::Loaded;
use crate::output::Output;

/// Handles a guest may hold at once: requests, bodies, streams. A leak ends in a trap.
const MAX_RESOURCES: usize = 10_000;
/// Elements of one table: function pointers of the guest's own code.
const MAX_TABLE_ELEMENTS: usize = 100_000;

pub(crate) struct Guest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) context: Context,
    pub(crate) unit: Unit,
    /// Bytes the unit holds so far.
    pub(crate) unit_size: usize,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    limits: StoreLimits,
}

impl Guest {
    /// A store for one invocation.
    pub(crate) fn store(
        shared: &Arc<Shared>,
        loaded: &Arc<Loaded>,
        context: &Context,
        cause: Cause,
    ) -> Store<Self> {
        let component = &loaded.component;
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Output::new(component.name.clone(), context, "stdout"))
            .stderr(Output::new(component.name.clone(), context, "stderr"))
            .envs(&loaded.environment);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let guest = Self {
            shared: shared.clone(),
            loaded: loaded.clone(),
            unit: Unit::new(
                component.name.clone(),
                cause,
                context.correlation.clone(),
                context.trace,
                context.principal.owner().cloned(),
            ),
            unit_size: 0,
            wasi: wasi.build(),
            table,
            http: WasiHttpCtx::new(),
            outgoing: Outgoing::new(shared, loaded, context),
            limits: StoreLimitsBuilder::new()
                .memory_size(component.limits.memory.as_usize())
                .table_elements(MAX_TABLE_ELEMENTS)
                .trap_on_grow_failure(false)
                .build(),
            context: context.clone(),
        };
        let mut store = Store::new(loaded.instance.engine(), guest);
        store.limiter(|guest| &mut guest.limits);
        store.set_epoch_deadline(1);
        // wasmtime's own yield wakes itself at once and starves tokio's I/O driver. This one
        // goes to the back of the queue, and the deadline around the call is looked at first.
        store.epoch_deadline_callback(|_| {
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}
