//! Random numbers that can be had again: a suite prints its seed, and `SEED=` repeats it.
//! Not for secrets.

use std::ops::Range;

/// SplitMix64: one addition and a few shifts, good enough to spread instants and choices.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of `SEED`, or one that nobody had before; and its seed, to be printed.
    pub fn from_environment() -> (Self, u64) {
        let wanted = std::env::var("SEED").ok().filter(|seed| !seed.is_empty());
        let seed = match wanted {
            Some(seed) => seed.parse().expect("SEED is not a number"),
            // Short enough to be typed again.
            None => u64::from(uuid::Uuid::new_v4().as_fields().0),
        };
        (Self::new(seed), seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// Yes in one of `n` cases.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.number().is_multiple_of(n)
    }

    /// A sequence of its own for somebody else.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}
