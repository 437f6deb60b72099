//! One instance and its store. It is dropped unless its call says that it went well, so that one
//! that trapped, was stopped or was left by its caller never serves again.

use std::sync::Arc;
use std::time::Instant;

use monopod_core::component::{Instances, Reuse};
use monopod_core::context::Context;
use monopod_core::unit::{Cause, Unit};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::Shared;
use crate::guest::Guest;
use crate::load::Loaded;

pub(crate) struct Live {
    pub(crate) store: Store<Guest>,
    pub(crate) instance: Instance,
    born: Instant,
    uses: u32,
    idle_since: Instant,
}

impl Live {
    /// Makes one, for a call that is about to be made.
    pub(crate) async fn new(
        shared: &Arc<Shared>,
        loaded: &Arc<Loaded>,
        context: Context,
        cause: Cause,
        now: Instant,
    ) -> wasmtime::Result<Self> {
        let mut store = Guest::store(shared, loaded, context, cause);
        let instance = loaded.instance.instantiate_async(&mut store).await?;
        Ok(Self { store, instance, born: now, uses: 0, idle_since: now })
    }

    /// Makes it ready for another call: nothing of the one before is left in the host.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>, context: Context, cause: Cause) {
        self.store.data_mut().begin(shared, context, cause);
        self.store.set_epoch_deadline(1);
    }

    /// Ends its call: the unit of work, and the instance if nothing else is left of the call.
    pub(crate) fn end(mut self) -> (Unit, Option<Self>) {
        let guest = self.store.data_mut();
        if guest.loaded.component.instances.reuse == Reuse::Fresh {
            return (self.store.into_data().unit, None);
        }
        let (unit, clean) = guest.end();
        if !clean {
            tracing::debug!(component = %guest.loaded.component.name,
                "an instance is not used again: it kept handles of the call that ended");
        }
        (unit, clean.then_some(self))
    }

    /// Notes that a call ended.
    pub(super) fn used(&mut self, now: Instant) {
        self.uses = self.uses.saturating_add(1);
        self.idle_since = now;
    }

    /// Whether it has served as often, or for as long, as one may.
    pub(super) fn is_worn(&self, policy: &Instances, now: Instant) -> bool {
        self.uses >= policy.max_uses || now.saturating_duration_since(self.born) >= policy.max_age
    }

    /// How long nobody wanted it.
    pub(super) fn idle(&self, now: Instant) -> std::time::Duration {
        now.saturating_duration_since(self.idle_since)
    }
}
