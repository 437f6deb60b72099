//! One invocation from start to end: a slot, an instance, the guest's code, the commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use monopod_core::context::Context;
use monopod_core::identity::Principal;
use monopod_core::invoke::{Components, Error};
use monopod_core::message::{Delivery, Outcome, Timer};
use monopod_core::name::ComponentName;
use monopod_core::unit::{Cause, Unit};
use monopod_core::{Body, BoxFuture, full, store};
use tokio::sync::SemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, Trap};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::bindings::exports::monopod::{messaging, timers};
use crate::bindings::monopod::messaging::types as wit;
use crate::guest::Guest;
use crate::load::Loaded;
use crate::{Engine, Shared};

/// How many invocations of one component may wait for a slot, as a multiple of its slots.
/// More than a few rounds of waiting would end at the deadline anyway.
const QUEUE: u32 = 8;

/// The log's name for what components are called for.
const CALLS: &str = "monopod_engine::calls";

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl Components for Engine {
    fn http<'a>(
        &'a self,
        component: &'a ComponentName,
        request: http::Request<Body>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<http::Response<Body>, Error>> {
        Box::pin(self.shared.http(component, request, context))
    }

    fn deliver<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(self.shared.deliver(delivery))
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(self.shared.fire(timer))
    }
}

impl Shared {
    pub(crate) async fn http(
        &self,
        component: &ComponentName,
        request: http::Request<Body>,
        context: &Context,
    ) -> Result<http::Response<Body>, Error> {
        let loaded = self.loaded(component)?;
        if loaded.http.is_none() {
            return Err(Error::NotServed(component.clone()));
        }
        let call = self.enter(loaded, context).await?;
        let (parts, body) = request.into_parts();
        let body = match call.in_time(read(body, loaded.component.limits.body.as_usize())).await? {
            Ok(body) => body,
            Err(unread) => return Ok(refusal(&unread)),
        };
        let parts = prepare(parts, component, &call.context);
        call.run(Cause::Request, |store, instance| {
            let request = http::Request::from_parts(parts.clone(), body.clone());
            Box::pin(answer(store, instance, request))
        })
        .await
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Outcome, Error> {
        let message = &delivery.message;
        let loaded = self.loaded(&delivery.id.group)?;
        let Some(handler) = &loaded.messages else {
            return Err(Error::NotServed(delivery.id.group.clone()));
        };
        let context = Context {
            principal: principal(message.owner.as_ref()),
            correlation: message.correlation.clone(),
            trace: message.trace,
            deadline: Instant::now() + loaded.component.limits.deadline,
            depth: 0,
        };
        let cause = Cause::Delivery { id: delivery.id.clone(), message: message.id.clone() };
        self.enter(loaded, &context)
            .await?
            .run(cause, |mut store, instance| {
                Box::pin(async move {
                    let message = wit::Message {
                        id: message.id.to_string(),
                        topic: message.topic.to_string(),
                        key: message.key.as_deref().map(str::to_owned),
                        headers: message
                            .headers
                            .iter()
                            .map(|(name, value)| wit::Header { name: name.clone(), value: value.clone() })
                            .collect(),
                        payload: message.payload.to_vec(),
                        correlation_id: message.correlation.as_str().to_owned(),
                        published_at: message.published_at,
                        attempt: delivery.attempt,
                    };
                    let answer =
                        handler.load(&mut store, &instance)?.call_handle(&mut store, &message).await?;
                    Ok((outcome(answer), store.into_data().unit))
                })
            })
            .await
    }

    async fn fire(&self, timer: &Timer) -> Result<Outcome, Error> {
        let loaded = self.loaded(&timer.id.component)?;
        let Some(handler) = &loaded.timers else {
            return Err(Error::NotServed(timer.id.component.clone()));
        };
        let context = Context {
            principal: principal(timer.owner.as_ref()),
            correlation: timer.correlation.clone(),
            trace: timer.trace,
            deadline: Instant::now() + loaded.component.limits.deadline,
            depth: 0,
        };
        let cause = Cause::Timer { id: timer.id.clone(), version: timer.version };
        self.enter(loaded, &context)
            .await?
            .run(cause, |mut store, instance| {
                Box::pin(async move {
                    let timer = timers::handler::Timer {
                        name: timer.id.name.to_string(),
                        payload: timer.payload.to_vec(),
                        correlation_id: timer.correlation.as_str().to_owned(),
                        due_at: timer.due_at,
                        attempt: timer.attempt,
                    };
                    let answer = handler.load(&mut store, &instance)?.call_fire(&mut store, &timer).await?;
                    Ok((outcome(answer), store.into_data().unit))
                })
            })
            .await
    }

    fn loaded(&self, component: &ComponentName) -> Result<&Arc<Loaded>, Error> {
        self.components.get(component).ok_or_else(|| Error::NotServed(component.clone()))
    }

    /// Waits for a slot of the component, within bounds.
    async fn enter<'a>(&'a self, loaded: &'a Arc<Loaded>, context: &Context) -> Result<Call<'a>, Error> {
        let component = &loaded.component.name;
        let permit = match loaded.slots.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = loaded.wait().ok_or_else(|| Error::Overloaded {
                    component: component.clone(),
                    reason: "too many calls wait for it already",
                })?;
                let permit = tokio::time::timeout(context.remaining(), loaded.slots.acquire()).await;
                drop(waiting);
                match permit {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) | Err(_) => {
                        return Err(Error::Overloaded {
                            component: component.clone(),
                            reason: "no instance became free before the deadline",
                        });
                    }
                }
            }
        };
        // The caller's deadline and the component's own: whichever comes first.
        let own = Instant::now() + loaded.component.limits.deadline;
        let context = Context { deadline: context.deadline.min(own), ..context.clone() };
        Ok(Call { shared: self, loaded, context, _permit: permit })
    }
}

