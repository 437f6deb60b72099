//! The notice board: live topics for watchers. The writer pins a message up once; every
//! watcher of its topic reads it from there at its own pace.
//!
//! There is no queue per watcher: a topic that somebody watches keeps the latest messages of that
//! somebody's actions in one ring, and a watcher is a position in it. So ten thousand watchers
//! cost a position each, a message wakes nobody but watchers of its owner, a slow one holds
//! nobody and bounded memory, and is told how many messages passed it by. Waking many watchers
//! takes a while, so the writer only hands over whom to wake; the fan-out task (see
//! [`Board::fan_out`]) wakes them.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use monopod_core::event::Event;
use monopod_core::identity::Owner;
use monopod_core::limit::watchers;
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use monopod_core::topics::Stored;
use tokio::sync::Notify;

use crate::lock;

// As numbers that collections count in.
const RING: usize = watchers::RING as usize;
const RING_BYTES: usize = watchers::RING_BYTES.as_usize();
const ALL_BYTES: usize = watchers::ALL_BYTES.as_usize();

/// A ring that was read to its end and had more places than this gives them back.
const IDLE_PLACES: usize = 16;

/// How many watchers are woken before other tasks get their turn.
const WAKE_AT_ONCE: usize = 256;

/// The topics that are watched, and by whom.
#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// There is somebody to wake.
    posted: Notify,
}

#[derive(Default)]
struct State {
    rings: HashMap<Owner, HashMap<TopicName, Ring>>,
    /// The payloads in all rings.
    bytes: usize,
    /// Numbers the watchers.
    watchers: u64,
    /// How many of them there are.
    live: u64,
    /// Whom the fan-out task shall wake, one map for each message.
    due: Vec<HashMap<u64, Waker>>,
    closed: bool,
}

/// A topic that somebody watches, for one user. It goes with its last watcher.
#[derive(Default)]
struct Ring {
    watchers: usize,
    kept: VecDeque<Stored>,
    /// The index, counted from the ring's first message on, of the first that is kept.
    first: u64,
    bytes: usize,
    /// Watchers that have read everything: a message takes all of them out.
    waiting: HashMap<u64, Waker>,
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn push(&mut self, stored: Stored, all: &mut usize) {
        let bytes = stored.message.payload.len();
        self.bytes += bytes;
        *all += bytes;
        self.kept.push_back(stored);
        while self.kept.len() > 1 && (self.kept.len() > RING || self.bytes > RING_BYTES || *all > ALL_BYTES) {
            self.drop_first(all);
        }
    }

    fn drop_first(&mut self, all: &mut usize) {
        if let Some(gone) = self.kept.pop_front() {
            self.bytes -= gone.message.payload.len();
            *all = all.saturating_sub(gone.message.payload.len());
            self.first += 1;
        }
    }

    /// Forgets what everybody has read.
    fn settle(&mut self, all: &mut usize) {
        if self.waiting.len() < self.watchers {
            return;
        }
        while !self.kept.is_empty() {
            self.drop_first(all);
        }
        if self.kept.capacity() > IDLE_PLACES {
            self.kept = VecDeque::new();
        }
    }

    fn get(&self, index: u64) -> Option<&Stored> {
        self.kept.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }
}

impl State {
    fn ring(&mut self, owner: &Owner, topic: &TopicName) -> Option<(&mut Ring, &mut usize)> {
        let ring = self.rings.get_mut(owner)?.get_mut(topic)?;
        Some((ring, &mut self.bytes))
    }
}

impl Board {
    /// Pins a message up. Called on the writer's thread, in commit order: takes a lock
    /// that nobody holds for longer than one message takes. What nobody began is for nobody.
    pub(crate) fn publish(&self, sequence: u64, message: &Arc<Message>) {
        let Some(owner) = &message.owner else { return };
        let mut state = lock(&self.state);
        let Some((ring, all)) = state.ring(owner, &message.topic) else { return };
        ring.push(Stored { sequence, message: Arc::clone(message) }, all);
        let waiting = std::mem::take(&mut ring.waiting);
        if !waiting.is_empty() {
            state.due.push(waiting);
            drop(state);
            self.posted.notify_one();
        }
    }

