//! What a broker's lines tell about themselves: whether they hold, since when, and what has
//! gone over them. Written by the supervisors, read by health, metrics and people.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monopod_core::name::ComponentName;
use tokio::time::Instant;

use crate::lock;
use crate::status::count;

/// A line to a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It cannot be reached, or not yet.
    Away(String),
    /// It is there, and what stands there is not what the platform file says. A person has
    /// to change one of them.
    Wrong(String),
    /// It holds.
    Up,
    /// It holds, and the broker takes nothing: it says why.
    Blocked(String),
}

impl Line {
    /// As metrics call it, and what is wrong.
    pub fn said(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Up => ("up", None),
            Self::Blocked(why) => ("blocked", Some(why)),
            Self::Away(why) => ("away", Some(why)),
            Self::Wrong(why) => ("wrong", Some(why)),
        }
    }
}

/// Which way a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the broker.
    Giving,
    /// From the broker.
    Taking,
}

impl Side {
    /// As logs and metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Giving => "giving",
            Self::Taking => "taking",
        }
    }
}

/// A broker, measured. All counts are since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerStatus {
    /// Which.
    pub name: ComponentName,
    /// The lines, and since when they are so; no line the other way if nothing is taken.
    pub lines: Vec<(Side, Line, Duration)>,
    /// Messages that the broker has confirmed.
    pub sent: u64,
    /// Times that it refused one or gave it back.
    pub refused: u64,
    /// Messages that it handed over and that were kept, or had been before.
    pub taken: u64,
    /// Those of them that it said it had handed over before.
    pub redelivered: u64,
    /// Messages that can never be kept and were put aside at the broker.
    pub put_aside: u64,
    /// Messages that wait to be sent, as far as known.
    pub waiting: u64,
    /// How long the oldest of them has been waiting.
    pub oldest: Option<Duration>,
}

impl BrokerStatus {
    /// Whether a person has to do something before it can go on.
    pub fn wrong(&self) -> Option<&str> {
        self.lines.iter().find_map(|(_, line, _)| match line {
            Line::Wrong(why) => Some(why.as_str()),
            _ => None,
        })
    }
}

/// One line for a person or a probe: only what is not as it should be.
impl fmt::Display for BrokerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker `{}`", self.name)?;
        for (side, line, since) in &self.lines {
            let (state, why) = match line {
                Line::Up => continue,
                Line::Away(why) => ("away", why),
                Line::Wrong(why) => ("not as the platform file says", why),
                Line::Blocked(why) => ("blocked", why),
            };
            write!(f, ", {} {state} for {} s: {why}", side.name(), since.as_secs())?;
        }
        write!(f, "; {} messages wait for it", self.waiting)?;
        if let Some(oldest) = self.oldest {
            write!(f, ", the oldest for {} s", oldest.as_secs())?;
        }
        Ok(())
    }
}

/// The same as it is kept.
#[derive(Debug)]
pub(crate) struct Progress {
    giving: Mutex<(Line, Instant)>,
    taking: Mutex<Option<(Line, Instant)>>,
    sent: AtomicU64,
    refused: AtomicU64,
    taken: AtomicU64,
    redelivered: AtomicU64,
    put_aside: AtomicU64,
}

impl Progress {
    pub(crate) fn new(takes: bool) -> Self {
        let begin = (Line::Away("it is being connected to".to_owned()), Instant::now());
        Self {
            giving: Mutex::new(begin.clone()),
            taking: Mutex::new(takes.then_some(begin)),
            sent: AtomicU64::default(),
            refused: AtomicU64::default(),
            taken: AtomicU64::default(),
            redelivered: AtomicU64::default(),
            put_aside: AtomicU64::default(),
        }
    }

    /// A line is so from now on.
    pub(crate) fn line(&self, side: Side, line: Line) {
        let now = Instant::now();
        match side {
            Side::Giving => {
                let mut at = lock(&self.giving);
                let since = if same(&at.0, &line) { at.1 } else { now };
                *at = (line, since);
            }
            Side::Taking => {
                let mut at = lock(&self.taking);
                let since = at.as_ref().filter(|(was, _)| same(was, &line)).map_or(now, |(_, since)| *since);
                *at = Some((line, since));
            }
        }
    }

    pub(crate) fn sent(&self) {
        count(&self.sent);
    }

    pub(crate) fn refused(&self) {
        count(&self.refused);
    }

    pub(crate) fn taken(&self, messages: usize, redelivered: usize) {
        self.taken.fetch_add(messages as u64, Ordering::Relaxed);
        self.redelivered.fetch_add(redelivered as u64, Ordering::Relaxed);
    }

    pub(crate) fn put_aside(&self) {
        count(&self.put_aside);
    }

    pub(crate) fn status(
        &self,
        name: &ComponentName,
        waiting: u64,
        oldest: Option<Duration>,
    ) -> BrokerStatus {
        let giving = lock(&self.giving).clone();
        let taking = lock(&self.taking).clone();
        let lines = [(Side::Giving, Some(giving)), (Side::Taking, taking)];
        let lines = lines.into_iter().filter_map(|(side, line)| {
            let (line, since) = line?;
            Some((side, line, since.elapsed()))
        });
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BrokerStatus {
            name: name.clone(),
            lines: lines.collect(),
            sent: of(&self.sent),
            refused: of(&self.refused),
            taken: of(&self.taken),
            redelivered: of(&self.redelivered),
            put_aside: of(&self.put_aside),
            waiting,
            oldest,
        }
    }
}

/// Whether two are the same but for the words: then it has been so since the first.
fn same(one: &Line, other: &Line) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}
