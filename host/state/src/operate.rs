//! What an operator has done to the topics, inside the writer's transaction: messages are
//! delivered again, skipped, brought back from the dead letters. Called by the writer.

use std::collections::BTreeSet;

use monopod_core::Millis;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::topics::{PAGE, Place, Refusal, Replayed};
use rusqlite::{OptionalExtension, params};

use crate::apply::{Effect, Stop, Work};
use crate::dead::{self, Before};
use crate::rows::{self, number, owner_columns};

/// What is wished.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Deliver these messages again: to one consumer, or to all of their topic.
    Replay { messages: Vec<Place>, consumer: Option<ComponentName>, again: bool },
    /// Take from a consumer what is older than this.
    Skip { topic: TopicName, consumer: ComponentName, to: Millis },
    /// Bring a dead letter back.
    Retry { sequence: u64 },
}

/// What came of a wish. Refused, it has changed nothing.
type Granted = Result<Result<Replayed, Refusal>, Stop>;

impl Work<'_> {
    /// Does what is wished.
    pub fn operate(&mut self, wish: Wish) -> Granted {
        match wish {
            Wish::Replay { messages, consumer, again } => self.replay(&messages, consumer.as_ref(), again),
            Wish::Skip { topic, consumer, to } => self.skip(&topic, &consumer, to),
            Wish::Retry { sequence } => self.retry(sequence),
        }
    }

    fn replay(&mut self, messages: &[Place], consumer: Option<&ComponentName>, again: bool) -> Granted {
        let mut done = Replayed::default();
        let mut told = BTreeSet::new();
        let topology = self.topology;
        for place in messages {
            let Some((id, topic)) = self.message(place.sequence)? else { continue };
            // To a broker only who names it sends again.
            let everybody = topology.consumers(&topic).filter(|_| consumer.is_none());
            let named = topology.receivers(&topic).filter(|group| consumer == Some(*group));
            for group in everybody.chain(named) {
                if self.waits(group, place.sequence)? {
                    done.waiting += 1;
                } else if !again && self.handled(group, &id)? {
                    done.handled += 1;
                } else {
                    self.connection
                        .prepare_cached("DELETE FROM inbox WHERE consumer = ? AND message = ?")?
                        .execute(params![group.as_str(), id])?;
                    let sequence = self.next();
                    self.deliver(group, sequence, place.sequence)?;
                    told.insert(group);
                    done.delivered += 1;
                }
            }
        }
        done.next = messages.last().copied().filter(|_| messages.len() >= PAGE);
        self.effects.extend(told.into_iter().cloned().map(Effect::Redelivered));
        Ok(Ok(done))
    }

    fn skip(&mut self, topic: &TopicName, consumer: &ComponentName, to: Millis) -> Granted {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.sequence, m.id FROM deliveries d JOIN messages m ON m.sequence = d.message
             WHERE d.consumer = ? AND m.topic = ? AND m.published_at < ? ORDER BY d.sequence LIMIT ?",
        )?;
        let limit = number(PAGE as u64);
        let bound = params![consumer.as_str(), topic.as_str(), number(to), limit];
        let found: Vec<(u64, String)> =
            statement.query_map(bound, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (sequence, id) in &found {
            self.connection
                .prepare_cached("DELETE FROM deliveries WHERE consumer = ? AND sequence = ?")?
                .execute(params![consumer.as_str(), number(*sequence)])?;
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO inbox (consumer, message, at) VALUES (?, ?, ?)")?
                .execute(params![consumer.as_str(), id, number(self.at)])?;
        }
        let next = (found.len() >= PAGE).then(Place::default);
        Ok(Ok(Replayed { dropped: found.len() as u64, next, ..Replayed::default() }))
    }

    fn retry(&mut self, sequence: u64) -> Granted {
        let sql = format!("SELECT {} FROM messages m WHERE m.sequence = ?", rows::MESSAGE);
        let letter = self
            .connection
            .prepare_cached(&sql)?
            .query_row([number(sequence)], |row| rows::message(row, 0))
            .optional()?;
        let Some(letter) = letter else { return Ok(Err(gone(sequence))) };
        let before = match dead::before(letter) {
            Ok(before) => before,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match before {
            Before::Message { consumer, sequence: original, message } => {
                if !self.topology.receivers(&message.topic).any(|group| *group == consumer) {
                    return Ok(Err(Refusal::Wrong(format!(
                        "`{consumer}` does not consume `{}` any more; grant it again, then retry",
                        message.topic
                    ))));
                }
                let there = self.message(original)?.is_some_and(|(id, _)| *id == *message.id);
                let original = if there { original } else { self.keep(&message)? };
                let sequence = self.next();
                self.deliver(&consumer, sequence, original)?;
                self.effects.push(Effect::Redelivered(consumer));
            }
            Before::Timer { component, message } => {
                let version = self.next();
                let (issuer, subject) = owner_columns(message.owner.as_ref());
                let name = message.key.as_deref().unwrap_or_default();
                let set = self
                    .connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO timers
                           (component, name, due_at, version, attempt, correlation, trace, issuer, subject, payload)
                         VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![
                        component.as_str(),
                        name,
                        number(self.at),
                        number(version),
                        message.correlation.as_str(),
                        message.trace.to_string(),
                        issuer,
                        subject,
                        &*message.payload,
                    ])?;
                if set == 0 {
                    return Ok(Err(Refusal::Wrong(format!(
                        "`{component}` has set a timer `{name}` since; it fires by itself"
                    ))));
                }
                self.effects.push(Effect::TimerSet(self.at));
            }
        }
        // Others may wait for the letter itself: a component may consume dead letters.
        self.connection
            .prepare_cached("DELETE FROM deliveries WHERE message = ?")?
            .execute([number(sequence)])?;
        self.connection
            .prepare_cached("DELETE FROM messages WHERE sequence = ?")?
            .execute([number(sequence)])?;
        Ok(Ok(Replayed { delivered: 1, ..Replayed::default() }))
    }

    fn message(&self, sequence: u64) -> rusqlite::Result<Option<(String, TopicName)>> {
        let found: Option<(String, String)> = self
            .connection
            .prepare_cached("SELECT id, topic FROM messages WHERE sequence = ?")?
            .query_row([number(sequence)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.and_then(|(id, topic)| Some((id, topic.parse().ok()?))))
    }

    fn waits(&self, consumer: &ComponentName, message: u64) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM deliveries WHERE message = ? AND consumer = ?)")?
            .query_row(params![number(message), consumer.as_str()], |row| row.get(0))
    }

    fn handled(&self, consumer: &ComponentName, id: &str) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM inbox WHERE consumer = ? AND message = ?)")?
            .query_row(params![consumer.as_str(), id], |row| row.get(0))
    }
}

/// There is no such letter.
pub(crate) fn gone(sequence: u64) -> Refusal {
    Refusal::Wrong(format!(
        "there is no dead letter {sequence}: it was retried, or its retention is over; see `monopod dlq list`"
    ))
}
