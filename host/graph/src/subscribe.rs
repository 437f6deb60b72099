//! Subscriptions: from messages on topics to responses for one client.
//!
//! A message reaches a client only if the client began what it belongs to, and no setting changes
//! that. A client begins where it says; one that names what it waits for gets the last retained
//! message first, so that it may come late, and is told when what it waits for has ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use monopod_core::BoxStream;
use monopod_core::context::Context;
use monopod_core::event::{Event, Events};
use monopod_core::identity::{Owner, Principal};
use monopod_core::message::Message;
use monopod_core::name::TopicName;
use monopod_core::store::{After, Past, Retained};
use monopod_core::topics::Stored;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{timeout, timeout_at};

use crate::error::{Failure, code};
use crate::execute::Run;
use crate::execute::call::masked;
use crate::graph::{Inner, Served};
use crate::json::{Json, NULL};
use crate::mapping::check::Filter;
use crate::mapping::value::Scope;
use crate::plan::{Field, Kind, Plan, arguments};
use crate::protocol::Prepared;
use crate::schema::{Keys, Resolver, Schema, Subscribe};

/// The payload key that messages carry their action's id under; a filter on it finds the
/// retained message by that id, any other filter by the message's key.
const CORRELATION: &str = "correlationId";
/// The longest that a page of the past is waited for.
const PAGE_TIME: Duration = Duration::from_secs(10);

/// What a subscription yields.
#[derive(Debug)]
pub enum Next {
    /// A response, ready to be sent, and the id of its event: who comes back with it goes on
    /// behind it.
    Response(Vec<u8>, u64),
    /// What the client asked to have again cannot be read now. Nothing follows.
    Failed(Failure),
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
    /// What is served now: who is asked for what events look up. Of a component that was replaced
    /// nothing is held.
    now: Arc<ArcSwap<Served>>,
    principal: Principal,
    prepared: Prepared<'static>,
    resolver: Arc<Resolver>,
    args: Json<'static>,
    owner: Owner,
}

/// Opens a subscription that passed authorization. Watching begins before this returns. `after`
/// is the last event that the client has, if the protocol knows it.
pub async fn open(
    schema: Arc<Schema>,
    prepared: Prepared<'static>,
    context: &Context,
    inner: &Inner,
    after: Option<After>,
) -> Result<BoxStream<'static, Next>, Failure> {
    let Some(owner) = context.principal.owner().cloned() else {
        return Err(Failure::new(
            code::UNAUTHENTICATED,
            "Events belong to who began them: a bearer token is needed.",
        ));
    };
    let (resolver, args) = match prepared.plan.fields.first().map(|field| &field.kind) {
        Some(Kind::Resolved { resolver, arguments, .. }) => {
            let args = arguments::resolve(arguments, &prepared.variables);
            (Arc::clone(resolver), args.map_err(|message| Failure::new(code::BAD_USER_INPUT, message))?)
        }
        _ => return Err(Failure::new(code::VALIDATION_FAILED, "A subscription selects one field.")),
    };
    let changed = changed(inner, &schema, &prepared.plan);
    let (events, now) = (Arc::clone(&inner.events), Arc::clone(&inner.schema));
    let principal = context.principal.clone();
    let feed = Feed { schema, now, principal, prepared, resolver, args, owner };
    let after = match after {
        None => feed.begins()?,
        known => known,
    };

    // First watch, then look back: what is published in between is seen at least once.
    let live = events.watch(&feed.topics(), &feed.owner);
    let (mut ready, mut past) = (VecDeque::new(), None);
    if let Some(after) = after {
        past = Some(Past { topics: feed.topics(), owner: feed.owner.clone(), after });
    } else {
        match timeout_at(context.deadline.into(), feed.retained(&*events)).await {
            Ok(Ok(retained)) => ready = retained,
            Ok(Err(error)) => {
                tracing::warn!(correlation = %context.correlation, %error, "retained messages cannot be read");
                return Err(masked(context));
            }
            Err(_) => {
                return Err(Failure::new(code::TIMED_OUT, "The subscription could not be opened in time."));
            }
        }
    }
    let course = Course { feed, events, live, ready, past, last: 0, ended: false };
    let course = stream::unfold(course, |mut course| async move { Some((course.next().await?, course)) });
    Ok(until(course, changed))
}

