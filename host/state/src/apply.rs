//! One unit of work, inside the writer's transaction: what it read is looked at again,
//! its cause is settled, its changes are written. Called by the writer for each unit,
//! inside a savepoint that is rolled back if this returns an error.

use std::sync::Arc;

use monopod_core::Millis;
use monopod_core::message::{DeliveryId, Message, TimerId};
use monopod_core::name::ComponentName;
use monopod_core::store::{Committed, Error};
use monopod_core::unit::{Cause, TimerChange, Unit};
use rusqlite::{Connection, OptionalExtension, params};

use crate::read;
use crate::rows::{number, owner_columns};
use crate::settings::{Topic, Topology};

/// Why a request leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It cannot be done; the others of its batch can.
    Refused(Error),
    /// SQLite failed; the writer decides what that means for the batch.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

/// How a request ended that may leave something behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// As asked. The number is what a request counts, if it counts anything.
    Applied(u64),
    /// The message had been handled under another delivery: this one is removed, and
    /// the unit dropped.
    Duplicate,
}

/// What is told once the transaction is on disk.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A message, and a delivery for each consumer.
    Published(u64, Arc<Message>, Vec<DeliveryId>),
    /// A message for the broker of its topic.
    Outgoing(Arc<Message>, DeliveryId),
    /// Earlier messages are delivered to this consumer again.
    Redelivered(ComponentName),
    /// A timer that is due then.
    TimerSet(Millis),
}

impl Effect {
    pub fn tell(&self, listener: &dyn Committed) {
        match self {
            Self::Published(sequence, message, deliveries) => {
                listener.published(*sequence, message, deliveries);
            }
            Self::Outgoing(message, delivery) => listener.outgoing(message, delivery),
            Self::Redelivered(consumer) => listener.redelivered(consumer),
            Self::TimerSet(due_at) => listener.timer_set(*due_at),
        }
    }
}

/// The open transaction, as one request sees it.
pub(crate) struct Work<'a> {
    pub connection: &'a Connection,
    pub topology: &'a Topology,
    /// The last number given out; see the table `counter`.
    pub counter: &'a mut u64,
    /// The time of the batch.
    pub at: Millis,
    /// What to tell when it is durable.
    pub effects: Vec<Effect>,
}