impl Loaded {
    /// Counts a waiting call; none when enough wait already.
    fn wait(&self) -> Option<Waiting<'_>> {
        use std::sync::atomic::Ordering::Relaxed;
        let most = self.component.limits.concurrency.saturating_mul(QUEUE);
        let before = self.waiting.fetch_add(1, Relaxed);
        let guard = Waiting(&self.waiting);
        (before < most).then_some(guard)
    }
}

struct Waiting<'a>(&'a std::sync::atomic::AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// An invocation that has its slot.
struct Call<'a> {
    shared: &'a Shared,
    loaded: &'a Arc<Loaded>,
    context: Context,
    _permit: SemaphorePermit<'a>,
}

/// What running a guest gives back: its unit and its answer.
type Ran<T> = wasmtime::Result<(T, Unit)>;

/// Whether an answer lets its unit be committed.
trait Answer {
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

impl Call<'_> {
    /// Runs the guest to its committed end, and says so in the log: with one line for each call an
    /// action can be followed through all components.
    async fn run<'f, T: Answer>(
        &self,
        cause: Cause,
        guest: impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<T, Error> {
        let log = tracing::enabled!(target: CALLS, tracing::Level::DEBUG);
        let told = log.then(|| (told(&cause), Instant::now()));
        let result = self.settle(cause, guest).await;
        if let Some((cause, began)) = told {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            let committed = result.as_ref().is_ok_and(Answer::commits);
            tracing::debug!(target: CALLS, component = %self.loaded.component.name, correlation = %self.context.correlation,
                trace = %self.context.trace, cause, committed, micros, "called");
        }
        result
    }

    /// Runs the guest and commits its unit; runs it again when the unit was overtaken.
    async fn settle<'f, T: Answer>(
        &self,
        cause: Cause,
        guest: impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<T, Error> {
        loop {
            let (answer, unit) = self.in_time(self.once(cause.clone(), &guest)).await??;
            if !answer.commits() || unit.is_empty() {
                return Ok(answer);
            }
            // Not bounded by the deadline: it was handed over, and happens or not as a whole.
            match self.shared.store.commit(unit).await {
                Ok(()) => return Ok(answer),
                // Somebody else got on: among any number one wins each round, so the
                // deadline is the only bound it needs.
                Err(store::Error::Conflict) if !self.context.remaining().is_zero() => {}
                Err(source) => {
                    return Err(Error::Store { component: self.loaded.component.name.clone(), source });
                }
            }
        }
    }

    async fn once<'f, T>(
        &self,
        cause: Cause,
        guest: &impl Fn(Store<Guest>, Instance) -> BoxFuture<'f, Ran<T>>,
    ) -> Result<(T, Unit), Error> {
        let shared = self.shared.this.upgrade().ok_or_else(|| self.trapped("the engine is shutting down"))?;
        let mut store = Guest::store(&shared, self.loaded, &self.context, cause);
        let _running = self.shared.ticker.run();
        let instance =
            self.loaded.instance.instantiate_async(&mut store).await.map_err(|e| self.failed(&e))?;
        guest(store, instance).await.map_err(|e| self.failed(&e))
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        // Polls the work first: a guest that answers at once never touches a timer.
        tokio::time::timeout(self.context.remaining().max(Duration::from_millis(1)), work).await.map_err(|_| {
            let component = &self.loaded.component.name;
            tracing::warn!(component = %component, correlation = %self.context.correlation, trace = %self.context.trace,
                limit = ?self.loaded.component.limits.deadline, "the component did not answer in time and was stopped");
            Error::TimedOut(component.clone())
        })
    }

    fn failed(&self, error: &wasmtime::Error) -> Error {
        self.trapped(&match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "it used up its stack".to_owned(),
            // The root cause says it; the chain above it names internal functions.
            Some(trap) => trap.to_string(),
            None => format!("{error:#}"),
        })
    }

    fn trapped(&self, reason: &str) -> Error {
        let component = self.loaded.component.name.clone();
        tracing::warn!(component = %component, correlation = %self.context.correlation, trace = %self.context.trace,
            reason, "the component failed; nothing of this call remains");
        Error::Trapped { component, reason: reason.to_owned() }
    }
}

