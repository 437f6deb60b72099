//! Which limit an error means: the host's own, and those that wasmtime finds.

use std::fmt::Display;

use monopod_core::limit::{HOST_CALL, Limit, RANDOM, STACK};
use monopod_core::name::ComponentName;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use crate::load::Loaded;

/// A limit was reached: ends the call.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Reached {
    text: String,
}

impl Reached {
    pub(crate) fn new(limit: Limit, component: &ComponentName, max: impl Display) -> Self {
        Self { text: limit.reached(component, max) }
    }
}

/// Whether headers that the guest made are within its bounds.
pub(crate) fn headers(loaded: &Loaded, headers: &http::HeaderMap) -> Result<(), Reached> {
    let limits = &loaded.component.limits;
    let found = |limit: Limit, max: &dyn Display| {
        loaded.account.hit(limit);
        Err(Reached::new(limit, &loaded.component.name, max))
    };
    if headers.len() > usize::try_from(limits.headers).unwrap_or(usize::MAX) {
        return found(Limit::Headers, &limits.headers);
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > limits.header_size.as_usize() {
        return found(Limit::HeaderSize, &limits.header_size);
    }
    Ok(())
}

/// A body that the guest made is larger than its limit.
pub(crate) fn body(loaded: &Loaded) -> Reached {
    loaded.account.hit(Limit::Body);
    Reached::new(Limit::Body, &loaded.component.name, loaded.component.limits.body)
}

/// Why a call of `loaded` failed, in words that name the limit if it was one. A limit that
/// wasmtime found is counted here; the host's own are where they are found.
pub(crate) fn explain(loaded: &Loaded, error: &wasmtime::Error) -> String {
    let name = &loaded.component.name;
    if let Some(reached) = error.downcast_ref::<Reached>() {
        return reached.to_string();
    }
    let found = |limit: Limit, max: &dyn Display| {
        loaded.account.hit(limit);
        limit.reached(name, max)
    };
    let handles = loaded.component.limits.handles;
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => return found(Limit::Stack, &STACK),
        // The root cause says it; the chain above it names internal functions.
        Some(trap) => return trap.to_string(),
        None => {}
    }
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        return found(Limit::Handles, &handles);
    }
    let text = format!("{error:#}");
    // wasmtime has no types for these.
    for (part, limit, max) in [
        ("store handle limit exceeded", Limit::Handles, &handles as &dyn Display),
        ("fuel allocated for hostcalls has been exhausted", Limit::HostCallSize, &HOST_CALL),
        ("exceeds limit", Limit::Random, &RANDOM),
    ] {
        if text.contains(part) {
            return found(limit, max);
        }
    }
    text
}
