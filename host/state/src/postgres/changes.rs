//! What a transaction is going to change, gathered in memory and written by a few statements,
//! however many units it holds: a round trip for each row would be the most of the time.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use monopod_core::Millis;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::identity::Owner;
use monopod_core::message::{DeliveryId, Message, TimerId};
use monopod_core::name::ComponentName;
use monopod_core::unit::Key;

use super::session::{Fault, Param, Session};
use crate::rows::number;

/// A value that is written.
pub(crate) struct Value {
    pub version: u64,
    pub expires_at: Option<Millis>,
    pub value: Bytes,
}

/// A timer that is set.
pub(crate) struct Set {
    pub due_at: Millis,
    pub version: u64,
    pub correlation: CorrelationId,
    pub trace: TraceId,
    pub owner: Option<Owner>,
    pub payload: Bytes,
}

/// See the module. Of each key and timer only the last change counts.
#[derive(Default)]
pub(crate) struct Changes {
    pub values: BTreeMap<Key, Option<Value>>,
    pub timers: BTreeMap<TimerId, Option<Set>>,
    pub messages: Vec<(u64, Message)>,
    /// Consumer, place, and the message that is delivered.
    pub deliveries: Vec<(ComponentName, u64, u64)>,
    pub settled: Vec<DeliveryId>,
    /// Who has handled which message. None of them stands in the database.
    pub marks: Vec<(String, Arc<str>)>,
    /// Messages that a broker has taken and hands over again.
    pub forgotten: Vec<u64>,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<u64, Fault>> + Send + 'a>>;

impl Changes {
    /// Writes all of it, and is empty then. The statements are on their way together.
    pub async fn write(&mut self, session: &Session, at: Millis) -> Result<(), Fault> {
        let changes = std::mem::take(self);
        let at = number(at);
        // What the statements borrow.
        let values = Values::of(&changes);
        let (removed, removed_timers) = (Removed::of(&changes), RemovedTimers::of(&changes));
        let timers = Timers::of(&changes);
        let messages = Messages::of(&changes)?;
        let consumers: Vec<&str> = changes.deliveries.iter().map(|(group, ..)| group.as_str()).collect();
        let places: Vec<i64> = changes.deliveries.iter().map(|(_, place, _)| number(*place)).collect();
        let delivered: Vec<i64> = changes.deliveries.iter().map(|(.., message)| number(*message)).collect();
        let settlers: Vec<&str> = changes.settled.iter().map(|id| id.group.as_str()).collect();
        let settled: Vec<i64> = changes.settled.iter().map(|id| number(id.sequence)).collect();
        let markers: Vec<&str> = changes.marks.iter().map(|(consumer, _)| consumer.as_str()).collect();
        let marked: Vec<&[u8]> = changes.marks.iter().map(|(_, id)| id.as_bytes()).collect();
        let forgotten: Vec<i64> = changes.forgotten.iter().map(|sequence| number(*sequence)).collect();

        let statements: [(bool, &str, &[Param<'_>]); 9] = [
            (
                !removed.keys.is_empty(),
                "DELETE FROM kv k USING unnest($1::text[], $2::text[], $3::bytea[]) AS w (component, bucket, key)
                 WHERE k.component = w.component AND k.bucket = w.bucket AND k.key = w.key",
                &[&removed.components, &removed.buckets, &removed.keys],
            ),
            (
                !values.keys.is_empty(),
                "INSERT INTO kv (component, bucket, key, version, expires_at, value)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bytea[])
                 ON CONFLICT (component, bucket, key) DO UPDATE
                   SET version = excluded.version, expires_at = excluded.expires_at, value = excluded.value",
                &[
                    &values.components,
                    &values.buckets,
                    &values.keys,
                    &values.versions,
                    &values.expiries,
                    &values.values,
                ],
            ),
            (
                !removed_timers.names.is_empty(),
                "DELETE FROM timers t USING unnest($1::text[], $2::bytea[]) AS w (component, name)
                 WHERE t.component = w.component AND t.name = w.name",
                &[&removed_timers.components, &removed_timers.names],
            ),
            (
                !timers.names.is_empty(),
                "INSERT INTO timers (component, name, due_at, version, attempt, correlation, trace, issuer, subject, payload)
                 SELECT w.component, w.name, w.due_at, w.version, 1, w.correlation, w.trace, w.issuer, w.subject, w.payload
                 FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
                   $7::bytea[], $8::bytea[], $9::bytea[])
                   AS w (component, name, due_at, version, correlation, trace, issuer, subject, payload)
                 ON CONFLICT (component, name) DO UPDATE SET due_at = excluded.due_at, version = excluded.version,
                   attempt = 1, first_error = NULL, last_error = NULL, correlation = excluded.correlation,
                   trace = excluded.trace, issuer = excluded.issuer, subject = excluded.subject,
                   payload = excluded.payload",
                &[
                    &timers.components,
                    &timers.names,
                    &timers.due_at,
                    &timers.versions,
                    &timers.correlations,
                    &timers.traces,
                    &timers.issuers,
                    &timers.subjects,
                    &timers.payloads,
                ],
            ),
            (
                !messages.sequences.is_empty(),
                "INSERT INTO messages
                   (sequence, id, topic, key, correlation, trace, issuer, subject, published_at, headers, payload)
                 SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bytea[], $5::text[], $6::text[],
                   $7::bytea[], $8::bytea[], $9::bigint[], $10::text[], $11::bytea[])",
                &[
                    &messages.sequences,
                    &messages.ids,
                    &messages.topics,
                    &messages.keys,
                    &messages.correlations,
                    &messages.traces,
                    &messages.issuers,
                    &messages.subjects,
                    &messages.published_at,
                    &messages.headers,
                    &messages.payloads,
                ],
            ),
            (
                !settled.is_empty(),
                "DELETE FROM deliveries d USING unnest($1::text[], $2::bigint[]) AS w (consumer, sequence)
                 WHERE d.consumer = w.consumer AND d.sequence = w.sequence",
                &[&settlers, &settled],
            ),
            (
                !consumers.is_empty(),
                "INSERT INTO deliveries (consumer, sequence, message, visible_at, attempt)
                 SELECT w.consumer, w.sequence, w.message, $4, 1
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS w (consumer, sequence, message)",
                &[&consumers, &places, &delivered, &at],
            ),
            (
                !markers.is_empty(),
                "INSERT INTO inbox (consumer, message, at)
                 SELECT w.consumer, w.message, $3 FROM unnest($1::text[], $2::bytea[]) AS w (consumer, message)",
                &[&markers, &marked, &at],
            ),
            (
                !forgotten.is_empty(),
                "DELETE FROM messages m WHERE m.sequence = ANY ($1)
                   AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.sequence)",
                &[&forgotten],
            ),
        ];
        let mut running: Vec<Running<'_>> = Vec::new();
        for (_, sql, params) in statements.iter().filter(|(wanted, ..)| *wanted) {
            // Prepared before the first one is sent: so they reach the server in this order.
            session.prepare(sql).await?;
            running.push(Box::pin(session.execute(sql, params)));
        }
        // Each is sent by the first look at it.
        let mut waiting = Vec::new();
        for mut statement in running {
            match poll_fn(|context| Poll::Ready(statement.as_mut().poll(context))).await {
                Poll::Ready(done) => drop(done?),
                Poll::Pending => waiting.push(statement),
            }
        }
        for statement in waiting {
            statement.await?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Values<'a> {
    components: Vec<&'a str>,
    buckets: Vec<&'a str>,
    keys: Vec<&'a [u8]>,
    versions: Vec<i64>,
    expiries: Vec<Option<i64>>,
    values: Vec<&'a [u8]>,
}

impl<'a> Values<'a> {
    fn of(changes: &'a Changes) -> Self {
        let mut all = Self::default();
        for (key, value) in &changes.values {
            let Some(value) = value else { continue };
            all.components.push(key.component.as_str());
            all.buckets.push(key.bucket.as_str());
            all.keys.push(key.key.as_bytes());
            all.versions.push(number(value.version));
            all.expiries.push(value.expires_at.map(number));
            all.values.push(&value.value);
        }
        all
    }
}

#[derive(Default)]
struct Removed<'a> {
    components: Vec<&'a str>,
    buckets: Vec<&'a str>,
    keys: Vec<&'a [u8]>,
}

impl<'a> Removed<'a> {
    fn of(changes: &'a Changes) -> Self {
        let mut all = Self::default();
        for key in changes.values.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key) {
            all.components.push(key.component.as_str());
            all.buckets.push(key.bucket.as_str());
            all.keys.push(key.key.as_bytes());
        }
        all
    }
}

