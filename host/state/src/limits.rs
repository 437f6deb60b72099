//! The limits of a unit, checked once more before it reaches the writer. The engine
//! refuses at the call that goes over a limit, with the guest's own error; here a
//! mistake in the engine is kept from stopping everybody's writer.

use monopod_core::message::TimerId;
use monopod_core::unit::{Key, MAX_CHANGES, MAX_KEY, MAX_UNIT, MAX_VALUE, TimerChange, Unit};

/// The longest name of a timer, in bytes.
const MAX_TIMER_NAME: usize = 256;
/// The largest payload of a timer, in bytes.
const MAX_TIMER: usize = 64 << 10;
/// The most headers of a message; each has a name and a value.
const MAX_HEADERS: usize = 64;
/// The most bytes of all headers of a message: what HTTP servers take, too.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// The unit's size in bytes, or which limit it breaks.
pub(crate) fn check(unit: &Unit) -> Result<usize, String> {
    let changes = unit.writes.len() + unit.messages.len() + unit.timers.len();
    within("changes of one unit", changes, MAX_CHANGES)?;
    let mut size = 0;
    for (key, value) in &unit.writes {
        size += check_key(key)?;
        let value = value.as_ref().map_or(0, |value| value.len());
        size += within("bytes of a value", value, MAX_VALUE)?;
    }
    for message in &unit.messages {
        if let Some(key) = &message.key {
            size += within("bytes of a message key", key.len(), MAX_KEY)?;
        }
        size += within("bytes of a message", message.payload.len(), MAX_VALUE)?;
        within("headers of a message", message.headers.len(), MAX_HEADERS)?;
        let headers = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        size += within("bytes of a message's headers", headers, MAX_HEADER_BYTES)?;
    }
    for (id, change) in &unit.timers {
        size += check_timer(id)?;
        if let TimerChange::Set { payload, .. } = change {
            size += within("bytes of a timer", payload.len(), MAX_TIMER)?;
        }
    }
    within("bytes of one unit", size, MAX_UNIT)
}

fn check_key(key: &Key) -> Result<usize, String> {
    if key.key.is_empty() {
        return Err("a key is empty".to_owned());
    }
    within("bytes of a key", key.key.len(), MAX_KEY)
}

fn check_timer(id: &TimerId) -> Result<usize, String> {
    if id.name.is_empty() {
        return Err("a timer's name is empty".to_owned());
    }
    within("bytes of a timer's name", id.name.len(), MAX_TIMER_NAME)
}

fn within(what: &str, found: usize, most: usize) -> Result<usize, String> {
    if found <= most { Ok(found) } else { Err(format!("{found} {what}, at most {most} are allowed")) }
}

/// The longest reason kept of a failed attempt, in bytes: a sentence or two. Guests
/// write it, and it goes into headers and logs.
const MAX_REASON: usize = 1_000;

/// A reason as one bounded line.
pub(crate) fn reason(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_REASON {
        let cut = (0..=MAX_REASON - '…'.len_utf8()).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(cut.unwrap_or(0));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line() {
        assert_eq!(reason("no\r\nsuch\0thing"), "no  such thing");
        let long = reason(&"ä".repeat(2_000));
        assert!(long.len() <= MAX_REASON && long.ends_with("ä…"), "{}", long.len());
    }
}
