//! Which records of a log fit a tag expression and a range of an index: segment by segment, a window of ordinals at a
//! time, so that a search can be left and gone on with at any place.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::columns::{InRange, MemoryColumn};
use super::expression::Expression;
use super::ordinals::{And, Direction, List, Not, Nothing, Or, Stream};
use super::postings::MemoryList;
use crate::log::cursor::LogRecord;
use crate::log::read::{Flow, Range};
use crate::log::segment::{Finder, Segment};

/// Ordinals looked through before the searcher is asked whether to go on.
const WINDOW: u64 = 64 * 1024;
/// Records given at once.
const BATCH_MAX: usize = 256;
/// Records nearer to each other than about so many bytes are read together.
const NEAR_BYTES: u64 = 8 * 1024;

/// What records have to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their tags fit this.
    pub tags: Option<Expression>,
    /// Their value of an index lies in this range.
    pub index: Option<IndexRange>,
}

/// A range of values, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRange {
    /// The index.
    pub number: u8,
    /// The lowest value.
    pub min: i64,
    /// The highest value.
    pub max: i64,
}

impl Selection {
    fn stream(&self, finder: &Finder, direction: Direction) -> io::Result<Stream> {
        let tags = self.tags.as_ref().map(|tags| tag_stream(tags, finder, direction)).transpose()?;
        let index = self.index.as_ref().map(|range| range.stream(finder, direction)).transpose()?;
        Ok(match (tags, index) {
            (Some(tags), Some(index)) => Box::new(And::new(vec![tags, index], direction)),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Box::new(Not::new(Box::new(Nothing), direction)),
        })
    }
}

fn tag_stream(expression: &Expression, finder: &Finder, direction: Direction) -> io::Result<Stream> {
    let streams = |parts: &[Expression]| {
        parts.iter().map(|part| tag_stream(part, finder, direction)).collect::<io::Result<Vec<Stream>>>()
    };
    Ok(match expression {
        Expression::And(parts) => Box::new(And::new(streams(parts)?, direction)),
        Expression::Or(parts) => Box::new(Or::new(streams(parts)?, direction)),
        Expression::Not(inner) => Box::new(Not::new(tag_stream(inner, finder, direction)?, direction)),
        Expression::Tag(tag) => match finder {
            Finder::Memory(tables) => boxed(MemoryList::find(tables, tag).map(|list| List::new(list, direction))),
            Finder::Files(files) => {
                let list = files.tags.as_ref().map(|tags| tags.find(tag)).transpose()?.flatten();
                boxed(list.map(|list| List::new(list, direction)))
            }
        },
    })
}

impl IndexRange {
    fn stream(&self, finder: &Finder, direction: Direction) -> io::Result<Stream> {
        let Self { number, min, max } = *self;
        Ok(match finder {
            Finder::Memory(tables) => {
                let column = MemoryColumn::find(tables, number);
                boxed(column.map(|column| InRange::new(column, min, max, direction)).transpose()?)
            }
            Finder::Files(files) => {
                let column = files.columns.as_ref().map(|columns| columns.find(number)).transpose()?.flatten();
                boxed(column.map(|column| InRange::new(column, min, max, direction)).transpose()?)
            }
        })
    }
}

fn boxed(stream: Option<impl super::ordinals::Ordinals + 'static>) -> Stream {
    match stream {
        Some(stream) => Box::new(stream),
        None => Box::new(Nothing),
    }
}

/// A search through a log, in one direction.
#[derive(Debug)]
pub struct Search<'a> {
    segments: Vec<Arc<Segment>>,
    selection: &'a Selection,
    direction: Direction,
    /// What is still to be looked through.
    left: Range,
    /// Where the range ends.
    until: u64,
    /// The stream of the segment with this number.
    current: Option<(usize, Stream)>,
}

/// Some records that fit, all of one segment, in the order of the search.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their offsets.
    pub offsets: Vec<u64>,
    /// Those nearer to each other than this are read together.
    pub near: u64,
}

