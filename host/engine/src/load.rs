//! From compiled code to something that can be instantiated and called.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use ::http::uri::Authority;
use monopod_core::component::{Component, Reuse};
use monopod_core::limit::Limit;
use monopod_core::name::ComponentName;
use monopod_core::seen;
use rayon::prelude::*;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component as Code, ComponentNamedList, InstancePre, Lift, Linker, Lower};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler as p2;
use wasmtime_wasi_http::p3::bindings::exports::wasi::http::handler as p3;

use crate::account::Account;
use crate::bindings::exports::monopod::{function, graph, messaging, timers};
use crate::bindings::monopod::graph::types as values;
use crate::bindings::monopod::messaging::types as wit;
use crate::cache::{Cache, Compiled};
use crate::examine::{Problem, Refusal, imports};
use crate::guest::Guest;
use crate::instances::Pool;
use crate::lane::{Lanes, Line};
use crate::shard::Sharded;
use crate::{Error, Progress};

const P2: &str = "wasi:http/incoming-handler@0.2.12";
const P3: &str = "wasi:http/handler@0.3.0";
const FUNCTION: &str = "monopod:function/handler@0.1.0";
const MESSAGES: &str = "monopod:messaging/handler@0.1.0";
const FIELDS: &str = "monopod:graph/resolver@0.1.0";
const TIMERS: &str = "monopod:timers/handler@0.1.0";

/// A component that is ready, as one group of threads has it: their calls count themselves in and
/// out here, a dozen times each, and not where other threads do.
pub(crate) struct Loaded {
    ready: Arc<Ready>,
    /// Its name, likewise.
    pub(crate) name: ComponentName,
    /// `<name>.internal`: what requests to it are addressed to.
    pub(crate) authority: Authority,
    /// Where its calls go on that take long.
    pub(crate) line: Arc<Line>,
}

impl Loaded {
    /// One for each group of threads.
    pub(crate) fn shards(ready: Ready) -> Sharded<Arc<Self>> {
        let ready = Arc::new(ready);
        Sharded::new(|| {
            let name = ready.component.name.alone();
            // Parsed again, so that its text is its own. It was parsed before.
            let authority = ready.authority.as_str().parse().unwrap_or_else(|_| ready.authority.clone());
            Arc::new(Self { ready: ready.clone(), name, authority, line: Arc::new(ready.line.clone()) })
        })
    }
}

impl Deref for Loaded {
    type Target = Ready;

    fn deref(&self) -> &Ready {
        &self.ready
    }
}

/// A component that is ready.
pub(crate) struct Ready {
    pub(crate) component: Component,
    authority: Authority,
    /// Its settings, in the shape WASI wants them.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) instance: InstancePre<Guest>,
    pub(crate) http: Option<Http>,
    pub(crate) function: Option<function::handler::GuestIndices>,
    pub(crate) messages: Option<messaging::handler::GuestIndices>,
    pub(crate) timers: Option<timers::handler::GuestIndices>,
    pub(crate) fields: Option<graph::resolver::GuestIndices>,
    /// Where its calls run.
    pub(crate) instances: Pool,
    line: Line,
    /// What it uses up, and how its calls end.
    pub(crate) account: Account,
    /// Log lines dropped since the last that was written.
    unlogged: AtomicU64,
}

/// What a line of the log takes besides its text: time, names, ids.
const LINE: u64 = 200;

impl Ready {
    /// Whether a line of `bytes` may be logged on behalf of the component, by it or about
    /// what it tried. If not the line is counted, and their number said as soon as one may.
    pub(crate) fn may_log(&self, bytes: usize) -> bool {
        let bytes = LINE.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if !self.account.log.take(bytes, Instant::now()) {
            self.account.hit(Limit::Log);
            self.unlogged.fetch_add(1, Relaxed);
            return false;
        }
        // Looked at first: nearly always there is nothing to take.
        let unlogged = if self.unlogged.load(Relaxed) > 0 { self.unlogged.swap(0, Relaxed) } else { 0 };
        if unlogged > 0 {
            tracing::warn!(component = %self.component.name, lines = unlogged,
                why = Limit::Log.reached(&self.component.name, self.component.limits.log), "log lines were dropped");
        }
        true
    }

    /// What is seen of it now.
    pub(crate) fn seen(&self, now: Instant) -> seen::Component {
        let mut seen =
            seen::Component::new(self.component.name.clone(), self.component.version.as_str().into());
        self.account.fill(&mut seen, now);
        self.instances.places.fill(&mut seen);
        seen
    }
}

/// How a component answers requests.
pub(crate) enum Http {
    P2(p2::GuestIndices),
    P3(p3::GuestIndices),
}

