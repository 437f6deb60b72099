//! Instances that serve several calls at the same time: components of WASI 0.3 with
//! `reuse = "concurrent"`. Which instance a call goes to, and what becomes of it when the instance
//! ends; [`work`] is the instance itself. Used by `invoke`.
//!
//! A call waits in the task that asked for it; the guest runs in a task of its instance. Either can
//! end first. A caller that leaves is not waited for, and its instance takes no more calls, since
//! wasmtime has no way to end one task of a guest; the calls beside it go on.

mod work;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monopod_core::component::{Component, Instances, Reuse};
use monopod_core::context::Context;
use monopod_core::unit::Unit;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::Shared;
use crate::instances::most;
use crate::invoke::{Asking, Reply, Set};
use crate::load::Loaded;

/// With so many calls an instance is full while another may be made: what `wasmtime serve` gives
/// one, too. With fewer a call joins one that is not at work in this moment.
const FULL: u32 = 16;

/// No instance was free in time.
#[derive(Debug, thiserror::Error)]
#[error("no instance became free in time")]
pub(crate) struct Crowded;

/// A request for a shared instance.
pub(crate) struct Job {
    pub(crate) context: Context,
    pub(crate) request: Asking,
    pub(crate) reply: Arc<Reply>,
    pub(crate) send: oneshot::Sender<Set>,
    /// Closed by a caller that leaves: its response ends.
    ends: oneshot::Receiver<()>,
    done: oneshot::Sender<wasmtime::Result<Unit>>,
}

/// The shared instances of a component.
pub(crate) struct Crowd {
    members: Mutex<Vec<Arc<Member>>>,
    policy: Instances,
    most: u32,
    /// A call or an instance ended.
    changed: Notify,
}

/// One instance, as those see it that bring it calls.
struct Member {
    /// Gone when it takes no more.
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    /// Calls in it.
    load: AtomicU32,
    uses: AtomicU32,
    born: Instant,
    /// When the last of its calls ended.
    quiet: Mutex<Instant>,
    /// Its guest is at work.
    busy: AtomicBool,
    /// One of its calls did not end well.
    failed: AtomicBool,
    /// All who called a failed one have left.
    left: Notify,
    /// Why it ended.
    end: watch::Receiver<Option<End>>,
}

/// Why an instance ended before its calls.
#[derive(Debug, Clone)]
enum End {
    /// The engine has no room for it.
    Full,
    Failed(Arc<str>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held left nothing half done here.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    /// Of a component whose instances are shared.
    pub(crate) fn new(component: &Component) -> Option<Self> {
        let policy = component.instances.clone();
        (policy.reuse == Reuse::Concurrent).then(|| Self {
            members: Mutex::default(),
            most: most(component),
            policy,
            changed: Notify::new(),
        })
    }

    /// Asks a guest, in one of the instances.
    pub(crate) async fn ask(
        &self,
        shared: &Arc<Shared>,
        loaded: &Arc<Loaded>,
        context: Context,
        request: Asking,
        reply: Arc<Reply>,
        send: oneshot::Sender<Set>,
    ) -> wasmtime::Result<Unit> {
        let _running = shared.ticker.run();
        let remaining = context.remaining();
        let bound = self.policy.queue_deadline.map_or(remaining, |most| remaining.min(most));
        let seat = tokio::time::timeout(bound, self.seat(shared, loaded)).await.map_err(|_| Crowded)?;
        let (done, result) = oneshot::channel();
        let (kept, ends) = oneshot::channel();
        let leave =
            Leave { crowd: self, member: seat.member, reply: reply.clone(), well: false, _kept: kept };
        let job = Job { context, request, reply, send, ends, done };
        if seat.jobs.send(job).is_ok()
            && let Ok(result) = result.await
        {
            let unit = result?;
            leave.well();
            return Ok(unit);
        }
        Err(leave.member.clone().why().await)
    }

    /// An instance for one more call. Waits while all are closed and no other may be made.
    async fn seat(&self, shared: &Arc<Shared>, loaded: &Arc<Loaded>) -> Seat {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on none is missed.
            changed.as_mut().enable();
            if let Some(seat) = self.choose(shared, loaded, Instant::now()) {
                return seat;
            }
            changed.await;
        }
    }

