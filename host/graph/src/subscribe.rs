//! Subscriptions: from messages on topics to responses for one client.
//!
//! A message reaches a client only if the client began what it belongs to: its owner is
//! compared first, before any filter, and no setting changes that. A client that names
//! what it waits for gets the last retained message first, so that it may come late.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{FutureExt, Stream, StreamExt, stream};
use monopod_core::BoxStream;
use monopod_core::context::Context;
use monopod_core::event::{Event, Events};
use monopod_core::identity::{Owner, Principal};
use monopod_core::invoke::Components;
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use monopod_core::store::Retained;
use tokio::time::timeout_at;

use crate::error::{Failure, code};
use crate::execute::Run;
use crate::execute::call::masked;
use crate::graph::Inner;
use crate::json::Json;
use crate::mapping::check::Filter;
use crate::mapping::value::Scope;
use crate::plan::{Field, Kind, Plan, Variables, arguments};
use crate::schema::{Resolver, Schema, Subscribe};

/// The payload key that messages carry their action's id under; a filter on it finds the
/// retained message by that id, any other filter by the message's key.
const CORRELATION: &str = "correlationId";
/// Messages that can come between watching and looking back: far more than a look takes.
const MAX_PENDING: usize = 1_000;

/// What a subscription yields.
#[derive(Debug)]
pub enum Next {
    /// A response, ready to be sent.
    Response(Vec<u8>),
    /// Messages came faster than they were taken and some are lost: the client must
    /// subscribe again.
    Lagged,
    /// The schema was replaced by one in which this is otherwise. Nothing follows.
    Changed,
}

/// One subscription with everything it needs for as long as it lasts.
struct Feed {
    /// Kept so that a swap of the schema leaves this subscription as it began.
    schema: Arc<Schema>,
    components: Arc<dyn Components>,
    principal: Principal,
    plan: Arc<Plan>,
    resolver: Arc<Resolver>,
    variables: Variables<'static>,
    args: Json<'static>,
    owner: Owner,
}

/// Opens a subscription that passed authorization. Watching begins before this returns.
pub async fn open(
    schema: Arc<Schema>,
    plan: Arc<Plan>,
    variables: Variables<'static>,
    context: &Context,
    inner: &Inner,
) -> Result<BoxStream<'static, Next>, Failure> {
    let Some(owner) = context.principal.owner().cloned() else {
        return Err(Failure::new(
            code::UNAUTHENTICATED,
            "Events belong to who began them: a bearer token is needed.",
        ));
    };
    let (resolver, args) = match plan.fields.first().map(|field| &field.kind) {
        Some(Kind::Resolved { resolver, arguments, .. }) => {
            let args = arguments::resolve(arguments, &variables);
            (Arc::clone(resolver), args.map_err(|message| Failure::new(code::BAD_USER_INPUT, message))?)
        }
        _ => return Err(Failure::new(code::VALIDATION_FAILED, "A subscription selects one field.")),
    };
    let changed = changed(inner, &schema, &plan);
    let (events, components) = (&*inner.events, Arc::clone(&inner.components));
    let principal = context.principal.clone();
    let feed = Arc::new(Feed { schema, components, principal, plan, resolver, variables, args, owner });

    // First watch, then look back: what is published in between is seen at least once.
    let mut live = events.watch(&feed.topics());
    let retained = match timeout_at(context.deadline.into(), feed.retained(events)).await {
        Ok(Ok(retained)) => retained,
        Ok(Err(error)) => {
            tracing::warn!(correlation = %context.correlation, %error, "retained messages cannot be read");
            return Err(masked(context));
        }
        Err(_) => return Err(Failure::new(code::TIMED_OUT, "The subscription could not be opened in time.")),
    };
    let Some(retained) = retained else {
        return Ok(until(feed.follow(live, None), changed));
    };
    // What was published before the retained message is older news than the message
    // itself; what came after it follows. Order in the stream decides, never the clock.
    let mut pending = Vec::new();
    while pending.len() < MAX_PENDING {
        match live.next().now_or_never() {
            Some(Some(event)) => pending.push(event),
            Some(None) | None => break,
        }
    }
    let is_retained = |event: &Event| matches!(event, Event::Published(message) if message.id == retained.id);
    if let Some(at) = pending.iter().position(is_retained) {
        pending.drain(..=at);
    }
    let first = feed.response(&retained).await.map(Next::Response);
    let rest = stream::iter(pending).chain(live);
    Ok(until(stream::iter(first).chain(feed.follow(rest, Some(retained))), changed))
}

/// The stream, until the schema is replaced by one in which the subscription is otherwise.
fn until(
    stream: impl Stream<Item = Next> + Send + 'static,
    changed: impl Future<Output = ()> + Send + 'static,
) -> BoxStream<'static, Next> {
    let changed = changed.map(|()| Next::Changed).into_stream().map(Some);
    // Events end with the host; then there is nothing to wait for either.
    let events = stream.map(Some).chain(stream::once(std::future::ready(None)));
    let both = stream::select(events, changed);
    let ended = |ended: &mut bool, next: Option<Next>| {
        let go_on = !std::mem::replace(ended, matches!(next, None | Some(Next::Changed)));
        std::future::ready(go_on.then_some(next))
    };
    both.scan(false, ended).filter_map(std::future::ready).boxed()
}

