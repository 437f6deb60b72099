//! The places of a component, one for each instance at once, and the queue for them: first come,
//! first served. Taking and leaving a place that nobody waits for takes no lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monopod_core::seen;
use tokio::sync::oneshot;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many wait already.
    Full,
    /// None became free in time.
    Late,
}

pub(crate) struct Places(Arc<Inner>);

struct Inner {
    most: u32,
    taken: AtomicU32,
    queue: usize,
    line: Mutex<VecDeque<oneshot::Sender<Place>>>,
    /// The length of the line, so that it is looked at only when somebody stands there.
    waiting: AtomicUsize,
}

/// A place that is taken, until this is dropped.
pub(crate) struct Place(Arc<Inner>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        // Whoever joins the line says so first and then looks for a place; here it is the other
        // way round. So one of the two sees the other.
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.call_up();
        }
    }
}

impl Places {
    pub(crate) fn new(most: u32, queue: u32) -> Self {
        Self(Arc::new(Inner {
            most,
            taken: AtomicU32::new(0),
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            line: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// A place, if one is free and nobody waits for it.
    pub(crate) fn try_enter(&self) -> Option<Place> {
        (self.0.waiting.load(SeqCst) == 0 && self.0.take()).then(|| Place(self.0.clone()))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.0.taken.load(SeqCst)
    }

    /// For people.
    pub(crate) fn fill(&self, seen: &mut seen::Component) {
        seen.places = self.0.most.into();
        seen.running = self.taken().into();
        seen.waiting = u64::try_from(self.0.waiting.load(SeqCst)).unwrap_or(u64::MAX);
    }

    /// Waits for a place, at most for `time`; otherwise says which bound was met.
    pub(crate) async fn enter(&self, time: Duration) -> Result<Place, Refused> {
        let mut waiting = match self.0.join()? {
            Joined::Entered(place) => return Ok(place),
            Joined::Waiting(waiting) => waiting,
        };
        match tokio::time::timeout(time, &mut waiting.place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Refused::Late),
        }
    }
}

enum Joined {
    Entered(Place),
    Waiting(Waiting),
}

/// Somebody in the line.
struct Waiting {
    places: Arc<Inner>,
    place: oneshot::Receiver<Place>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What was handed over in the meantime is given back by the receiver's own drop.
        self.place.close();
        self.places.tidy();
    }
}

impl Inner {
    fn take(&self) -> bool {
        self.taken.fetch_update(SeqCst, SeqCst, |taken| (taken < self.most).then_some(taken + 1)).is_ok()
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Place>>> {
        // A panic while it was held left the line as it was.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>) -> Result<Joined, Refused> {
        let mut line = self.line();
        self.waiting.store(line.len() + 1, SeqCst);
        if line.is_empty() && self.take() {
            self.waiting.store(0, SeqCst);
            return Ok(Joined::Entered(Place(self.clone())));
        }
        if line.len() >= self.queue {
            self.waiting.store(line.len(), SeqCst);
            return Err(Refused::Full);
        }
        let (send, place) = oneshot::channel();
        line.push_back(send);
        Ok(Joined::Waiting(Waiting { places: self.clone(), place }))
    }

    /// Gives free places to those who have waited longest.
    fn call_up(self: &Arc<Self>) {
        loop {
            let next = {
                let mut line = self.line();
                let next = if !line.is_empty() && self.take() { line.pop_front() } else { None };
                self.waiting.store(line.len(), SeqCst);
                next
            };
            let Some(next) = next else { return };
            // Outside of the lock: one who left meanwhile drops the place, which calls up the next.
            drop(next.send(Place(self.clone())));
        }
    }

    /// Takes those out of the line who have left it.
    fn tidy(&self) {
        if self.waiting.load(SeqCst) > 0 {
            let mut line = self.line();
            line.retain(|waiting| !waiting.is_closed());
            self.waiting.store(line.len(), SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn first_come_first_served_and_no_more_than_there_are() {
        let places = Places::new(2, 2);
        let first = places.enter(LONG).await.unwrap();
        let _second = places.try_enter().unwrap();
        assert!(places.try_enter().is_none());
        let mut third = Box::pin(places.enter(LONG));
        let mut fourth = Box::pin(places.enter(LONG));
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(futures_util::poll!(&mut fourth).is_pending());
        assert_eq!(places.enter(LONG).await.err(), Some(Refused::Full));
        drop(first);
        assert!(futures_util::poll!(&mut fourth).is_pending());
        let third = third.await.unwrap();
        assert!(places.try_enter().is_none(), "nobody overtakes");
        drop(third);
        fourth.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_is_not_counted_and_loses_no_place() {
        let places = Places::new(1, 1);
        let held = places.enter(LONG).await.unwrap();
        assert_eq!(places.enter(LONG).await.err(), Some(Refused::Late));
        let mut given_up = Box::pin(places.enter(LONG));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        // Handed over, and then not wanted.
        drop(held);
        drop(given_up);
        places.try_enter().unwrap();
    }

    #[test]
    fn threads_that_come_and_go_leave_every_place_free() {
        let places = Arc::new(Places::new(3, 100));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let places = places.clone();
                std::thread::spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    runtime.block_on(async {
                        for _ in 0..2_000 {
                            let place = places.enter(LONG).await.unwrap();
                            tokio::task::yield_now().await;
                            drop(place);
                        }
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let all: Vec<_> = std::iter::from_fn(|| places.try_enter()).collect();
        assert_eq!(all.len(), 3);
    }
}
