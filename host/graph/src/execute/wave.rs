//! One wave of calls: from the fields that have to be asked for to requests, each made once,
//! and from their answers back to the fields.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use futures_util::future::{join, join_all};
use monopod_core::resolve::{Problem, Value};

use super::call::{Call, Reply, judge, masked, unreadable};
use super::code::{self, Ask, Told, typed};
use super::level::{Level, Need, Parent, Slot};
use super::{Run, Spent};
use crate::error::{self, Failure};
use crate::json::{Json, NULL};
use crate::mapping::value::Scope;
use crate::plan::{Field, Kind, Variables, arguments};
use crate::schema::{Batch, Code, Connect, Resolver};
use crate::seen::{Asked, Tally};

/// The arguments of the needs' fields: of each field once, however many objects it is on.
pub fn args<'a>(needs: &[Need<'_>], variables: &Variables<'a>) -> HashMap<usize, Result<Json<'a>, Failure>> {
    let mut known = HashMap::new();
    for Need { field, .. } in needs {
        let Kind::Resolved { arguments, .. } = &field.kind else { continue };
        known.entry(std::ptr::from_ref(*field).addr()).or_insert_with(|| {
            arguments::resolve(arguments, variables)
                .map_err(|message| Failure::new(error::code::BAD_USER_INPUT, message))
        });
    }
    known
}

/// What becomes of a need.
enum Fate<'w> {
    /// The answer of a call.
    Called(usize, &'w Connect, &'w Json<'w>),
    /// The item of a call's answer that has this key.
    Item(usize, &'w Connect, &'w Json<'w>, Vec<u8>),
    /// What code answered, by its call and the place in it.
    Told(usize, usize),
    /// Nothing to ask for: what the request is made from is `null`.
    Nothing,
    /// No call.
    Failed(Failure),
}

/// The calls of one wave.
pub struct Wave<'w> {
    needs: &'w [Need<'w>],
    fates: Vec<Fate<'w>>,
    calls: Vec<Call<'w>>,
    asks: Vec<Ask<'w>>,
    /// What is asked for each field so far, by where the field is.
    open: HashMap<usize, Open>,
}

/// What is asked for one field.
#[derive(Default)]
struct Open {
    /// The last question; more objects go into it until it is full.
    ask: Option<usize>,
    /// Objects by what they are made from: which question they are in, and where in it.
    known: HashMap<Vec<u8>, (usize, usize)>,
}

/// What came back.
pub struct Replies {
    http: Vec<Result<Reply, Failure>>,
    told: Vec<Told>,
    /// What each call took: requests, then questions.
    spent: Vec<Spent>,
}

/// What a call was answered, read once however many fields it is for.
pub type Answer<'b> = Result<(Json<'b>, Json<'b>), Failure>;

/// Objects that wait to be looked up by one request.
struct Pending<'w> {
    connect: &'w Connect,
    batch: &'w Batch,
    args: &'w Json<'w>,
    rows: Vec<(Vec<u8>, Json<'w>)>,
    known: HashSet<Vec<u8>>,
    waiting: Vec<(usize, Vec<u8>)>,
}