/// Why a component is called, for the log.
fn told(cause: &Cause) -> String {
    match cause {
        Cause::Request => "request".to_owned(),
        Cause::Delivery { message, .. } => format!("message {message}"),
        Cause::Timer { id, .. } => format!("timer {}", id.name),
    }
}

fn principal(owner: Option<&monopod_core::identity::Owner>) -> Principal {
    owner.map_or(Principal::System, |owner| Principal::Owner(owner.clone()))
}

fn outcome(outcome: wit::Outcome) -> Outcome {
    match outcome {
        messaging::handler::Outcome::Done => Outcome::Done,
        messaging::handler::Outcome::Retry(retry) => {
            Outcome::Retry { after: retry.after.map(Duration::from_millis), reason: retry.reason }
        }
        messaging::handler::Outcome::Reject(reason) => Outcome::Reject { reason },
    }
}

/// A request as the guest will see it: addressed to it, with the ids of its action.
fn prepare(
    mut parts: http::request::Parts,
    component: &ComponentName,
    context: &Context,
) -> http::request::Parts {
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(format!("{component}.internal"))
        .path_and_query(path)
        .build();
    // The path came out of a URI, the name is checked: it cannot fail.
    parts.uri = uri.unwrap_or_default();
    let text = |value: String| HeaderValue::from_maybe_shared(Bytes::from(value));
    if let Ok(value) = text(context.correlation.to_string()) {
        parts.headers.insert(CORRELATION, value);
    }
    if let Ok(value) = text(context.trace.traceparent()) {
        parts.headers.insert(TRACEPARENT, value);
    }
    parts
}

/// Calls the guest's HTTP handler and gathers its response, head and body.
async fn answer(
    mut store: Store<Guest>,
    instance: Instance,
    request: http::Request<Bytes>,
) -> Ran<http::Response<Body>> {
    let limit = store.data().loaded.component.limits.body.as_usize();
    let (send, receive) = tokio::sync::oneshot::channel();
    let guest = async {
        let result = handle(&mut store, &instance, request, send).await;
        // With the store go the ends of response and body that the guest left open, so that
        // nobody waits for what can no longer come.
        let unit = store.into_data().unit;
        result.map(|()| unit)
    };
    let (unit, response) = futures_util::future::join(guest, gather(receive, limit)).await;
    // A trap explains a missing answer, not the other way round.
    let unit = unit?;
    Ok((response?, unit))
}

async fn handle(
    store: &mut Store<Guest>,
    instance: &Instance,
    request: http::Request<Bytes>,
    send: tokio::sync::oneshot::Sender<Result<hyper::Response<HyperOutgoingBody>, ErrorCode>>,
) -> wasmtime::Result<()> {
    let loaded = store.data().loaded.clone();
    let Some(handler) = &loaded.http else {
        return Err(wasmtime::Error::msg("it has no HTTP handler"));
    };
    let guest = handler.load(&mut *store, instance)?;
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request.map(http_body_util::Full::new))?;
    let response = http.new_response_outparam(send)?;
    guest.call_handle(&mut *store, request, response).await
}

/// The response the guest set, read while the guest still writes it.
async fn gather(
    response: tokio::sync::oneshot::Receiver<Result<hyper::Response<HyperOutgoingBody>, ErrorCode>>,
    limit: usize,
) -> wasmtime::Result<http::Response<Body>> {
    let (parts, body) = match response.await {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(code)) => return Err(wasmtime::Error::msg(format!("it answered with the error {code:?}"))),
        Err(_) => return Err(wasmtime::Error::msg("it ended without setting a response")),
    };
    match read(body, limit).await {
        Ok(whole) => Ok(http::Response::from_parts(parts, full(whole))),
        Err(Unread::TooLarge) => Err(wasmtime::Error::msg(format!(
            "its response body is larger than {limit} bytes; the limit is `body` in its [limits]"
        ))),
        Err(Unread::Interrupted) => Err(wasmtime::Error::msg("its response body broke off")),
    }
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    Interrupted,
}

/// The whole body, if it is not larger than `limit` bytes.
async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Unread>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    // Most bodies are one chunk, which is then not copied.
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Interrupted)?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(whole.len()) + data.len() > limit {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn refusal(unread: &Unread) -> http::Response<Body> {
    let (status, text) = match unread {
        Unread::TooLarge => (
            http::StatusCode::PAYLOAD_TOO_LARGE,
            r#"{"error":"the request body is too large","code":"PAYLOAD_TOO_LARGE"}"#,
        ),
        Unread::Interrupted => (
            http::StatusCode::BAD_REQUEST,
            r#"{"error":"the request body ended before it was complete","code":"BAD_REQUEST"}"#,
        ),
    };
    let mut response = http::Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
