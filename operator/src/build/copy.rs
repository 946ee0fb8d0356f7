//! The name of a copy: `a`, `b`, …

use std::fmt;

/// One copy of a `LogStore`, by its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyName(u8);

impl CopyName {
    /// The first so many copies, in order.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }

    /// Its place in the order, from 0.
    #[must_use]
    pub fn index(self) -> u8 {
        self.0
    }
}

impl fmt::Display for CopyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The definition knows five copies at most, so the letters suffice.
        write!(f, "{}", char::from(b'a' + self.0))
    }
}
