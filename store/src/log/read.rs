//! Reading records across segments.

use std::io;
use std::sync::Arc;

use super::cursor::{Cursor, LogRecord, Step};
use super::segment::Segment;

/// Where a read may begin and must end. All are offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first record wanted.
    pub from: u64,
    /// The first record not wanted any more.
    pub until: u64,
}

/// What the reader of records says after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More.
    Continue,
    /// This one was not taken, and no more are wanted.
    StopBefore,
    /// This one was taken, and no more are wanted.
    Stop,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The offset to go on from.
    pub next: u64,
    /// Damage stands there: from `next` up to this offset.
    pub damaged_until: Option<u64>,
    /// The log begins behind `next` by now: retention was faster than the read.
    pub begins_at: Option<u64>,
}

impl Ended {
    fn at(next: u64) -> Self {
        Self { next, damaged_until: None, begins_at: None }
    }

    fn damaged(next: u64, until: u64) -> Self {
        Self { next, damaged_until: Some(until), begins_at: None }
    }
}

/// Gives records to `sink`, in order, until the range ends, it has had enough, or damage stands in the way.
pub fn read(
    segments: &[Arc<Segment>],
    range: Range,
    mut sink: impl FnMut(&LogRecord<'_>) -> Flow,
) -> io::Result<Ended> {
    let Range { from, until } = range;
    let mut next = from;
    if let Some(first) = segments.first().filter(|first| first.header.base_offset > from && from < until) {
        return Ok(Ended { begins_at: Some(first.header.base_offset), ..Ended::at(from) });
    }
    let first = segments.partition_point(|segment| segment.header.base_offset <= from).saturating_sub(1);
    for (number, segment) in segments.iter().enumerate().skip(first) {
        let segment_end = segments.get(number + 1).map_or(u64::MAX, |after| after.header.base_offset);
        if next >= until {
            break;
        }
        let mut cursor = segment.cursor_over(Range { from: next, until })?;
        loop {
            match cursor.step()? {
                Step::Record(record) if record.offset < next => {}
                Step::Record(record) if record.offset >= until => {
                    return Ok(Ended::at(until));
                }
                Step::Record(record) => match sink(&record) {
                    // The next one may stand where nothing was read yet.
                    Flow::Continue if record.offset + 1 == until => return Ok(Ended::at(until)),
                    Flow::Continue => next = record.offset + 1,
                    Flow::Stop => return Ok(Ended::at(record.offset + 1)),
                    Flow::StopBefore => return Ok(Ended::at(record.offset)),
                },
                Step::Hole { from: _, until: hole_end } => {
                    let hole_end = hole_end.unwrap_or(segment_end).min(segment_end).min(until);
                    if hole_end > next {
                        return Ok(Ended::damaged(next, hole_end));
                    }
                }
                Step::End => break,
            }
        }
        if next < segment_end.min(until) && segment_end != u64::MAX {
            // The next segment begins later than this one ends: what stood between cannot be found.
            return Ok(Ended::damaged(next, segment_end.min(until)));
        }
    }
    if next < until {
        // Behind the last sound frame, but below the end that was acknowledged.
        return Ok(Ended::damaged(next, until));
    }
    Ok(Ended::at(next))
}

/// Gives records to `sink` from one that begins at or before an address of rochefort's file, until it has had enough;
/// `None` stands for damage.
pub fn read_from_address(
    segments: &[Arc<Segment>],
    address: u64,
    mut sink: impl FnMut(Option<&LogRecord<'_>>) -> Flow,
) -> io::Result<()> {
    let first = segments.partition_point(|segment| segment.header.base_address <= address).saturating_sub(1);
    for segment in &segments[first.min(segments.len())..] {
        let mut cursor: Cursor = segment.cursor_at_address(address)?;
        loop {
            let flow = match cursor.step()? {
                Step::Record(record) => sink(Some(&record)),
                Step::Hole { .. } => sink(None),
                Step::End => break,
            };
            if flow != Flow::Continue {
                return Ok(());
            }
        }
    }
    Ok(())
}
