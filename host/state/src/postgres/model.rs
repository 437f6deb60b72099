//! The protocol of `writer` and `schema`, in small, with every order of events tried: two
//! processes that open, lock, commit, are cut off, killed, taken over. And the same without one
//! of its rules, to show that the search finds what then goes wrong.

use std::collections::{HashSet, VecDeque};

/// Batches of each process: with two the second comes after a doubt about the first.
const BATCHES: u8 = 2;

/// Which rules hold.
#[derive(Clone, Copy)]
struct Rules {
    /// The owner is looked at under the lock, in each transaction.
    fence: bool,
    /// After a commit without an answer the lock is taken before the mark is looked at.
    lock_before_mark: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Out,
    /// It has the state, as far as it knows.
    Idle,
    /// Its transaction holds the lock.
    Locked,
    /// It has asked for the commit.
    Sent,
    /// It has lost the connection on which it had asked.
    Doubt,
    /// It knows that another has taken over.
    Fenced,
    Dead,
}

/// A transaction on the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Transaction {
    process: usize,
    batch: u8,
    /// The request to commit is on its way, or there.
    asked: bool,
    /// Nobody listens to it any more.
    left: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    owner: Option<usize>,
    lapsed: bool,
    /// The one that holds the lock. Others wait, and are not in the world yet.
    open: Option<Transaction>,
    marks: [u8; 2],
    phases: [Phase; 2],
    /// The batch at hand, from 1.
    batches: [u8; 2],
    /// What was committed, in order, and what each process was told of its batches.
    log: Vec<(usize, u8)>,
    acknowledged: Vec<(usize, u8)>,
    refused: Vec<(usize, u8)>,
}

impl World {
    fn begin() -> Self {
        Self {
            owner: None,
            lapsed: false,
            open: None,
            marks: [0; 2],
            phases: [Phase::Out; 2],
            batches: [1; 2],
            log: Vec::new(),
            acknowledged: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Everything that may happen next.
    fn next(&self, rules: Rules) -> Vec<Self> {
        let mut all = Vec::new();
        let mut may = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            all.push(world);
        };
        if self.owner.is_some() {
            may(&|world| world.lapsed = true);
        }
        if let Some(open) = self.open {
            if open.asked {
                may(&|world| world.commit(open));
            } else if open.left {
                may(&|world| world.open = None);
            }
        }
        for process in 0..2 {
            let (phase, free) = (self.phases[process], self.open.is_none());
            let batch = self.batches[process];
            let transaction = Transaction { process, batch, asked: false, left: false };
            match phase {
                Phase::Out if free && (self.owner.is_none() || self.lapsed) => may(&|world| {
                    (world.owner, world.lapsed) = (Some(process), false);
                    world.phases[process] = Phase::Idle;
                }),
                Phase::Idle if free && batch <= BATCHES => may(&|world| {
                    world.lock(process, transaction, rules);
                }),
                Phase::Locked => {
                    may(&|world| {
                        world.open = Some(Transaction { asked: true, ..transaction });
                        world.phases[process] = Phase::Sent;
                    });
                    may(&|world| {
                        world.open = Some(Transaction { left: true, ..transaction });
                        world.phases[process] = Phase::Idle;
                    });
                }
                Phase::Sent => {
                    // Cut: the request is on its way still, or lost.
                    for asked in [true, false] {
                        may(&|world| {
                            world.open = Some(Transaction { asked, left: true, ..transaction });
                            world.phases[process] = Phase::Doubt;
                        });
                    }
                }
                Phase::Doubt if free || !rules.lock_before_mark => may(&|world| {
                    if world.marks[process] == batch {
                        world.acknowledge(process);
                    } else if world.open.is_none() {
                        world.lock(process, transaction, rules);
                    } else {
                        // Without the lock: it takes the batch for lost and begins anew.
                        world.phases[process] = Phase::Idle;
                    }
                }),
                _ => {}
            }
            if !matches!(phase, Phase::Out | Phase::Dead) {
                may(&|world| {
                    world.phases[process] = Phase::Dead;
                    if let Some(open) = world.open.as_mut().filter(|open| open.process == process) {
                        open.left = true;
                    }
                });
            }
        }
        all
    }

    fn lock(&mut self, process: usize, transaction: Transaction, rules: Rules) {
        if rules.fence && self.owner != Some(process) {
            self.phases[process] = Phase::Fenced;
            self.refused.push((process, transaction.batch));
        } else {
            self.open = Some(transaction);
            self.phases[process] = Phase::Locked;
        }
    }

    fn commit(&mut self, open: Transaction) {
        self.open = None;
        self.lapsed = false;
        self.marks[open.process] = open.batch;
        self.log.push((open.process, open.batch));
        if !open.left {
            self.acknowledge(open.process);
        }
    }

    fn acknowledge(&mut self, process: usize) {
        self.acknowledged.push((process, self.batches[process]));
        self.batches[process] += 1;
        self.phases[process] = Phase::Idle;
    }

    /// What is wrong, if anything.
    fn wrong(&self) -> Option<&'static str> {
        let distinct: HashSet<_> = self.log.iter().collect();
        if distinct.len() < self.log.len() {
            return Some("a batch is committed twice");
        }
        if self.acknowledged.iter().any(|batch| !self.log.contains(batch)) {
            return Some("what was acknowledged is lost");
        }
        if self.refused.iter().any(|batch| self.log.contains(batch)) {
            return Some("what was refused is committed");
        }
        // Once the other has written nothing of the first may follow, and the other way round.
        let turns = self.log.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
        (turns > 1).then_some("one that was taken over has committed")
    }
}

/// Tries everything. How many worlds there are, or what is wrong in one of them.
fn search(rules: Rules) -> Result<usize, &'static str> {
    let mut seen = HashSet::from([World::begin()]);
    let mut queue = VecDeque::from([World::begin()]);
    while let Some(world) = queue.pop_front() {
        if let Some(wrong) = world.wrong() {
            return Err(wrong);
        }
        for next in world.next(rules) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn in_no_order_of_events_is_a_batch_lost_doubled_or_committed_by_one_that_was_taken_over() {
    let worlds = search(Rules { fence: true, lock_before_mark: true }).unwrap();
    println!("{worlds} worlds");
    assert!(worlds > 500, "{worlds}");
}

#[test]
fn without_the_fence_or_the_lock_before_the_mark_the_search_finds_the_harm() {
    let without_fence = search(Rules { fence: false, lock_before_mark: true });
    assert_eq!(without_fence, Err("one that was taken over has committed"));
    let without_lock = search(Rules { fence: true, lock_before_mark: false });
    assert!(matches!(without_lock, Err("a batch is committed twice" | "what was refused is committed")));
}
