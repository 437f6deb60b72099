//! What is known of a response while its guest still runs: shared by the guest's unit of work,
//! which it may seal, and by whoever sends it on.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Neither is there a change, nor has the response been set.
const OPEN: u8 = 0;
/// The unit holds changes: the response waits for their commit.
const CHANGED: u8 = 1;
/// The response is on its way: there can be no change any more.
const SEALED: u8 = 2;

/// One call's response.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    state: AtomicU8,
    set: AtomicBool,
    failed: AtomicBool,
    wanted: AtomicBool,
}

impl Reply {
    /// Notes that the unit is about to be changed; false when it is too late for that.
    pub(crate) fn change(&self) -> bool {
        match self.state.compare_exchange(OPEN, CHANGED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(state) => state == CHANGED,
        }
    }

    /// Notes that the response was set: from now on it streams, unless there are changes.
    pub(crate) fn seal(&self) {
        self.set.store(true, Ordering::Release);
        let _changed = self.state.compare_exchange(OPEN, SEALED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the response was set.
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Whether the response may go out while the guest still writes it.
    pub(crate) fn is_sealed(&self) -> bool {
        self.state.load(Ordering::Acquire) == SEALED
    }

    /// Notes whether somebody waits for more of the body than the guest has written.
    pub(crate) fn want(&self, more: bool) {
        self.wanted.store(more, Ordering::Release);
    }

    /// Whether it is the guest who is late, not who reads.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Notes that the guest did not get to its end. Before its end of the body is dropped, which
    /// looks like the body's end otherwise.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether the guest did not get to its end.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_change_and_response_decides() {
        let changed = Reply::default();
        assert!(changed.change());
        changed.seal();
        assert!(!changed.is_sealed() && changed.change());

        let sealed = Reply::default();
        sealed.seal();
        assert!(sealed.is_sealed() && !sealed.change() && sealed.is_sealed());
    }
}