/// What became of components that belong to one engine.
pub(crate) struct All {
    pub(crate) ready: Vec<(Ready, Compiled)>,
    pub(crate) refused: Vec<Refusal>,
}

/// Makes all components ready, in their order. What is cached is loaded on all cores at once;
/// what is not is compiled one after another, because the compiler uses every core for one already.
pub(crate) fn all(
    engine: &Engine,
    cache: &Cache,
    linker: &Linker<Guest>,
    lanes: &Arc<Lanes>,
    components: Vec<Component>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<All, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(cores.min(components.len()))
        .thread_name(|at| format!("load-{at}"))
        .build()
        .map_err(|error| Error::Engine(error.to_string()))?;
    let cached: Vec<Option<Code>> =
        threads.install(|| components.par_iter().map(|component| cache.cached(engine, component)).collect());
    let of = cached.iter().filter(|code| code.is_none()).count();
    let mut number = 0;
    let mut refused = Vec::new();
    let mut coded = Vec::with_capacity(components.len());
    for (component, code) in components.into_iter().zip(cached) {
        if let Some(code) = code {
            coded.push((component, code, Compiled::Cached));
            continue;
        }
        number += 1;
        progress(Progress { component: &component.name, number, of });
        match cache.compile(engine, &component) {
            Ok(code) => coded.push((component, code, Compiled::Now)),
            Err(problem) => refused.push(Refusal { component: component.name, problems: vec![problem] }),
        }
    }
    let link = |(component, code, compiled): (Component, Code, Compiled)| {
        let name = component.name.clone();
        match link(engine, linker, lanes, &code, component) {
            Ok(loaded) => Ok((loaded, compiled)),
            Err(problems) => Err(Refusal { component: name, problems }),
        }
    };
    let linked: Vec<_> = threads.install(|| coded.into_par_iter().map(link).collect());
    let mut ready = Vec::with_capacity(linked.len());
    for one in linked {
        match one {
            Ok(loaded) => ready.push(loaded),
            Err(refusal) => refused.push(refusal),
        }
    }
    Ok(All { ready, refused })
}

/// Links the code, or says everything for which it cannot be.
fn link(
    engine: &Engine,
    linker: &Linker<Guest>,
    lanes: &Arc<Lanes>,
    code: &Code,
    component: Component,
) -> Result<Ready, Vec<Problem>> {
    let outline = code.component_type();
    let refused = imports::judge(outline.imports(engine).map(|(name, _)| name), &component);
    if !refused.is_empty() {
        return Err(refused);
    }
    let instance = linker.instantiate_pre(code).map_err(|error| {
        vec![Problem::new(
            // The message names the import, and under it the function that differs.
            format!("no host offers an import in the shape it wants: {error:#}"),
            "build it against the released WIT of that package; what is offered here stands in wit/",
        )]
    })?;
    let served = Served::of(code, &instance)?;
    served.suits(engine, code, &component)?;
    let Served { http, function, messages, timers, fields } = served;
    // Names have only characters that hosts may have.
    let authority = format!("{}.internal", component.name).parse().map_err(|error| {
        vec![Problem::new(format!("its name cannot be a host's: {error}"), "give it another name")]
    })?;
    let environment = component.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if component.instances.reuse == Reuse::Concurrent {
        let name = &component.name;
        return Err(vec![Problem::new(
            "several calls at once in one instance are not served yet",
            format!("[components.{name}.instances] reuse = \"serial\""),
        )]);
    }
    let instances = Pool::new(&component);
    let line = Line::new(lanes);
    let account = Account::new(&component.limits);
    let unlogged = AtomicU64::new(0);
    Ok(Ready {
        component,
        authority,
        environment,
        instance,
        http,
        function,
        messages,
        timers,
        fields,
        instances,
        line,
        account,
        unlogged,
    })
}

/// What of its exports this host calls.
struct Served {
    http: Option<Http>,
    function: Option<function::handler::GuestIndices>,
    messages: Option<messaging::handler::GuestIndices>,
    timers: Option<timers::handler::GuestIndices>,
    fields: Option<graph::resolver::GuestIndices>,
}

