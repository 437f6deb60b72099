//! Around every call: whether the component is called at all, and what is counted of how
//! it ended.

use std::time::Instant;

use monopod_core::Body;
use monopod_core::invoke::Error;
use monopod_core::message::Outcome;
use monopod_core::seen::{Failure, Kind};

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

/// Makes a call of `loaded`, unless its circuit is open, and counts it.
pub(super) async fn counted<T: Told>(
    loaded: &Loaded,
    kind: Kind,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let began = Instant::now();
    let account = &loaded.account;
    let tally = account.call(kind, began);
    let pass = match account.circuit.pass(|| began) {
        Ok(pass) => pass,
        Err(retry_after) => {
            tally.end(Some(Failure::CircuitOpen));
            return Err(Error::CircuitOpen { component: loaded.component.name.clone(), retry_after });
        }
    };
    let result = work.await;
    let name = &loaded.component.name;
    if failing(loaded, &result, began) {
        if let Some(wait) = pass.bad(Instant::now(), account.ended()) {
            tracing::warn!(component = %name, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "its circuit opened: too many of its calls trapped or did not answer; until the time is over calls are refused at once");
        }
    } else if matches!(result, Ok(_) | Err(Error::Store { .. })) && pass.good(Instant::now) {
        tracing::info!(component = %name, "its circuit closed: a call went well again");
    }
    tally.end(match &result {
        Ok(answer) => answer.failed().then_some(Failure::Answered),
        Err(Error::Trapped { .. } | Error::NotServed(_)) => Some(Failure::Trapped),
        Err(Error::TimedOut(_)) => Some(Failure::TimedOut),
        Err(Error::Overloaded { .. }) => Some(Failure::Overloaded),
        Err(Error::CircuitOpen { .. }) => Some(Failure::CircuitOpen),
        Err(Error::Store { .. }) => Some(Failure::Store),
    });
    result
}

/// Whether the component itself is at fault. A caller that had less than half of the
/// component's own time left has itself to blame.
fn failing<T>(loaded: &Loaded, result: &Result<T, Error>, began: Instant) -> bool {
    match result {
        Err(Error::Trapped { .. }) => true,
        Err(Error::TimedOut(_)) => began.elapsed() >= loaded.component.limits.deadline / 2,
        _ => false,
    }
}
