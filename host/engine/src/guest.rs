//! What belongs to one invocation: the store's data while a guest runs.

use std::sync::Arc;

use std::time::{Duration, Instant};

use monopod_core::component::Limits;
use monopod_core::context::Context;
use monopod_core::limit::{HOST_CALL, Limit, RANDOM};
use monopod_core::unit::{Cause, Unit};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::Shared;
use crate::account;
use crate::allowance::Allowance;
use crate::capability::http::Outgoing;
use crate::load::Loaded;
use crate::output::Output;
use crate::reached::Reached;

/// What a header takes in memory besides its name and value, as wasmtime counts it: the
/// bound it enforces while headers are made must not be below ours, which counts the text.
const HEADER_OVERHEAD: usize = 256;

pub(crate) struct Guest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) context: Context,
    pub(crate) unit: Unit,
    /// Bytes the unit holds so far.
    pub(crate) unit_size: usize,
    /// Keys the unit has read so far, scans included.
    pub(crate) unit_reads: u32,
    /// Calls to the host so far.
    host_calls: u32,
    /// Keys at which pages of a listing ended, by the numbers the guest knows them under.
    pub(crate) cursors: Vec<String>,
    logs: Output,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    pub(crate) allowance: Allowance,
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
        let limits = &component.limits;
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Output::new(loaded.clone(), context, "stdout"))
            .stderr(Output::new(loaded.clone(), context, "stderr"))
            .max_random_size(RANDOM.get())
            .envs(&loaded.environment);
        let mut table = ResourceTable::new();
        table.set_max_capacity(many(limits.handles));
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
            unit_reads: 0,
            host_calls: 0,
            cursors: Vec::new(),
            logs: Output::new(loaded.clone(), context, "log"),
            wasi: wasi.build(),
            table,
            http: fields(limits),
            outgoing: Outgoing::new(shared, loaded, context),
            allowance: Allowance::new(loaded.clone()),
            context: context.clone(),
        };
        let mut store = Store::new(loaded.instance.engine(), guest);
        store.limiter(|guest| &mut guest.allowance);
        store.set_max_component_handles(many(limits.handles));
        store.set_hostcall_fuel(HOST_CALL.as_usize());
        store.set_epoch_deadline(1);
        // wasmtime's own yield wakes itself at once and starves tokio's I/O driver. This one
        // goes to the back of the queue, and the deadline around the call is looked at first.
        store.epoch_deadline_callback(|mut store| {
            let pause: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = match store.data_mut().tick()? {
                None => Box::pin(tokio::task::yield_now()),
                Some(wait) => Box::pin(tokio::time::sleep(wait)),
            };
            Ok(UpdateDeadline::YieldCustom(1, pause))
        });
        store
    }

    /// Looked at with each tick while the guest runs: whether it may go on, and how long it
    /// must wait before because its component has used up its share of the processors.
    fn tick(&mut self) -> Result<Option<Duration>, Reached> {
        let limits = &self.loaded.component.limits;
        if account::tick() > limits.cpu {
            return Err(self.reached(Limit::Cpu, format_args!("{:?}", limits.cpu)));
        }
        if self.host_calls > limits.host_calls {
            return Err(self.reached(Limit::HostCalls, limits.host_calls));
        }
        let wait = self.loaded.account.share.wait(Instant::now());
        if wait.is_some() {
            self.loaded.account.hit(Limit::CpuShare);
        }
        Ok(wait)
    }

    /// Counts a limit that was reached, and says so as the error that ends the call.
    pub(crate) fn reached(&self, limit: Limit, max: impl std::fmt::Display) -> Reached {
        self.loaded.account.hit(limit);
        Reached::new(limit, &self.loaded.component.name, max)
    }

    /// Counts a call to the host. What it is too many for ends with the next tick.
    pub(crate) fn called(&mut self) -> &mut Self {
        self.host_calls = self.host_calls.saturating_add(1);
        self
    }
}

fn many(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn fields(limits: &Limits) -> WasiHttpCtx {
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(limits.header_size.as_usize() + many(limits.headers) * HEADER_OVERHEAD);
    http
}

impl Guest {
    /// A line of the component's log. `level` is one of those a printed line may begin with.
    pub(crate) fn log(&self, level: &str, text: &str) {
        // One line, whatever the guest put into it: the next would have no level.
        let text = text.replace(['\n', '\r'], " ");
        self.logs.print(format!("{level}: {text}\n").as_bytes());
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.called();
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.called();
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}
