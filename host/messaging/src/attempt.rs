//! One attempt, from the call to what is recorded of it: the failure policy that
//! deliveries and timers share.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use monopod_core::Millis;
use monopod_core::invoke::Error;
use monopod_core::message::Outcome;
use monopod_core::store::{Error as StoreError, Verdict};
use tokio_util::sync::CancellationToken;

use crate::backoff::{ATTEMPTS, MOST_ASKED, SETBACKS};

/// How much of a reason is kept, in bytes: it becomes a header of the dead letter.
const MAX_REASON: usize = 1_024;

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Result {
    /// Committed and settled.
    Done,
    /// Settled earlier, by somebody else: nothing to do.
    Settled,
    /// Could not be tried properly; not an attempt.
    SetBack(String),
    /// Failed; again after this time.
    Retry(Duration, String),
    /// Failed for good.
    Dead(String),
}

/// Makes an attempt, the `attempt`-th (from 1) of at most `attempts`. A panic in the host
/// is a failed attempt: it must not take the lane with it.
pub(crate) async fn make(
    call: impl Future<Output = std::result::Result<Outcome, Error>>,
    attempt: u32,
    attempts: u32,
) -> Result {
    let failed = |after: Option<Duration>, reason: String| {
        if attempt >= attempts {
            Result::Dead(reason)
        } else {
            Result::Retry(after.map_or_else(|| ATTEMPTS.delay(attempt), |a| a.min(MOST_ASKED)), reason)
        }
    };
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(Ok(Outcome::Done)) => Result::Done,
        Ok(Ok(Outcome::Retry { after, reason })) => failed(after, bounded(reason)),
        Ok(Ok(Outcome::Reject { reason })) => Result::Dead(bounded(reason)),
        Ok(Err(Error::Store { source: StoreError::Settled, .. })) => Result::Settled,
        Ok(Err(error @ (Error::Overloaded { .. } | Error::CircuitOpen { .. } | Error::Store { .. }))) => {
            Result::SetBack(bounded(chain(&error)))
        }
        Ok(Err(error)) => failed(None, bounded(chain(&error))),
        Err(panic) => failed(None, bounded(format!("the host failed while handling it: {}", said(&*panic)))),
    }
}

/// When and what the store shall do about a failed attempt.
pub(crate) fn verdict(result: &Result, now: Millis) -> Option<(Verdict, &str)> {
    match result {
        Result::Done | Result::Settled | Result::SetBack(_) => None,
        Result::Retry(wait, reason) => {
            let wait = Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
            Some((Verdict::Retry(now.saturating_add(wait)), reason))
        }
        Result::Dead(reason) => Some((Verdict::DeadLetter, reason)),
    }
}

/// Records a failure; as often as it takes, since a dead letter that is not written is a
/// message that vanished. False when the platform ends first: the row is as it was.
pub(crate) async fn record<F>(mut write: impl FnMut() -> F, shutdown: &CancellationToken) -> bool
where
    F: Future<Output = std::result::Result<(), StoreError>>,
{
    let mut failures = 0;
    loop {
        match write().await {
            Ok(()) | Err(StoreError::Settled) => return true,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "a failed attempt could not be recorded");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(SETBACKS.delay(failures)) => {}
        }
    }
}

/// Whether the `n`-th of a row is worth a line in the log: the first, then ever fewer.
pub(crate) fn worth_saying(n: u32) -> bool {
    n.is_power_of_two()
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}

fn bounded(mut reason: String) -> String {
    if reason.len() > MAX_REASON {
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use monopod_core::name::ComponentName;

    use super::*;

    async fn judged(result: std::result::Result<Outcome, Error>, attempt: u32) -> Result {
        make(async { result }, attempt, 3).await
    }

    #[tokio::test]
    async fn what_counts_as_an_attempt() {
        let component: ComponentName = "a".parse().unwrap();
        let trapped = || Error::Trapped { component: component.clone(), reason: "unreachable".into() };
        let store = |source| Error::Store { component: component.clone(), source };
        let overloaded = Error::Overloaded { component: component.clone(), reason: "100 at once" };

        assert_eq!(judged(Ok(Outcome::Done), 1).await, Result::Done);
        assert!(matches!(judged(Err(trapped()), 2).await, Result::Retry(..)));
        assert!(matches!(judged(Err(trapped()), 3).await, Result::Dead(_)));
        assert!(matches!(judged(Err(Error::TimedOut(component.clone())), 3).await, Result::Dead(_)));
        assert!(matches!(judged(Err(Error::NotServed(component.clone())), 1).await, Result::Retry(..)));
        assert!(matches!(judged(Err(overloaded), 9).await, Result::SetBack(_)));
        let open = Error::CircuitOpen { component: component.clone(), retry_after: Duration::from_secs(1) };
        assert!(matches!(judged(Err(open), 9).await, Result::SetBack(_)));
        assert!(matches!(judged(Err(store(StoreError::Conflict)), 9).await, Result::SetBack(_)));
        let unavailable = store(StoreError::Unavailable("disk full".into()));
        let Result::SetBack(reason) = judged(Err(unavailable), 9).await else { panic!() };
        assert!(reason.ends_with("disk full"), "{reason}");
        assert_eq!(judged(Err(store(StoreError::Settled)), 9).await, Result::Settled);
    }

    #[tokio::test]
    async fn what_the_handler_asks_for_is_done() {
        let asked = Some(Duration::from_secs(90));
        let retry = |after| Ok(Outcome::Retry { after, reason: "later".into() });
        assert_eq!(judged(retry(asked), 1).await, Result::Retry(Duration::from_secs(90), "later".into()));
        assert_eq!(judged(retry(asked), 3).await, Result::Dead("later".into()));
        let for_ever = Some(Duration::MAX);
        assert_eq!(judged(retry(for_ever), 1).await, Result::Retry(MOST_ASKED, "later".into()));
        let reject = Ok(Outcome::Reject { reason: "not a photo".into() });
        assert_eq!(judged(reject, 1).await, Result::Dead("not a photo".into()));
    }

    #[tokio::test]
    async fn a_panic_in_the_host_is_a_failed_attempt() {
        let result = make(async { panic!("broken") }, 1, 3).await;
        let Result::Retry(_, reason) = result else { panic!("{result:?}") };
        assert!(reason.ends_with("broken"), "{reason}");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = bounded("ä".repeat(MAX_REASON));
        assert!(cut.len() <= MAX_REASON + '…'.len_utf8() && cut.ends_with("ä…"));
    }
}
