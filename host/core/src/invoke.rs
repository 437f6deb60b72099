//! Calling components. Implemented by `engine`; called by `graph` and `edge` with
//! requests, by `messaging` with messages and timers.

use crate::context::Context;
use crate::message::{Delivery, Outcome, Timer};
use crate::name::ComponentName;
use crate::{Body, BoxFuture, resolve};

/// Why an invocation gave no answer. Its unit of work was dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No component of that name runs here, or it does not export what was called.
    #[error("component `{0}` does not answer this kind of call")]
    NotServed(ComponentName),
    /// The guest trapped, or broke a limit.
    #[error("component `{component}` failed: {reason}")]
    Trapped {
        /// Which.
        component: ComponentName,
        /// The trap or the limit, for the log; not for clients.
        reason: String,
    },
    /// The deadline passed.
    #[error("component `{0}` did not answer in time")]
    TimedOut(ComponentName),
    /// Too many calls at once, or calls nested too deeply.
    #[error("component `{component}` cannot take the call: {reason}")]
    Overloaded {
        /// Which.
        component: ComponentName,
        /// Which bound.
        reason: &'static str,
    },
    /// It failed so often just now that it is left alone for a while. The call was not
    /// tried, so that no attempt is used up.
    #[error("component `{component}` is left alone after repeated failures, for {retry_after:?} more")]
    CircuitOpen {
        /// Which.
        component: ComponentName,
        /// When the next call may be tried.
        retry_after: std::time::Duration,
    },
    /// The state could not be read or committed.
    #[error("component `{component}` could not commit its unit of work")]
    Store {
        /// Which.
        component: ComponentName,
        /// Why.
        #[source]
        source: crate::store::Error,
    },
}

/// The components that run here. What an implementation leaves out is not served.
pub trait Components: Send + Sync {
    /// Sends a request to a component and returns its response: after its unit of work is
    /// committed, or, when that has no changes, as soon as the guest has set it. Then the body
    /// streams, ends with the context's deadline at the latest, and breaks off with an error if
    /// the guest fails. The URI's authority does not matter. The identity comes from `context`,
    /// never from a header. Dropping the future or the body ends the invocation.
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        request: http::Request<Body>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<http::Response<Body>, Error>> {
        let _nobody = (request, context);
        Box::pin(async { Err(Error::NotServed(component.clone())) })
    }

    /// Asks a component for a field of GraphQL on all objects of a level; the answer is there
    /// after its unit of work is committed. An answer that is an error as a whole drops the unit.
    /// Dropping the future ends the invocation.
    fn resolve<'a>(
        &'a self,
        component: &'a ComponentName,
        field: &'a resolve::Field,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<resolve::Answer, Error>> {
        let _nobody = (field, context);
        Box::pin(async { Err(Error::NotServed(component.clone())) })
    }

    /// Delivers a message. On `Outcome::Done` the unit is committed and the delivery
    /// settled in the same transaction; otherwise the caller records the failure.
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async { Err(Error::NotServed(delivery.id.group.clone())) })
    }

    /// Fires a timer; settled as a delivery is.
    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async { Err(Error::NotServed(timer.id.component.clone())) })
    }
}