impl<'w> Wave<'w> {
    /// Makes the requests.
    pub fn prepare(
        run: &'w Run<'_, '_>,
        needs: &'w [Need<'w>],
        args: &'w HashMap<usize, Result<Json<'w>, Failure>>,
    ) -> Self {
        let fates = Vec::with_capacity(needs.len());
        let mut wave = Self { needs, fates, calls: Vec::new(), asks: Vec::new(), open: HashMap::new() };
        let mut pending: Vec<Pending<'w>> = Vec::new();
        let correlation = Json::String(run.context.correlation.as_str().into());
        for (number, need) in needs.iter().enumerate() {
            let fate = wave.fate(number, need, args, &correlation, &mut pending);
            wave.fates.push(fate);
        }
        for each in pending {
            wave.batch(each, &correlation);
        }
        wave
    }

    fn fate(
        &mut self,
        number: usize,
        need: &Need<'w>,
        args: &'w HashMap<usize, Result<Json<'w>, Failure>>,
        correlation: &Json<'_>,
        pending: &mut Vec<Pending<'w>>,
    ) -> Fate<'w> {
        let Kind::Resolved { resolver, .. } = &need.field.kind else { return Fate::Nothing };
        let args = match args.get(&std::ptr::from_ref(need.field).addr()) {
            Some(Ok(args)) => args,
            Some(Err(failure)) => return Fate::Failed(failure.clone()),
            None => &NULL,
        };
        let connect = match &**resolver {
            Resolver::Connect(connect) => &**connect,
            Resolver::Code(code) => return self.ask(code, need, args),
            // A subscription is not executed here.
            Resolver::Subscribe(_) => return Fate::Nothing,
        };
        let Some(this) = this(connect, &need.parent) else { return Fate::Nothing };
        let Some(batch) = &connect.batch else {
            let scope = Scope { this: &this, ..Scope::of(args, correlation) };
            return match Call::new(connect, &scope) {
                Ok(call) => Fate::Called(self.call(call), connect, args),
                Err(failure) => Fate::Failed(failure),
            };
        };
        let key = key(batch, &this);
        let same = |each: &Pending<'w>| std::ptr::eq(each.connect, connect) && each.args == args;
        let at = pending.iter().position(same).unwrap_or_else(|| {
            let (rows, known, waiting) = (Vec::new(), HashSet::new(), Vec::new());
            pending.push(Pending { connect, batch, args, rows, known, waiting });
            pending.len() - 1
        });
        if let Some(waits) = pending.get_mut(at) {
            if waits.known.insert(key.clone()) {
                waits.rows.push((key.clone(), this));
            }
            waits.waiting.push((number, key));
        }
        Fate::Nothing
    }

    /// The place of a field's value in the question that is asked for it: one for all objects,
    /// as far as they fit into one; equal objects are one.
    fn ask(&mut self, code: &'w Code, need: &Need<'w>, args: &'w Json<'w>) -> Fate<'w> {
        let value = |name: &str| need.parent.get(name).map_or(Value::Null, |found| typed(found.json));
        let row: Vec<Value> = code.needs.iter().map(|name| value(name)).collect();
        let key = format!("{row:?}").into_bytes();
        let place = std::ptr::from_ref(need.field).addr();
        let open = self.open.entry(place).or_default();
        if let Some((at, number)) = open.known.get(&key) {
            return Fate::Told(*at, *number);
        }
        let full = |at: usize| self.asks.get(at).is_none_or(|ask| ask.field.parents.len() >= code.max.max(1));
        let at = match open.ask {
            Some(at) if !full(at) => at,
            _ => {
                self.asks.push(Ask::new(&code.component, need.field, args));
                self.asks.len() - 1
            }
        };
        open.ask = Some(at);
        let Some(ask) = self.asks.get_mut(at) else { return Fate::Nothing };
        ask.field.parents.push(row);
        let number = ask.field.parents.len() - 1;
        open.known.insert(key, (at, number));
        Fate::Told(at, number)
    }

    /// The place of a call; an equal one is not made twice.
    fn call(&mut self, call: Call<'w>) -> usize {
        self.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.calls.push(call);
            self.calls.len() - 1
        })
    }

    /// Makes the requests of objects that are looked up together.
    fn batch(&mut self, pending: Pending<'w>, correlation: &Json<'_>) {
        let Pending { connect, batch, args, rows, waiting, .. } = pending;
        let mut places: HashMap<&[u8], Result<usize, Failure>> = HashMap::new();
        for chunk in rows.chunks(batch.max.max(1)) {
            let objects = Json::Array(chunk.iter().map(|(_, row)| row.clone()).collect());
            let columns = connect.needs.iter().map(|name| {
                let column = chunk.iter().map(|(_, row)| row.get(name).cloned().unwrap_or(Json::Null));
                (name.to_string().into(), Json::Array(column.collect()))
            });
            let columns = Json::Object(columns.collect());
            let scope = Scope { batch: (&objects, &columns), ..Scope::of(args, correlation) };
            let at = Call::new(connect, &scope).map(|call| self.call(call));
            places.extend(chunk.iter().map(|(key, _)| (key.as_slice(), at.clone())));
        }
        for (number, key) in waiting {
            let fate = match places.get(key.as_slice()) {
                Some(Ok(at)) => Fate::Item(*at, connect, args, key),
                Some(Err(failure)) => Fate::Failed(failure.clone()),
                None => Fate::Nothing,
            };
            if let Some(slot) = self.fates.get_mut(number) {
                *slot = fate;
            }
        }
    }

    /// How many calls it takes.
    pub fn calls(&self) -> usize {
        self.calls.len() + self.asks.len()
    }

    /// Makes none of the calls; their fields fail.
    pub fn give_up(&mut self, failure: &Failure) {
        self.calls.clear();
        self.asks.clear();
        for fate in &mut self.fates {
            if matches!(fate, Fate::Called(..) | Fate::Item(..) | Fate::Told(..)) {
                *fate = Fate::Failed(failure.clone());
            }
        }
    }

    /// Makes all calls at once.
    pub async fn send(&self, run: &Run<'_, '_>) -> Replies {
        let (ports, context) = (run.ports, run.context);
        let components = &*ports.components;
        match (self.calls.as_slice(), self.asks.as_slice()) {
            ([only], []) => {
                let (reply, spent) = timed(only.send(ports, context), received).await;
                Replies { http: vec![reply], told: Vec::new(), spent: vec![spent] }
            }
            ([], [only]) => {
                let (told, spent) = timed(only.send(components, context), said).await;
                Replies { http: Vec::new(), told: vec![told], spent: vec![spent] }
            }
            (calls, asks) => {
                let http = join_all(calls.iter().map(|call| timed(call.send(ports, context), received)));
                let told = join_all(asks.iter().map(|ask| timed(ask.send(components, context), said)));
                let (http, told) = join(http, told).await;
                let (http, mut spent): (Vec<_>, Vec<_>) = http.into_iter().unzip();
                let (told, asked): (Vec<_>, Vec<_>) = told.into_iter().unzip();
                spent.extend(asked);
                Replies { http, told, spent }
            }
        }
    }

    /// Counts the calls, each for the first field that needed it.
    pub fn account(&self, replies: &Replies, tally: &Tally) {
        let mut counted = vec![false; replies.spent.len()];
        let mut fields: Vec<(&Field, Asked)> = Vec::new();
        for (need, fate) in self.needs.iter().zip(&self.fates) {
            let (at, batch) = match fate {
                Fate::Called(at, ..) => (*at, false),
                Fate::Item(at, ..) => (*at, true),
                Fate::Told(at, _) => (replies.http.len() + *at, true),
                Fate::Nothing | Fate::Failed(_) => continue,
            };
            // Needs of one field mostly stand together, and an operation has few fields.
            let same = |(field, _): &(&Field, Asked)| std::ptr::eq(*field, need.field);
            let place = fields.iter().rposition(same).unwrap_or_else(|| {
                fields.push((need.field, Asked::default()));
                fields.len() - 1
            });
            let Some((_, asked)) = fields.get_mut(place) else { continue };
            asked.objects += 1;
            let (Some(counted), Some(spent)) = (counted.get_mut(at), replies.spent.get(at)) else { continue };
            if std::mem::replace(counted, true) {
                continue;
            }
            if let Some(counts) = &need.field.counts {
                counts.called(*spent);
            }
            asked.calls += 1;
            asked.batches += u64::from(batch);
            asked.time = asked.time.max(spent.time);
            asked.bytes += spent.bytes;
            asked.failed += u64::from(match at.checked_sub(replies.http.len()) {
                None => replies.http.get(at).is_some_and(Result::is_err),
                Some(at) => replies.told.get(at).is_some_and(Result::is_err),
            });
        }
        tally.wave(&fields);
    }

    /// Reads the answers.
    pub fn read<'b>(&self, run: &'b Run<'_, '_>, replies: &'b Replies) -> Answers<'b> {
        let correlation = Json::String(run.context.correlation.as_str().into());
        let read = |(reply, call): (&'b Result<Reply, Failure>, &Call<'_>)| {
            let reply = reply.as_ref().map_err(Clone::clone)?;
            let status = Json::Int(reply.status.as_u16().into());
            // An answer without a body is no value.
            if reply.body.is_empty() {
                return Ok((Json::Null, status));
            }
            match Json::parse(&reply.body) {
                Ok(json) => Ok((json, status)),
                // What an error says need not be JSON.
                Err(_) if !reply.status.is_success() => Ok((Json::Null, status)),
                Err(error) => Err(unreadable(call.component(), &error, run.context)),
            }
        };
        let told = replies.told.iter().zip(&self.asks).map(|(told, ask)| {
            let values = told.as_ref().map_err(Clone::clone)?;
            let value = |value: &'b Result<Value, Problem>| match value {
                Ok(value) => code::read(value).ok_or_else(|| {
                    tracing::warn!(
                        component = %ask.component, correlation = %run.context.correlation,
                        field = ask.field.name, "a resolver's value is not JSON"
                    );
                    masked(run.context)
                }),
                Err(problem) => Err(code::told(problem)),
            };
            Ok(values.iter().map(value).collect())
        });
        let told = told.collect();
        let read = replies.http.iter().zip(&self.calls).map(read).collect();
        Answers { replies: &replies.http, read, told, correlation }
    }

    /// What each field found.
    pub fn level<'l>(
        &'l self,
        run: &'l Run<'_, '_>,
        above: Option<&'l Level<'l>>,
        answers: &'l Answers<'l>,
    ) -> Level<'l> {
        let mut level = Level::new(above);
        let mut items: HashMap<(usize, usize), HashMap<Vec<u8>, Parent<'l>>> = HashMap::new();
        for (need, fate) in self.needs.iter().zip(&self.fates) {
            let slot = match fate {
                Fate::Nothing => Slot::Value(nothing()),
                Fate::Failed(failure) => Slot::Failed(failure.clone()),
                Fate::Told(at, number) => answers.told(*at, *number, run),
                Fate::Called(at, connect, args) => match answers.of(*at, connect, args, run) {
                    Ok(scope) => Slot::Value(part(connect, need, whole(connect, scope))),
                    Err(failure) => Slot::Failed(failure),
                },
                Fate::Item(at, connect, args, key) => match answers.of(*at, connect, args, run) {
                    Ok(scope) => {
                        let by = items
                            .entry((*at, std::ptr::from_ref(*connect).addr()))
                            .or_insert_with(|| index(connect, whole(connect, scope)));
                        Slot::Value(by.get(key).map_or_else(nothing, |item| part(connect, need, *item)))
                    }
                    Err(failure) => Slot::Failed(failure),
                },
            };
            level.put(need, slot);
        }
        level
    }
}

