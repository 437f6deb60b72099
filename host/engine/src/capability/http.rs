//! `wasi:http` outgoing: calls to other components at `http://<name>.internal/`, and, through
//! `outside`, to servers. Calls to components never open a socket and inherit the caller's
//! identity, deadline and trace.

use std::future::Future;
use std::sync::{Arc, Weak};

use http_body_util::BodyExt;
use monopod_core::Body;
use monopod_core::context::{Context, MAX_DEPTH};
use monopod_core::invoke;
use monopod_core::name::ComponentName;
use monopod_core::outgoing::Permit;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::outside;
use crate::Shared;
use crate::load::Loaded;

/// How many writes of a body may wait to be read: one would make guest and reader take turns.
const BODY_CHUNKS: usize = 4;

pub(crate) struct Outgoing {
    // Weak, so that a request that outlives its invocation does not keep the engine.
    shared: Weak<Shared>,
    loaded: Arc<Loaded>,
    context: Context,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Outgoing {
    pub(crate) fn new(shared: &Arc<Shared>, loaded: &Arc<Loaded>, context: &Context) -> Self {
        Self { shared: shared.this.clone(), loaded: loaded.clone(), context: context.clone() }
    }

    /// What is sent from now on belongs to this call.
    pub(crate) fn begin(&mut self, shared: &Arc<Shared>, context: &Context) {
        if !self.shared.ptr_eq(&shared.this) {
            self.shared = shared.this.clone();
        }
        self.context = context.clone();
    }

    /// Where a request goes, if the caller may send it there.
    fn target(&self, uri: &http::Uri) -> Result<Target, Error> {
        let caller = &self.loaded.component;
        let host = uri.host().unwrap_or_default();
        let internal =
            host.strip_suffix(".internal").filter(|_| uri.scheme() == Some(&http::uri::Scheme::HTTP));
        let Some(name) = internal else {
            return outside::decide(uri, &self.loaded, &self.context).map(Target::Outside);
        };
        if let Some(name) = caller.grants.call.get(name) {
            return Ok(Target::Component(name.clone()));
        }
        let fix = format!("[components.{}.grants] call = [\"{name}\"]", caller.name);
        let to = format!("http://{host}{}", uri.path());
        outside::refused(&self.loaded, &self.context, &to, "not granted", &fix);
        Err(Error::HttpRequestDenied)
    }
}

/// Where a request goes.
enum Target {
    Component(ComponentName),
    Outside(Permit),
}

impl WasiHttpHooks for Outgoing {
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Io,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send> {
        let target = self.target(request.uri());
        let shared = self.shared.clone();
        let loaded = self.loaded.clone();
        let mut context = self.context.clone();
        Box::new(async move {
            let done = || Box::new(std::future::ready(Ok(()))) as Io;
            let target = match target? {
                Target::Component(name) => name,
                Target::Outside(permit) => {
                    let shared = shared.upgrade().ok_or(Error::ConnectionTerminated)?;
                    let client = &*shared.outgoing;
                    let response = outside::send(client, &loaded, &context, permit, request, options).await?;
                    return Ok((response, done()));
                }
            };
            if context.callers.depth() >= MAX_DEPTH {
                tracing::warn!(component = %target, correlation = %context.correlation, depth = MAX_DEPTH,
                    "call refused: components call one another in a circle, or too deeply");
                return Err(Error::LoopDetected);
            }
            context.callers = context.callers.with(loaded.name.clone());
            let shared = shared.upgrade().ok_or(Error::ConnectionTerminated)?;
            let request = request.map(|body| -> Body { body.map_err(Into::into).boxed_unsync() });
            let response = shared.http(&target, request, &context).await.map_err(|error| {
                tracing::warn!(component = %target, correlation = %context.correlation, trace = %context.trace,
                    error = %error, "call between components failed");
                match error {
                    invoke::Error::NotServed(_) => Error::DestinationNotFound,
                    invoke::Error::TimedOut(_) => Error::ConnectionReadTimeout,
                    invoke::Error::Overloaded { .. } => Error::ConnectionLimitReached,
                    invoke::Error::CircuitOpen { .. } => Error::DestinationUnavailable,
                    invoke::Error::Trapped { .. } | invoke::Error::Store { .. } => Error::ConnectionTerminated,
                }
            })?;
            let body = |body: Body| -> WasiBody {
                body.map_err(|error| Error::InternalError(Some(error.to_string()))).boxed_unsync()
            };
            Ok((response.map(body), done()))
        })
    }
}
