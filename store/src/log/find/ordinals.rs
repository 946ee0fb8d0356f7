//! Ordinals of a segment's records, streamed in one direction: what tags and columns give, and what AND, OR and NOT make
//! of it. Nothing holds a whole list.
//!
//! An ordinal is an offset less the segment's first one.

use std::io;

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From low to high.
    Up,
    /// From high to low.
    Down,
}

impl Direction {
    /// Whether `a` comes before `b`.
    #[must_use]
    pub fn before<T: Ord>(self, a: T, b: T) -> bool {
        match self {
            Self::Up => a < b,
            Self::Down => a > b,
        }
    }

    /// What comes after an ordinal.
    #[must_use]
    pub fn after(self, ordinal: u32) -> Option<u32> {
        match self {
            Self::Up => ordinal.checked_add(1),
            Self::Down => ordinal.checked_sub(1),
        }
    }
}

/// A stream of ordinals, each one once.
pub trait Ordinals: std::fmt::Debug {
    /// The first one from `at` on that does not come after `last`; both may be it. `at` never goes back from call to
    /// call. Where there is none, nothing behind `last` was looked at: the caller bounds the work of a call.
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>>;

    /// About how many there are. AND begins with the one that has fewest.
    fn estimate(&self) -> u64;
}

/// A stream that somebody else owns.
pub type Stream = Box<dyn Ordinals>;

/// No ordinal.
#[derive(Debug)]
pub struct Nothing;

impl Ordinals for Nothing {
    fn seek(&mut self, _at: u32, _last: u32) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn estimate(&self) -> u64 {
        0
    }
}

/// What is in all of some streams.
#[derive(Debug)]
pub struct And {
    /// The rarest first.
    parts: Vec<Stream>,
    direction: Direction,
}

impl And {
    /// Of these.
    #[must_use]
    pub fn new(mut parts: Vec<Stream>, direction: Direction) -> Self {
        parts.sort_by_key(|part| part.estimate());
        Self { parts, direction }
    }
}

impl Ordinals for And {
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>> {
        let Some((rarest, others)) = self.parts.split_first_mut() else { return Ok(None) };
        let mut at = at;
        // Each part leaps to where the others are; one that is before none of them is in all.
        'candidates: loop {
            let Some(candidate) = rarest.seek(at, last)? else { return Ok(None) };
            for other in &mut *others {
                match other.seek(candidate, last)? {
                    Some(found) if found == candidate => {}
                    Some(found) => {
                        at = found;
                        continue 'candidates;
                    }
                    None => return Ok(None),
                }
            }
            debug_assert!(!self.direction.before(candidate, at));
            return Ok(Some(candidate));
        }
    }

    fn estimate(&self) -> u64 {
        self.parts.first().map_or(0, |rarest| rarest.estimate())
    }
}

/// What is in any of some streams.
#[derive(Debug)]
pub struct Or {
    parts: Vec<(Stream, Ahead)>,
    direction: Direction,
}

/// What is known of a part of [`Or`].
#[derive(Clone, Copy, Debug)]
enum Ahead {
    Unknown,
    /// Its next one.
    At(u32),
    /// It has none up to this ordinal.
    NoneUpTo(u32),
}

impl Or {
    /// Of these.
    #[must_use]
    pub fn new(parts: Vec<Stream>, direction: Direction) -> Self {
        Self { parts: parts.into_iter().map(|part| (part, Ahead::Unknown)).collect(), direction }
    }
}

impl Ordinals for Or {
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>> {
        let direction = self.direction;
        let mut first: Option<u32> = None;
        for (part, ahead) in &mut self.parts {
            let known = match *ahead {
                Ahead::At(next) => !direction.before(next, at),
                Ahead::NoneUpTo(end) => !direction.before(end, last),
                Ahead::Unknown => false,
            };
            if !known {
                *ahead = part.seek(at, last)?.map_or(Ahead::NoneUpTo(last), Ahead::At);
            }
            if let Ahead::At(next) = *ahead
                && !direction.before(last, next)
                && first.is_none_or(|first| direction.before(next, first))
            {
                first = Some(next);
            }
        }
        Ok(first)
    }

