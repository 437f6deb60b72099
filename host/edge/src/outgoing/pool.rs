//! Connections that wait for their next request. Each component has its own: a server that
//! takes a connection for a login never meets another component on it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hyper::client::conn::{http1, http2};
use monopod_core::Body;
use monopod_core::name::ComponentName;
use monopod_core::outgoing::{Destination, Error, Network};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::limits::{AGE, CONNECTIONS, IDLE, SETTLE, STREAMS, WAITING};

/// Which connections are alike: to the same server, by the same right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) destination: Destination,
    pub(super) networks: Arc<[Network]>,
}

/// How a request goes into a connection.
pub(super) enum Sender {
    /// HTTP/1.1: one after another.
    One(http1::SendRequest<Body>),
    /// HTTP/2: many at once; they are counted.
    Many(http2::SendRequest<Body>, Arc<()>),
}

impl Sender {
    pub(super) fn many(sender: http2::SendRequest<Body>) -> Self {
        Self::Many(sender, Arc::new(()))
    }
}

pub(super) struct Pool {
    lanes: Mutex<HashMap<ComponentName, Arc<Lane>>>,
    open: Arc<AtomicUsize>,
    runtime: Handle,
}

/// The connections of one component.
pub(super) struct Lane {
    /// How many it may have.
    most: u32,
    waiting: AtomicUsize,
    kept: Mutex<Kept>,
    /// A connection was given back or has ended.
    freed: Notify,
    /// Those of all components.
    all: Arc<AtomicUsize>,
    runtime: Handle,
}

#[derive(Default)]
struct Kept {
    open: u32,
    one: HashMap<Key, Vec<Idle>>,
    many: HashMap<Key, Shared>,
    /// Whether a task looks after them.
    swept: bool,
}

struct Idle {
    sender: http1::SendRequest<Body>,
    opened: Instant,
    since: Instant,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    streams: Arc<()>,
    opened: Instant,
    used: Instant,
}

/// The right to one connection. Dropped when it has ended.
pub(super) struct Place(Arc<Lane>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.all.fetch_sub(1, Ordering::Relaxed);
        self.0.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

/// A connection for one request.
pub(super) struct Lease {
    lane: Arc<Lane>,
    key: Key,
    opened: Instant,
    /// Whether nothing was sent over it yet.
    pub(super) fresh: bool,
    /// Whether it may be used again.
    pub(super) keep: bool,
    pub(super) sender: Sender,
}

/// What there is for a request.
pub(super) enum Found {
    /// A connection that waits.
    Kept(Lease),
    /// Room for a new one.
    Room(Place),
}

impl Pool {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { lanes: Mutex::default(), open: Arc::default(), runtime }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The connections of `component`, of which there may be `most`.
    pub(super) fn lane(&self, component: &ComponentName, most: u32) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(component).filter(|lane| lane.most == most) {
            return lane.clone();
        }
        let lane = Arc::new(Lane {
            most,
            waiting: AtomicUsize::new(0),
            kept: Mutex::default(),
            freed: Notify::new(),
            all: self.open.clone(),
            runtime: self.runtime.clone(),
        });
        lanes.insert(component.clone(), lane.clone());
        lane
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection or room for one, waiting for it if need be. With `fresh` none that was used.
    /// Cancel-safe.
    pub(super) async fn find(self: &Arc<Self>, key: &Key, fresh: bool) -> Result<Found, Error> {
        if let Some(found) = self.take(key, fresh)? {
            return Ok(found);
        }
        let _waiting = Waiting::enter(self).ok_or(Error::Connections(self.most))?;
        loop {
            let mut freed = pin!(self.freed.notified());
            // Listened to before looking, so that nothing is missed in between.
            freed.as_mut().enable();
            if let Some(found) = self.take(key, fresh)? {
                return Ok(found);
            }
            freed.await;
        }
    }

    fn take(self: &Arc<Self>, key: &Key, fresh: bool) -> Result<Option<Found>, Error> {
        let mut kept = self.lock();
        if !fresh && let Some((sender, opened)) = kept.take(key) {
            let (lane, key) = (self.clone(), key.clone());
            return Ok(Some(Found::Kept(Lease { lane, key, opened, fresh: false, keep: true, sender })));
        }
        if kept.open >= self.most {
            // The place of one that waits is free as soon as its task has seen that nobody
            // holds it any more.
            kept.evict();
            return Ok(None);
        }
        if self.all.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Connections(u32::try_from(CONNECTIONS).unwrap_or(u32::MAX)));
        }
        kept.open += 1;
        Ok(Some(Found::Room(Place(self.clone()))))
    }

    /// A new connection for the request that made it, and for others if it takes many.
    pub(super) fn opened(self: &Arc<Self>, key: &Key, sender: Sender) -> Lease {
        let opened = Instant::now();
        if let Sender::Many(sender, streams) = &sender {
            let shared = Shared { sender: sender.clone(), streams: streams.clone(), opened, used: opened };
            self.lock().many.insert(key.clone(), shared);
            self.sweep();
            self.freed.notify_waiters();
        }
        Lease { lane: self.clone(), key: key.clone(), opened, fresh: true, keep: true, sender }
    }

    /// A new connection for one request and no other.
    pub(super) fn alone(self: &Arc<Self>, key: &Key, sender: Sender) -> Lease {
        let opened = Instant::now();
        Lease { lane: self.clone(), key: key.clone(), opened, fresh: true, keep: false, sender }
    }

    /// Sees to it that connections without requests end.
    fn sweep(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().swept, true) {
            return;
        }
        let lane: Weak<Self> = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                sleep(IDLE / 3).await;
                let Some(lane) = lane.upgrade() else { return };
                let mut kept = lane.lock();
                kept.tidy();
                if kept.one.is_empty() && kept.many.is_empty() {
                    kept.swept = false;
                    return;
                }
            }
        });
    }
}

