//! Attempts that failed: of deliveries and timers, to be tried again later or moved to
//! a dead-letter topic. Called by the writer inside the request's savepoint, so that a
//! message is never lost between its topic and the dead-letter topic, nor in both.

use std::sync::Arc;

use monopod_core::message::{DeliveryId, Message, TimerId};
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::store::{Error, Verdict};
use rusqlite::{OptionalExtension, Row, params};

use crate::apply::{Done, Effect, Stop, Work};
use crate::limits;
use crate::rows::{self, number};
use crate::settings;

/// Every header of a dead letter that the platform sets begins with this.
const DEAD: &str = "x-dead-";

/// How often it was tried, and what went wrong the first time.
struct Failed {
    attempt: u32,
    first_reason: Option<String>,
}

impl Failed {
    fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { attempt: row.get(first)?, first_reason: row.get(first + 1)? })
    }

    /// The headers that say why a message is dead.
    fn headers(&self, component: &ComponentName, reason: &str) -> Vec<(String, String)> {
        let mut headers = vec![
            ("x-dead-reason".to_owned(), reason.to_owned()),
            ("x-dead-component".to_owned(), component.to_string()),
            ("x-dead-attempts".to_owned(), self.attempt.to_string()),
        ];
        // Often the first failure is the cause, and the last one its consequence.
        if let Some(first) = self.first_reason.as_ref().filter(|first| *first != reason) {
            headers.push(("x-dead-first-reason".to_owned(), first.clone()));
        }
        headers
    }
}

impl Work<'_> {
    /// A delivery that was not handled.
    pub fn delivery_failed(
        &mut self,
        id: &DeliveryId,
        reason: &str,
        verdict: &Verdict,
    ) -> Result<Done, Stop> {
        let reason = limits::reason(reason);
        let consumer = id.group.as_str();
        if let Verdict::Retry(at) = verdict {
            let changed = self
                .connection
                .prepare_cached(
                    "UPDATE deliveries SET visible_at = ?3, attempt = attempt + 1, last_error = ?4,
                       first_error = ifnull(first_error, ?4)
                     WHERE consumer = ?1 AND sequence = ?2",
                )?
                .execute(params![consumer, number(id.sequence), number(*at), reason])?;
            return one(changed);
        }
        let sql = format!(
            "SELECT d.attempt, d.first_error, {} FROM deliveries d JOIN messages m USING (sequence)
             WHERE d.consumer = ? AND d.sequence = ?",
            rows::MESSAGE
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![consumer, number(id.sequence)], |row| {
                Ok((Failed::read(row, 0)?, rows::message(row, 2)?))
            })
            .optional()?;
        let Some((failed, mut message)) = found else {
            return Err(Stop::Refused(Error::Settled));
        };
        self.remove_delivery(id)?;
        message.headers.retain(|(name, _)| !name.starts_with(DEAD));
        message.headers.extend(failed.headers(&id.group, &reason));
        // It is a message of its own; whoever replays it finds the original by this.
        message.headers.push(("x-dead-id".to_owned(), message.id.to_string()));
        message.id = new_id();
        message.topic = named(settings::dead_topic(&message.topic))?;
        self.publish(message)?;
        Ok(Done::Applied(1))
    }

    /// A timer whose handler failed.
    pub fn timer_failed(
        &mut self,
        id: &TimerId,
        version: u64,
        reason: &str,
        verdict: &Verdict,
    ) -> Result<Done, Stop> {
        let reason = limits::reason(reason);
        let key = params![id.component.as_str(), id.name, number(version)];
        if let Verdict::Retry(at) = verdict {
            let changed = self
                .connection
                .prepare_cached(
                    "UPDATE timers SET due_at = ?4, attempt = attempt + 1, last_error = ?5,
                       first_error = ifnull(first_error, ?5)
                     WHERE component = ?1 AND name = ?2 AND version = ?3",
                )?
                .execute(params![id.component.as_str(), id.name, number(version), number(*at), reason])?;
            self.effects.push(Effect::TimerSet(*at));
            return one(changed);
        }
        let sql = format!(
            "SELECT {}, first_error FROM timers WHERE component = ? AND name = ? AND version = ?",
            rows::TIMER
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row(key, |row| {
                let timer = rows::timer(row)?;
                Ok((Failed { attempt: timer.attempt, first_reason: row.get(10)? }, timer))
            })
            .optional()?;
        let Some((failed, timer)) = found else {
            return Err(Stop::Refused(Error::Settled));
        };
        self.connection
            .prepare_cached("DELETE FROM timers WHERE component = ? AND name = ? AND version = ?")?
            .execute(key)?;
        self.publish(Message {
            id: new_id(),
            topic: named(settings::dead_timers(&id.component))?,
            key: Some(timer.id.name),
            headers: failed.headers(&id.component, &reason),
            payload: timer.payload,
            correlation: timer.correlation,
            trace: timer.trace,
            owner: timer.owner,
            published_at: self.at,
        })?;
        Ok(Done::Applied(1))
    }
}

/// One row was there and is changed, or it was settled before.
fn one(changed: usize) -> Result<Done, Stop> {
    if changed == 1 { Ok(Done::Applied(0)) } else { Err(Stop::Refused(Error::Settled)) }
}

fn new_id() -> Arc<str> {
    uuid::Uuid::now_v7().to_string().into()
}

fn named(topic: Option<TopicName>) -> Result<TopicName, Stop> {
    topic
        .ok_or_else(|| Stop::Refused(Error::Unavailable("there is no name for the dead-letter topic".into())))
}
