//! Calls of components: what `core`'s port promises, one module for each kind of call.
//!
//! [`call`] is the life of every call (a place, an instance, the guest's code, the commit);
//! [`http`] (with [`service`] for WASI 0.3), [`function`], [`message`], [`resolve`] and [`timer`] say what is
//! handed to the guest and what comes back.

mod call;
mod counted;
mod function;
mod http;
mod message;
mod reply;
mod request;
mod resolve;
mod response;
mod service;
mod timer;

use std::sync::Arc;
use std::time::Instant;

use monopod_core::context::{Callers, Context, CorrelationId, TraceId};
use monopod_core::identity::{Owner, Principal};
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome, Timer};
use monopod_core::name::ComponentName;
use monopod_core::resolve::{Answer, Field};
use monopod_core::{Body, BoxFuture};

pub(crate) use reply::Reply;

use crate::load::Loaded;
use crate::shard::Sharded;
use crate::{Engine, Shared};

impl Components for Engine {
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        request: ::http::Request<Body>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<::http::Response<Body>, Error>> {
        Box::pin(self.shared.mine().http(component, request, context))
    }

    fn resolve<'a>(
        &'a self,
        component: &'a ComponentName,
        field: &'a Field,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.shared.mine().resolve(component, field, context))
    }

    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(self.shared.mine().deliver(delivery))
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(self.shared.mine().fire(timer))
    }
}

impl Shared {
    fn loaded(&self, component: &ComponentName) -> Result<&Arc<Loaded>, Error> {
        self.components.get(component).map(Sharded::mine).ok_or_else(|| Error::NotServed(component.clone()))
    }
}

/// The context of a call that no client waits for.
fn context(owner: Option<&Owner>, correlation: &CorrelationId, trace: TraceId, loaded: &Loaded) -> Context {
    Context {
        principal: owner.map_or(Principal::System, |owner| Principal::Owner(owner.clone())),
        correlation: correlation.clone(),
        trace,
        deadline: Instant::now() + loaded.component.limits.deadline,
        callers: Callers::default(),
    }
}
