//! The components that run now, for those who begin something new each time: messages, timers,
//! figures. Requests hold the engine that they began with instead, and end with it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use monopod_core::BoxFuture;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome, Timer};
use monopod_engine::Engine;

/// The engine in place.
pub struct Live(ArcSwap<Engine>);

impl Live {
    pub fn new(engine: Engine) -> Self {
        Self(ArcSwap::from_pointee(engine))
    }

    /// The one that is in place now.
    pub fn now(&self) -> Arc<Engine> {
        self.0.load_full()
    }

    /// Puts another in place. Returns the one before, to be retired.
    pub fn replace(&self, engine: Arc<Engine>) -> Arc<Engine> {
        self.0.swap(engine)
    }
}

/// Messages and timers only: what is left out is not served.
impl Components for Live {
    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        let engine = self.now();
        Box::pin(async move { engine.deliver(delivery).await })
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        let engine = self.now();
        Box::pin(async move { engine.fire(timer).await })
    }
}