impl Batch {
    /// Stretches of records that are read together.
    pub fn runs(&self) -> impl Iterator<Item = &[u64]> {
        self.offsets.chunk_by(|a, b| a.abs_diff(*b) <= self.near)
    }
}

impl<'a> Search<'a> {
    /// A search through a range.
    #[must_use]
    pub fn new(segments: Vec<Arc<Segment>>, selection: &'a Selection, range: Range, direction: Direction) -> Self {
        Self { segments, selection, direction, left: range, until: range.until, current: None }
    }

    /// Where to go on after the batches that were given.
    #[must_use]
    pub fn next(&self) -> u64 {
        match self.direction {
            Direction::Up => self.left.from,
            Direction::Down => self.left.until,
        }
    }

    /// Where the log begins, if that is behind what comes next: retention was faster.
    #[must_use]
    pub fn begins_behind(&self) -> Option<u64> {
        let start = self.segments.first().map_or(u64::MAX, |first| first.header.base_offset);
        let next = match self.direction {
            Direction::Up => self.left.from,
            Direction::Down => self.left.until.saturating_sub(1),
        };
        (self.left.from < self.left.until && next < start).then_some(start)
    }

    /// What fits of the next window, or of less where it is much; `None` at the end of the range, or where the log begins
    /// behind it.
    pub fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        if self.left.from >= self.left.until || self.begins_behind().is_some() {
            return Ok(None);
        }
        let next = match self.direction {
            Direction::Up => self.left.from,
            Direction::Down => self.left.until - 1,
        };
        let number = self.segments.partition_point(|segment| segment.header.base_offset <= next) - 1;
        let segment = Arc::clone(&self.segments[number]);
        match self.search(number, &segment) {
            // What is found by side files is looked for again by what is made from the log in their place.
            Err(error) if segment.distrust_files(&error) => {
                self.current = None;
                self.search(number, &segment).map(Some)
            }
            result => result.map(Some),
        }
    }

    fn search(&mut self, number: usize, segment: &Segment) -> io::Result<Batch> {
        let (selection, direction, left) = (self.selection, self.direction, self.left);
        if self.current.as_ref().is_none_or(|(current, _)| *current != number) {
            self.current = Some((number, selection.stream(&segment.finder()?, direction)?));
        }
        let Some((_, stream)) = &mut self.current else { return Ok(Batch::default()) };
        let base = segment.header.base_offset;
        let whole_end = self.segments.get(number + 1).map_or(u64::MAX, |next| next.header.base_offset);
        // Ordinals have 32 bits.
        let end = whole_end.min(base + u64::from(u32::MAX));
        let (low, high) = (left.from.max(base), left.until.min(end));
        let (low, high) = match direction {
            Direction::Up => (low, high.min(low + WINDOW)),
            Direction::Down => (low.max(high.saturating_sub(WINDOW)), high),
        };
        if low >= high {
            // Offsets that only damage can have named: there is nothing to be found.
            self.leave_off_at(left.until.min(whole_end), high);
            return Ok(Batch::default());
        }
        let mut batch = Batch { offsets: Vec::new(), near: near(segment, end.min(self.until)) };
        #[allow(clippy::cast_possible_truncation, reason = "bounded above")]
        let ordinal = |offset: u64| (offset - base) as u32;
        let (mut at, last) = match direction {
            Direction::Up => (ordinal(low), ordinal(high - 1)),
            Direction::Down => (ordinal(high - 1), ordinal(low)),
        };
        while let Some(found) = stream.seek(at, last)? {
            let offset = base + u64::from(found);
            batch.offsets.push(offset);
            if batch.offsets.len() == BATCH_MAX {
                self.leave_off_at(offset + 1, offset);
                return Ok(batch);
            }
            match direction.after(found).filter(|after| !direction.before(last, *after)) {
                Some(after) => at = after,
                None => break,
            }
        }
        self.leave_off_at(high, low);
        Ok(batch)
    }

    /// What is left begins at one offset, or ends before the other, as the direction is.
    fn leave_off_at(&mut self, from: u64, until: u64) {
        match self.direction {
            Direction::Up => self.left.from = from,
            Direction::Down => self.left.until = until,
        }
    }
}