    fn estimate(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (part, _)| part.estimate().saturating_add(sum))
    }
}

/// What a stream leaves out.
#[derive(Debug)]
pub struct Not {
    inner: Stream,
    direction: Direction,
}

impl Not {
    /// Of this one.
    #[must_use]
    pub fn new(inner: Stream, direction: Direction) -> Self {
        Self { inner, direction }
    }
}

impl Ordinals for Not {
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>> {
        let mut at = at;
        while !self.direction.before(last, at) {
            if self.inner.seek(at, at)? != Some(at) {
                return Ok(Some(at));
            }
            match self.direction.after(at) {
                Some(after) => at = after,
                None => break,
            }
        }
        Ok(None)
    }

    fn estimate(&self) -> u64 {
        // It drives an AND only where everything else is a NOT too.
        u64::MAX
    }
}

/// Ordinals in sorted blocks, in memory or in a file.
pub trait Blocks: std::fmt::Debug {
    /// How many ordinals.
    fn count(&self) -> u64;
    /// How many blocks.
    fn block_count(&self) -> usize;
    /// The lowest ordinal of a block.
    fn first(&self, block: usize) -> io::Result<u32>;
    /// The ordinals of a block, low to high.
    fn load(&self, block: usize, ordinals: &mut Vec<u32>) -> io::Result<()>;
}

/// A list in blocks, of which one is in memory.
#[derive(Debug)]
pub struct List<B> {
    blocks: B,
    direction: Direction,
    loaded: Option<usize>,
    ordinals: Vec<u32>,
}

impl<B: Blocks> List<B> {
    /// The list in these blocks.
    #[must_use]
    pub fn new(blocks: B, direction: Direction) -> Self {
        Self { blocks, direction, loaded: None, ordinals: Vec::new() }
    }

    /// Loads the last block that begins at or before an ordinal; `false` where the list begins behind it.
    fn load_for(&mut self, ordinal: u32) -> io::Result<bool> {
        let count = self.blocks.block_count();
        let begins_before = |block: usize| Ok::<_, io::Error>(self.blocks.first(block)? <= ordinal);
        // Most often it is the one in memory, or the next one.
        let (mut low, mut high) = (0, count);
        if let Some(loaded) = self.loaded {
            if self.ordinals.first().is_some_and(|first| *first <= ordinal) {
                if self.ordinals.last().is_some_and(|last| *last >= ordinal) {
                    return Ok(true);
                }
                let next = loaded + 1;
                if next == count || !begins_before(next)? {
                    return Ok(true);
                }
                low = next;
                if next + 1 == count || !begins_before(next + 1)? {
                    high = next + 1;
                }
            } else {
                high = loaded;
            }
        }
        while low < high {
            let middle = low.midpoint(high);
            if begins_before(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1) {
            Some(block) => self.load(block).map(|()| true),
            None => Ok(false),
        }
    }

    fn load(&mut self, block: usize) -> io::Result<()> {
        if self.loaded != Some(block) {
            self.loaded = None;
            self.ordinals.clear();
            self.blocks.load(block, &mut self.ordinals)?;
            self.loaded = Some(block);
        }
        Ok(())
    }
}

impl<B: Blocks> Ordinals for List<B> {
    fn seek(&mut self, at: u32, last: u32) -> io::Result<Option<u32>> {
        let direction = self.direction;
        let begun = self.load_for(at)?;
        let found = match direction {
            Direction::Down if !begun => None,
            Direction::Down => self.ordinals[..self.ordinals.partition_point(|ordinal| *ordinal <= at)].last().copied(),
            Direction::Up if !begun => match self.blocks.block_count() {
                0 => None,
                _ => Some(self.blocks.first(0)?),
            },
            Direction::Up => match self.ordinals.get(self.ordinals.partition_point(|ordinal| *ordinal < at)) {
                Some(ordinal) => Some(*ordinal),
                None => match self.loaded.map(|block| block + 1).filter(|next| *next < self.blocks.block_count()) {
                    Some(next) => Some(self.blocks.first(next)?),
                    None => None,
                },
            },
        };
        Ok(found.filter(|found| !direction.before(last, *found)))
    }