/// Returns when a schema is in place in which the field of this subscription is otherwise.
fn changed(inner: &Inner, schema: &Schema, plan: &Plan) -> impl Future<Output = ()> + Send + 'static {
    let name = plan.fields.first().map(|field| field.name.to_string()).unwrap_or_default();
    let mine = schema.prints.get(&name).copied();
    let mut swapped = inner.swapped.subscribe();
    let current = Arc::clone(&inner.schema);
    async move {
        loop {
            if current.load().prints.get(&name).copied() != mine {
                return;
            }
            if swapped.changed().await.is_err() {
                // Nobody can replace it any more.
                return std::future::pending().await;
            }
        }
    }
}

impl Feed {
    fn sources(&self) -> &[Subscribe] {
        match &*self.resolver {
            Resolver::Subscribe(sources) => sources,
            Resolver::Connect(_) | Resolver::Code(_) => &[],
        }
    }

    fn field(&self) -> Option<&Field> {
        self.plan.fields.first()
    }

    fn topics(&self) -> Vec<TopicName> {
        let mut topics: Vec<_> = self.sources().iter().map(|source| source.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// The newest retained message that the client waits for, if it says what that is.
    async fn retained(
        &self,
        events: &dyn Events,
    ) -> Result<Option<Arc<Message>>, monopod_core::store::Error> {
        let mut newest: Option<Arc<Message>> = None;
        for source in self.sources() {
            let Some(wanted) = self.wanted(source) else { continue };
            let Some(found) = events.last(&source.topic, &wanted).await? else { continue };
            let newer = newest
                .as_ref()
                .is_none_or(|known| (known.published_at, &known.id) < (found.published_at, &found.id));
            if newer && self.source_of(&found).is_some() {
                newest = Some(found);
            }
        }
        Ok(newest)
    }

    /// What the given filter arguments say about a retained message; none if they say nothing.
    fn wanted(&self, source: &Subscribe) -> Option<Retained> {
        let mut wanted = Retained::default();
        for term in &source.filter {
            let Some(value) = self.argument(term).and_then(text) else { continue };
            if term.path.last().is_some_and(|key| **key == *CORRELATION) {
                wanted.correlation = Some(value);
            } else if wanted.key.is_none() {
                wanted.key = Some(value.into());
            }
        }
        let narrowed = wanted != Retained::default();
        wanted.owner = Some(self.owner.clone());
        narrowed.then_some(wanted)
    }

    fn argument(&self, term: &Filter) -> Option<&Json<'static>> {
        term.argument.iter().try_fold(&self.args, |here, key| here.get(key)).filter(|value| !value.is_null())
    }

    /// The mapping that lets a message pass to this client.
    fn source_of(&self, message: &Message) -> Option<&Subscribe> {
        if message.owner.as_ref() != Some(&self.owner) {
            return None;
        }
        let mut sources = self.sources().iter().filter(|source| source.topic == message.topic).peekable();
        sources.peek()?;
        let payload = Json::parse(&message.payload).unwrap_or(Json::Null);
        sources.find(|source| source.filter.iter().all(|term| self.passes(term, &payload)))
    }

    fn passes(&self, term: &Filter, payload: &Json<'_>) -> bool {
        let Some(wanted) = self.argument(term) else { return true };
        let found = term.path.iter().try_fold(payload, |here, key| here.get(key));
        match (found.and_then(text), text(wanted)) {
            (Some(found), Some(wanted)) => found == wanted,
            _ => false,
        }
    }

    /// The response for a message; none if it is not for this client.
    async fn response(&self, message: &Message) -> Option<Vec<u8>> {
        let source = self.source_of(message)?;
        let field = self.field()?;
        // What is looked up for an event is looked up for it anew.
        let deadline = Instant::now() + self.schema.settings.timeout;
        let (principal, correlation) = (self.principal.clone(), message.correlation.clone());
        let context =
            Context { principal, correlation, trace: message.trace, deadline, callers: Default::default() };
        let run = Run {
            schema: &self.schema,
            plan: &self.plan,
            variables: &self.variables,
            context: &context,
            components: &*self.components,
        };
        let correlation = Json::String(message.correlation.as_str().into());
        Some(match Json::parse(&message.payload) {
            Ok(payload) => {
                let scope = Scope { whole: &payload, ..Scope::of(&self.args, &correlation) };
                run.event(field, Ok((&source.selection, scope))).await
            }
            Err(error) => {
                tracing::warn!(topic = %message.topic, id = %message.id, %error, "a payload is not JSON");
                let failure = Failure::new(code::UPSTREAM_ERROR, "The event cannot be read.")
                    .with("correlationId", correlation.into_owned());
                run.event(field, Err(failure)).await
            }
        })
    }

    fn follow(
        self: Arc<Self>,
        events: impl Stream<Item = Event> + Send + 'static,
        retained: Option<Arc<Message>>,
    ) -> impl Stream<Item = Next> + Send + 'static {
        events.filter_map(move |event| {
            // It was sent first.
            let sent = matches!(
                (&event, &retained),
                (Event::Published(message), Some(sent)) if sent.id == message.id
            );
            let feed = Arc::clone(&self);
            async move {
                match event {
                    _ if sent => None,
                    Event::Lagged(_) => Some(Next::Lagged),
                    Event::Published(message) => feed.response(&message).await.map(Next::Response),
                }
            }
        })
    }
}

/// What the client of a subscription is told that ends with its schema.
pub fn schema_changed() -> Failure {
    Failure::new(code::SCHEMA_CHANGED, "The schema was replaced: subscribe again.")
}

/// A single value as text, so that `7` and `"7"` are the same id.
fn text(value: &Json<'_>) -> Option<String> {
    match value {
        Json::String(text) => Some(text.to_string()),
        Json::Bool(_) | Json::Int(_) | Json::Large(_) | Json::Float(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