/// What comes of a call, and what it took.
async fn timed<T>(call: impl Future<Output = T>, bytes: impl Fn(&T) -> usize) -> (T, Spent) {
    let began = Instant::now();
    let answer = call.await;
    let bytes = u64::try_from(bytes(&answer)).unwrap_or(u64::MAX);
    (answer, Spent { time: began.elapsed(), bytes })
}

fn received(reply: &Result<Reply, Failure>) -> usize {
    reply.as_ref().map_or(0, |reply| reply.body.len())
}

/// The bytes of texts and JSON; other values are a few.
fn said(told: &Told) -> usize {
    let size = |value: &Result<Value, Problem>| match value {
        Ok(Value::Text(text) | Value::Json(text)) => text.len(),
        Ok(_) | Err(_) => 8,
    };
    told.as_ref().map_or(0, |values| values.iter().map(size).sum())
}

/// Everything that a wave was answered.
pub struct Answers<'b> {
    pub replies: &'b [Result<Reply, Failure>],
    pub read: Vec<Answer<'b>>,
    pub told: Vec<Result<Vec<Result<Json<'b>, Failure>>, Failure>>,
    pub correlation: Json<'b>,
}

impl<'b> Answers<'b> {
    /// What code answered for one object.
    fn told<'l>(&'l self, at: usize, number: usize, run: &Run<'_, '_>) -> Slot<'l> {
        match self.told.get(at) {
            Some(Ok(values)) => match values.get(number) {
                Some(Ok(json)) => Slot::Value(Parent { json, ..nothing() }),
                Some(Err(failure)) => Slot::Failed(failure.clone()),
                None => Slot::Failed(masked(run.context)),
            },
            Some(Err(failure)) => Slot::Failed(failure.clone()),
            None => Slot::Failed(masked(run.context)),
        }
    }

    /// What a mapping sees of an answer, if it is one that was asked for.
    fn of<'l>(
        &'l self,
        at: usize,
        connect: &'l Connect,
        args: &'l Json<'l>,
        run: &Run<'_, '_>,
    ) -> Result<Scope<'l, 'l>, Failure> {
        let (Some(answer), Some(Ok(reply))) = (self.read.get(at), self.replies.get(at)) else {
            return match self.replies.get(at) {
                Some(Err(failure)) => Err(failure.clone()),
                _ => Err(masked(run.context)),
            };
        };
        let (json, status) = answer.as_ref().map_err(Clone::clone)?;
        let scope = Scope { whole: json, status, ..Scope::of(args, &self.correlation) };
        judge(connect, reply, &scope, run.context)?;
        Ok(scope)
    }
}

