//! What a connection is doing, told in a few atomics, so that one lazy timer for each
//! connection finds those that do nothing or too little. hyper's own timers would cost
//! an allocation for every request, and know no idle time of their own.
//!
//! Written by `socket` (bytes arrive, bytes are stuck) and `door` (a request begins,
//! its answer is gone), read by `accept`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The state of one connection. Times are milliseconds since it began, plus one; zero
/// stands for "not now".
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// HTTP/2 multiplexes: bytes outside a request are no request head there.
    multiplexed: bool,
    /// Requests whose answer is not gone yet.
    busy: AtomicU32,
    /// Since when no request runs.
    idle: AtomicU64,
    /// When the head that is being read began.
    head: AtomicU64,
    /// Since when the client takes no bytes.
    stalled: AtomicU64,
    /// A request body was given up: what is left of it must be taken in before closing.
    unread: AtomicBool,
}

/// What a look at the pulse says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// All is well.
    Well,
    /// Nobody asks anything: close in order.
    Idle,
    /// Too slow on purpose or by fate: cut.
    Lapsed(&'static str),
}

impl Pulse {
    /// A connection whose handshake is done. Its first head is due from now on.
    pub(crate) fn new(multiplexed: bool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            multiplexed,
            busy: AtomicU32::new(0),
            idle: AtomicU64::new(1),
            head: AtomicU64::new(u64::from(!multiplexed)),
            stalled: AtomicU64::new(0),
            unread: AtomicBool::new(false),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// Bytes have arrived.
    pub(crate) fn heard(&self) {
        if !self.multiplexed && self.busy.load(Relaxed) == 0 && self.head.load(Relaxed) == 0 {
            self.head.store(self.now(), Relaxed);
        }
    }

    /// The client does, or does not, take what is sent.
    pub(crate) fn takes(&self, bytes: bool) {
        let stalled = self.stalled.load(Relaxed);
        if bytes && stalled != 0 {
            self.stalled.store(0, Relaxed);
        } else if !bytes && stalled == 0 {
            self.stalled.store(self.now(), Relaxed);
        }
    }

    /// A request body will not be read to its end.
    pub(crate) fn given_up(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether one was not.
    pub(crate) fn unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// How the connection stands.
    pub(crate) fn look(&self, limits: &Limits) -> Finding {
        let now = self.now();
        let over = |since: u64, limit: Duration| {
            since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis()
        };
        if over(self.stalled.load(Relaxed), limits.stalled) {
            Finding::Lapsed("the client does not take its answer")
        } else if self.busy.load(Relaxed) > 0 {
            Finding::Well
        } else if over(self.head.load(Relaxed), limits.head) {
            Finding::Lapsed("the request head did not come in time")
        } else if over(self.idle.load(Relaxed), limits.idle) {
            Finding::Idle
        } else {
            Finding::Well
        }
    }
}

/// A request that runs, until its answer's body is dropped.
#[derive(Debug)]
pub(crate) struct Flight(Arc<Pulse>);

impl Flight {
    /// A request's head is complete.
    pub(crate) fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.busy.fetch_add(1, Relaxed);
        pulse.head.store(0, Relaxed);
        Self(pulse.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Relaxed) == 1 {
            self.0.idle.store(self.0.now(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits of which `pick` is over at once and the others never.
    fn limits(pick: fn(&mut Limits) -> &mut Duration) -> Limits {
        let never = Duration::from_secs(3_600);
        let mut limits = Limits { head: never, idle: never, stalled: never, ..Limits::default() };
        *pick(&mut limits) = Duration::ZERO;
        limits
    }

    /// Lets the pulse's clock move on by more than its grain.
    fn later(pulse: &Pulse) {
        let then = pulse.now() + 2;
        while pulse.now() < then {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_head_is_due_only_while_one_is_being_read() {
        let (head, idle) = (limits(|l| &mut l.head), limits(|l| &mut l.idle));
        let pulse = Pulse::new(false);
        later(&pulse);
        assert!(matches!(pulse.look(&head), Finding::Lapsed(_)), "the first is due from the start");
        let flight = Flight::begin(&pulse);
        later(&pulse);
        assert_eq!(pulse.look(&head), Finding::Well);
        assert_eq!(pulse.look(&idle), Finding::Well);
        drop(flight);
        later(&pulse);
        assert_eq!(pulse.look(&head), Finding::Well, "none has begun");
        assert_eq!(pulse.look(&idle), Finding::Idle);
        pulse.heard();
        later(&pulse);
        assert!(matches!(pulse.look(&head), Finding::Lapsed(_)));
    }

    #[test]
    fn frames_between_http2_requests_are_no_head() {
        let pulse = Pulse::new(true);
        pulse.heard();
        later(&pulse);
        assert_eq!(pulse.look(&limits(|l| &mut l.head)), Finding::Well);
        assert_eq!(pulse.look(&limits(|l| &mut l.idle)), Finding::Idle);
    }

    #[test]
    fn a_client_that_takes_nothing_lapses_even_while_a_request_runs() {
        let stalled = limits(|l| &mut l.stalled);
        let pulse = Pulse::new(false);
        let _flight = Flight::begin(&pulse);
        pulse.takes(false);
        later(&pulse);
        assert!(matches!(pulse.look(&stalled), Finding::Lapsed(_)));
        pulse.takes(true);
        assert_eq!(pulse.look(&stalled), Finding::Well);
    }
}