#[derive(Default)]
struct RemovedTimers<'a> {
    components: Vec<&'a str>,
    names: Vec<&'a [u8]>,
}

impl<'a> RemovedTimers<'a> {
    fn of(changes: &'a Changes) -> Self {
        let mut all = Self::default();
        for id in changes.timers.iter().filter(|(_, set)| set.is_none()).map(|(id, _)| id) {
            all.components.push(id.component.as_str());
            all.names.push(id.name.as_bytes());
        }
        all
    }
}

#[derive(Default)]
struct Timers<'a> {
    components: Vec<&'a str>,
    names: Vec<&'a [u8]>,
    due_at: Vec<i64>,
    versions: Vec<i64>,
    correlations: Vec<&'a str>,
    traces: Vec<String>,
    issuers: Vec<Option<&'a [u8]>>,
    subjects: Vec<Option<&'a [u8]>>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> Timers<'a> {
    fn of(changes: &'a Changes) -> Self {
        let mut all = Self::default();
        for (id, set) in &changes.timers {
            let Some(set) = set else { continue };
            let (issuer, subject) = owner(set.owner.as_ref());
            all.components.push(id.component.as_str());
            all.names.push(id.name.as_bytes());
            all.due_at.push(number(set.due_at));
            all.versions.push(number(set.version));
            all.correlations.push(set.correlation.as_str());
            all.traces.push(set.trace.to_string());
            all.issuers.push(issuer);
            all.subjects.push(subject);
            all.payloads.push(&set.payload);
        }
        all
    }
}

