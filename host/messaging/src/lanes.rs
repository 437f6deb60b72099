//! The lanes of one consumer: which message may run next. Pure bookkeeping without I/O
//! or clock; `dispatcher` feeds it what the store and the inbox give, and asks what to do.
//!
//! A lane is a key, over all topics of the consumer: its messages run strictly one after
//! another in order of sequence, and one that waits for its next try holds up its lane
//! alone. A message without a key is a lane by itself.
//!
//! Memory is bounded whatever the backlog, and no lane can starve another:
//! - The **contents** of messages are held for what runs soon, up to [`HELD`]. A lane
//!   that waits holds none; a content that is wanted and not held is read again.
//! - Of the rest only the **sequence** is known, so that one key with a long backlog
//!   costs some bytes a message, and beyond [`KNOWN_OF_LANE`] nothing: the lane then
//!   remembers from where on it has to look again. One **sweep** over the store looks for
//!   all lanes that do.
//! - The store is read forward (the **frontier**) only while less than [`READY`] lanes
//!   have something to run and there is room for contents. So a backlog is not read into
//!   memory, yet reading goes on past any number of messages that wait for their key
//!   (they take no room), and finds those that can run.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use monopod_core::Millis;
use monopod_core::message::Delivery;
use tokio::time::Instant;

use crate::backoff::{MOST_ASKED, SETBACKS};

/// How many rows one read of the store asks for: enough to make the read cheap for
/// each, few enough that with the largest payloads it stays below 64 MiB.
pub(crate) const PAGE: usize = 64;
/// With so many lanes ready there is no need to look for more: many times what runs at once.
const READY: usize = 512;
/// How many contents are held, and how many bytes of them.
const HELD: usize = 1_024;
const HELD_BYTES: usize = 8 << 20;
/// How many of them by one lane: what one read brings; and while more than half of the
/// room is taken less, since they run one after another and keep others out.
const HELD_OF_LANE: usize = PAGE;
const HELD_OF_LANE_WHEN_SCARCE: usize = 16;
/// How many sequences one lane knows: four pages of it between two looks.
const KNOWN_OF_LANE: usize = 256;
/// How many sequences all lanes know beside the first of each: a megabyte.
const KNOWN: usize = 65_536;
/// How many lanes there are: a dozen megabytes when so many different keys wait. Then
/// the frontier stands until one ends, and health says so if none does.
const LANES: usize = 65_536;

/// Which lane a message runs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The lane of a key.
    Key(Arc<str>),
    /// The lane of a message without one.
    Alone(u64),
}

impl Lane {
    fn of(delivery: &Delivery) -> Self {
        match &delivery.message.key {
            Some(key) => Self::Key(Arc::clone(key)),
            None => Self::Alone(delivery.id.sequence),
        }
    }
}

/// Both clocks: waits within the process use the one that never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: Millis,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Settled: the lane goes on.
    Settled,
    /// Recorded as a failed attempt: not before this time has passed.
    Failed(Duration),
    /// Nothing is recorded and nobody to blame: again after a while.
    SetBack,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Run this; [`Lanes::end`] must follow.
    Run(Lane, Delivery),
    /// Read the rows of the store above `after`; [`Lanes::absorb`] may follow.
    Read(Read),
    /// Nothing before this time, unless something happens.
    Wait(Option<Instant>),
}

/// A page to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) after: u64,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// To find messages not seen before.
    Forward,
    /// For the content of this lane's head.
    Content(Lane),
    /// For more of the lanes that remember no sequence.
    Sweep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In `ready`.
    Ready,
    Running,
    /// In `waiting`.
    Waiting(Instant),
    /// In `seeking`: knows no sequence, but from where on to look.
    Seeking,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u64,
    visible_at: Millis,
}

#[derive(Debug)]
struct Track {
    state: State,
    /// Unsettled messages in order; the first is the lane's head.
    known: VecDeque<Known>,
    /// From here to the frontier there may be more of this lane.
    beyond: Option<u64>,
    /// The sweep that offered it more than there was room for.
    refused: u64,
    /// Setbacks of the head in a row.
    setbacks: u32,
}

/// A pass over the store for lanes that look for more. A lane rides on it if all it does
/// not know lies ahead of the sweep's beginning, and nothing was refused since: then what
/// the sweep has passed it knows.
#[derive(Debug, Default)]
struct Sweep {
    number: u64,
    from: u64,
    at: u64,
}