impl Work<'_> {
    /// Commits `unit`, as far as this transaction goes.
    pub fn unit(&mut self, unit: Unit) -> Result<Done, Stop> {
        // The cause first: a unit that is settled need not be run again for a conflict.
        if self.settle(&unit.cause)? == Done::Duplicate {
            return Ok(Done::Duplicate);
        }
        self.validate(&unit)?;
        for (key, value) in &unit.writes {
            let (component, bucket) = (key.component.as_str(), key.bucket.as_str());
            match value {
                Some(value) => self
                    .connection
                    .prepare_cached(
                        "INSERT INTO kv (component, bucket, key, version, expires_at, value) VALUES (?, ?, ?, ?, ?, ?)
                         ON CONFLICT DO UPDATE SET version = excluded.version,
                           expires_at = excluded.expires_at, value = excluded.value",
                    )?
                    .execute(params![
                        component,
                        bucket,
                        key.key,
                        number(self.next()),
                        unit.expiries.get(key).copied().map(number),
                        &**value
                    ])?,
                None => self
                    .connection
                    .prepare_cached("DELETE FROM kv WHERE component = ? AND bucket = ? AND key = ?")?
                    .execute(params![component, bucket, key.key])?,
            };
        }
        for (id, change) in &unit.timers {
            self.change_timer(&unit, id, change)?;
        }
        let received = unit.cause == Cause::Received;
        for message in unit.messages {
            if !received {
                self.publish(message)?;
            } else if self.is_new(&message)? {
                self.hand_out(message)?;
            }
        }
        Ok(Done::Applied(0))
    }

    /// Everything the unit read must still be so. Earlier units of this batch are seen
    /// as well: they are part of the same transaction.
    fn validate(&self, unit: &Unit) -> Result<(), Stop> {
        for (key, seen) in &unit.reads {
            if read::version(self.connection, key, self.at)? != *seen {
                return Err(Stop::Refused(Error::Conflict));
            }
        }
        for scan in &unit.scans {
            if read::scan_versions(self.connection, &scan.range, self.at)? != scan.seen {
                return Err(Stop::Refused(Error::Conflict));
            }
        }
        Ok(())
    }

    fn settle(&self, cause: &Cause) -> Result<Done, Stop> {
        match cause {
            Cause::Request | Cause::Received => Ok(Done::Applied(0)),
            Cause::Timer { id, version } => {
                let removed = self
                    .connection
                    .prepare_cached("DELETE FROM timers WHERE component = ? AND name = ? AND version = ?")?
                    .execute(params![id.component.as_str(), id.name, number(*version)])?;
                if removed == 1 { Ok(Done::Applied(0)) } else { Err(Stop::Refused(Error::Settled)) }
            }
            Cause::Delivery { id, message } => {
                let kept = self.remove_delivery(id)?;
                let marked = self
                    .connection
                    .prepare_cached("INSERT OR IGNORE INTO inbox (consumer, message, at) VALUES (?, ?, ?)")?
                    .execute(params![id.group.as_str(), message, number(self.at)])?;
                // A broker has it now. Not so one that stands here because it came from there
                // and is sent again: its delivery has another place than itself.
                if kept == id.sequence {
                    self.forget(kept, &id.group)?;
                }
                // The delivery goes in either case, or it would come back for ever.
                Ok(if marked == 1 { Done::Applied(0) } else { Done::Duplicate })
            }
        }
    }

    fn change_timer(&mut self, unit: &Unit, id: &TimerId, change: &TimerChange) -> Result<(), Stop> {
        let (component, name) = (id.component.as_str(), &id.name);
        let TimerChange::Set { due_at, payload } = change else {
            self.connection
                .prepare_cached("DELETE FROM timers WHERE component = ? AND name = ?")?
                .execute(params![component, name])?;
            return Ok(());
        };
        let version = self.next();
        let (issuer, subject) = owner_columns(unit.owner.as_ref());
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO timers
                   (component, name, due_at, version, attempt, correlation, trace, issuer, subject, payload)
                 VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                component,
                name,
                number(*due_at),
                number(version),
                unit.correlation.as_str(),
                unit.trace.to_string(),
                issuer,
                subject,
                &**payload,
            ])?;
        self.effects.push(Effect::TimerSet(*due_at));
        Ok(())
    }

    /// Publishes `message` now: to the broker of its topic, or else to its consumers.
    pub fn publish(&mut self, mut message: Message) -> Result<(), Stop> {
        let topology = self.topology;
        let Some(broker) = topology.broker(&message.topic) else { return self.hand_out(message) };
        message.published_at = self.at;
        let sequence = self.keep(&message)?;
        let delivery = self.deliver(&broker.name, sequence, sequence)?;
        self.effects.push(Effect::Outgoing(Arc::new(message), delivery));
        Ok(())
    }

    /// Whether a broker hands `message` over for the first time. From now on it does not.
    fn is_new(&self, message: &Message) -> rusqlite::Result<bool> {
        // No component has such a name.
        let from = format!("<{}", message.topic);
        let marked = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO inbox (consumer, message, at) VALUES (?, ?, ?)")?
            .execute(params![from, message.id, number(self.at)])?;
        Ok(marked == 1)
    }

    /// Removes the message at `sequence`, if `group` is the broker of its topic and hands it
    /// over again: now it is there, and not here.
    fn forget(&self, sequence: u64, group: &ComponentName) -> rusqlite::Result<()> {
        let topics = &self.topology.topics;
        let returns = |topic: &Topic| topic.broker.as_ref().is_some_and(|b| b.returns && b.name == *group);
        if !topics.values().any(returns) {
            return Ok(());
        }
        let topic: Option<String> = self
            .connection
            .prepare_cached("SELECT topic FROM messages WHERE sequence = ?")?
            .query_row([number(sequence)], |row| row.get(0))
            .optional()?;
        if topic.and_then(|topic| topics.get(topic.as_str())).is_some_and(returns) {
            self.connection
                .prepare_cached(
                    "DELETE FROM messages WHERE sequence = ?1
                       AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = ?1)",
                )?
                .execute([number(sequence)])?;
        }
        Ok(())
    }

    /// Gives `message` to each consumer of its topic, and shows it to who watches.
    fn hand_out(&mut self, mut message: Message) -> Result<(), Stop> {
        message.published_at = self.at;
        let sequence = self.keep(&message)?;
        let mut deliveries = Vec::new();
        for group in self.topology.consumers(&message.topic) {
            deliveries.push(self.deliver(group, sequence, sequence)?);
        }
        self.effects.push(Effect::Published(sequence, Arc::new(message), deliveries));
        Ok(())
    }

    /// Writes a message down, for nobody yet. Returns its place in the order.
    pub fn keep(&mut self, message: &Message) -> Result<u64, Stop> {
        let sequence = self.next();
        let headers = serde_json::to_string(&message.headers)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let (issuer, subject) = owner_columns(message.owner.as_ref());
        self.connection
            .prepare_cached(
                "INSERT INTO messages
                   (sequence, id, topic, key, correlation, trace, issuer, subject, published_at, headers, payload)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                number(sequence),
                message.id,
                message.topic.as_str(),
                message.key,
                message.correlation.as_str(),
                message.trace.to_string(),
                issuer,
                subject,
                number(message.published_at),
                headers,
                &*message.payload,
            ])?;
        Ok(sequence)
    }

    /// Gives `message` to `group`, in the order behind all that has a lower `sequence`.
    pub fn deliver(
        &self,
        group: &ComponentName,
        sequence: u64,
        message: u64,
    ) -> rusqlite::Result<DeliveryId> {
        self.connection
            .prepare_cached(
                "INSERT INTO deliveries (consumer, sequence, message, visible_at, attempt) VALUES (?, ?, ?, ?, 1)",
            )?
            .execute(params![group.as_str(), number(sequence), number(message), number(self.at)])?;
        Ok(DeliveryId { group: group.clone(), sequence })
    }

    /// Removes a delivery, which must be there. Which message it delivered.
    pub fn remove_delivery(&self, id: &DeliveryId) -> Result<u64, Stop> {
        self.connection
            .prepare_cached("DELETE FROM deliveries WHERE consumer = ? AND sequence = ? RETURNING message")?
            .query_row(params![id.group.as_str(), number(id.sequence)], |row| row.get(0))
            .optional()?
            .ok_or(Stop::Refused(Error::Settled))
    }

    pub fn next(&mut self) -> u64 {
        *self.counter += 1;
        *self.counter
    }
}

/// The last number given out before the store was opened.
pub(crate) fn counter(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT number FROM counter WHERE id = 1", [], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}
