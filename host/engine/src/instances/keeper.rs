//! Keeps the instances of components that reuse them: makes those that must be ready, and gives
//! back those that are old or not needed. One task for the whole engine; it ends with it.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use monopod_core::component::Reuse;
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::unit::Cause;

use super::{Live, Pool};
use crate::Shared;
use crate::account::Metered;
use crate::lane::Run;
use crate::load::Loaded;
use crate::shard::Sharded;

/// How often it looks: an instance is given back at most this much later than it could be.
const EVERY: Duration = Duration::from_secs(1);
/// An instance above `min` that nobody wanted for this long is given back. Long enough for the gaps
/// between the requests of a person, short enough that a busy hour is not paid for all day.
const IDLE: Duration = Duration::from_secs(60);
/// The time one may take to start. As long as a person waits for a page.
const START: Duration = Duration::from_secs(10);

/// Looks after the instances of `shared` until it is gone, or has retired.
pub(crate) async fn keep(shared: Weak<Shared>) {
    loop {
        {
            let Some(shared) = shared.upgrade() else { return };
            if shared.is_retired() {
                return shared.clear();
            }
            let components = shared.components.values().map(Sharded::any);
            for loaded in components.filter(|c| c.component.instances.reuse != Reuse::Fresh) {
                loaded.instances.shrink(Instant::now());
                if !shared.is_retired() {
                    fill(&shared, loaded).await;
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Makes the instances that should be ready and are not.
async fn fill(shared: &Arc<Shared>, loaded: &Arc<Loaded>) {
    while loaded.instances.wants_more() {
        // A call that wants the place has precedence.
        let Some(place) = loaded.instances.places.try_enter() else { return };
        let work = {
            let (shared, loaded) = (shared.clone(), loaded.clone());
            async move {
                let _running = shared.ticker.run();
                let context = Context::new(Principal::System, START);
                let live = Live::new(&shared, &loaded, context, Cause::Request, Instant::now());
                Metered::new(pin!(live), &loaded.account).await
            }
        };
        // Its start may take long, or for ever, like any call.
        let started = tokio::time::timeout(START, Run::new(&loaded.line, work)).await;
        let failed = match started {
            Ok(Ok(live)) => match live.end() {
                (_, Some(live)) => {
                    loaded.instances.add(live);
                    None
                }
                (_, None) => Some("it holds resources of the host before its first call".to_owned()),
            },
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("it did not start in time".to_owned()),
        };
        drop(place);
        if let Some(reason) = failed {
            // The next round tries again; calls do, too, and say so.
            tracing::debug!(component = %loaded.component.name, reason, "no instance could be made ready");
            return;
        }
    }
}

impl Pool {
    fn wants_more(&self) -> bool {
        let idle = u32::try_from(self.idle().len()).unwrap_or(u32::MAX);
        idle.saturating_add(self.places.taken()) < self.policy.min
    }

    fn add(&self, live: Live) {
        // Where it waits longest, so that those used before are used again.
        self.idle().insert(0, live);
    }

    /// Gives back what is worn, and what nobody wanted for a while.
    fn shrink(&self, now: Instant) {
        let min = usize::try_from(self.policy.min).unwrap_or(usize::MAX);
        let mut gone = Vec::new();
        let mut idle = self.idle();
        let mut left = idle.len();
        // The front has waited longest.
        let mut kept = Vec::with_capacity(left);
        for live in idle.drain(..) {
            let unwanted = left > min && live.idle(now) >= IDLE;
            if unwanted || live.is_worn(&self.policy, now) {
                left -= 1;
                gone.push(live);
            } else {
                kept.push(live);
            }
        }
        *idle = kept;
        drop(idle);
        // Outside of the lock: it takes a moment for each.
        drop(gone);
    }
}