fn nothing<'l>() -> Parent<'l> {
    Parent { json: &NULL, fields: None, scope: Scope::of(&NULL, &NULL) }
}

/// What the selection finds in an answer.
fn whole<'l>(connect: &'l Connect, scope: Scope<'l, 'l>) -> Parent<'l> {
    let (json, fields) = scope.find_in(&connect.selection, scope.whole);
    Parent { json, fields, scope }
}

/// The field's own part of what was found: a lookup finds several fields of an object.
fn part<'l>(connect: &Connect, need: &Need<'_>, found: Parent<'l>) -> Parent<'l> {
    if !connect.lookup || found.json.is_null() {
        return found;
    }
    found.get(&need.field.name).unwrap_or_else(nothing)
}

/// The items of a batch's answer by their keys.
fn index<'l>(connect: &Connect, found: Parent<'l>) -> HashMap<Vec<u8>, Parent<'l>> {
    let (Json::Array(items), Some(batch)) = (found.json, &connect.batch) else { return HashMap::new() };
    let of = |item: &'l Json<'l>| {
        let mut key = Vec::new();
        for (path, _) in &batch.by {
            let value = path.iter().try_fold(item, |here, name| here.get(name)).unwrap_or(&NULL);
            text(value, &mut key);
        }
        (key, Parent { json: item, ..found })
    };
    items.iter().map(of).collect()
}

/// What the request needs of the object; none if some of it is `null`.
fn this<'l>(connect: &Connect, parent: &Parent<'l>) -> Option<Json<'l>> {
    if connect.needs.is_empty() {
        return Some(Json::Null);
    }
    let mut entries = Vec::with_capacity(connect.needs.len());
    for name in &connect.needs {
        let value = parent.get(name)?.json;
        if value.is_null() {
            return None;
        }
        entries.push((name.to_string().into(), value.clone()));
    }
    Some(Json::Object(entries))
}

/// What tells an object from the others of a batch.
fn key(batch: &Batch, this: &Json<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    for (_, name) in &batch.by {
        text(this.get(name).unwrap_or(&NULL), &mut key);
    }
    key
}

/// A value as text, so that `7` and `"7"` are the same id.
fn text(value: &Json<'_>, out: &mut Vec<u8>) {
    match value {
        Json::String(text) => crate::json::write_str(out, text),
        other => {
            out.push(b'"');
            other.write(out);
            out.push(b'"');
        }
    }
}
