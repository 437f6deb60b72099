//! The life of one call: a place, an instance, the guest's code, the commit.
//! Knows nothing of what is handed to the guest.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monopod_core::component::Component;
use monopod_core::context::Context;
use monopod_core::invoke::Error;
use monopod_core::limit::Limit;
use monopod_core::message::Outcome;
use monopod_core::unit::{Cause, Unit};
use monopod_core::{Body, store};
use wasmtime::PoolConcurrencyLimitError;

use crate::account::Metered;
use crate::instances::{Live, Place, Refused};
use crate::lane::Run;
use crate::load::Loaded;
use crate::{Shared, reached};

/// The log's name for what components are called for.
const CALLS: &str = "monopod_engine::calls";

/// What is asked of a guest.
pub(super) trait Work: Send + 'static {
    /// What it answers.
    type Answer: Send + 'static;
    /// Asks it. What it did to state is in the instance's unit.
    fn run(self, live: &mut Live) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// A guest that has run to its end, well or not.
pub(super) struct Ended<T> {
    pub(super) result: wasmtime::Result<(T, Unit)>,
    /// Needed again if the unit was overtaken.
    place: Place,
}

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

impl Shared {
    /// Waits for a place in the component, within bounds.
    pub(super) async fn enter(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        context: &Context,
    ) -> Result<Call, Error> {
        let now = Instant::now();
        let place = match loaded.instances.places.try_enter() {
            Some(place) => place,
            None => wait(loaded, context).await?,
        };
        // What its earlier calls used too much is paid back before the next begins.
        while let Some(wait) = loaded.account.share.wait(Instant::now()) {
            loaded.account.hit(Limit::CpuShare);
            if wait >= context.remaining() {
                return Err(overloaded(loaded, "its share of the processors is used up"));
            }
            tokio::time::sleep(wait).await;
        }
        // The caller's deadline and the component's own: whichever comes first.
        let deadline = context.deadline.min(now + loaded.component.limits.deadline);
        let context = Context { deadline, ..context.clone() };
        Ok(Call { shared: self.clone(), loaded: loaded.clone(), context, place: Some(place) })
    }
}

/// Waits in the queue, if waiting can help.
async fn wait(loaded: &Loaded, context: &Context) -> Result<Place, Error> {
    loaded.account.hit(Limit::Concurrency);
    // All places are taken, one of them by a call that this one is a part of: it could wait for itself.
    if context.callers.contains(&loaded.component.name) {
        return Err(overloaded(
            loaded,
            "components call one another in a circle, and it has no instance left",
        ));
    }
    let remaining = context.remaining();
    // A caller that holds a place itself waits for half of its time only: so circles that no single
    // chain of calls shows come apart, and it can still say what happened.
    let bound = if context.callers.depth() == 0 { remaining } else { remaining / 2 };
    let bound = loaded.component.instances.queue_deadline.map_or(bound, |most| bound.min(most));
    loaded.instances.places.enter(bound).await.map_err(|refused| match refused {
        Refused::Full => {
            loaded.account.hit(Limit::Queue);
            overloaded(loaded, "too many calls wait for it already")
        }
        Refused::Late => overloaded(loaded, "no instance became free in time"),
    })
}

fn overloaded(loaded: &Loaded, reason: &'static str) -> Error {
    Error::Overloaded { component: loaded.component.name.clone(), reason }
}

/// A call that has its place.
pub(super) struct Call {
    shared: Arc<Shared>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) context: Context,
    /// None while the guest runs: then it is with the instance, and outlives it by a moment.
    place: Option<Place>,
}

