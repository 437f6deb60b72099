//! Units of work inside the writer's transaction: what stands in the database is asked for
//! all of them at once, then each is decided in memory, in order, as if it were alone. What
//! is decided is gathered as [`Changes`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::message::{DeliveryId, Message, TimerId};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::Error;
use monopod_core::unit::{Cause, Key, Range, TimerChange, Unit};

use super::changes::{Changes, Set, Value};
use super::read;
use super::rows::unsigned;
use super::session::{Fault, Session};
use crate::apply::Effect;
use crate::read::bounds;
use crate::rows::number;
use crate::settings::Topology;

/// How a request ended, and what is told of it once it is durable.
pub(crate) type Outcome = (Result<u64, Error>, Vec<Effect>);

/// A transaction at work.
pub(crate) struct Work<'a> {
    pub session: &'a Session,
    pub topology: &'a Topology,
    /// The last number given out.
    pub counter: u64,
    /// The time of the batch.
    pub at: Millis,
    pub changes: Changes,
    /// What is told of the request at hand.
    pub effects: Vec<Effect>,
}

/// What the database says about a group of units.
#[derive(Default)]
struct Seen {
    versions: HashMap<Key, u64>,
    /// What is delivered, and of which topic.
    deliveries: HashMap<DeliveryId, (u64, String)>,
    timers: HashMap<TimerId, u64>,
    marks: HashSet<(String, Arc<str>)>,
}