    fn estimate(&self) -> u64 {
        self.blocks.count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    struct Fixed(Vec<u32>, usize);

    impl Blocks for Fixed {
        fn count(&self) -> u64 {
            self.0.len() as u64
        }

        fn block_count(&self) -> usize {
            self.0.len().div_ceil(self.1)
        }

        fn first(&self, block: usize) -> io::Result<u32> {
            Ok(self.0[block * self.1])
        }

        fn load(&self, block: usize, ordinals: &mut Vec<u32>) -> io::Result<()> {
            ordinals.extend(self.0.chunks(self.1).nth(block).unwrap());
            Ok(())
        }
    }

    fn list(ordinals: &[u32], direction: Direction) -> Stream {
        Box::new(List::new(Fixed(ordinals.to_vec(), 3), direction))
    }

    /// All ordinals of a stream, asked for in stretches.
    fn all(mut stream: Stream, direction: Direction, end: u32, stretch: u32) -> Vec<u32> {
        let mut found = Vec::new();
        for begin in (0..end).step_by(stretch as usize) {
            let (low, high) = (begin, (begin + stretch).min(end) - 1);
            let (mut at, last) = match direction {
                Direction::Up => (low, high),
                Direction::Down => (end - 1 - low, end - 1 - high),
            };
            while let Some(ordinal) = stream.seek(at, last).unwrap() {
                found.push(ordinal);
                match direction.after(ordinal) {
                    Some(after) if !direction.before(last, after) => at = after,
                    _ => break,
                }
            }
        }
        found
    }

    /// A stream, and what it stands for.
    type Case<'a> = (Stream, Box<dyn Fn(u32) -> bool + 'a>);

    proptest! {
        #[test]
        fn streams_are_the_sets_they_stand_for(
            sets in proptest::collection::vec(proptest::collection::btree_set(0u32..60, 0..40), 3),
            down: bool,
            stretch in 1u32..70,
        ) {
            let direction = if down { Direction::Down } else { Direction::Up };
            let lists: Vec<Vec<u32>> = sets.iter().map(|set| set.iter().copied().collect()).collect();
            let leaf = |number: usize| list(&lists[number], direction);
            let streams: Vec<Case<'_>> = vec![
                (leaf(0), Box::new(|x| sets[0].contains(&x))),
                (Box::new(Not::new(leaf(0), direction)), Box::new(|x| !sets[0].contains(&x))),
                (
                    Box::new(And::new(vec![leaf(0), leaf(1), Box::new(Not::new(leaf(2), direction))], direction)),
                    Box::new(|x| sets[0].contains(&x) && sets[1].contains(&x) && !sets[2].contains(&x)),
                ),
                (
                    Box::new(Or::new(
                        vec![leaf(0), Box::new(And::new(vec![leaf(1), leaf(2)], direction)), Box::new(Nothing)],
                        direction,
                    )),
                    Box::new(|x| sets[0].contains(&x) || (sets[1].contains(&x) && sets[2].contains(&x))),
                ),
                (Box::new(And::new(vec![leaf(1), Box::new(Nothing)], direction)), Box::new(|_| false)),
            ];
            for (stream, fits) in streams {
                let mut expected: Vec<u32> = (0..60).filter(|x| fits(*x)).collect();
                if down {
                    expected.reverse();
                }
                prop_assert_eq!(all(stream, direction, 60, stretch), expected);
            }
        }
    }
}
