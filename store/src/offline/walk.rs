//! All records of a range with what is missing between them, however often damage ends a read.

use std::io;

use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::read::{Flow, Range};

/// What comes next in a log.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A record.
    Record(&'a LogRecord<'a>),
    /// Offsets without one.
    Gap(Gap),
}

/// Offsets that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The first offset behind them.
    pub until: u64,
    /// Why there is no record.
    pub why: Missing,
}

/// Why an offset has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It was erased.
    Erased,
    /// Its bytes do not verify, or are not there.
    Damaged,
}

/// Gives the pieces of a range to `take`, in order, until it has enough or fails.
pub fn walk(
    partition: &Partition,
    range: Range,
    mut take: impl FnMut(Piece<'_>) -> io::Result<Flow>,
) -> io::Result<()> {
    let Range { from: mut next, until } = range;
    while next < until {
        let begun_at = next;
        let mut result = Ok(Flow::Continue);
        let ended = partition.read(Range { from: next, until }, |record| {
            result = pass_erased(&mut next, record.offset, &mut take).and_then(|flow| match flow {
                Flow::Continue => take(Piece::Record(record)),
                flow => Ok(flow),
            });
            next = record.offset + 1;
            *result.as_ref().unwrap_or(&Flow::Stop)
        })?;
        if result? != Flow::Continue || pass_erased(&mut next, ended.next, &mut take)? != Flow::Continue {
            return Ok(());
        }
        let damaged_until = ended.damaged_until.or(ended.begins_at).map_or(next, |end| end.max(next));
        if damaged_until > next {
            let gap = Gap { from: next, until: damaged_until, why: Missing::Damaged };
            if take(Piece::Gap(gap))? != Flow::Continue {
                return Ok(());
            }
            next = damaged_until;
        }
        if next == begun_at {
            return Err(io::Error::other(format!("the read stands still at offset {next}")));
        }
    }
    Ok(())
}

/// Offsets that a read has jumped over belong to erased records.
fn pass_erased(next: &mut u64, until: u64, take: &mut impl FnMut(Piece<'_>) -> io::Result<Flow>) -> io::Result<Flow> {
    if *next >= until {
        return Ok(Flow::Continue);
    }
    let gap = Gap { from: *next, until, why: Missing::Erased };
    *next = until;
    take(Piece::Gap(gap))
}
