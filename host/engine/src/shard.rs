//! Things that every call touches, once for each group of threads. A count that two threads write
//! travels between their processors with every write, which takes as long as all else together
//! that the host does for a call.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Shards at most: more would cost memory for each component, and more than eight cores
/// that call one component at the same nanosecond are rare.
const MOST: usize = 8;

/// One value for each group of threads.
#[derive(Clone)]
pub(crate) struct Sharded<T> {
    first: Alone<T>,
    more: Box<[Alone<T>]>,
}

/// On cache lines of its own: processors fetch two at once.
#[repr(align(128))]
#[derive(Clone)]
struct Alone<T>(T);

impl<T> Sharded<T> {
    /// As many as are worth it on this machine: a power of two, so that a remainder is a mask.
    pub(crate) fn new(mut make: impl FnMut() -> T) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = cores.next_power_of_two().min(MOST);
        let first = Alone(make());
        Self { first, more: std::iter::repeat_with(make).take(shards - 1).map(Alone).collect() }
    }

    /// That of this thread.
    pub(crate) fn mine(&self) -> &T {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            // Threads take turns: two I/O workers never have the same.
            static MINE: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let mine = MINE.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Relaxed);
            MINE.set(Some(next));
            next
        });
        match mine & self.more.len() {
            0 => &self.first.0,
            at => self.more.get(at - 1).map_or(&self.first.0, |alone| &alone.0),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.more).map(|alone| &alone.0)
    }

    /// Any: for what is the same in all.
    pub(crate) fn any(&self) -> &T {
        &self.first.0
    }
}