    /// Wakes watchers until the board is closed. One task runs it.
    pub(crate) async fn fan_out(&self) {
        loop {
            let (due, closed) = {
                let mut state = lock(&self.state);
                (std::mem::take(&mut state.due), state.closed)
            };
            for (n, waker) in due.into_iter().flat_map(HashMap::into_values).enumerate() {
                waker.wake();
                if n % WAKE_AT_ONCE == WAKE_AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            if closed {
                return;
            }
            self.posted.notified().await;
        }
    }

    /// Ends every watcher's stream once it has read what is there.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let rings = state.rings.values_mut().flat_map(HashMap::values_mut);
        let waiting: Vec<_> = rings.map(|ring| std::mem::take(&mut ring.waiting)).collect();
        state.due.extend(waiting);
        drop(state);
        self.posted.notify_one();
    }

    /// How many watchers there are now.
    pub(crate) fn watching(&self) -> u64 {
        lock(&self.state).live
    }

    /// Watches `topics` from this moment on, for what `owner` began.
    pub(crate) fn watch(self: &Arc<Self>, topics: &[TopicName], owner: &Owner) -> Watch {
        let mut state = lock(&self.state);
        state.watchers += 1;
        state.live += 1;
        let id = state.watchers;
        let mut places: Vec<Place> = Vec::with_capacity(topics.len());
        let rings = state.rings.entry(owner.clone()).or_default();
        for name in topics {
            if places.iter().any(|place| place.topic == *name) {
                continue;
            }
            let ring = rings.entry(name.clone()).or_default();
            ring.watchers += 1;
            places.push(Place { topic: name.clone(), next: ring.next() });
        }
        drop(state);
        Watch { board: Arc::clone(self), id, owner: owner.clone(), places }
    }
}

/// How far a watcher has read a ring.
struct Place {
    topic: TopicName,
    next: u64,
}

/// A watcher's stream. Dropping it ends the watch.
pub(crate) struct Watch {
    board: Arc<Board>,
    id: u64,
    owner: Owner,
    places: Vec<Place>,
}

/// The next event of these places, if there is one: the oldest over all topics.
fn next(rings: &HashMap<TopicName, Ring>, places: &mut [Place]) -> Option<Event> {
    let mut missed = 0;
    let mut oldest: Option<(&mut u64, &Stored)> = None;
    for place in places {
        let Some(ring) = rings.get(&place.topic) else { continue };
        missed += ring.first.saturating_sub(place.next);
        place.next = place.next.max(ring.first);
        if let Some(stored) = ring.get(place.next)
            && oldest.as_ref().is_none_or(|(_, oldest)| stored.sequence < oldest.sequence)
        {
            oldest = Some((&mut place.next, stored));
        }
    }
    if missed > 0 {
        return Some(Event::Lagged(missed));
    }
    let (next, stored) = oldest?;
    *next += 1;
    Some(Event::Published(stored.clone()))
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        let mut state = lock(&this.board.state);
        let event = state.rings.get(&this.owner).and_then(|rings| next(rings, &mut this.places));
        if let Some(event) = event {
            return Poll::Ready(Some(event));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        // Under the same lock as the look above: nothing can be pinned up in between.
        for place in &this.places {
            if let Some((ring, all)) = state.ring(&this.owner, &place.topic) {
                ring.waiting.insert(this.id, cx.waker().clone());
                ring.settle(all);
            }
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = lock(&self.board.state);
        state.live = state.live.saturating_sub(1);
        for place in &self.places {
            let Some((ring, all)) = state.ring(&self.owner, &place.topic) else { continue };
            ring.waiting.remove(&self.id);
            ring.watchers = ring.watchers.saturating_sub(1);
            ring.settle(all);
            if ring.watchers == 0
                && let Some(rings) = state.rings.get_mut(&self.owner)
            {
                rings.remove(&place.topic);
            }
        }
        if state.rings.get(&self.owner).is_some_and(HashMap::is_empty) {
            state.rings.remove(&self.owner);
        }
    }
}
