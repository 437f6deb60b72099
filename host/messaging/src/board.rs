//! The notice board: live topics for watchers. The writer pins a message up once; every
//! watcher of its topic reads it from there at its own pace.
//!
//! There is no queue per watcher: a topic that is watched keeps its latest messages in
//! one ring, and a watcher is a position in it. So ten thousand watchers cost a position
//! each, a slow one holds nobody and no memory, and is told how many messages passed it
//! by. Waking many watchers takes a while, so the writer only hands over whom to wake;
//! the fan-out task (see [`Board::fan_out`]) wakes them.
//!
//! Not here: who may see a message. A watcher filters for itself.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use monopod_core::event::Event;
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use tokio::sync::Notify;

use crate::lock;

/// How many messages of a topic a watcher may fall behind: several seconds of the
/// greatest rate one writer commits.
const RING: usize = 1_024;

/// And how many bytes: what a topic of large messages may hold in memory. One message
/// stays in any case.
const RING_BYTES: usize = 4 << 20;

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
    topics: HashMap<TopicName, Topic>,
    /// Numbers the messages over all topics: their commit order.
    at: u64,
    /// Numbers the watchers.
    watchers: u64,
    /// How many of them there are.
    live: u64,
    /// Whom the fan-out task shall wake, one map for each message.
    due: Vec<HashMap<u64, Waker>>,
    closed: bool,
}

/// A topic somebody watches. It goes with its last watcher.
#[derive(Default)]
struct Topic {
    watchers: usize,
    ring: VecDeque<(u64, Arc<Message>)>,
    /// The index, counted from the topic's first message on, of the ring's first entry.
    first: u64,
    bytes: usize,
    /// Watchers that have read everything.
    waiting: HashMap<u64, Waker>,
}

impl Topic {
    fn next(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    fn push(&mut self, at: u64, message: &Arc<Message>) {
        self.bytes += message.payload.len();
        self.ring.push_back((at, Arc::clone(message)));
        while self.ring.len() > RING || (self.bytes > RING_BYTES && self.ring.len() > 1) {
            if let Some((_, gone)) = self.ring.pop_front() {
                self.bytes -= gone.payload.len();
                self.first += 1;
            }
        }
    }

    fn get(&self, index: u64) -> Option<&(u64, Arc<Message>)> {
        self.ring.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }
}

impl Board {
    /// Pins a message up. Called on the writer's thread, in commit order: takes a lock
    /// that nobody holds for longer than one message takes.
    pub(crate) fn publish(&self, message: &Arc<Message>) {
        let mut state = lock(&self.state);
        let at = state.at;
        let Some(topic) = state.topics.get_mut(&message.topic) else { return };
        topic.push(at, message);
        let waiting = std::mem::take(&mut topic.waiting);
        state.at += 1;
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
        let waiting: Vec<_> =
            state.topics.values_mut().map(|topic| std::mem::take(&mut topic.waiting)).collect();
        state.due.extend(waiting);
        drop(state);
        self.posted.notify_one();
    }

    /// How many watchers there are now.
    pub(crate) fn watching(&self) -> u64 {
        lock(&self.state).live
    }

    /// Watches `topics` from this moment on.
    pub(crate) fn watch(self: &Arc<Self>, topics: &[TopicName]) -> Watch {
        let mut state = lock(&self.state);
        state.watchers += 1;
        state.live += 1;
        let id = state.watchers;
        let mut places: Vec<Place> = Vec::with_capacity(topics.len());
        for name in topics {
            if places.iter().any(|place| place.topic == *name) {
                continue;
            }
            let topic = state.topics.entry(name.clone()).or_default();
            topic.watchers += 1;
            places.push(Place { topic: name.clone(), next: topic.next() });
        }
        drop(state);
        Watch { board: Arc::clone(self), id, places }
    }
}

/// How far a watcher has read a topic.
struct Place {
    topic: TopicName,
    next: u64,
}

/// A watcher's stream. Dropping it ends the watch.
pub(crate) struct Watch {
    board: Arc<Board>,
    id: u64,
    places: Vec<Place>,
}

/// The next event of these places, if there is one: the oldest over all topics.
fn next(state: &State, places: &mut [Place]) -> Option<Event> {
    let mut missed = 0;
    let mut oldest: Option<(u64, &mut u64, &Arc<Message>)> = None;
    for place in places {
        let Some(topic) = state.topics.get(&place.topic) else { continue };
        missed += topic.first.saturating_sub(place.next);
        place.next = place.next.max(topic.first);
        if let Some((at, message)) = topic.get(place.next)
            && oldest.as_ref().is_none_or(|(oldest, ..)| at < oldest)
        {
            oldest = Some((*at, &mut place.next, message));
        }
    }
    if missed > 0 {
        return Some(Event::Lagged(missed));
    }
    let (_, next, message) = oldest?;
    *next += 1;
    Some(Event::Published(Arc::clone(message)))
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        let mut state = lock(&this.board.state);
        if let Some(event) = next(&state, &mut this.places) {
            return Poll::Ready(Some(event));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        // Under the same lock as the look above: nothing can be pinned up in between.
        for place in &this.places {
            if let Some(topic) = state.topics.get_mut(&place.topic) {
                topic.waiting.insert(this.id, cx.waker().clone());
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
            let Some(topic) = state.topics.get_mut(&place.topic) else { continue };
            topic.waiting.remove(&self.id);
            topic.watchers = topic.watchers.saturating_sub(1);
            if topic.watchers == 0 {
                state.topics.remove(&place.topic);
            }
        }
    }
}
