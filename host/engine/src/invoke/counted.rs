//! Around every call: whether the component is called at all, and what is counted of how
//! it ended.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use monopod_core::Body;
use monopod_core::invoke::Error;
use monopod_core::message::Outcome;
use monopod_core::seen::{Failure, Kind};

use crate::account::{Account, Circuit, Pass, Tally};
use crate::load::Loaded;

/// Whether an answer tells of a failure.
pub(super) trait Told {
    fn failed(&self) -> bool;
}

impl Told for http::Response<Body> {
    fn failed(&self) -> bool {
        self.status().is_server_error()
    }
}

impl Told for Outcome {
    fn failed(&self) -> bool {
        !matches!(self, Self::Done)
    }
}

/// The account and the circuit of a component, kept by a call for as long as it lasts.
struct Mine(Arc<Loaded>);

impl Deref for Mine {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.0.account
    }
}

struct MyCircuit(Arc<Loaded>);

impl Deref for MyCircuit {
    type Target = Circuit;

    fn deref(&self) -> &Circuit {
        &self.0.account.circuit
    }
}

/// A call under way. It belongs to whoever sees the call's end: for a response that streams that
/// is not who asked for it. Dropped without a word it counts as abandoned.
pub(super) struct Count {
    loaded: Arc<Loaded>,
    began: Instant,
    tally: Tally<Mine>,
    pass: Pass<MyCircuit>,
}

impl Count {
    /// Leave to call `loaded`, unless its circuit is open.
    pub(super) fn begin(loaded: &Arc<Loaded>, kind: Kind) -> Result<Self, Error> {
        let began = Instant::now();
        let tally = Tally::new(Mine(loaded.clone()), kind, began);
        match Circuit::pass(MyCircuit(loaded.clone()), || began) {
            Ok(pass) => Ok(Self { loaded: loaded.clone(), began, tally, pass }),
            Err(retry_after) => {
                tally.end(Some(Failure::CircuitOpen));
                Err(Error::CircuitOpen { component: loaded.component.name.clone(), retry_after })
            }
        }
    }

    /// The call ended: with an answer that tells of a failure or not, or with an error.
    pub(super) fn end(self, failed: Result<bool, &Error>) {
        let Self { loaded, began, tally, pass } = self;
        let name = &loaded.component.name;
        if failing(&loaded, failed, began) {
            if let Some(wait) = pass.bad(Instant::now(), loaded.account.ended()) {
                tracing::warn!(component = %name, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    "its circuit opened: too many of its calls trapped or did not answer; until the time is over calls are refused at once");
            }
        } else if matches!(failed, Ok(_) | Err(Error::Store { .. })) && pass.good(Instant::now) {
            tracing::info!(component = %name, "its circuit closed: a call went well again");
        }
        tally.end(match failed {
            Ok(failed) => failed.then_some(Failure::Answered),
            Err(Error::Trapped { .. } | Error::NotServed(_)) => Some(Failure::Trapped),
            Err(Error::TimedOut(_)) => Some(Failure::TimedOut),
            Err(Error::Overloaded { .. }) => Some(Failure::Overloaded),
            Err(Error::CircuitOpen { .. }) => Some(Failure::CircuitOpen),
            Err(Error::Store { .. }) => Some(Failure::Store),
        });
    }
}

/// The count of a call whose end more than one can see; the first to see it counts.
#[derive(Clone)]
pub(super) struct Ending(Arc<Mutex<Option<Count>>>);

impl Ending {
    pub(super) fn new(count: Option<Count>) -> Self {
        Self(Arc::new(Mutex::new(count)))
    }

    pub(super) fn end(&self, failed: Result<bool, &Error>) {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(count) = count {
            count.end(failed);
        }
    }
}

/// Makes a call of `loaded`, unless its circuit is open, and counts it.
pub(super) async fn counted<T: Told>(
    loaded: &Arc<Loaded>,
    kind: Kind,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let count = Count::begin(loaded, kind)?;
    let result = work.await;
    count.end(result.as_ref().map(Told::failed));
    result
}

/// Whether the component itself is at fault. A caller that had less than half of the
/// component's own time left has itself to blame.
fn failing(loaded: &Loaded, result: Result<bool, &Error>, began: Instant) -> bool {
    match result {
        Err(Error::Trapped { .. }) => true,
        Err(Error::TimedOut(_)) => began.elapsed() >= loaded.component.limits.deadline / 2,
        _ => false,
    }
}
