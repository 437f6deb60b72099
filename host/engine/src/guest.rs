//! The store's data while a guest runs: what belongs to its instance, and what to the call it is in.

use std::sync::Arc;
use std::time::Instant;

use monopod_core::component::Limits;
use monopod_core::context::Context;
use monopod_core::limit::{HOST_CALL, Limit, RANDOM};
use monopod_core::name::ComponentName;
use monopod_core::unit::{Cause, Unit};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::Shared;
use crate::account;
use crate::allowance::Allowance;
use crate::capability::http::Outgoing;
use crate::invoke::Reply;
use crate::lane::{self, Tick};
use crate::load::Loaded;
use crate::output::{Input, Output};
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
    /// The response that the unit waits for, or that waits for it; none for messages and timers.
    pub(crate) reply: Option<Arc<Reply>>,
    /// Ticks that found the call at work.
    ticks: u32,
    /// Keys at which pages of a listing ended, by the numbers the guest knows them under.
    pub(crate) cursors: Vec<String>,
    logs: Output,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    pub(crate) allowance: Allowance,
}

impl Guest {
    /// A store for an instance that begins with this call.
    pub(crate) fn store(
        shared: &Arc<Shared>,
        loaded: &Arc<Loaded>,
        context: Context,
        cause: Cause,
    ) -> Store<Self> {
        let component = &loaded.component;
        let limits = &component.limits;
        let stdin = Input::default();
        let stdout = Output::new(loaded.clone(), &context, "stdout");
        let stderr = Output::new(loaded.clone(), &context, "stderr");
        let mut wasi = WasiCtx::builder();
        wasi.stdin(stdin.clone())
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .max_random_size(RANDOM.get())
            .envs(&loaded.environment);
        let mut table = ResourceTable::new();
        table.set_max_capacity(many(limits.handles));
        let guest = Self {
            shared: shared.clone(),
            loaded: loaded.clone(),
            unit: unit(loaded.name.clone(), cause, &context),
            unit_size: 0,
            unit_reads: 0,
            host_calls: 0,
            reply: None,
            ticks: 0,
            cursors: Vec::new(),
            logs: Output::new(loaded.clone(), &context, "log"),
            stdin,
            stdout,
            stderr,
            wasi: wasi.build(),
            table,
            http: fields(limits),
            outgoing: Outgoing::new(shared, loaded, &context),
            allowance: Allowance::new(loaded.clone()),
            context,
        };
        let mut store = Store::new(loaded.instance.engine(), guest);
        store.limiter(|guest| &mut guest.allowance);
        store.set_max_component_handles(many(limits.handles));
        store.set_hostcall_fuel(HOST_CALL.as_usize());
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| store.data_mut().tick());
        store
    }

    /// Makes an instance that has served before ready for its next call, which may be the first
    /// since other components took the place of those around it.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>, context: Context, cause: Cause) {
        if !Arc::ptr_eq(&self.shared, shared) {
            self.shared = shared.clone();
        }
        self.unit = unit(self.loaded.name.clone(), cause, &context);
        self.unit_size = 0;
        self.unit_reads = 0;
        self.host_calls = 0;
        self.reply = None;
        self.ticks = 0;
        self.cursors.clear();
        self.logs.begin(&context);
        self.stdout.begin(&context);
        self.stderr.begin(&context);
        self.outgoing.begin(shared, &context);
        self.context = context;
    }

    /// Ends a call: its unit of work, and whether nothing else of it is left in the host. The
    /// streams of its standard input and output are the instance's own and may stay open.
    pub(crate) fn end(&mut self) -> (Unit, bool) {
        let name = self.loaded.name.clone();
        let unit = std::mem::replace(&mut self.unit, unit(name, Cause::Request, &self.context));
        self.reply = None;
        self.logs.end();
        self.stdout.end();
        self.stderr.end();
        let (mut inputs, mut outputs) = (self.stdin.open(), self.stdout.open() + self.stderr.open());
        let left = self.table.iter_mut().find(|entry| {
            // Others of these types are bodies; then there are more than standard streams are open.
            // A pollable has a parent, which cannot go before it and is looked at itself.
            if entry.is::<DynPollable>() {
                return false;
            }
            let own = if entry.is::<DynInputStream>() {
                &mut inputs
            } else if entry.is::<DynOutputStream>() {
                &mut outputs
            } else {
                return true;
            };
            let more = own.checked_sub(1);
            *own = more.unwrap_or_default();
            more.is_none()
        });
        (unit, left.is_none())
    }

    /// Looked at with each tick while the guest runs: whether it may go on here, and how long it
    /// must wait before because its component has used up its share of the processors.
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let limits = &self.loaded.component.limits;
        if account::tick() > limits.cpu {
            return Err(self.reached(Limit::Cpu, format_args!("{:?}", limits.cpu)).into());
        }
        if self.host_calls > limits.host_calls {
            return Err(self.reached(Limit::HostCalls, limits.host_calls).into());
        }
        let tick = lane::tick(&mut self.ticks);
        if let Some(wait) = self.loaded.account.share.wait(Instant::now()) {
            self.loaded.account.hit(Limit::CpuShare);
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(wait))));
        }
        Ok(match tick {
            Tick::Continue => UpdateDeadline::Continue(1),
            // wasmtime's own yield wakes itself at once and starves tokio's I/O driver. This one
            // goes to the back of the queue, and the deadline around the call is looked at first.
            Tick::Yield => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
        })
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

    /// A line of the component's log. `level` is one of those a printed line may begin with.
    pub(crate) fn log(&self, level: &str, text: &str) {
        // One line, whatever the guest put into it: the next would have no level.
        let text = text.replace(['\n', '\r'], " ");
        self.logs.print(format!("{level}: {text}\n").as_bytes());
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

fn unit(component: ComponentName, cause: Cause, context: &Context) -> Unit {
    let owner = context.principal.owner().cloned();
    Unit::new(component, cause, context.correlation.clone(), context.trace, owner)
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
