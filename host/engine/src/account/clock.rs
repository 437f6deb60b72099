//! Processor time of calls: exact for those that last, cheap for those that do not.
//!
//! The thread's own clock is a system call of a microsecond and more, as long as many
//! calls take. So a call is measured by the wall clock until the first tick finds it
//! running, and no slice of that time counts for more than a tick; from then on by the
//! clock of its thread. A short call costs two looks at the wall clock.
//!
//! Calls nest on a thread (one component polls another's answer): what the inner one uses
//! is not the outer one's.

use std::cell::Cell;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::Account;
use crate::ticker::TICK;

/// A call's poll that is under way on this thread.
#[derive(Clone, Copy)]
struct Slice {
    began: Instant,
    /// The thread's clock then, if the call is measured by it.
    thread: Option<Duration>,
    /// Used by calls inside of it since.
    inner: Duration,
    /// Used by this call before.
    spent: Duration,
}

impl Slice {
    fn new(began: Instant, exact: bool, spent: Duration) -> Self {
        Self { began, thread: exact.then(thread_time), inner: Duration::ZERO, spent }
    }

    /// Time since it began, by its clock, the calls inside included.
    fn whole(&self, now: Instant) -> Duration {
        match self.thread {
            Some(then) => thread_time().saturating_sub(then),
            None => now.saturating_duration_since(self.began),
        }
    }

    /// Of that, what is counted as processor time of this call.
    fn counted(&self, whole: Duration) -> Duration {
        let own = whole.saturating_sub(self.inner);
        if self.thread.is_some() { own } else { own.min(TICK) }
    }
}

thread_local! {
    static NOW: Cell<Option<Slice>> = const { Cell::new(None) };
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A tick found a guest running on this thread: what its call has used so far.
pub(crate) fn tick() -> Duration {
    let Some(slice) = NOW.get() else { return Duration::ZERO };
    slice.spent + slice.counted(slice.whole(Instant::now()))
}

/// Work whose processor time goes to an account.
pub(crate) struct Metered<F, A> {
    work: F,
    account: A,
    spent: Duration,
    exact: bool,
}

impl<F: Future + Unpin, A: Deref<Target = Account> + Unpin> Metered<F, A> {
    pub(crate) fn new(work: F, account: A) -> Self {
        Self { work, account, spent: Duration::ZERO, exact: false }
    }
}

impl<F: Future + Unpin, A: Deref<Target = Account> + Unpin> Future for Metered<F, A> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let began = Instant::now();
        let outer = NOW.take();
        // Inside of one that is measured exactly, so that what is taken from it is exact too.
        let exact = this.exact || outer.is_some_and(|outer| outer.thread.is_some());
        NOW.set(Some(Slice::new(began, exact, this.spent)));
        // What panics ends its task; the slice it leaves behind is replaced by the next.
        let polled = Pin::new(&mut this.work).poll(task);
        let now = Instant::now();
        let slice = NOW.take();
        let whole = slice.map_or(Duration::ZERO, |slice| slice.whole(now));
        let used = slice.map_or(Duration::ZERO, |slice| slice.counted(whole));
        this.spent += used;
        // It was at work when a tick came: it is one of those that last.
        this.exact |= now.saturating_duration_since(began) >= TICK;
        this.account.spent(used, now);
        // All of it is taken from the outer call, counted or not.
        NOW.set(outer.map(|outer| Slice { inner: outer.inner + whole, ..outer }));
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monopod_core::component::Limits;
    use monopod_core::seen;

    use super::*;

    fn burn(time: Duration) {
        let until = thread_time() + time;
        while thread_time() < until {
            std::hint::spin_loop();
        }
    }

    fn cpu(account: &Account) -> Duration {
        let mut seen = seen::Component::new("a".parse().unwrap(), "1".into());
        account.fill(&mut seen, Instant::now());
        seen.cpu
    }

    #[tokio::test]
    async fn what_lasts_is_measured_and_what_waits_is_not() {
        let account = Arc::new(Account::new(&Limits::default()));
        let work = async {
            for _ in 0..20 {
                burn(Duration::from_millis(5));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        Metered::new(Box::pin(work), account.clone()).await;
        let used = cpu(&account);
        // The first slice counts for one tick only.
        assert!((Duration::from_millis(94)..Duration::from_millis(500)).contains(&used), "{used:?}");
    }

    #[tokio::test]
    async fn a_call_inside_another_is_its_own() {
        let (outer, inner) =
            (Arc::new(Account::new(&Limits::default())), Arc::new(Account::new(&Limits::default())));
        let within = inner.clone();
        let work = async move {
            for _ in 0..10 {
                burn(Duration::from_millis(2));
                let work = Metered::new(
                    Box::pin(async {
                        for _ in 0..2 {
                            burn(Duration::from_millis(10));
                            tokio::task::yield_now().await;
                        }
                    }),
                    within.clone(),
                );
                work.await;
            }
        };
        Metered::new(Box::pin(work), outer.clone()).await;
        let (outer, inner) = (cpu(&outer), cpu(&inner));
        // The very first of its slices counts for one tick only.
        assert!((Duration::from_millis(150)..Duration::from_millis(800)).contains(&inner), "{inner:?}");
        assert!(
            (Duration::from_millis(10)..Duration::from_millis(90)).contains(&outer),
            "{outer:?} beside {inner:?}"
        );
    }
}