    fn choose(&self, shared: &Arc<Shared>, loaded: &Arc<Loaded>, now: Instant) -> Option<Seat> {
        let mut members = lock(&self.members);
        members.iter().filter(|member| member.is_worn(&self.policy, now)).for_each(|member| member.close());
        let open = || members.iter().filter(|member| member.is_open());
        let free = open()
            .filter(|member| !member.busy.load(SeqCst) && member.load.load(SeqCst) < FULL)
            .min_by_key(|member| member.load.load(SeqCst));
        let room = u32::try_from(members.len()).is_ok_and(|there| there < self.most);
        let chosen = match free {
            Some(member) => member.clone(),
            None if room => {
                let member = work::start(shared, loaded);
                members.push(member.clone());
                member
            }
            None => open().min_by_key(|member| member.load.load(SeqCst))?.clone(),
        };
        // Under the lock: an instance that is given back has no calls.
        let jobs = lock(&chosen.jobs).clone()?;
        chosen.load.fetch_add(1, SeqCst);
        chosen.uses.fetch_add(1, SeqCst);
        Some(Seat { member: chosen, jobs })
    }

    /// Ends every instance with the last of its calls.
    pub(crate) fn close(&self) {
        lock(&self.members).iter().for_each(|member| member.close());
    }

    /// Instances that could take a call at once.
    pub(crate) fn ready(&self) -> usize {
        lock(&self.members).iter().filter(|member| member.is_open()).count()
    }

    /// Gives back what is worn, and what nobody wanted for `idle`; makes what must be ready.
    pub(crate) fn keep(&self, shared: &Arc<Shared>, loaded: &Arc<Loaded>, now: Instant, idle: Duration) {
        let mut members = lock(&self.members);
        let mut open = u32::try_from(members.iter().filter(|member| member.is_open()).count()).unwrap_or(0);
        for member in members.iter().filter(|member| member.is_open()) {
            let quiet = now.saturating_duration_since(*lock(&member.quiet)) >= idle;
            let unwanted = open > self.policy.min && quiet && member.load.load(SeqCst) == 0;
            if unwanted || member.is_worn(&self.policy, now) {
                member.close();
                open = open.saturating_sub(1);
            }
        }
        while open < self.policy.min && u32::try_from(members.len()).is_ok_and(|there| there < self.most) {
            members.push(work::start(shared, loaded));
            open += 1;
        }
    }

    fn remove(&self, gone: &Arc<Member>) {
        lock(&self.members).retain(|member| !Arc::ptr_eq(member, gone));
        self.changed.notify_waiters();
    }
}

/// A place in an instance, and the way to it: open also if the instance closes meanwhile.
struct Seat {
    member: Arc<Member>,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Member {
    fn is_open(&self) -> bool {
        lock(&self.jobs).as_ref().is_some_and(|jobs| !jobs.is_closed())
    }

    /// Takes no more calls; ends with the last of those it has.
    fn close(&self) {
        lock(&self.jobs).take();
    }

    fn is_worn(&self, policy: &Instances, now: Instant) -> bool {
        self.uses.load(SeqCst) >= policy.max_uses
            || now.saturating_duration_since(self.born) >= policy.max_age
    }

    /// Why it ended, as the error of a call that was in it.
    async fn why(self: Arc<Self>) -> wasmtime::Error {
        let mut end = self.end.clone();
        let end = match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        };
        match end {
            Some(End::Full) => Crowded.into(),
            Some(End::Failed(why)) => wasmtime::Error::msg(format!(
                "{why} (an instance that several calls shared ended, and all of them with it)"
            )),
            None => wasmtime::Error::msg("its instance ended"),
        }
    }
}

/// A call that ends: its place in the instance.
struct Leave<'a> {
    crowd: &'a Crowd,
    member: Arc<Member>,
    reply: Arc<Reply>,
    well: bool,
    /// Its end ends the response.
    _kept: oneshot::Sender<()>,
}

impl Leave<'_> {
    fn well(mut self) {
        self.well = true;
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let member = &self.member;
        if !self.well {
            self.reply.fail();
            member.failed.store(true, SeqCst);
            member.close();
        }
        *lock(&member.quiet) = Instant::now();
        let last = member.load.fetch_sub(1, SeqCst) == 1;
        if last && member.failed.load(SeqCst) {
            // Nobody waits for anything it does; it may be at work for ever.
            member.left.notify_one();
        }
        self.crowd.changed.notify_waiters();
    }
}
