//! `monopod:timers`: timers, as part of the unit of work.

use monopod_core::message::TimerId;
use monopod_core::unit::TimerChange;

use crate::bindings::monopod::timers::timers::{Error, Host};
use crate::guest::Guest;

/// The longest name of a timer, in bytes.
const MAX_TIMER_NAME: usize = 256;
/// The largest payload of a timer: it names what is due, the state holds the rest.
const MAX_TIMER_PAYLOAD: usize = 64 << 10;
/// The furthest a timer may lie ahead: ten years, so that sums with the clock cannot overflow.
const MAX_AFTER: u64 = 10 * 366 * 86_400_000;

impl Guest {
    fn change(&mut self, name: &str, change: TimerChange, size: usize) -> Result<(), Error> {
        if !self.loaded.component.grants.timers {
            return Err(Error::NotGranted(self.denied("timers", name)));
        }
        if name.is_empty() || name.len() > MAX_TIMER_NAME {
            return Err(Error::TooLarge(format!(
                "a timer's name has 1 to {MAX_TIMER_NAME} bytes, this one {}",
                name.len()
            )));
        }
        if size > MAX_TIMER_PAYLOAD {
            return Err(Error::TooLarge(format!(
                "a timer's payload has at most {MAX_TIMER_PAYLOAD} bytes, this one {size}"
            )));
        }
        self.reserve(size + name.len()).map_err(Error::TooLarge)?;
        let id = TimerId { component: self.loaded.component.name.clone(), name: name.into() };
        self.unit.timers.insert(id, change);
        Ok(())
    }
}

impl Host for Guest {
    fn set(&mut self, name: String, after: u64, payload: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        if after > MAX_AFTER {
            return Ok(Err(Error::TooLarge("a timer lies at most ten years ahead".into())));
        }
        let size = payload.len();
        let due_at = monopod_core::now().saturating_add(after);
        Ok(self.change(&name, TimerChange::Set { due_at, payload: payload.into() }, size))
    }

    fn cancel(&mut self, name: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.change(&name, TimerChange::Cancel, 0))
    }
}
