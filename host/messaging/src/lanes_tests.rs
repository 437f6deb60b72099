//! The lanes by themselves, against a store that is a sorted map: whatever the order of
//! events, every message runs, in its key's order, once, within the bounds of memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use monopod_core::context::{CorrelationId, TraceId};
use monopod_core::message::{DeliveryId, Message};

use super::*;

/// A generator of numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

struct Store {
    rows: BTreeMap<u64, Delivery>,
    last: u64,
    reads: usize,
    template: Message,
}

impl Store {
    fn new() -> Self {
        let template = Message {
            id: "m".into(),
            topic: "jobs".parse().unwrap(),
            key: None,
            headers: Vec::new(),
            payload: Bytes::new(),
            correlation: CorrelationId::new(),
            trace: TraceId::new(),
            owner: None,
            published_at: 0,
        };
        Self { rows: BTreeMap::new(), last: 0, reads: 0, template }
    }

    fn publish(&mut self, key: Option<String>, size: usize) -> Delivery {
        // Other groups' messages have sequences, too.
        self.last += 1 + self.last % 3;
        let id = DeliveryId { group: "g".parse().unwrap(), sequence: self.last };
        let (key, payload) = (key.map(Arc::from), Bytes::from(vec![0; size]));
        let message = Arc::new(Message { key, payload, ..self.template.clone() });
        let delivery = Delivery { id, message, attempt: 1, visible_at: 0 };
        self.rows.insert(self.last, delivery.clone());
        delivery
    }

    fn read(&mut self, read: &Read) -> (Vec<Delivery>, bool) {
        self.reads += 1;
        let page: Vec<_> = self.rows.range(read.after + 1..).take(PAGE).map(|(_, d)| d.clone()).collect();
        let complete = page.len() < PAGE;
        (page, complete)
    }
}

fn check(lanes: &Lanes) {
    let known: usize = lanes.tracks.values().map(|track| track.known.len()).sum();
    assert_eq!(lanes.known, known);
    assert!(lanes.known <= KNOWN + LANES && lanes.tracks.len() <= LANES);
    assert!(lanes.held.len() <= HELD + 1, "{}", lanes.held.len());
    let bytes: usize = lanes.held.values().map(|held| held.message.payload.len()).sum();
    assert_eq!(lanes.held_bytes, bytes);
    let of = |state: fn(&State) -> bool| lanes.tracks.values().filter(|t| state(&t.state)).count();
    assert_eq!(lanes.ready.len(), of(|state| *state == State::Ready));
    assert_eq!(lanes.seeking.len(), of(|state| *state == State::Seeking));
    assert_eq!(lanes.waiting.len(), of(|state| matches!(state, State::Waiting(_))));
    assert_eq!(lanes.running, of(|state| *state == State::Running));
    assert_eq!(lanes.set_back, lanes.tracks.values().filter(|track| track.setbacks > 0).count());
}

/// Publishes, runs, fails and settles at random until all is settled.
fn storm(seed: u64, messages: u64, keys: u64, concurrency: usize) -> usize {
    let mut dice = Dice(seed);
    let mut store = Store::new();
    let start = Instant::now();
    let mut now = Now { instant: start, wall: 1_000 };
    let mut lanes = Lanes::new(now);
    let mut running: Vec<(Lane, Delivery)> = Vec::new();
    let mut order: HashMap<Lane, u64> = HashMap::new();
    let (mut published, mut settled, mut turns) = (0, 0, 0_u64);
    while settled < messages {
        turns += 1;
        assert!(turns < messages * 100, "{settled} of {messages}, {} reads", store.reads);
        if published < messages && dice.roll(2) == 0 {
            for _ in 0..dice.roll(200).min(messages - published) {
                let key = dice.roll(keys + 1);
                // Key 0 has most of all messages; the last is no key.
                let key = if dice.roll(3) == 0 { 0 } else { key };
                let size = usize::try_from(dice.roll(20_000)).unwrap();
                let delivery = store.publish((key < keys).then(|| key.to_string()), size);
                match dice.roll(50) {
                    0 => lanes.fall_behind(now),
                    1 => {
                        lanes.announce(delivery.clone(), now);
                        lanes.announce(delivery, now);
                    }
                    _ => lanes.announce(delivery, now),
                }
                published += 1;
            }
        }
        match lanes.step(concurrency, now) {
            Step::Run(lane, delivery) => {
                assert!(running.len() < concurrency);
                assert!(running.iter().all(|(other, _)| *other != lane), "two of {lane:?} at once");
                assert!(store.rows.contains_key(&delivery.id.sequence), "ran again after it was settled");
                let before = order.insert(lane.clone(), delivery.id.sequence).unwrap_or(0);
                assert!(before <= delivery.id.sequence, "{lane:?} out of order");
                let first = store.rows.values().find(|row| Lane::of(row) == lane).unwrap();
                assert_eq!(first.id, delivery.id, "{lane:?} left one out");
                running.push((lane, delivery));
            }
            Step::Read(read) => {
                let (rows, complete) = store.read(&read);
                lanes.absorb(&read, rows, complete, now);
            }
            Step::Wait(until) if running.is_empty() => {
                now.instant = until.map_or(now.instant, |until| until.max(now.instant));
                now.wall = 1_000 + u64::try_from((now.instant - start).as_millis()).unwrap();
            }
            Step::Wait(_) => {}
        }
        while !running.is_empty() && (running.len() == concurrency || dice.roll(4) == 0) {
            let n = usize::try_from(dice.roll(running.len() as u64)).unwrap();
            let (lane, delivery) = running.swap_remove(n);
            let ending = match dice.roll(20) {
                0 => Ending::Failed(Duration::from_millis(dice.roll(10_000))),
                1 => Ending::SetBack,
                _ => Ending::Settled,
            };
            if ending == Ending::Settled {
                store.rows.remove(&delivery.id.sequence);
                settled += 1;
            }
            lanes.end(&lane, ending, now);
        }
        if turns.is_multiple_of(64) {
            check(&lanes);
        }
    }
    while let Step::Read(read) = lanes.step(concurrency, now) {
        lanes.absorb(&read, Vec::new(), true, now);
    }
    check(&lanes);
    assert!(lanes.tracks.is_empty() && lanes.held.is_empty() && lanes.at_rest());
    store.reads
}