impl Kept {
    fn take(&mut self, key: &Key) -> Option<(Sender, Instant)> {
        if let Some(shared) = self.many.get_mut(key)
            && shared.is_good()
            && Arc::strong_count(&shared.streams) <= STREAMS
        {
            shared.used = Instant::now();
            return Some((Sender::Many(shared.sender.clone(), shared.streams.clone()), shared.opened));
        }
        let idle = self.one.get_mut(key)?;
        // The last one that was used is the least likely to have been closed.
        while let Some(last) = idle.pop() {
            if last.is_good() {
                return Some((Sender::One(last.sender), last.opened));
            }
        }
        None
    }

    /// Gives up one connection that waits, the one that waited longest.
    fn evict(&mut self) {
        let oldest = self
            .one
            .iter()
            .filter_map(|(key, idle)| Some((idle.first()?.since, key.clone())))
            .min_by_key(|it| it.0);
        if let Some((_, key)) = oldest
            && let Some(idle) = self.one.get_mut(&key).filter(|idle| !idle.is_empty())
        {
            idle.remove(0);
            return;
        }
        let unused = |shared: &Shared| Arc::strong_count(&shared.streams) <= 1;
        let unused = self.many.iter().find(|(_, shared)| unused(shared)).map(|(key, _)| key.clone());
        if let Some(key) = unused {
            self.many.remove(&key);
        }
    }

    fn tidy(&mut self) {
        self.one.retain(|_, idle| {
            idle.retain(Idle::is_good);
            !idle.is_empty()
        });
        self.many.retain(|_, shared| {
            let busy = Arc::strong_count(&shared.streams) > 1;
            if busy {
                shared.used = Instant::now();
            }
            shared.is_good()
        });
    }
}

impl Idle {
    fn is_good(&self) -> bool {
        self.sender.is_ready() && self.since.elapsed() < IDLE && self.opened.elapsed() < AGE
    }
}

impl Shared {
    fn is_good(&self) -> bool {
        !self.sender.is_closed() && self.used.elapsed() < IDLE && self.opened.elapsed() < AGE
    }
}

impl Lease {
    /// The response has been read: the next request may have the connection, as soon as it is
    /// done with this one's body too.
    pub(super) fn give_back(self) {
        let Self { lane, key, opened, keep, sender, .. } = self;
        let Sender::One(mut sender) = sender else { return };
        if !keep || opened.elapsed() >= AGE {
            return;
        }
        lane.runtime.clone().spawn(async move {
            if !matches!(timeout(SETTLE, sender.ready()).await, Ok(Ok(()))) {
                return;
            }
            let idle = Idle { sender, opened, since: Instant::now() };
            lane.lock().one.entry(key).or_default().push(idle);
            lane.sweep();
            lane.freed.notify_one();
        });
    }
}

/// One request that waits for a connection.
struct Waiting<'l>(&'l Lane);

impl<'l> Waiting<'l> {
    fn enter(lane: &'l Lane) -> Option<Self> {
        let most = usize::try_from(lane.most).unwrap_or(usize::MAX).saturating_mul(WAITING);
        let before = lane.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(lane);
        (before < most).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