impl Sweep {
    fn carries(&self, track: &Track) -> bool {
        track.refused != self.number && track.beyond.is_some_and(|beyond| beyond > self.from)
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Lanes {
    tracks: HashMap<Lane, Track>,
    ready: VecDeque<Lane>,
    waiting: BTreeSet<(Instant, Lane)>,
    seeking: HashSet<Lane>,
    sweep: Sweep,
    held: HashMap<u64, Delivery>,
    held_bytes: usize,
    running: usize,
    known: usize,
    set_back: usize,
    /// Every message up to here was seen.
    frontier: u64,
    /// Whether there may be messages above the frontier that nobody will announce.
    behind: bool,
    /// Whose turn it was to read: forward, or the sweep.
    forward_next: bool,
    /// When something last moved, or there was nothing to move.
    moved: Option<Instant>,
}

impl Lanes {
    /// Lanes that have seen nothing: everything is to be read from the store.
    pub(crate) fn new(now: Now) -> Self {
        // Sweeps are numbered from 1: 0 has refused nobody.
        let sweep = Sweep { number: 1, ..Sweep::default() };
        Self { behind: true, moved: Some(now.instant), sweep, ..Self::default() }
    }

    /// There were messages that will not be announced.
    pub(crate) fn fall_behind(&mut self, now: Now) {
        self.rested(now);
        self.behind = true;
    }

    /// A message was published just now. Announcements come in order of sequence and
    /// without gaps, or [`Self::fall_behind`] was called.
    pub(crate) fn announce(&mut self, delivery: Delivery, now: Now) {
        self.rested(now);
        // While behind, the next read finds it: it was committed before that read.
        if !self.behind && delivery.id.sequence > self.frontier {
            self.meet(delivery, now);
        }
    }

    /// Takes in a page read for `read`. `complete`: there were no rows after these.
    pub(crate) fn absorb(&mut self, read: &Read, rows: Vec<Delivery>, complete: bool, now: Now) {
        let last = rows.last().map_or(read.after, |row| row.id.sequence);
        if read.why == Why::Forward {
            self.behind = !complete;
            for row in rows {
                if row.id.sequence > self.frontier && !self.meet(row, now) {
                    return;
                }
            }
            return;
        }
        let frontier = self.frontier;
        for row in rows.into_iter().take_while(|row| row.id.sequence <= frontier) {
            let lane = Lane::of(&row);
            if read.why == Why::Sweep {
                self.offer(&lane, &row, now);
            }
            let next = matches!(&read.why, Why::Content(wanted) if *wanted == lane);
            self.hold(&lane, row, next);
        }
        match &read.why {
            Why::Forward => {}
            Why::Content(lane) => self.forget_gone(lane, now),
            Why::Sweep => {
                self.sweep.at = if complete { frontier } else { last };
                if self.sweep.at >= frontier {
                    self.end_sweep(frontier, now);
                }
            }
        }
    }

    /// A message above the frontier. False if there is no room for its lane.
    fn meet(&mut self, delivery: Delivery, now: Now) -> bool {
        let lane = Lane::of(&delivery);
        let sequence = delivery.id.sequence;
        let known = Known { sequence, visible_at: delivery.visible_at };
        let (room, room_for_lane) = (self.known < KNOWN, self.has_room());
        match self.tracks.get_mut(&lane) {
            Some(track) if track.beyond.is_some() => {}
            Some(track) if room && track.known.len() < KNOWN_OF_LANE => {
                track.known.push_back(known);
                self.known += 1;
                self.hold(&lane, delivery, false);
            }
            Some(track) => track.beyond = Some(sequence),
            None if room_for_lane => {
                let known = VecDeque::from([known]);
                let track = Track { state: State::Seeking, known, beyond: None, refused: 0, setbacks: 0 };
                self.tracks.insert(lane.clone(), track);
                self.known += 1;
                self.go_on(&lane, now);
                self.hold(&lane, delivery, false);
            }
            None => {
                self.behind = true;
                return false;
            }
        }
        self.frontier = sequence;
        true
    }

    /// The sweep came by a message: perhaps of a lane that looks for more.
    fn offer(&mut self, lane: &Lane, delivery: &Delivery, now: Now) {
        let sequence = delivery.id.sequence;
        let room = self.known < KNOWN;
        let Some(track) = self.tracks.get_mut(lane) else { return };
        if !self.sweep.carries(track) || track.beyond.is_none_or(|beyond| sequence < beyond) {
            return;
        }
        if track.known.is_empty() || (room && track.known.len() < KNOWN_OF_LANE) {
            track.known.push_back(Known { sequence, visible_at: delivery.visible_at });
            track.beyond = Some(sequence + 1);
            self.known += 1;
            if self.seeking.remove(lane) {
                self.go_on(lane, now);
            }
        } else {
            track.beyond = Some(sequence);
            track.refused = self.sweep.number;
        }
    }

    /// Writes down what the lanes know that rode on the sweep, and begins a new one.
    fn end_sweep(&mut self, begin: u64, now: Now) {
        let Sweep { at, number, .. } = self.sweep;
        let mut over = Vec::new();
        for (lane, track) in &mut self.tracks {
            if self.sweep.carries(track) {
                let beyond = track.beyond.map(|beyond| beyond.max(at + 1));
                track.beyond = beyond.filter(|beyond| *beyond <= self.frontier);
                if track.beyond.is_none() && self.seeking.remove(lane) {
                    over.push(lane.clone());
                }
            }
        }
        self.sweep = Sweep { number: number + 1, from: begin, at: begin };
        for lane in over {
            self.go_on(&lane, now);
        }
    }

    /// Holds a content, if it runs soon and there is room, or it runs next.
    fn hold(&mut self, lane: &Lane, delivery: Delivery, next: bool) {
        let Some(track) = self.tracks.get(lane) else { return };
        let sequence = delivery.id.sequence;
        let scarce = self.held.len() > HELD / 2;
        let most = if scarce { HELD_OF_LANE_WHEN_SCARCE } else { HELD_OF_LANE };
        let place = track.known.iter().take(most).position(|known| known.sequence == sequence);
        let Some(place) = place else { return };
        let wanted = match track.state {
            State::Ready | State::Seeking => true,
            State::Running => place > 0,
            State::Waiting(_) => false,
        };
        let size = delivery.message.payload.len();
        let room = self.held.len() < HELD && self.held_bytes + size <= HELD_BYTES;
        if wanted && (room || (next && place == 0)) {
            self.held_bytes += size;
            if let Some(before) = self.held.insert(sequence, delivery) {
                self.held_bytes -= before.message.payload.len();
            }
        }
    }

    fn release(&mut self, sequence: u64) -> Option<Delivery> {
        let held = self.held.remove(&sequence)?;
        self.held_bytes -= held.message.payload.len();
        Some(held)
    }

    /// The lane's head was looked for. If it was not there it is settled, or too old.
    fn forget_gone(&mut self, lane: &Lane, now: Now) {
        let Some(track) = self.tracks.get_mut(lane) else { return };
        let Some(head) = track.known.front() else { return };
        if track.state == State::Ready && !self.held.contains_key(&head.sequence) {
            track.known.pop_front();
            self.known -= 1;
            self.ready.retain(|ready| ready != lane);
            self.go_on(lane, now);
        }
    }

    /// A lane with nothing running decides what it does now.
    fn go_on(&mut self, lane: &Lane, now: Now) {
        let Some(track) = self.tracks.get_mut(lane) else { return };
        match track.known.front() {
            Some(head) if head.visible_at > now.wall => {
                // Bounded, because the wall clock may have been wrong when it was written.
                let wait = Duration::from_millis(head.visible_at - now.wall).min(MOST_ASKED);
                let until = now.instant + wait;
                track.state = State::Waiting(until);
                self.waiting.insert((until, lane.clone()));
            }
            Some(_) => {
                track.state = State::Ready;
                self.ready.push_back(lane.clone());
            }
            None if track.beyond.is_some() => {
                track.state = State::Seeking;
                self.seeking.insert(lane.clone());
            }
            None => {
                self.tracks.remove(lane);
            }
        }
    }

    /// What to do now, with at most `concurrency` running.
    pub(crate) fn step(&mut self, concurrency: usize, now: Now) -> Step {
        self.rested(now);
        while let Some((until, _)) = self.waiting.first() {
            if *until > now.instant {
                break;
            }
            let Some((_, lane)) = self.waiting.pop_first() else { break };
            if let Some(track) = self.tracks.get_mut(&lane) {
                track.state = State::Ready;
                self.ready.push_back(lane);
            }
        }
        self.run(concurrency)
            .or_else(|| self.read(now))
            .unwrap_or_else(|| Step::Wait(self.waiting.first().map(|(until, _)| *until)))
    }

    fn run(&mut self, concurrency: usize) -> Option<Step> {
        if self.running >= concurrency {
            return None;
        }
        let lane = self.ready.front()?.clone();
        let head = self.tracks.get(&lane)?.known.front()?.sequence;
        let Some(delivery) = self.release(head) else {
            return Some(Step::Read(Read { after: head.saturating_sub(1), why: Why::Content(lane) }));
        };
        self.ready.pop_front();
        self.tracks.get_mut(&lane)?.state = State::Running;
        self.running += 1;
        Some(Step::Run(lane, delivery))
    }

    fn read(&mut self, now: Now) -> Option<Step> {
        let enough = self.held.len() + PAGE > HELD || self.held_bytes > HELD_BYTES / 2;
        let enough = self.ready.len() >= READY || (enough && !self.ready.is_empty());
        let forward = self.behind && !enough && self.has_room();
        self.forward_next = forward && (!self.forward_next || self.seeking.is_empty());
        if self.forward_next {
            return Some(Step::Read(Read { after: self.frontier, why: Why::Forward }));
        }
        let carried = |lane| self.tracks.get(lane).is_some_and(|track| self.sweep.carries(track));
        let fresh = self.sweep.at == self.sweep.from;
        if fresh || !self.seeking.iter().any(carried) {
            let beyond = |lane| self.tracks.get(lane).and_then(|track| track.beyond);
            let first = self.seeking.iter().filter_map(beyond).min()?;
            self.end_sweep(first.saturating_sub(1), now);
        }
        Some(Step::Read(Read { after: self.sweep.at, why: Why::Sweep }))
    }

    fn has_room(&self) -> bool {
        self.tracks.len() < LANES
    }

    /// A run ended. Returns how many setbacks its head has had in a row.
    pub(crate) fn end(&mut self, lane: &Lane, ending: Ending, now: Now) -> u32 {
        let Some(track) = self.tracks.get_mut(lane) else { return 0 };
        self.running = self.running.saturating_sub(1);
        let was_set_back = track.setbacks > 0;
        track.setbacks = if ending == Ending::SetBack { track.setbacks.saturating_add(1) } else { 0 };
        let setbacks = track.setbacks;
        match (was_set_back, setbacks > 0) {
            (false, true) => self.set_back += 1,
            (true, false) => self.set_back -= 1,
            _ => {}
        }
        let wait = match ending {
            Ending::Settled => {
                track.known.pop_front();
                self.known -= 1;
                self.moved = Some(now.instant);
                self.go_on(lane, now);
                return 0;
            }
            Ending::Failed(wait) => {
                self.moved = Some(now.instant);
                wait
            }
            Ending::SetBack => SETBACKS.delay(setbacks),
        };
        let until = now.instant + wait;
        track.state = State::Waiting(until);
        if let Some(head) = track.known.front_mut() {
            head.visible_at = now.wall.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        let dropped: Vec<u64> = track.known.iter().take(HELD_OF_LANE).map(|known| known.sequence).collect();
        self.waiting.insert((until, lane.clone()));
        for sequence in dropped {
            self.release(sequence);
        }
        setbacks
    }

    /// Whether there is nothing to do but wait for a back-off or for news.
    fn at_rest(&self) -> bool {
        self.running == 0
            && self.ready.is_empty()
            && self.seeking.is_empty()
            && self.set_back == 0
            && !self.behind
    }

    /// Up to now there was nothing to do, if there was nothing to do: whoever has waited
    /// for work has not been stuck.
    fn rested(&mut self, now: Now) {
        if self.at_rest() {
            self.moved = Some(now.instant);
        }
    }

    /// For how long there has been something to do and nothing moved.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        if self.at_rest() {
            return Duration::ZERO;
        }
        self.moved.map_or(Duration::ZERO, |moved| now.saturating_duration_since(moved))
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// How many unsettled messages are known of; there may be more in the store when it
    /// was not read to its end.
    pub(crate) fn lag(&self) -> usize {
        self.known
    }

    /// Since when the oldest message that may run, or runs, might have: wall clock.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        let heads = self.tracks.values().filter(|t| matches!(t.state, State::Ready | State::Running));
        heads.filter_map(|track| track.known.front()).map(|head| head.visible_at).min()
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