#[test]
fn every_message_runs_once_and_in_its_order_whatever_happens() {
    for seed in 1..40 {
        let reads = storm(seed * 7_919, 2_000, 1 + seed * seed, 1 + usize::try_from(seed).unwrap());
        assert!(reads < 6_000, "seed {seed}: {reads} reads for 2,000 messages");
    }
}

fn backlog(store: &mut Store, messages: u64, keys: u64) {
    for n in 0..messages {
        store.publish(Some((n % keys).to_string()), 100);
    }
}

/// Runs everything at once; answers with the number of reads.
fn work_off(store: &mut Store, concurrency: usize) -> usize {
    let now = Now { instant: Instant::now(), wall: 1_000 };
    let lanes = Lanes::new(now);
    go_on_with(store, lanes, concurrency, now)
}

fn go_on_with(store: &mut Store, mut lanes: Lanes, concurrency: usize, now: Now) -> usize {
    let mut running = VecDeque::new();
    loop {
        match lanes.step(concurrency, now) {
            Step::Run(lane, delivery) => running.push_back((lane, delivery)),
            Step::Read(read) => {
                let (rows, complete) = store.read(&read);
                lanes.absorb(&read, rows, complete, now);
            }
            Step::Wait(_) => {
                let Some((lane, delivery)) = running.pop_front() else { break };
                store.rows.remove(&delivery.id.sequence);
                lanes.end(&lane, Ending::Settled, now);
            }
        }
    }
    check(&lanes);
    assert!(store.rows.is_empty());
    store.reads
}

#[test]
fn a_backlog_is_read_about_once_however_its_keys_lie() {
    for (keys, most) in [(1, 4), (7, 4), (100, 4), (1_000, 4), (30_000, 2)] {
        let mut store = Store::new();
        backlog(&mut store, 30_000, keys);
        let reads = work_off(&mut store, 50);
        let once = 30_000 / PAGE;
        assert!(reads <= once * most, "{keys} keys: {reads} reads, {once} would do");
    }
}

#[test]
fn when_more_keys_wait_than_are_known_the_rest_is_taken_up_as_they_end() {
    let mut store = Store::new();
    let keys = LANES as u64 + 1_000;
    backlog(&mut store, keys, keys);
    let start = Instant::now();
    let mut now = Now { instant: start, wall: 1_000 };
    let mut lanes = Lanes::new(now);
    let mut settled = 0;
    while settled < keys {
        match lanes.step(1, now) {
            Step::Run(lane, delivery) if now.instant == start => {
                let wait = Duration::from_secs(3_600) + Duration::from_millis(delivery.id.sequence);
                lanes.end(&lane, Ending::Failed(wait), now);
            }
            Step::Run(lane, delivery) => {
                store.rows.remove(&delivery.id.sequence);
                lanes.end(&lane, Ending::Settled, now);
                settled += 1;
            }
            Step::Read(read) => {
                let (rows, complete) = store.read(&read);
                lanes.absorb(&read, rows, complete, now);
            }
            Step::Wait(until) => {
                if now.instant == start {
                    assert_eq!(lanes.tracks.len(), LANES);
                    assert!(lanes.stalled(now.instant + Duration::from_secs(61)) > Duration::from_secs(60));
                    check(&lanes);
                }
                now.instant = until.unwrap();
            }
        }
    }
    check(&lanes);
}

#[test]
fn a_lane_finds_the_rest_of_its_messages_when_memory_for_sequences_is_used_up() {
    let mut store = Store::new();
    backlog(&mut store, 2 * KNOWN as u64, 300);
    let mut now = Now { instant: Instant::now(), wall: 1_000 };
    let mut lanes = Lanes::new(now);
    // Every head waits, so all of the backlog is looked through and cannot be kept.
    loop {
        match lanes.step(10, now) {
            Step::Run(lane, _) => {
                lanes.end(&lane, Ending::Failed(Duration::from_secs(60)), now);
            }
            Step::Read(read) => {
                let (rows, complete) = store.read(&read);
                lanes.absorb(&read, rows, complete, now);
            }
            Step::Wait(_) => break,
        }
    }
    check(&lanes);
    assert_eq!((lanes.known, lanes.held.len()), (KNOWN, 0));
    now.instant += Duration::from_secs(60);
    let once = 2 * KNOWN / PAGE;
    let reads = go_on_with(&mut store, lanes, 10, now);
    assert!(reads <= once * 8, "{reads} reads, {once} would do");
}
