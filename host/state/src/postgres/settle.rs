//! Attempts that failed: of deliveries and timers, to be tried again later or moved to a
//! dead-letter topic. Called by the writer inside its transaction; what is refused has
//! changed nothing.

use monopod_core::message::{DeliveryId, TimerId};
use monopod_core::store::{Error, Verdict};

use super::apply::Work;
use super::rows::{self, unsigned};
use super::session::Fault;
use crate::apply::Effect;
use crate::dead::{Failed, dead_letter, dead_timer};
use crate::limits;
use crate::rows::number;

type Result<T, E = Fault> = std::result::Result<T, E>;

impl Work<'_> {
    /// A delivery that was not handled.
    pub async fn delivery_failed(
        &mut self,
        id: &DeliveryId,
        reason: &str,
        verdict: &Verdict,
    ) -> Result<Result<u64, Error>> {
        let reason = limits::reason(reason);
        let (consumer, sequence) = (id.group.as_str(), number(id.sequence));
        if let Verdict::Retry(at) = verdict {
            let sql = "UPDATE deliveries SET visible_at = $3, attempt = attempt + 1, last_error = $4,
                         first_error = coalesce(first_error, $4)
                       WHERE consumer = $1 AND sequence = $2";
            let params = [&consumer as super::session::Param<'_>, &sequence, &number(*at), &reason];
            return Ok(one(self.session.execute(sql, &params).await?));
        }
        let sql = format!(
            "SELECT d.attempt, d.first_error, d.message, {} FROM deliveries d
             JOIN messages m ON m.sequence = d.message WHERE d.consumer = $1 AND d.sequence = $2",
            rows::MESSAGE
        );
        let Some(row) = self.session.first(&sql, &[&consumer, &sequence]).await? else {
            return Ok(Err(Error::Settled));
        };
        let failed = Failed { attempt: rows::attempt(&row, 0)?, first_reason: row.try_get(1)? };
        let original = unsigned(&row, 2)?;
        let message = rows::message(&row, 3)?;
        let letter = match dead_letter(message, original, &id.group, &failed, &reason) {
            Ok(letter) => letter,
            Err(error) => return Ok(Err(error)),
        };
        self.changes.settled.push(id.clone());
        self.publish(letter);
        self.changes.write(self.session, self.at).await?;
        Ok(Ok(1))
    }

    /// A timer whose handler failed.
    pub async fn timer_failed(
        &mut self,
        id: &TimerId,
        version: u64,
        reason: &str,
        verdict: &Verdict,
    ) -> Result<Result<u64, Error>> {
        let reason = limits::reason(reason);
        let (component, name, version) = (id.component.as_str(), id.name.as_bytes(), number(version));
        if let Verdict::Retry(at) = verdict {
            let sql = "UPDATE timers SET due_at = $4, attempt = attempt + 1, last_error = $5,
                         first_error = coalesce(first_error, $5)
                       WHERE component = $1 AND name = $2 AND version = $3";
            let params = [&component as super::session::Param<'_>, &name, &version, &number(*at), &reason];
            let changed = one(self.session.execute(sql, &params).await?);
            if changed.is_ok() {
                self.effects.push(Effect::TimerSet(*at));
            }
            return Ok(changed);
        }
        let sql = format!(
            "SELECT {}, first_error FROM timers WHERE component = $1 AND name = $2 AND version = $3",
            rows::TIMER
        );
        let Some(row) = self.session.first(&sql, &[&component, &name, &version]).await? else {
            return Ok(Err(Error::Settled));
        };
        let timer = rows::timer(&row)?;
        let failed = Failed { attempt: timer.attempt, first_reason: row.try_get(10)? };
        let letter = match dead_timer(timer, self.at, &failed, &reason) {
            Ok(letter) => letter,
            Err(error) => return Ok(Err(error)),
        };
        self.changes.timers.insert(id.clone(), None);
        self.publish(letter);
        self.changes.write(self.session, self.at).await?;
        Ok(Ok(1))
    }
}

/// One row was there and is changed, or it was settled before.
fn one(changed: u64) -> Result<u64, Error> {
    if changed == 1 { Ok(0) } else { Err(Error::Settled) }
}
