//! Attempts that failed: of deliveries and timers, to be tried again later or moved to
//! a dead-letter topic. Called by the writer inside the request's savepoint, so that a
//! message is never lost between its topic and the dead-letter topic, nor in both.

use monopod_core::message::{DeliveryId, TimerId};
use monopod_core::store::{Error, Verdict};
use rusqlite::{OptionalExtension, params};

use crate::apply::{Done, Effect, Stop, Work};
use crate::dead::{Failed, dead_letter, dead_timer};
use crate::limits;
use crate::rows::{self, number};

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
            "SELECT d.attempt, d.first_error, d.message, {} FROM deliveries d
             JOIN messages m ON m.sequence = d.message WHERE d.consumer = ? AND d.sequence = ?",
            rows::MESSAGE
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row(params![consumer, number(id.sequence)], |row| {
                Ok((
                    Failed { attempt: row.get(0)?, first_reason: row.get(1)? },
                    row.get::<_, u64>(2)?,
                    rows::message(row, 3)?,
                ))
            })
            .optional()?;
        let Some((failed, original, message)) = found else {
            return Err(Stop::Refused(Error::Settled));
        };
        self.remove_delivery(id)?;
        let message = dead_letter(message, original, &id.group, &failed, &reason).map_err(Stop::Refused)?;
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
        let letter = dead_timer(timer, self.at, &failed, &reason).map_err(Stop::Refused)?;
        self.publish(letter)?;
        Ok(Done::Applied(1))
    }
}

/// One row was there and is changed, or it was settled before.
fn one(changed: usize) -> Result<Done, Stop> {
    if changed == 1 { Ok(Done::Applied(0)) } else { Err(Stop::Refused(Error::Settled)) }
}
