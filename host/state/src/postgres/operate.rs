//! What an operator has done to the topics, inside the writer's transaction: messages are
//! delivered again, skipped, brought back from the dead letters. Called by the writer.

use std::collections::BTreeSet;

use monopod_core::Millis;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::topics::{PAGE, Place, Refusal, Replayed};

use super::apply::Work;
use super::changes::Set;
use super::read;
use super::rows::{self, unsigned};
use super::session::{Fault, Param};
use crate::apply::Effect;
use crate::dead::{self, Before};
use crate::operate::{Wish, gone, set_since, unconsumed};
use crate::rows::number;

/// What came of a wish. Refused, it has changed nothing.
type Granted = Result<Result<Replayed, Refusal>, Fault>;

impl Work<'_> {
    /// Does what is wished.
    pub async fn operate(&mut self, wish: &Wish) -> Granted {
        let granted = match wish {
            Wish::Replay { messages, consumer, again } => {
                self.replay(messages, consumer.as_ref(), *again).await?
            }
            Wish::Skip { topic, consumer, to } => self.skip(topic, consumer, *to).await?,
            Wish::Retry { sequence } => self.retry(*sequence).await?,
        };
        self.changes.write(self.session, self.at).await?;
        Ok(granted)
    }

    async fn replay(&mut self, messages: &[Place], consumer: Option<&ComponentName>, again: bool) -> Granted {
        let mut done = Replayed::default();
        let mut told = BTreeSet::new();
        let topology = self.topology;
        for place in messages {
            let Some((id, topic)) = self.message(place.sequence).await? else { continue };
            // To a broker only who names it sends again.
            let everybody = topology.consumers(&topic).filter(|_| consumer.is_none());
            let named = topology.receivers(&topic).filter(|group| consumer == Some(*group));
            for group in everybody.chain(named) {
                let (name, message) = (group.as_str(), number(place.sequence));
                let waits = "SELECT 1 FROM deliveries WHERE message = $1 AND consumer = $2";
                let handled = "SELECT 1 FROM inbox WHERE consumer = $1 AND message = $2";
                if self.session.first(waits, &[&message, &name]).await?.is_some() {
                    done.waiting += 1;
                } else if !again && self.session.first(handled, &[&name, &id.as_bytes()]).await?.is_some() {
                    done.handled += 1;
                } else {
                    let forget = "DELETE FROM inbox WHERE consumer = $1 AND message = $2";
                    self.session.execute(forget, &[&name, &id.as_bytes()]).await?;
                    let sequence = self.next();
                    self.deliver(group, sequence, place.sequence);
                    told.insert(group);
                    done.delivered += 1;
                }
            }
        }
        done.next = messages.last().copied().filter(|_| messages.len() >= PAGE);
        self.effects.extend(told.into_iter().cloned().map(Effect::Redelivered));
        Ok(Ok(done))
    }

    async fn skip(&mut self, topic: &TopicName, consumer: &ComponentName, to: Millis) -> Granted {
        // The mark may be there already: of a message that was handled and replayed.
        let sql = "WITH found AS (
                     SELECT d.sequence, m.id FROM deliveries d JOIN messages m ON m.sequence = d.message
                     WHERE d.consumer = $1 AND m.topic = $2 AND m.published_at < $3 ORDER BY d.sequence LIMIT $4
                   ), gone AS (
                     DELETE FROM deliveries d USING found WHERE d.consumer = $1 AND d.sequence = found.sequence
                   ), marked AS (
                     INSERT INTO inbox (consumer, message, at) SELECT DISTINCT $1, found.id, $5::bigint FROM found
                     ON CONFLICT DO NOTHING
                   )
                   SELECT count(*) FROM found";
        let (name, topic) = (consumer.as_str(), topic.as_str());
        let params: [Param<'_>; 5] = [&name, &topic, &number(to), &number(PAGE as u64), &number(self.at)];
        let found = self.session.first(sql, &params).await?;
        let dropped = found.map(|row| unsigned(&row, 0)).transpose()?.unwrap_or_default();
        let next = (dropped >= PAGE as u64).then(Place::default);
        Ok(Ok(Replayed { dropped, next, ..Replayed::default() }))
    }

    async fn retry(&mut self, sequence: u64) -> Granted {
        let Some(letter) = read::message(self.session, sequence).await? else {
            return Ok(Err(gone(sequence)));
        };
        let letter = std::sync::Arc::unwrap_or_clone(letter.message);
        let before = match dead::before(letter) {
            Ok(before) => before,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match before {
            Before::Message { consumer, sequence: original, message } => {
                if !self.topology.receivers(&message.topic).any(|group| *group == consumer) {
                    return Ok(Err(unconsumed(&consumer, &message.topic)));
                }
                let stands = self.message(original).await?;
                let there = stands.is_some_and(|(id, _)| id == message.id);
                let original = if there { original } else { self.keep(message) };
                let place = self.next();
                self.deliver(&consumer, place, original);
                self.effects.push(Effect::Redelivered(consumer));
            }
            Before::Timer { component, message } => {
                let name = message.key.clone().unwrap_or_default();
                let sql = "SELECT 1 FROM timers WHERE component = $1 AND name = $2";
                let params: [Param<'_>; 2] = [&component.as_str(), &name.as_bytes()];
                if self.session.first(sql, &params).await?.is_some() {
                    return Ok(Err(set_since(&component, &name)));
                }
                let set = Set {
                    due_at: self.at,
                    version: self.next(),
                    correlation: message.correlation,
                    trace: message.trace,
                    owner: message.owner,
                    payload: message.payload,
                };
                let id = monopod_core::message::TimerId { component, name };
                self.changes.timers.insert(id, Some(set));
                self.effects.push(Effect::TimerSet(self.at));
            }
        }
        // Others may wait for the letter itself: a component may consume dead letters.
        self.session.execute("DELETE FROM deliveries WHERE message = $1", &[&number(sequence)]).await?;
        self.session.execute("DELETE FROM messages WHERE sequence = $1", &[&number(sequence)]).await?;
        Ok(Ok(Replayed { delivered: 1, ..Replayed::default() }))
    }

    async fn message(&self, sequence: u64) -> Result<Option<(std::sync::Arc<str>, TopicName)>, Fault> {
        let sql = "SELECT id, topic FROM messages WHERE sequence = $1";
        let Some(row) = self.session.first(sql, &[&number(sequence)]).await? else { return Ok(None) };
        let topic: &str = row.try_get(1)?;
        topic.parse().ok().map(|topic| rows::name(&row, 0).map(|id| (id, topic))).transpose()
    }
}
