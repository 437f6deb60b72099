//! The engine: runs components. The only room that knows wasmtime.
//!
//! Each invocation gets an instance of its own from a pool, a unit of work, and the
//! capabilities its component was granted; when it ends well its unit is committed,
//! otherwise nothing of it remains. `graph`, `edge` and `messaging` reach it through
//! [`monopod_core::invoke::Components`]; it reaches the store and the blobs through
//! their ports. It knows no GraphQL, no broker, no socket.

mod account;
mod allowance;
mod bindings;
mod cache;
mod capability;
mod examine;
mod guest;
mod instances;
mod invoke;
mod lane;
mod load;
mod output;
mod priority;
mod reached;
mod runtime;
mod shard;
mod ticker;

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use monopod_core::blob::Blobs;
use monopod_core::component::{Component, Reuse};
use monopod_core::name::ComponentName;
use monopod_core::outgoing::Outgoing;
use monopod_core::seen;
use monopod_core::store::Store;
use runtime::Kind;
use shard::Sharded;

pub use cache::Compiled;
pub use examine::{Bound, Problem, Refusal, bounds, check};

/// What the engine needs from its surroundings.
pub struct Settings {
    /// Where compiled code is kept between runs. Created if it is not there.
    pub cache: PathBuf,
    /// State, topics, timers.
    pub store: Arc<dyn Store>,
    /// Large objects.
    pub blobs: Arc<dyn Blobs>,
    /// Servers outside.
    pub outgoing: Arc<dyn Outgoing>,
    /// Told before each component that has to be compiled, which can take seconds.
    pub progress: Box<dyn Fn(Progress<'_>) + Send>,
}

/// A component is about to be compiled.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Which.
    pub component: &'a ComponentName,
    /// The how manieth, from 1.
    pub number: usize,
    /// Of so many that have to be.
    pub of: usize,
}

/// Why a component cannot run. The text names the component and the fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine does not give the engine what it needs.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The cache folder cannot be used.
    #[error(
        "the folder for compiled code, {path}, cannot be used: {source}\n  fix: make it writable, or start with another --state"
    )]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Components that do not run here: all of them, with everything that is wrong.
    #[error("{}", told(.0))]
    Refused(Vec<Refusal>),
}

fn told(refused: &[Refusal]) -> String {
    refused.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n")
}

/// The components that run here, ready to be called. A value of its own for each set of them: who
/// holds one calls the same components to the end.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Sharded<Arc<Shared>>>,
}

/// The engine as one group of threads has it.
struct Shared {
    all: Arc<All>,
    /// For calls from one component to another.
    this: Weak<Shared>,
}

impl Deref for Shared {
    type Target = All;

    fn deref(&self) -> &All {
        &self.all
    }
}

struct All {
    components: HashMap<ComponentName, Sharded<Arc<load::Loaded>>>,
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    outgoing: Arc<dyn Outgoing>,
    cache: PathBuf,
    ticker: Arc<ticker::Ticker>,
    threads: Arc<Threads>,
    /// Another set of components has taken its place: instances are kept no longer.
    retired: AtomicBool,
}

/// The threads of the slow lane; all sets of components share them. They end with the last.
struct Threads(Arc<lane::Lanes>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl All {
    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Gives back the instances that wait for a call.
    fn clear(&self) {
        self.components.values().for_each(|loaded| loaded.any().instances.clear());
    }
}

/// What became of one component while loading; for the start-up lines.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub component: ComponentName,
    /// Whether its code came from the cache.
    pub compiled: Compiled,
}