impl Served {
    fn of(code: &Code, pre: &InstancePre<Guest>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut look = |interface, function, fits: fn(&Code, &ComponentFunc) -> bool| {
            let function = exported(code, interface, function)?;
            if function.as_ref().is_some_and(|function| fits(code, function)) {
                return Some(());
            }
            problems.push(Problem::new(
                format!("it exports `{interface}` in another shape than is called here"),
                "build it against the released WIT of that package; ours stands in wit/",
            ));
            None
        };
        // A component may have both; then the newer is meant.
        let p3 = look(P3, "handle", |_, function| p3_shape(function));
        let p2 = look(P2, "handle", |_, function| p2_shape(function));
        let function = look(FUNCTION, "handle", typed::<(&function::handler::Call,), Given>);
        let messages = look(MESSAGES, "handle", typed::<(&wit::Message,), (wit::Outcome,)>);
        let timers = look(TIMERS, "fire", typed::<(&timers::handler::Timer,), (wit::Outcome,)>);
        let fields = look(FIELDS, "resolve", typed::<(&graph::resolver::Field,), Resolved>);
        let http = match (p3, p2) {
            (Some(()), _) => p3::GuestIndices::new(pre).ok().map(Http::P3),
            (None, Some(())) => p2::GuestIndices::new(pre).ok().map(Http::P2),
            (None, None) => None,
        };
        let served = Self {
            http,
            function: function.and_then(|()| function::handler::GuestIndices::new(pre).ok()),
            messages: messages.and_then(|()| messaging::handler::GuestIndices::new(pre).ok()),
            timers: timers.and_then(|()| timers::handler::GuestIndices::new(pre).ok()),
            fields: fields.and_then(|()| graph::resolver::GuestIndices::new(pre).ok()),
        };
        if problems.is_empty() { Ok(served) } else { Err(problems) }
    }

    /// Whether it serves something, and all that the platform file gives it.
    fn suits(&self, engine: &Engine, code: &Code, component: &Component) -> Result<(), Vec<Problem>> {
        let requests = self.http.is_some() || self.function.is_some() || self.fields.is_some();
        if !requests && self.messages.is_none() && self.timers.is_none() {
            let outline = code.component_type();
            let names: Vec<String> = outline
                .exports(engine)
                .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
                .take(MAX_NAMED)
                .map(|(name, _)| format!("`{}`", name.escape_debug()))
                .collect();
            let found = if names.is_empty() { String::new() } else { format!(": only {}", names.join(", ")) };
            return Err(vec![Problem::new(
                format!("it exports nothing that is served here{found}"),
                format!(
                    "export wasi:http/incoming-handler@0.2, wasi:http/handler@0.3, {FUNCTION}, {MESSAGES}, {TIMERS} or {FIELDS}"
                ),
            )]);
        }
        let mut problems = Vec::new();
        let mut unhandled = |what, export| {
            problems.push(Problem::new(
                format!("it is granted {what}, but does not export {export}"),
                "export it, or remove the grant",
            ));
        };
        if !component.grants.consume.is_empty() && self.messages.is_none() {
            unhandled("topics to consume", MESSAGES);
        }
        if component.grants.timers && self.timers.is_none() {
            unhandled("timers", TIMERS);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// What a function gives back.
type Given = (Result<Vec<u8>, function::handler::Error>,);

/// What a resolver gives back: for each parent its value, or why there is none.
type Resolved = (Result<Vec<Result<values::Value, values::Problem>>, values::Problem>,);

/// How many exports a message names: enough to see what was built, few enough for a terminal.
const MAX_NAMED: usize = 10;

/// A function of an exported interface; the outer none where there is no such interface. Any
/// release of the same minor version is found.
fn exported(code: &Code, interface: &str, function: &str) -> Option<Option<ComponentFunc>> {
    let interface = code.get_export_index(None, interface)?;
    Some(match code.get_export(Some(&interface), function) {
        Some((ComponentItem::ComponentFunc(function), _)) => Some(function),
        _ => None,
    })
}

/// Whether a function has the types of our bindings.
fn typed<P, R>(code: &Code, function: &ComponentFunc) -> bool
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    function.typecheck::<P, R>(&code.component_type().instance_type()).is_ok()
}

// The resources in these two are the host's, which the linker has compared already.

fn p2_shape(function: &ComponentFunc) -> bool {
    let resources = function.params().all(|(_, kind)| matches!(kind, Type::Own(_)));
    !function.async_() && function.params().len() == 2 && resources && function.results().len() == 0
}

fn p3_shape(function: &ComponentFunc) -> bool {
    let mut params = function.params().map(|(_, kind)| kind);
    let mut results = function.results();
    let result = |kind: Type| match kind {
        Type::Result(result) => {
            matches!(result.ok(), Some(Type::Own(_))) && matches!(result.err(), Some(Type::Variant(_)))
        }
        _ => false,
    };
    function.async_()
        && matches!((params.next(), params.next()), (Some(Type::Own(_)), None))
        && results.next().is_some_and(result)
}
