//! From a time to an offset.

use std::io;
use std::sync::Arc;

use logstore_api::Timestamp;

use super::cursor::Step;
use super::segment::Segment;

/// The first offset whose record is of this time or later; `None` where there is none.
///
/// Times never fall from one frame to the next, so everything is found by halving: the segment, then the entry of its
/// index. Only the records behind that entry are looked at. Damage in front of the first record that is late enough counts
/// as late enough: nobody knows its times, and who reads from there is told.
pub fn offset_at(segments: &[Arc<Segment>], time: Timestamp) -> io::Result<Option<u64>> {
    // What a segment says of its last time may be more than true, never less: then the search goes on in the next one.
    let first = segments.partition_point(|segment| segment.last_time() < time);
    let mut damage = None;
    for segment in &segments[first..] {
        let mut cursor = segment.cursor_at_time(time)?;
        loop {
            match cursor.step()? {
                Step::Record(record) if record.time >= time => return Ok(damage.or(Some(record.offset))),
                Step::Record(_) => damage = None,
                Step::Hole { from, until: _ } => damage = damage.or(Some(from)),
                Step::End => break,
            }
        }
    }
    Ok(damage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{Frame, Sample, frames};
    use super::*;

    fn linear(sample: &Sample, time: Timestamp) -> Option<u64> {
        sample.times.iter().find(|(_, of)| *of >= time).map(|(offset, _)| *offset)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn halving_finds_what_looking_at_every_record_finds(frames in frames(), reopened in any::<bool>()) {
            let mut sample = Sample::new(&frames);
            if reopened {
                sample = sample.reopened();
            }
            let mut times: Vec<i64> = sample.times.iter().map(|(_, time)| time.0).collect();
            times.dedup();
            for time in times.iter().flat_map(|time| [time - 1, *time, time + 1]).chain([i64::MIN, 0, i64::MAX]) {
                let time = Timestamp(time);
                prop_assert_eq!(offset_at(&sample.segments, time).unwrap(), linear(&sample, time), "{:?}", time);
            }
        }
    }

    #[test]
    fn damage_before_the_first_record_that_is_late_enough_is_not_passed() {
        let frame = |number| Frame { records: vec![30], later: 10, with_producer: false, new_segment: number == 4 };
        let sample = Sample::new(&(0..8).map(frame).collect::<Vec<_>>());
        let at = |offset: usize| offset_at(&sample.segments, sample.times[offset].1).unwrap();
        sample.damage_before(3);
        sample.damage_before(6);
        assert_eq!(
            [2, 3, 4, 5, 6, 7].map(at),
            [2, 3, 4, 5, 6, 6].map(Some),
            "the segment of 4 says that it is late enough"
        );
        sample.damage_before(7);
        assert_eq!(at(7), Some(6));
    }
}