impl Engine {
    /// Compiles (or takes from the cache) and links every component, or refuses all at once with
    /// everything that is wrong with any. Blocks for as long as compiling takes; call it from a
    /// thread of a tokio runtime that may.
    pub fn load(settings: Settings, components: Vec<Component>) -> Result<(Self, Vec<Report>), Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = lane::Lanes::start(threads)
            .map_err(|e| Error::Engine(format!("the threads for slow calls cannot be started: {e}")))?;
        let Settings { cache, store, blobs, outgoing, progress } = settings;
        let empty = Self::of(All {
            components: HashMap::new(),
            store,
            blobs,
            outgoing,
            cache,
            ticker: Arc::new(ticker::Ticker::start()),
            threads: Arc::new(Threads(lanes)),
            retired: AtomicBool::new(false),
        });
        let (engine, reports, caches) = empty.build(components, &*progress)?;
        // Nobody waits for it, and a process that ends meanwhile has lost nothing.
        let tidy = std::thread::Builder::new().name("prune".into()).spawn(move || {
            priority::lower(priority::LOW);
            cache::prune(&caches);
        });
        if let Err(error) = tidy {
            tracing::debug!(%error, "old compiled code is not looked for");
        }
        Ok((engine, reports))
    }

    /// The same rooms with these components instead. Those that are the same go on as they are,
    /// with their circuits, counts and limits; the others are compiled and linked, or all is
    /// refused. Nothing that runs notices: what this engine was asked, it goes on to answer. The
    /// reports are of those that were loaded.
    ///
    /// Blocks like [`Engine::load`]. Once nobody is to begin anything here any more, call
    /// [`Engine::retire`].
    pub fn with(&self, components: Vec<Component>) -> Result<(Self, Vec<Report>), Error> {
        let (engine, reports, _) = self.build(components, &|_| {})?;
        Ok((engine, reports))
    }

    /// Another engine has taken this one's place: its calls end as they would have, and its
    /// instances are given back.
    pub fn retire(&self) {
        let shared = self.shared.any();
        shared.retired.store(true, Ordering::SeqCst);
        shared.clear();
    }

    fn of(all: All) -> Self {
        let all = Arc::new(all);
        let shared = || Arc::new_cyclic(|this| Shared { all: all.clone(), this: this.clone() });
        Self { shared: Arc::new(Sharded::new(shared)) }
    }

    fn build(
        &self,
        components: Vec<Component>,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(Self, Vec<Report>, Vec<cache::Cache>), Error> {
        let shared = self.shared.any();
        let mut loaded = HashMap::new();
        let mut refused = Vec::new();
        let (mut plain, mut concurrent) = (Vec::new(), Vec::new());
        for component in components {
            let running = shared.components.get(&component.name);
            if let Some(running) = running.filter(|running| same(&running.any().component, &component)) {
                loaded.insert(component.name, running.clone());
                continue;
            }
            match kind(&component) {
                Ok(Kind::Plain) => plain.push(component),
                Ok(Kind::Concurrent) => concurrent.push(component),
                Err(problem) => {
                    refused.push(Refusal { component: component.name, problems: vec![problem] });
                }
            }
        }
        let mut reports = Vec::new();
        let mut engines = Vec::new();
        let mut caches = Vec::new();
        // An engine of its own for WASI 0.3, and only where a component needs it.
        let groups = [(Kind::Plain, plain), (Kind::Concurrent, concurrent)];
        for (kind, components) in groups.into_iter().filter(|(_, components)| !components.is_empty()) {
            let engine = runtime::engine(kind, &components)?;
            let cache = cache::Cache::open(shared.cache.clone(), &engine)?;
            let linker = capability::linker(&engine, kind).map_err(|e| Error::Engine(format!("{e:#}")))?;
            let all = load::all(&engine, &cache, &linker, &shared.threads.0, components, progress)?;
            refused.extend(all.refused);
            for (component, compiled) in all.ready {
                let name = component.component.name.clone();
                reports.push(Report { component: name.clone(), compiled });
                loaded.insert(name, load::Loaded::shards(component));
            }
            engines.push(engine);
            caches.push(cache);
        }
        if !refused.is_empty() {
            refused.sort_by(|a, b| a.component.cmp(&b.component));
            return Err(Error::Refused(refused));
        }
        let reused =
            |loaded: &Sharded<Arc<load::Loaded>>| loaded.any().component.instances.reuse != Reuse::Fresh;
        let keeps = loaded.values().any(reused);
        let runtime = keeps.then(tokio::runtime::Handle::try_current).transpose();
        let runtime =
            runtime.map_err(|_| Error::Engine("it was loaded outside of a tokio runtime".to_owned()))?;
        engines.iter().for_each(|engine| shared.ticker.add(engine));
        let engine = Self::of(All {
            components: loaded,
            store: shared.store.clone(),
            blobs: shared.blobs.clone(),
            outgoing: shared.outgoing.clone(),
            cache: shared.cache.clone(),
            ticker: shared.ticker.clone(),
            threads: shared.threads.clone(),
            retired: AtomicBool::new(false),
        });
        if let Some(runtime) = runtime {
            // Ends by itself when the engine is gone, or has retired.
            runtime.spawn(instances::keep(Arc::downgrade(engine.shared.any())));
        }
        Ok((engine, reports, caches))
    }

    /// Whether a component answers fields of GraphQL in code: what its schema says with
    /// `@resolve` needs it.
    pub fn resolves(&self, component: &ComponentName) -> bool {
        self.loaded(component).is_some_and(|loaded| loaded.fields.is_some())
    }

    /// What is seen of every component now, by name. Takes microseconds for each.
    pub fn seen(&self) -> Vec<seen::Component> {
        let now = std::time::Instant::now();
        let components = &self.shared.any().components;
        let mut seen: Vec<_> = components.values().map(|loaded| loaded.any().seen(now)).collect();
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    /// Instances of a component that wait for a call.
    pub fn ready_instances(&self, component: &ComponentName) -> usize {
        self.loaded(component).map_or(0, |loaded| loaded.instances.ready())
    }

    fn loaded(&self, component: &ComponentName) -> Option<&load::Loaded> {
        Some(self.shared.any().components.get(component)?.any())
    }
}

/// Whether a component can go on as it is: nothing about how it runs is otherwise. What it adds
/// to the schema is not the engine's business, and where its file lies neither.
fn same(running: &Component, wanted: &Component) -> bool {
    let Component { name, version, wasm: _, digest, schema: _, settings, grants, limits, instances } = wanted;
    (name, version, digest) == (&running.name, &running.version, &running.digest)
        && (settings, grants) == (&running.settings, &running.grants)
        && (limits, instances) == (&running.limits, &running.instances)
}

/// Which engine a component runs in.
fn kind(component: &Component) -> Result<Kind, Problem> {
    let found = examine::scan(&examine::read(component)?, component)?;
    Ok(if found.concurrent { Kind::Concurrent } else { Kind::Plain })
}