impl Work<'_> {
    /// Decides a group of units, each as if those before it were committed.
    pub async fn units(&mut self, units: &[&Unit]) -> Result<Vec<Outcome>, Fault> {
        let mut seen = self.look(units).await?;
        let mut ended = Vec::with_capacity(units.len());
        for unit in units {
            let result = self.unit(unit, &mut seen).await?;
            // One whose message was handled before leaves only the end of its delivery.
            let effects = std::mem::take(&mut self.effects);
            ended.push((result, effects));
        }
        self.changes.write(self.session, self.at).await?;
        Ok(ended)
    }

    /// Asks for everything that decides about them.
    async fn look(&self, units: &[&Unit]) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
        let keys: BTreeSet<&Key> = units.iter().flat_map(|unit| unit.reads.keys()).collect();
        let keys: Vec<&Key> = keys.into_iter().collect();
        if !keys.is_empty() {
            let sql = "SELECT w.i, k.version FROM unnest($1::text[], $2::text[], $3::bytea[])
                         WITH ORDINALITY AS w (component, bucket, key, i) JOIN kv k USING (component, bucket, key)
                       WHERE k.expires_at IS NULL OR k.expires_at > $4";
            let components: Vec<&str> = keys.iter().map(|key| key.component.as_str()).collect();
            let buckets: Vec<&str> = keys.iter().map(|key| key.bucket.as_str()).collect();
            let names: Vec<&[u8]> = keys.iter().map(|key| key.key.as_bytes()).collect();
            let rows = self.session.query(sql, &[&components, &buckets, &names, &number(self.at)]).await?;
            for row in rows {
                let place = usize::try_from(unsigned(&row, 0)?).unwrap_or_default();
                if let Some(key) = keys.get(place.wrapping_sub(1)) {
                    seen.versions.insert((*key).clone(), unsigned(&row, 1)?);
                }
            }
        }
        let mut deliveries = Vec::new();
        let mut timers = Vec::new();
        let mut marks = Vec::new();
        for unit in units {
            match &unit.cause {
                Cause::Request => {}
                Cause::Delivery { id, message } => {
                    deliveries.push(id);
                    marks.push((id.group.to_string(), message));
                }
                Cause::Timer { id, .. } => timers.push(id),
                Cause::Received => {
                    marks.extend(unit.messages.iter().map(|message| (from(&message.topic), &message.id)));
                }
            }
        }
        if !deliveries.is_empty() {
            let sql = "SELECT w.i, d.message, m.topic FROM unnest($1::text[], $2::bigint[])
                         WITH ORDINALITY AS w (consumer, sequence, i) JOIN deliveries d USING (consumer, sequence)
                       JOIN messages m ON m.sequence = d.message";
            let groups: Vec<&str> = deliveries.iter().map(|id| id.group.as_str()).collect();
            let sequences: Vec<i64> = deliveries.iter().map(|id| number(id.sequence)).collect();
            for row in self.session.query(sql, &[&groups, &sequences]).await? {
                let place = usize::try_from(unsigned(&row, 0)?).unwrap_or_default();
                if let Some(id) = deliveries.get(place.wrapping_sub(1)) {
                    let found = (unsigned(&row, 1)?, row.try_get(2)?);
                    seen.deliveries.insert((*id).clone(), found);
                }
            }
        }
        if !timers.is_empty() {
            let sql = "SELECT w.i, t.version FROM unnest($1::text[], $2::bytea[])
                         WITH ORDINALITY AS w (component, name, i) JOIN timers t USING (component, name)";
            let components: Vec<&str> = timers.iter().map(|id| id.component.as_str()).collect();
            let names: Vec<&[u8]> = timers.iter().map(|id| id.name.as_bytes()).collect();
            for row in self.session.query(sql, &[&components, &names]).await? {
                let place = usize::try_from(unsigned(&row, 0)?).unwrap_or_default();
                if let Some(id) = timers.get(place.wrapping_sub(1)) {
                    seen.timers.insert((*id).clone(), unsigned(&row, 1)?);
                }
            }
        }
        if !marks.is_empty() {
            let sql = "SELECT w.i FROM unnest($1::text[], $2::bytea[])
                         WITH ORDINALITY AS w (consumer, message, i) JOIN inbox USING (consumer, message)";
            let groups: Vec<&str> = marks.iter().map(|(group, _)| group.as_str()).collect();
            let ids: Vec<&[u8]> = marks.iter().map(|(_, id)| id.as_bytes()).collect();
            for row in self.session.query(sql, &[&groups, &ids]).await? {
                let place = usize::try_from(unsigned(&row, 0)?).unwrap_or_default();
                if let Some((group, id)) = marks.get(place.wrapping_sub(1)) {
                    seen.marks.insert((group.clone(), Arc::clone(id)));
                }
            }
        }
        Ok(seen)
    }

    async fn unit(&mut self, unit: &Unit, seen: &mut Seen) -> Result<Result<u64, Error>, Fault> {
        // The cause first: a unit that is settled need not be run again for a conflict.
        match &unit.cause {
            Cause::Request | Cause::Received => {}
            Cause::Timer { id, version } if seen.timers.get(id) != Some(version) => {
                return Ok(Err(Error::Settled));
            }
            Cause::Timer { .. } => {}
            Cause::Delivery { id, message } => {
                let Some((kept, topic)) = seen.deliveries.get(id) else { return Ok(Err(Error::Settled)) };
                if seen.marks.contains(&(id.group.to_string(), Arc::clone(message))) {
                    // The delivery goes all the same, or it would come back for ever.
                    let (kept, topic) = (*kept, topic.clone());
                    self.settle(id, kept, &topic);
                    seen.deliveries.remove(id);
                    return Ok(Err(Error::Settled));
                }
            }
        }
        if !self.is_unchanged(unit, seen).await? {
            return Ok(Err(Error::Conflict));
        }
        match &unit.cause {
            Cause::Request | Cause::Received => {}
            Cause::Timer { id, .. } => {
                seen.timers.remove(id);
                self.changes.timers.insert(id.clone(), None);
            }
            Cause::Delivery { id, message } => {
                if let Some((kept, topic)) = seen.deliveries.remove(id) {
                    self.settle(id, kept, &topic);
                }
                self.mark(id.group.to_string(), message, seen);
            }
        }
        for (key, value) in &unit.writes {
            let expires_at = unit.expiries.get(key).copied();
            let value =
                value.as_ref().map(|value| Value { version: self.next(), expires_at, value: value.clone() });
            self.changes.values.insert(key.clone(), value);
        }
        for (id, change) in &unit.timers {
            let set = match change {
                TimerChange::Cancel => None,
                TimerChange::Set { due_at, payload } => {
                    self.effects.push(Effect::TimerSet(*due_at));
                    Some(Set {
                        due_at: *due_at,
                        version: self.next(),
                        correlation: unit.correlation.clone(),
                        trace: unit.trace,
                        owner: unit.owner.clone(),
                        payload: payload.clone(),
                    })
                }
            };
            // What stood there is settled, and what stands there now no unit of this group fires.
            seen.timers.remove(id);
            self.changes.timers.insert(id.clone(), set);
        }
        for message in &unit.messages {
            if unit.cause != Cause::Received {
                self.publish(message.clone());
            } else if !seen.marks.contains(&(from(&message.topic), Arc::clone(&message.id))) {
                self.mark(from(&message.topic), &message.id, seen);
                self.hand_out(message.clone());
            }
        }
        Ok(Ok(0))
    }

    /// Everything the unit read must still be so, the units before it in its group included.
    async fn is_unchanged(&self, unit: &Unit, seen: &Seen) -> Result<bool, Fault> {
        for (key, expected) in &unit.reads {
            let stands = match self.changes.values.get(key) {
                Some(Some(value)) if value.expires_at.is_none_or(|end| end > self.at) => value.version,
                Some(_) => 0,
                None => seen.versions.get(key).copied().unwrap_or_default(),
            };
            if stands != *expected {
                return Ok(false);
            }
        }
        for scan in &unit.scans {
            // A change in the range may be behind its limit. Then the unit runs again in vain,
            // which is cheaper than to work out what the scan would find.
            if self.changes.values.keys().any(|key| within(&scan.range, key))
                || read::scan_versions(self.session, &scan.range, self.at).await? != scan.seen
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mark(&mut self, consumer: String, message: &Arc<str>, seen: &mut Seen) {
        seen.marks.insert((consumer.clone(), Arc::clone(message)));
        self.changes.marks.push((consumer, Arc::clone(message)));
    }

    /// Ends a delivery of the message at `kept`.
    pub fn settle(&mut self, id: &DeliveryId, kept: u64, topic: &str) {
        self.changes.settled.push(id.clone());
        let broker = self.topology.topics.get(topic).and_then(|topic| topic.broker.as_ref());
        // A broker has it now, and hands it over again: now it is there, and not here. Not so
        // one that stands here because it came from there and is sent again.
        if kept == id.sequence && broker.is_some_and(|broker| broker.returns && broker.name == id.group) {
            self.changes.forgotten.push(kept);
        }
    }

    /// Publishes `message` now: to the broker of its topic, or else to its consumers.
    pub fn publish(&mut self, mut message: Message) {
        let topology = self.topology;
        let Some(broker) = topology.broker(&message.topic) else { return self.hand_out(message) };
        message.published_at = self.at;
        let sequence = self.keep(message.clone());
        let delivery = self.deliver(&broker.name, sequence, sequence);
        self.effects.push(Effect::Outgoing(Arc::new(message), delivery));
    }

    /// Gives `message` to each consumer of its topic, and shows it to who watches.
    fn hand_out(&mut self, mut message: Message) {
        message.published_at = self.at;
        let sequence = self.keep(message.clone());
        let topology = self.topology;
        let groups = topology.consumers(&message.topic);
        let deliveries = groups.map(|group| self.deliver(group, sequence, sequence)).collect();
        self.effects.push(Effect::Published(sequence, Arc::new(message), deliveries));
    }

    /// Writes a message down, for nobody yet. Returns its place in the order.
    pub fn keep(&mut self, message: Message) -> u64 {
        let sequence = self.next();
        self.changes.messages.push((sequence, message));
        sequence
    }

    /// Gives the message at `message` to `group`, behind all that has a lower `sequence`.
    pub fn deliver(&mut self, group: &ComponentName, sequence: u64, message: u64) -> DeliveryId {
        self.changes.deliveries.push((group.clone(), sequence, message));
        DeliveryId { group: group.clone(), sequence }
    }

    pub fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

/// Who has handled what a broker handed over. No component has such a name.
fn from(topic: &TopicName) -> String {
    format!("<{topic}")
}

/// Whether a change to `key` may change what a scan of `range` finds.
fn within(range: &Range, key: &Key) -> bool {
    let bounds = bounds(range);
    let text = &*key.key;
    key.component == range.component
        && key.bucket == range.bucket
        && text >= bounds.lower.as_str()
        && bounds.upper.is_none_or(|upper| text < upper.as_str())
}