#[derive(Default)]
struct Messages<'a> {
    sequences: Vec<i64>,
    ids: Vec<&'a [u8]>,
    topics: Vec<&'a str>,
    keys: Vec<Option<&'a [u8]>>,
    correlations: Vec<&'a str>,
    traces: Vec<String>,
    issuers: Vec<Option<&'a [u8]>>,
    subjects: Vec<Option<&'a [u8]>>,
    published_at: Vec<i64>,
    headers: Vec<String>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> Messages<'a> {
    fn of(changes: &'a Changes) -> Result<Self, Fault> {
        let mut all = Self::default();
        for (sequence, message) in &changes.messages {
            let (issuer, subject) = owner(message.owner.as_ref());
            let headers = serde_json::to_string(&message.headers);
            all.sequences.push(number(*sequence));
            all.ids.push(message.id.as_bytes());
            all.topics.push(message.topic.as_str());
            all.keys.push(message.key.as_deref().map(str::as_bytes));
            all.correlations.push(message.correlation.as_str());
            all.traces.push(message.trace.to_string());
            all.issuers.push(issuer);
            all.subjects.push(subject);
            all.published_at.push(number(message.published_at));
            all.headers.push(headers.map_err(|error| Fault::Refused(error.to_string()))?);
            all.payloads.push(&message.payload);
        }
        Ok(all)
    }
}

fn owner(owner: Option<&Owner>) -> (Option<&[u8]>, Option<&[u8]>) {
    owner.map(|owner| (owner.issuer.as_bytes(), owner.subject.as_bytes())).unzip()
}
