//! The life of one call: a place, an instance, the guest's code, the commit.
//! Knows nothing of what is handed to the guest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use monopod_core::component::Component;
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::message::Outcome;
use monopod_core::unit::{Cause, Unit};
use monopod_core::{Body, BoxFuture, store};
use wasmtime::component::Instance;
use wasmtime::{PoolConcurrencyLimitError, Store};

use crate::account::Metered;
use crate::guest::Guest;
use crate::instances::Place;
use crate::load::Loaded;
use crate::{Shared, reached};

/// The log's name for what components are called for.
const CALLS: &str = "monopod_engine::calls";

impl Shared {
    /// Waits for a place in the component, within bounds.
    pub(super) async fn enter<'a>(
        &'a self,
        loaded: &'a Arc<Loaded>,
        context: &Context,
    ) -> Result<Call<'a>, Error> {
        let overloaded = |reason| Error::Overloaded { component: loaded.component.name.clone(), reason };
        let place = loaded.places.enter(context.remaining(), &loaded.account).await.map_err(overloaded)?;
        // What its earlier calls used too much is paid back before the next begins.
        while let Some(wait) = loaded.account.share.wait(Instant::now()) {
            loaded.account.hit(Limit::CpuShare);
            if wait >= context.remaining() {
                return Err(overloaded("its share of the processors is used up"));
            }
            tokio::time::sleep(wait).await;
        }
        // The caller's deadline and the component's own: whichever comes first.
        let own = Instant::now() + loaded.component.limits.deadline;
        let context = Context { deadline: context.deadline.min(own), ..context.clone() };
        Ok(Call { shared: self, loaded, context, _place: place })
    }
}

/// A call that has its place.
pub(super) struct Call<'a> {
    shared: &'a Shared,
    loaded: &'a Arc<Loaded>,
    pub(super) context: Context,
    _place: Place<'a>,
}

/// What running a guest gives back: its unit and its answer.
pub(super) type Ran<T> = wasmtime::Result<(T, Unit)>;

/// Whether an answer lets its unit be committed.
pub(super) trait Answer {
    fn commits(&self) -> bool;
}

impl Answer for Outcome {
    fn commits(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl Answer for http::Response<Body> {
    // A refusal (4xx) may record that it refused; a failure (5xx) leaves nothing.
    fn commits(&self) -> bool {
        !self.status().is_server_error()
    }
}

impl Call<'_> {
    /// Runs the guest to its committed end, and says so in the log: with one line for each call an
    /// action can be followed through all components.
    pub(super) async fn run<'f, T: Answer>(
        &self,
        cause: Cause,
        guest: impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<T, Error> {
        let log = tracing::enabled!(target: CALLS, tracing::Level::DEBUG);
        let told = log.then(|| (told(&cause), Instant::now()));
        let result = self.settle(cause, guest).await;
        if let Some((cause, began)) = told {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let committed = result.as_ref().is_ok_and(Answer::commits);
            tracing::debug!(target: CALLS, component = %self.loaded.component.name, correlation = %self.context.correlation,
                trace = %self.context.trace, cause, committed, micros, "called");
        }
        result
    }

    /// Runs the guest and commits its unit; runs it again when the unit was overtaken.
    async fn settle<'f, T: Answer>(
        &self,
        cause: Cause,
        guest: impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<T, Error> {
        loop {
            let (answer, unit) = self.in_time(self.once(cause.clone(), &guest)).await??;
            if !answer.commits() || unit.is_empty() {
                return Ok(answer);
            }
            // Not bounded by the deadline: it was handed over, and happens or not as a whole.
            match self.shared.store.commit(unit).await {
                Ok(()) => return Ok(answer),
                // Somebody else got on: among any number one wins each round, so the
                // deadline is the only bound it needs.
                Err(store::Error::Conflict) if !self.context.remaining().is_zero() => {}
                // Trying again would not help: the guest's failure, not the store's.
                Err(store::Error::Refused(why)) => return Err(self.trapped(&why)),
                Err(source) => {
                    return Err(Error::Store { component: self.loaded.component.name.clone(), source });
                }
            }
        }
    }

    async fn once<'f, T>(
        &self,
        cause: Cause,
        guest: &impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<(T, Unit), Error> {
        let shared = self.shared.this.upgrade().ok_or_else(|| self.trapped("the engine is shutting down"))?;
        let mut store = Guest::store(&shared, self.loaded, &self.context, cause);
        let _running = self.shared.ticker.run();
        let instance =
            self.loaded.instance.instantiate_async(&mut store).await.map_err(|e| self.failed(&e))?;
        Metered::new(guest(store, instance), &self.loaded.account).await.map_err(|e| self.failed(&e))
    }

    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        // Polls the work first: a guest that answers at once never touches a timer.
        tokio::time::timeout(self.context.remaining().max(Duration::from_millis(1)), work).await.map_err(|_| {
            let Component { name, limits, .. } = &self.loaded.component;
            self.loaded.account.hit(Limit::Deadline);
            let why = Limit::Deadline.reached(name, format_args!("{:?}", limits.deadline));
            if self.loaded.may_log(why.len()) {
                tracing::warn!(component = %name, correlation = %self.context.correlation, trace = %self.context.trace,
                    why, "the component did not answer in time and was stopped");
            }
            Error::TimedOut(name.clone())
        })
    }

    fn failed(&self, error: &wasmtime::Error) -> Error {
        if error.is::<PoolConcurrencyLimitError>() {
            self.loaded.account.hit(Limit::Instances);
            let component = self.loaded.component.name.clone();
            return Error::Overloaded { component, reason: "all instances are taken" };
        }
        self.trapped(&reached::explain(self.loaded, error))
    }

    fn trapped(&self, reason: &str) -> Error {
        let component = self.loaded.component.name.clone();
        if self.loaded.may_log(reason.len()) {
            tracing::warn!(component = %component, correlation = %self.context.correlation, trace = %self.context.trace,
                reason, "the component failed; nothing of this call remains");
        }
        Error::Trapped { component, reason: reason.to_owned() }
    }
}

/// Why a component is called, for the log.
fn told(cause: &Cause) -> String {
    match cause {
        Cause::Request => "request".to_owned(),
        Cause::Delivery { message, .. } => format!("message {message}"),
        Cause::Timer { id, .. } => format!("timer {}", id.name),
    }
}