impl Call {
    /// Asks the guest, until it is settled: its unit is committed, or dropped. Asks again when its
    /// unit was overtaken.
    pub(super) async fn settle<W>(mut self, cause: Cause, work: impl Fn() -> W) -> Result<W::Answer, Error>
    where
        W: Work<Answer: Answer>,
    {
        let log = self.log(&cause);
        let result = loop {
            let run = self.start(cause.clone(), work());
            let ended = match self.in_time(run).await {
                Ok(ended) => self.ended(ended),
                Err(error) => Err(error),
            };
            match ended {
                Err(error) => break Err(error),
                Ok((answer, unit)) => match self.commit(answer.commits(), unit).await {
                    Ok(true) => break Ok(answer),
                    Ok(false) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        self.told(log, result.as_ref().is_ok_and(Answer::commits));
        result
    }

    /// Begins to run the guest.
    pub(super) fn start<W: Work>(&mut self, cause: Cause, work: W) -> Run<Option<Ended<W::Answer>>> {
        let (shared, loaded, context) = (self.shared.clone(), self.loaded.clone(), self.context.clone());
        let place = self.place.take();
        Run::new(&self.loaded.line, async move {
            // It is there: each run that ends gives it back.
            let place = place?;
            let guest = guest(&shared, &loaded, context, cause, work);
            // Wherever it is polled: there its time is used.
            let result = Metered::new(pin!(guest), &loaded.account).await;
            Some(Ended { result, place })
        })
    }

    /// What came of a run.
    pub(super) fn ended<T>(&mut self, ended: Option<Ended<T>>) -> Result<(T, Unit), Error> {
        let Some(Ended { result, place }) = ended else {
            return Err(self.trapped("it was asked twice at once"));
        };
        self.place = Some(place);
        result.map_err(|error| self.failed(&error))
    }

    /// Commits the unit, if its answer lets it; false when it was overtaken, and the guest is to be
    /// asked again.
    pub(super) async fn commit(&self, commits: bool, unit: Unit) -> Result<bool, Error> {
        if !commits || unit.is_empty() {
            return Ok(true);
        }
        // Not bounded by the deadline: it was handed over, and happens or not as a whole.
        match self.shared.store.commit(unit).await {
            Ok(()) => Ok(true),
            // Somebody else got on: among any number one wins each round, so the
            // deadline is the only bound it needs.
            Err(store::Error::Conflict) if !self.context.remaining().is_zero() => Ok(false),
            // Trying again would not help: the guest's failure, not the store's.
            Err(store::Error::Refused(why)) => Err(self.trapped(&why)),
            Err(source) => Err(self.store_failed(source)),
        }
    }

    pub(super) fn store_failed(&self, source: store::Error) -> Error {
        Error::Store { component: self.loaded.component.name.clone(), source }
    }

    /// Waits for `work` until the deadline.
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

    pub(super) fn failed(&self, error: &wasmtime::Error) -> Error {
        if error.is::<PoolConcurrencyLimitError>() {
            self.loaded.account.hit(Limit::Instances);
            return overloaded(&self.loaded, "all instances are taken");
        }
        self.trapped(&reached::explain(&self.loaded, error))
    }

    pub(super) fn trapped(&self, reason: &str) -> Error {
        let component = self.loaded.component.name.clone();
        if self.loaded.may_log(reason.len()) {
            tracing::warn!(component = %component, correlation = %self.context.correlation, trace = %self.context.trace,
                reason, "the component failed; nothing of this call remains");
        }
        Error::Trapped { component, reason: reason.to_owned() }
    }

    /// What a line of the log will need, if one is wanted.
    pub(super) fn log(&self, cause: &Cause) -> Option<(String, Instant)> {
        tracing::enabled!(target: CALLS, tracing::Level::DEBUG).then(|| (told(cause), Instant::now()))
    }

    /// Says in the log that the call is done: with one line for each, an action can be followed
    /// through all components.
    pub(super) fn told(&self, log: Option<(String, Instant)>, committed: bool) {
        let Some((cause, began)) = log else { return };
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: CALLS, component = %self.loaded.component.name, correlation = %self.context.correlation,
            trace = %self.context.trace, cause, committed, micros, "called");
    }
}

/// Runs the guest in an instance: one that waits for a call, or a new one.
async fn guest<W: Work>(
    shared: &Arc<Shared>,
    loaded: &Arc<Loaded>,
    context: Context,
    cause: Cause,
    work: W,
) -> wasmtime::Result<(W::Answer, Unit)> {
    let _running = shared.ticker.run();
    let now = Instant::now();
    let mut live = match loaded.instances.take(now) {
        Some(mut live) => {
            live.begin(shared, context, cause);
            live
        }
        None => Live::new(shared, loaded, context, cause, now).await?,
    };
    let answer = work.run(&mut live).await?;
    let (unit, live) = live.end();
    if let Some(live) = live {
        loaded.instances.put(live, now);
        // Looked at after, so that none is left behind by those who retire the engine meanwhile.
        if shared.is_retired() {
            loaded.instances.clear();
        }
    }
    Ok((answer, unit))
}

/// Why a component is called, for the log.
fn told(cause: &Cause) -> String {
    match cause {
        Cause::Request | Cause::Received => "request".to_owned(),
        Cause::Delivery { message, .. } => format!("message {message}"),
        Cause::Timer { id, .. } => format!("timer {}", id.name),
    }
}
