//! Numbers that look random and can be repeated: SplitMix64.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::time::Duration;

/// A sequence, all of it given by its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn duration(&mut self, from: Duration, until: Duration) -> Duration {
        let span = u64::try_from(until.saturating_sub(from).as_micros()).unwrap();
        from + Duration::from_micros(self.below(span + 1))
    }
}
