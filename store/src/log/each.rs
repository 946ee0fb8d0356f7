//! Reading many records by their offsets: neighbours in one go, the rest passed by.

use std::io;
use std::sync::Arc;

use super::cursor::LogRecord;
use super::read::{Ended, Flow, Range};
use super::segment::{Segment, Stretch};

/// What is to be read.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Offsets wanted, ascending, each once.
    offsets: Vec<u64>,
    /// What holds them all.
    runs: Vec<Run>,
    bytes: u64,
}

/// Neighbours, which are read in one go.
#[derive(Clone, Debug)]
struct Run {
    range: Range,
    segment: Arc<Segment>,
    /// Where they stand.
    stretch: Stretch,
}

/// What stands at an offset.
#[derive(Clone, Copy, Debug)]
pub enum Each<'a> {
    /// A record.
    Record(&'a LogRecord<'a>),
    /// Damage.
    Damaged {
        /// The first offset that cannot be had.
        from: u64,
        /// The first that can.
        until: u64,
    },
    /// Retention was faster.
    Gone {
        /// Where the log begins by now.
        start: u64,
    },
    /// Nothing any more.
    Erased,
}

impl Plan {
    /// Ranges for these offsets, ascending and each once: two that stand in the same stretch of the index, or in
    /// neighbouring ones, are read in one go.
    pub fn new(segments: &[Arc<Segment>], offsets: &[u64]) -> io::Result<Self> {
        let mut runs: Vec<Run> = Vec::new();
        for offset in offsets {
            let Some(segment) = segment_of(segments, *offset) else { continue };
            let (until, stretch) = (*offset + 1, segment.stretch_of(*offset)?);
            match runs.last_mut() {
                Some(last) if Arc::ptr_eq(&last.segment, segment) && stretch.begin <= last.stretch.end => {
                    last.range.until = until;
                    last.stretch.end = stretch.end;
                }
                _ => {
                    let (range, segment) = (Range { from: *offset, until }, Arc::clone(segment));
                    runs.push(Run { range, segment, stretch });
                }
            }
        }
        let bytes = runs.iter().map(|Run { stretch, .. }| stretch.end.saturating_sub(stretch.begin)).sum();
        Ok(Self { offsets: offsets.to_vec(), runs, bytes })
    }

    /// Tells the disk where the records stand, so that it reads many places at the same time; no more than so many bytes.
    pub fn announce(&self, bytes_max: usize) {
        let mut left = bytes_max as u64;
        for Run { segment, stretch, .. } in &self.runs {
            segment.will_read(*stretch);
            match left.checked_sub(stretch.end.saturating_sub(stretch.begin)) {
                Some(less) => left = less,
                None => return,
            }
        }
    }

    /// The same plan, for records whose length cannot be told from where they stand.
    #[must_use]
    pub fn of_any_size(self) -> Self {
        Self { bytes: u64::MAX, ..self }
    }

