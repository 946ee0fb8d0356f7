//! Reading records newest first.
//!
//! The log is read in stretches between two entries of the index, each forward, as any read is: so every record is
//! verified on the way and damage is seen as any read sees it, also inside a large batch. The places of a stretch's records
//! are kept, and the records then given from the last to the first. Walking from trailer to trailer would need no index, but
//! it knows no way past a damaged trailer, and has to read a batch of 16 MiB whole to give its last record.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::cursor::{Cursor, LogRecord, Place, Step};
use super::read::{Flow, Range};
use super::segment::{Back, Segment};

/// How far the first stretch goes back, in bytes: a small read for who wants a few records.
const STRETCH_BYTES_MIN: u32 = 4 * 1024;
/// And the last: each one goes back twice as far as the one before.
const STRETCH_BYTES_MAX: u32 = 128 * 1024;
/// Places that are kept at once, as many as the smallest records of the longest stretch. Damage makes longer stretches: of
/// those the last places are kept, and the rest is walked again.
const PLACES_MAX: usize = STRETCH_BYTES_MAX as usize / 16;

/// How a backward read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedBackward {
    /// Everything from here on was given: what is wanted next ends before this offset.
    pub next: u64,
    /// Damage stands there: from this offset up to `next`.
    pub damaged_from: Option<u64>,
    /// The log begins at `next` by now: retention was faster than the read.
    pub is_trimmed: bool,
}

impl EndedBackward {
    fn at(next: u64) -> Self {
        Self { next, damaged_from: None, is_trimmed: false }
    }
}

/// What was met in a stretch.
#[derive(Clone, Copy, Debug)]
enum Met {
    Record(Place),
    Hole { from: u64, until: u64 },
}

impl Met {
    fn offset(&self) -> u64 {
        match self {
            Self::Record(place) => place.offset,
            Self::Hole { from, .. } => *from,
        }
    }

    fn until(&self) -> u64 {
        match self {
            Self::Record(place) => place.offset + 1,
            Self::Hole { until, .. } => *until,
        }
    }
}

/// Gives records to `sink`, newest first, until the range ends, it has had enough, or damage stands in the way.
pub fn read_backward(
    segments: &[Arc<Segment>],
    range: Range,
    mut sink: impl FnMut(&LogRecord<'_>) -> Flow,
) -> io::Result<EndedBackward> {
    let mut walk = Walk { from: range.from, low: range.until, next: range.until, sink: &mut sink };
    for segment in segments.iter().rev() {
        if walk.low <= walk.from {
            break;
        }
        if let Some(ended) = walk.segment(segment)? {
            return Ok(ended);
        }
    }
    Ok(walk.end())
}

/// A walk from the end of a range to its beginning.
struct Walk<'a> {
    from: u64,
    /// Everything from here on was looked at.
    low: u64,
    /// Everything from here on was given; what stands between `low` and this is damaged.
    next: u64,
    sink: &'a mut dyn FnMut(&LogRecord<'_>) -> Flow,
}

impl Walk<'_> {
    fn segment(&mut self, segment: &Segment) -> io::Result<Option<EndedBackward>> {
        let floor = self.from.max(segment.header.base_offset);
        let mut bytes = STRETCH_BYTES_MIN;
        while self.low > floor {
            let mut back = segment.cursor_back_from(self.low, floor, bytes)?;
            let begin = floor.max(back.offset);
            let Stretch { met, is_cut } = Stretch::walk(&mut back.cursor, begin, self.low)?;
            if let Some(ended) = self.give(&mut back, &met)? {
                return Ok(Some(ended));
            }
            self.look_before(if is_cut { met.front().map_or(begin, Met::offset) } else { begin });
            bytes = (bytes * 2).min(STRETCH_BYTES_MAX);
        }
        Ok(None)
    }

    fn give(&mut self, back: &mut Back, met: &VecDeque<Met>) -> io::Result<Option<EndedBackward>> {
        for met in met.iter().rev() {
            let place = match met {
                Met::Hole { from, until } => {
                    self.damage(*from, *until);
                    continue;
                }
                Met::Record(place) => place,
            };
            if self.low < self.next {
                return Ok(Some(self.end()));
            }
            self.look_before(place.offset + 1);
            let Some(record) = back.cursor.again(place, back.position)? else {
                self.damage(place.offset, place.offset + 1);
                continue;
            };
            match (self.sink)(&record) {
                Flow::Continue => (self.low, self.next) = (place.offset, place.offset),
                Flow::Stop => return Ok(Some(EndedBackward::at(place.offset))),
                Flow::StopBefore => return Ok(Some(EndedBackward::at(self.next))),
            }
        }
        Ok(None)
    }

    /// Nothing stands between an offset and what was looked at: offsets may jump.
    fn look_before(&mut self, offset: u64) {
        if self.low == self.next {
            self.next = offset.min(self.next);
        }
        self.low = offset.min(self.low);
    }

    fn damage(&mut self, from: u64, until: u64) {
        self.look_before(until);
        self.low = from.min(self.low);
    }

    fn end(&self) -> EndedBackward {
        let damaged_from = (self.low < self.next).then_some(self.low);
        EndedBackward { next: self.next, damaged_from, is_trimmed: damaged_from.is_none() && self.low > self.from }
    }
}

/// What stands between two places of a segment, in order; of too much the end.
struct Stretch {
    met: VecDeque<Met>,
    is_cut: bool,
}

impl Stretch {
    fn walk(cursor: &mut Cursor, begin: u64, until: u64) -> io::Result<Self> {
        let mut stretch = Self { met: VecDeque::new(), is_cut: false };
        let mut next = begin;
        while next < until {
            let met = match cursor.step()? {
                Step::Record(record) if record.offset < next => continue,
                Step::Record(record) if record.offset >= until => break,
                Step::Record(record) => Met::Record(record.place()),
                Step::Hole { from: _, until: end } => Met::Hole { from: next, until: end.unwrap_or(until).min(until) },
                // The next segment begins later than this one ends: what stood between cannot be found.
                Step::End => Met::Hole { from: next, until },
            };
            if met.until() > next {
                next = met.until();
                stretch.push(met);
            }
        }
        Ok(stretch)
    }

    fn push(&mut self, met: Met) {
        if self.met.len() == PLACES_MAX {
            self.met.pop_front();
            self.is_cut = true;
        }
        self.met.push_back(met);
    }
}

#[cfg(test)]
mod tests;
