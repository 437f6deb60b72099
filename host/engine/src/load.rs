//! From compiled code to something that can be instantiated and called.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use ::http::uri::Authority;
use monopod_core::component::Component;
use monopod_core::limit::Limit;
use monopod_core::seen;
use rayon::prelude::*;
use wasmtime::Engine;
use wasmtime::component::{Component as Code, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler as http;

use crate::account::Account;
use crate::bindings::exports::monopod::{function, graph, messaging, timers};
use crate::cache::{Cache, Compiled};
use crate::guest::Guest;
use crate::instances::Places;
use crate::{Error, Progress};

/// A component that is ready.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    /// `<name>.internal`: what requests to it are addressed to.
    pub(crate) authority: Authority,
    /// Its settings, in the shape WASI wants them.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) instance: InstancePre<Guest>,
    pub(crate) http: Option<http::GuestIndices>,
    pub(crate) function: Option<function::handler::GuestIndices>,
    pub(crate) messages: Option<messaging::handler::GuestIndices>,
    pub(crate) timers: Option<timers::handler::GuestIndices>,
    pub(crate) fields: Option<graph::resolver::GuestIndices>,
    /// Where its calls run.
    pub(crate) places: Places,
    /// What it uses up, and how its calls end.
    pub(crate) account: Account,
    /// Log lines dropped since the last that was written.
    unlogged: AtomicU64,
}

/// What a line of the log takes besides its text: time, names, ids.
const LINE: u64 = 200;

impl Loaded {
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
        self.places.fill(&mut seen);
        seen
    }
}

/// Makes all components ready, in their order. What is cached is loaded on all cores at once;
/// what is not is compiled one after another, because the compiler uses every core for one already.
pub(crate) fn all(
    engine: &Engine,
    cache: &Cache,
    linker: &Linker<Guest>,
    components: Vec<Component>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Vec<(Loaded, Compiled)>, Error> {
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
    let mut ready = Vec::with_capacity(components.len());
    for (component, code) in components.into_iter().zip(cached) {
        ready.push(match code {
            Some(code) => (component, code, Compiled::Cached),
            None => {
                number += 1;
                progress(Progress { component: &component.name, number, of });
                let code = cache.compile(engine, &component)?;
                (component, code, Compiled::Now)
            }
        });
    }
    let link = |(component, code, compiled)| Ok((link(linker, code, component)?, compiled));
    threads.install(|| ready.into_par_iter().map(link).collect())
}

fn link(linker: &Linker<Guest>, code: Code, component: Component) -> Result<Loaded, Error> {
    let instance = linker.instantiate_pre(&code).map_err(|e| Error::Invalid {
        component: component.name.clone(),
        reason: format!(
            "{e:#}\n  fix: no host capability of that name and shape is offered; see wit/ for those that are"
        ),
    })?;
    // An export that is missing or of another shape is an error of `new`; of another
    // shape with the right name never gets past the linker's type check of its imports,
    // so missing is all it can mean.
    let http = http::GuestIndices::new(&instance).ok();
    let function = function::handler::GuestIndices::new(&instance).ok();
    let messages = messaging::handler::GuestIndices::new(&instance).ok();
    let timers = timers::handler::GuestIndices::new(&instance).ok();
    let fields = graph::resolver::GuestIndices::new(&instance).ok();

    if http.is_none() && function.is_none() && messages.is_none() && timers.is_none() && fields.is_none() {
        return Err(Error::NothingServed(component.name));
    }
    let no_handler = |what, export| Error::NoHandler { component: component.name.clone(), what, export };
    if !component.grants.consume.is_empty() && messages.is_none() {
        return Err(no_handler("topics to consume", "monopod:messaging/handler@0.1.0"));
    }
    if component.grants.timers && timers.is_none() {
        return Err(no_handler("timers", "monopod:timers/handler@0.1.0"));
    }
    // Names have only characters that hosts may have.
    let authority = format!("{}.internal", component.name)
        .parse()
        .map_err(|error| Error::Engine(format!("component `{}`: {error}", component.name)))?;
    let environment = component.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let places = Places::new(component.limits.concurrency);
    let account = Account::new(&component.limits);
    let unlogged = AtomicU64::new(0);
    Ok(Loaded {
        component,
        authority,
        environment,
        instance,
        http,
        function,
        messages,
        timers,
        fields,
        places,
        account,
        unlogged,
    })
}