    /// More than all of them take together.
    #[must_use]
    pub fn bytes_at_most(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Says to `sink` what stands at each offset, in order, until it says stop. `read` reads a range.
    pub fn carry_out(
        &self,
        mut read: impl FnMut(Range, &mut dyn FnMut(&LogRecord<'_>) -> Flow) -> io::Result<Ended>,
        mut sink: impl FnMut(u64, Each<'_>) -> Flow,
    ) -> io::Result<()> {
        let mut wanted = self.offsets.iter().copied().peekable();
        for run in &self.runs {
            let mut range = run.range;
            while range.from < range.until {
                let mut stopped = false;
                let ended = read(range, &mut |record| {
                    while let Some(erased) = wanted.next_if(|offset| *offset < record.offset) {
                        stopped |= sink(erased, Each::Erased) != Flow::Continue;
                    }
                    if wanted.next_if_eq(&record.offset).is_some() {
                        stopped |= sink(record.offset, Each::Record(record)) != Flow::Continue;
                    }
                    if stopped { Flow::Stop } else { Flow::Continue }
                })?;
                if stopped {
                    return Ok(());
                }
                let Ended { next, damaged_until, begins_at } = ended;
                while let Some(erased) = wanted.next_if(|offset| *offset < next) {
                    sink(erased, Each::Erased);
                }
                let (until, each) = match (damaged_until, begins_at) {
                    (Some(until), _) => (until, Each::Damaged { from: next, until }),
                    (None, Some(start)) => (start.min(range.until), Each::Gone { start }),
                    (None, None) => break,
                };
                while let Some(offset) = wanted.next_if(|offset| *offset < until) {
                    sink(offset, each);
                }
                range.from = until;
            }
        }
        Ok(())
    }
}

fn segment_of(segments: &[Arc<Segment>], offset: u64) -> Option<&Arc<Segment>> {
    let behind = segments.partition_point(|segment| segment.header.base_offset <= offset);
    segments.get(behind.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read;
    use super::super::sample::{Frame, Sample, frames};
    use super::*;

    fn get(sample: &Sample, offsets: &[u64]) -> (Vec<(u64, Option<usize>)>, usize) {
        let plan = Plan::new(&sample.segments, offsets).unwrap();
        let (mut got, mut bytes) = (Vec::new(), 0);
        let read = |range, sink: &mut dyn FnMut(&LogRecord<'_>) -> Flow| read::read(&sample.segments, range, sink);
        let each = |offset, each: Each<'_>| {
            got.push(match each {
                Each::Record(record) => {
                    bytes += record.body_len();
                    let run = plan.runs.iter().find(|run| (run.range.from..run.range.until).contains(&offset)).unwrap();
                    let Stretch { begin, end, .. } = run.stretch;
                    let record_end = record.position() + record.stored_len() as u64;
                    assert!(begin <= record.position() && record_end <= end, "the disk was told of other places");
                    (record.offset, Some(record.data().len()))
                }
                Each::Damaged { from, until } => {
                    assert!((from..until).contains(&offset));
                    (offset, None)
                }
                Each::Gone { .. } | Each::Erased => panic!("{offset} {each:?}"),
            });
            Flow::Continue
        };
        plan.carry_out(read, each).unwrap();
        assert!(bytes <= plan.bytes_at_most(), "{bytes} {}", plan.bytes_at_most());
        (got, plan.runs.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn each_offset_is_met_once_and_in_order(
            frames in frames(),
            picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..80),
            reopened in any::<bool>(),
        ) {
            let mut sample = Sample::new(&frames);
            prop_assume!(sample.end() > 0);
            if reopened {
                sample = sample.reopened();
            }
            let end = usize::try_from(sample.end()).unwrap();
            let mut offsets: Vec<u64> = picks.iter().map(|pick| pick.index(end) as u64).collect();
            offsets.sort_unstable();
            offsets.dedup();
            let lens: Vec<usize> = frames.iter().flat_map(|frame| frame.records.clone()).collect();
            let expected: Vec<_> =
                offsets.iter().map(|offset| (*offset, Some(lens[usize::try_from(*offset).unwrap()]))).collect();
            prop_assert_eq!(get(&sample, &offsets).0, expected);
        }
    }

    #[test]
    fn neighbours_are_read_in_one_go_and_what_is_far_is_not_read_through() {
        let frame = Frame { records: vec![100], later: 1, with_producer: false, new_segment: false };
        let sample = Sample::new(&vec![frame; 2_000]);
        assert_eq!(get(&sample, &[3, 4, 9, 20]).1, 1);
        assert_eq!(get(&sample, &(0..2_000).step_by(20).collect::<Vec<_>>()).1, 1);
        assert_eq!(get(&sample, &[3, 500, 501, 1_999]).1, 3);
    }

    #[test]
    fn damage_takes_only_what_it_covers() {
        let frame = |number| Frame { records: vec![100], later: 1, with_producer: false, new_segment: number == 5 };
        let sample = Sample::new(&(0..10).map(frame).collect::<Vec<_>>());
        sample.damage_record(3);
        sample.damage_before(6);
        let (some, none) = (Some(100), None);
        let got = get(&sample, &[2, 3, 4, 5, 6, 9]).0;
        assert_eq!(got, [(2, some), (3, none), (4, some), (5, some), (6, none), (9, some)]);
    }
}