/// How many records about [`NEAR_BYTES`] are.
fn near(segment: &Segment, end: u64) -> u64 {
    let count = end.saturating_sub(segment.header.base_offset).max(1);
    (NEAR_BYTES * count / segment.log_bytes().max(1)).clamp(1, BATCH_MAX as u64)
}

/// How a selection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Where to go on: at this offset, or before it where the newest come first.
    pub next: u64,
    /// Damage stands there, and a record that fits in it.
    pub damaged: Option<Range>,
    /// The log begins here by now: retention was faster than the search.
    pub begins_at: Option<u64>,
}

impl Selected {
    fn at(next: u64) -> Self {
        Self { next, damaged: None, begins_at: None }
    }
}

/// What the records are read with.
pub trait Reads {
    /// Gives the records of a range to `sink`, in this direction.
    fn read(
        &self,
        range: Range,
        direction: Direction,
        sink: &mut dyn FnMut(&LogRecord<'_>) -> Flow,
    ) -> io::Result<Read>;
}

/// How a read ended.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Where to go on.
    pub next: u64,
    /// Damage stands there.
    pub damaged: Option<Range>,
    /// The log begins here by now.
    pub begins_at: Option<u64>,
}

/// Gives the records that a search finds to `sink`, until the range ends, it has had enough, the time is over, or damage
/// stands in the way of a record that fits. However short the time, it gets on.
pub fn select(
    search: &mut Search<'_>,
    log: &impl Reads,
    deadline: Instant,
    mut sink: impl FnMut(&LogRecord<'_>) -> Flow,
) -> io::Result<Selected> {
    while let Some(batch) = search.next_batch()? {
        for run in batch.runs() {
            if let Some(selected) = read_run(log, run, search.direction, &mut sink)? {
                return Ok(selected);
            }
            if let Some(last) = run.last().filter(|_| Instant::now() >= deadline) {
                return Ok(Selected::at(if search.direction == Direction::Up { last + 1 } else { *last }));
            }
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    Ok(Selected { begins_at: search.begins_behind(), ..Selected::at(search.next()) })
}

/// Reads a stretch of the log, and gives those of it that are wanted. `None` where all were looked at.
fn read_run(
    log: &impl Reads,
    run: &[u64],
    direction: Direction,
    sink: &mut impl FnMut(&LogRecord<'_>) -> Flow,
) -> io::Result<Option<Selected>> {
    let mut wanted = run;
    while let (Some(first), Some(last)) = (wanted.first().copied(), wanted.last().copied()) {
        let (mut left, mut stopped) = (wanted, false);
        let mut give = |record: &LogRecord<'_>| {
            // Erased ones do not come.
            let passed = left.partition_point(|offset| direction.before(*offset, record.offset));
            left = &left[passed..];
            if left.first() != Some(&record.offset) {
                return Flow::Continue;
            }
            let flow = sink(record);
            stopped = flow != Flow::Continue;
            flow
        };
        let range = Range { from: first.min(last), until: first.max(last) + 1 };
        let Read { next, damaged, begins_at } = log.read(range, direction, &mut give)?;
        if stopped || begins_at.is_some() {
            return Ok(Some(Selected { begins_at, ..Selected::at(next) }));
        }
        let Some(hole) = damaged else { return Ok(None) };
        if left.iter().any(|offset| (hole.from..hole.until).contains(offset)) {
            return Ok(Some(Selected { next, damaged: Some(hole), begins_at: None }));
        }
        // None that is wanted is damaged: on behind it.
        let edge = if direction == Direction::Up { hole.until } else { hole.from };
        let behind = |offset: &u64| if direction == Direction::Up { *offset < edge } else { *offset >= edge };
        wanted = &wanted[wanted.partition_point(behind)..];
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
