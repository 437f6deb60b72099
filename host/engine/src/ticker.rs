//! The clock that interrupts guests: one thread that advances the engines' epochs
//! while guests run, and sleeps when none do. One thread for all engines, whenever they come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

use crate::shard::Sharded;

/// How often a running guest gives way to its neighbours. At 1 ms the ticker costs
/// 2 % of one core while guests run; at 250 us it would cost 9 %.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// How many ticks without a guest until the thread sleeps: waking it for every
/// single call would cost more than ticking on for a moment.
const IDLE_TICKS: u32 = 50;

pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Option<Thread>,
}

struct State {
    /// Weak: one whose components are all gone is gone.
    engines: Mutex<Vec<EngineWeak>>,
    running: Sharded<AtomicUsize>,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State {
            engines: Mutex::default(),
            running: Sharded::new(|| AtomicUsize::new(0)),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let shared = state.clone();
        let spawned = std::thread::Builder::new().name("epoch".into()).spawn(move || run(&shared));
        let thread = match spawned {
            Ok(handle) => Some(handle.thread().clone()),
            // Without it guests are not interrupted, but calls still end at their deadline
            // whenever they wait for something.
            Err(error) => {
                tracing::error!(%error, "the epoch thread could not be started");
                None
            }
        };
        Self { state, thread }
    }

    /// Advances this engine too from now on.
    pub(crate) fn add(&self, engine: &Engine) {
        self.state.engines().push(engine.weak());
    }

    /// Counts a running guest until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let running = self.state.running.mine();
        running.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
        Running(running)
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.running.iter().any(|running| running.load(Ordering::SeqCst) > 0)
    }

    fn engines(&self) -> std::sync::MutexGuard<'_, Vec<EngineWeak>> {
        // A panic while it was held left the list as it was.
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        self.engines().retain(|engine| {
            let engine = engine.upgrade();
            engine.as_ref().inspect(|engine| engine.increment_epoch()).is_some()
        });
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// Ends where it began: no shard is below zero, and none that counts a guest looks idle.
pub(crate) struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn run(state: &State) {
    let mut idle = 0;
    while !state.stop.load(Ordering::SeqCst) {
        std::thread::park_timeout(TICK);
        if state.is_busy() {
            state.tick();
            idle = 0;
            continue;
        }
        idle += 1;
        if idle < IDLE_TICKS {
            continue;
        }
        // Announced first, looked at again after: a call that begins between the two either
        // sees `asleep` and wakes the thread, or is seen here.
        state.asleep.store(true, Ordering::SeqCst);
        if !state.is_busy() && !state.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        state.asleep.store(false, Ordering::SeqCst);
        idle = 0;
    }
}
