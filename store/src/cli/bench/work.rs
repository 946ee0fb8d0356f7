//! What the requests of one connection are, and what their answers mean.

mod append;
mod many;
mod one;
mod scan;

pub(super) use append::{Append, Numbering, Producer};
pub(super) use many::Many;
pub(super) use one::One;
pub(super) use scan::{Scan, Stretch};

use super::answer::Head;
use super::payload::{Found, Random, check};
use super::refusal::Refusal;
use super::tally::{Load, Purpose, Seen, Tally};

/// The records of a namespace when a work begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The requests of one connection.
#[derive(Debug)]
pub(super) enum Work {
    Append(Append),
    Read(One),
    Many(Many),
    Scan(Scan),
    Mixed { append: Append, read: One, append_percent: u64, random: Random },
}

/// What a request that was sent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Appended { namespace: usize, load: Load },
    Record,
    Many { count: u64 },
    Page,
}

/// What an answer is.
#[derive(Debug)]
pub(super) enum Verdict {
    Done(Purpose, Load),
    /// An append that the store says to have had before.
    Duplicate,
    Refused(Refusal),
}

impl Work {
    /// Renders the next request behind others; `None` where there is none.
    pub(super) fn render(&mut self, due: u64, out: &mut Vec<u8>) -> Option<Expected> {
        match self {
            Self::Append(append) => Some(append.render(due, out)),
            Self::Read(read) => read.render(out),
            Self::Many(many) => Some(many.render(out)),
            Self::Scan(scan) => scan.render(out),
            Self::Mixed { append, read, append_percent, random } => {
                let reads = random.below(100) >= *append_percent;
                // There is nothing to read before the first append to an empty namespace.
                let rendered = if reads { read.render(out) } else { None };
                Some(rendered.unwrap_or_else(|| append.render(due, out)))
            }
        }
    }

    /// Looks at an answer.
    pub(super) fn judge(&mut self, expected: Expected, head: Head, body: &[u8], tally: &mut Tally) -> Verdict {
        if head.status != 200 {
            let refusal = Refusal::of(head, body);
            if let (Self::Scan(scan), Refusal::Missing { goes_on_at, .. }) = (self, &refusal) {
                scan.skip(*goes_on_at);
            }
            return Verdict::Refused(refusal);
        }
        match (self, expected) {
            (Self::Append(append), Expected::Appended { namespace, load }) => append.judge(namespace, load, body),
            (Self::Mixed { append, read, .. }, Expected::Appended { namespace, load }) => {
                let verdict = append.judge(namespace, load, body);
                if let Some(offset) = append.acknowledged() {
                    read.extend(namespace, offset + load.records);
                }
                verdict
            }
            (Self::Many(many), Expected::Many { count }) => many.judge(count, body, tally),
            (Self::Scan(scan), _) => scan.judge(head, body, &mut tally.seen),
            _ => Verdict::Done(Purpose::Read, look(body, &mut tally.seen)),
        }
    }

    /// What was sent and refused is sent again, where a producer's sequence must not have a gap. Nothing is under way.
    pub(super) fn rewind(&mut self, is_outcome_known: bool) {
        if let Self::Append(append) | Self::Mixed { append, .. } = self {
            append.rewind(is_outcome_known);
        }
    }

    /// Whether a request must wait for the answer to the one before it.
    pub(super) fn is_sequential(&self) -> bool {
        matches!(self, Self::Scan(_))
    }
}

/// Checks one record that was read.
fn look(record: &[u8], seen: &mut Seen) -> Load {
    match check(record) {
        Found::Ours => seen.ours += 1,
        Found::Foreign => seen.foreign += 1,
        Found::Wrong => seen.wrong += 1,
    }
    Load { records: 1, payload_bytes: record.len() as u64 }
}