/// The stream, until the schema is replaced by one in which the subscription is otherwise.
fn until(
    stream: impl Stream<Item = Next> + Send + 'static,
    changed: impl Future<Output = ()> + Send + 'static,
) -> BoxStream<'static, Next> {
    let open = Some((stream.boxed(), changed.boxed()));
    let until = stream::unfold(open, |open| async move {
        let (mut stream, mut changed) = open?;
        tokio::select! {
            biased;
            () = &mut changed => Some((Next::Changed, None)),
            next = stream.next() => Some((next?, Some((stream, changed)))),
        }
    });
    until.boxed()
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
        self.prepared.plan.fields.first()
    }

    fn topics(&self) -> Vec<TopicName> {
        let mut topics: Vec<_> = self.sources().iter().map(|source| source.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// Where the client wants to begin, if it says so.
    fn begins(&self) -> Result<Option<After>, Failure> {
        let Some(since) = self.sources().iter().find_map(|source| source.since.as_ref()) else {
            return Ok(None);
        };
        match self.argument(&since.argument) {
            None => Ok(None),
            Some(value) if since.id => event_id(value.as_str().unwrap_or_default()).map(Some),
            Some(value) => {
                let time = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
                let millis = time.map_or(0, |time| time.unix_timestamp_nanos() / 1_000_000);
                // Before 1970 there were no events.
                Ok(Some(After::Time(u64::try_from(millis).unwrap_or(0))))
            }
        }
    }

    /// What a client that says what it waits for gets at once: the newest retained message, and
    /// one behind it that ends what the client waits for.
    async fn retained(&self, events: &dyn Events) -> Result<VecDeque<Stored>, monopod_core::store::Error> {
        let (mut shown, mut end): (Option<Stored>, Option<Stored>) = (None, None);
        for source in self.sources() {
            let Some(wanted) = self.wanted(source) else { continue };
            let Some(found) = events.last(&source.topic, &wanted).await? else { continue };
            let payload = Json::parse(&found.message.payload).unwrap_or(Json::Null);
            let Some(source) = self.source_of(&found.message, &payload) else { continue };
            let best = if source.selection.is_some() { &mut shown } else { &mut end };
            if best.as_ref().is_none_or(|known| known.sequence < found.sequence) {
                *best = Some(found);
            }
        }
        let behind = |end: &Stored| shown.as_ref().is_none_or(|shown| shown.sequence < end.sequence);
        let end = end.filter(behind);
        Ok(shown.into_iter().chain(end).collect())
    }

    /// What the given filter arguments say about a retained message; none if they say nothing.
    fn wanted(&self, source: &Subscribe) -> Option<Retained> {
        let mut wanted = Retained::default();
        for term in &source.filter {
            let Some(value) = self.argument(&term.argument).and_then(text) else { continue };
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

    fn argument(&self, path: &Keys) -> Option<&Json<'static>> {
        path.iter().try_fold(&self.args, |here, key| here.get(key)).filter(|value| !value.is_null())
    }

    /// The mapping that lets a message pass to this client.
    fn source_of(&self, message: &Message, payload: &Json<'_>) -> Option<&Subscribe> {
        // The hub hands out nothing else; that it does not is too important to be left to it alone.
        if message.owner.as_ref() != Some(&self.owner) {
            return None;
        }
        let mut sources = self.sources().iter().filter(|source| source.topic == message.topic);
        sources.find(|source| source.filter.iter().all(|term| self.passes(term, payload)))
    }

    fn passes(&self, term: &Filter, payload: &Json<'_>) -> bool {
        let Some(wanted) = self.argument(&term.argument) else { return true };
        let found = term.path.iter().try_fold(payload, |here, key| here.get(key));
        match (found.and_then(text), text(wanted)) {
            (Some(found), Some(wanted)) => found == wanted,
            _ => false,
        }
    }

    /// Whether an event that passed is the last one of what the client waits for: only a client
    /// that says what that is waits for something that ends.
    fn ends(&self, source: &Subscribe, payload: &Json<'_>) -> bool {
        let Some(tests) = &source.until else { return false };
        let scope = Scope { whole: payload, ..Scope::of(&NULL, &NULL) };
        self.wanted(source).is_some() && tests.iter().all(|(value, wanted)| scope.find(value) == wanted)
    }

    /// What an event means for this client: its response, if it is shown, and whether it is the
    /// last one. None if it is not for this client.
    async fn look(&self, stored: &Stored) -> Option<(Option<Next>, bool)> {
        let message = &*stored.message;
        let payload = Json::parse(&message.payload);
        let source = self.source_of(message, payload.as_ref().unwrap_or(&NULL))?;
        let ends = self.ends(source, payload.as_ref().unwrap_or(&NULL));
        let Some(selection) = &source.selection else { return ends.then_some((None, true)) };
        let field = self.field()?;
        // What is looked up for an event is looked up for it anew.
        let deadline = Instant::now() + self.schema.settings.timeout;
        let (principal, correlation) = (self.principal.clone(), message.correlation.clone());
        let context =
            Context { principal, correlation, trace: message.trace, deadline, callers: Default::default() };
        let now = self.now.load_full();
        let run = Run::new(&now.ports, &self.schema, &self.prepared, &context);
        let correlation = Json::String(message.correlation.as_str().into());
        // Told where the schema has a place to give it back.
        let told = source.since.as_ref().is_some_and(|since| since.id).then_some(stored.sequence);
        let response = match payload {
            Ok(payload) => {
                let scope = Scope { whole: &payload, ..Scope::of(&self.args, &correlation) };
                run.event(field, Ok((selection, scope)), told).await
            }
            Err(error) => {
                tracing::warn!(topic = %message.topic, id = %message.id, %error, "a payload is not JSON");
                let failure = Failure::new(code::UPSTREAM_ERROR, "The event cannot be read.")
                    .with("correlationId", correlation.into_owned());
                run.event(field, Err(failure), told).await
            }
        };
        Some((Some(Next::Response(response, stored.sequence)), ends))
    }
}

/// A subscription under way: what is there already, then what is kept, then what comes.
struct Course {
    feed: Feed,
    events: Arc<dyn Events>,
    live: BoxStream<'static, Event>,
    ready: VecDeque<Stored>,
    past: Option<Past>,
    /// The last event that was looked at: the order of the store decides, never a clock.
    last: u64,
    ended: bool,
}

impl Course {
    async fn next(&mut self) -> Option<Next> {
        while !self.ended {
            let stored = match self.ready.pop_front() {
                Some(stored) => stored,
                None if self.past.is_some() => match self.page().await {
                    Ok(()) => continue,
                    Err(failure) => {
                        self.ended = true;
                        return Some(Next::Failed(failure));
                    }
                },
                None => match self.live.next().await? {
                    Event::Lagged(_) => return Some(Next::Lagged),
                    // It was among what was kept.
                    Event::Published(stored) if stored.sequence <= self.last => continue,
                    Event::Published(stored) => stored,
                },
            };
            self.last = stored.sequence;
            let Some((next, ends)) = self.feed.look(&stored).await else { continue };
            self.ended = ends;
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Reads a page more of what is kept. Meanwhile the live events wait at their topic.
    async fn page(&mut self) -> Result<(), Failure> {
        let Some(past) = &mut self.past else { return Ok(()) };
        let failed =
            || Failure::new(code::UNAVAILABLE, "Earlier events cannot be read now: subscribe again.");
        let page = match timeout(PAGE_TIME, self.events.since(past)).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::warn!(%error, "earlier messages cannot be read");
                return Err(failed());
            }
            Err(_) => return Err(failed()),
        };
        self.ready = page.messages.into();
        match page.next {
            Some(next) => past.after = After::Sequence(next),
            None => self.past = None,
        }
        Ok(())
    }
}

/// The place behind an event, by the id that the client was given with it.
pub fn event_id(text: &str) -> Result<After, Failure> {
    text.parse().map(After::Sequence).map_err(|_| {
        Failure::new(code::BAD_USER_INPUT, "This is not the id of an event: send one as it came, or none.")
    })
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
