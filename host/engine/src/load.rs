//! From compiled code to something that can be instantiated and called.

use monopod_core::component::Component;
use wasmtime::component::{Component as Code, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler as http;

use crate::Error;
use crate::bindings::exports::monopod::{messaging, timers};
use crate::guest::Guest;
use crate::instances::Places;

/// A component that is ready.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    /// Its settings, in the shape WASI wants them.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) instance: InstancePre<Guest>,
    pub(crate) http: Option<http::GuestIndices>,
    pub(crate) messages: Option<messaging::handler::GuestIndices>,
    pub(crate) timers: Option<timers::handler::GuestIndices>,
    /// Where its calls run.
    pub(crate) places: Places,
}

pub(crate) fn link(linker: &Linker<Guest>, code: Code, component: Component) -> Result<Loaded, Error> {
    let instance = linker.instantiate_pre(&code).map_err(|e| Error::Invalid {
        component: component.name.clone(),
        reason: format!(
            "{e:#}\n  fix: no host capability of that name and shape is offered; see wit/ for those that are"
        ),
    })?;
    // An export that is missing or of another shape is an error of `new`; of another
    // shape with the right name never gets past the linker's type check of its imports,
    // so missing is all it can mean.
    let http = http::GuestIndices::new(&instance).ok();
    let messages = messaging::handler::GuestIndices::new(&instance).ok();
    let timers = timers::handler::GuestIndices::new(&instance).ok();

    if http.is_none() && messages.is_none() && timers.is_none() {
        return Err(Error::NothingServed(component.name));
    }
    let no_handler = |what, export| Error::NoHandler { component: component.name.clone(), what, export };
    if !component.grants.consume.is_empty() && messages.is_none() {
        return Err(no_handler("topics to consume", "monopod:messaging/handler@0.1.0"));
    }
    if component.grants.timers && timers.is_none() {
        return Err(no_handler("timers", "monopod:timers/handler@0.1.0"));
    }
    let environment = component.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let places = Places::new(component.limits.concurrency);
    Ok(Loaded { component, environment, instance, http, messages, timers, places })
}
