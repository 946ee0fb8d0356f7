use proptest::prelude::*;

use super::super::read::{self, Ended};
use super::super::sample::{Frame, Sample, frames};
use super::*;

/// Offset, time, producer's sequence, address and payload of a record.
type Seen = (u64, i64, Option<u64>, u64, Vec<u8>);

fn seen(record: &LogRecord<'_>) -> Seen {
    let producer = record.producer.map(|producer| producer.seq);
    (record.offset, record.time.0, producer, record.address, record.data().to_vec())
}

/// Everything that can be had of a range, past all damage, oldest first; and the damage.
fn forward(sample: &Sample, range: Range) -> (Vec<Seen>, Vec<(u64, u64)>) {
    let (mut records, mut holes, mut from) = (Vec::new(), Vec::new(), range.from);
    while from < range.until {
        let Ended { next, damaged_until, begins_at } =
            read::read(&sample.segments, Range { from, ..range }, |record| {
                records.push(seen(record));
                Flow::Continue
            })
            .unwrap();
        assert_eq!(begins_at, None);
        holes.extend(damaged_until.map(|until| (next, until)));
        from = damaged_until.unwrap_or(next);
    }
    (records, holes)
}

/// The same by reading backwards, at most `page` records at once.
fn backward(sample: &Sample, range: Range, page: usize) -> (Vec<Seen>, Vec<(u64, u64)>) {
    let (mut records, mut holes, mut until) = (Vec::new(), Vec::new(), range.until);
    while range.from < until {
        let mut count = 0;
        let ended = read_backward(&sample.segments, Range { until, ..range }, |record| {
            if count == page {
                return Flow::StopBefore;
            }
            records.push(seen(record));
            count += 1;
            Flow::Continue
        })
        .unwrap();
        assert!(!ended.is_trimmed && ended.next <= until, "{ended:?}");
        holes.extend(ended.damaged_from.map(|from| (from, ended.next)));
        until = ended.damaged_from.unwrap_or(ended.next);
    }
    records.reverse();
    holes.reverse();
    (records, holes)
}

fn range_of(sample: &Sample, picks: (prop::sample::Index, prop::sample::Index)) -> Range {
    let places = usize::try_from(sample.end()).unwrap() + 1;
    let (one, other) = (picks.0.index(places) as u64, picks.1.index(places) as u64);
    Range { from: one.min(other), until: one.max(other) }
}

/// Adjoining holes are one.
fn joined(holes: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in holes {
        match joined.last_mut().filter(|last| last.1 == from) {
            Some(last) => last.1 = until,
            None => joined.push((from, until)),
        }
    }
    joined
}

fn lone(len: usize) -> Frame {
    Frame { records: vec![len], later: 1, with_producer: false, new_segment: false }
}

fn batch(lens: Vec<usize>) -> Frame {
    Frame { records: lens, ..lone(0) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn newest_first_is_oldest_first_reversed(
        frames in frames(),
        picks in any::<(prop::sample::Index, prop::sample::Index)>(),
        page in prop_oneof![Just(usize::MAX), 1_usize..50],
        reopened in any::<bool>(),
    ) {
        let mut sample = Sample::new(&frames);
        if reopened {
            sample = sample.reopened();
        }
        let range = range_of(&sample, picks);
        let expected = forward(&sample, range);
        prop_assert_eq!(expected.0.len() as u64, range.until - range.from);
        prop_assert_eq!(backward(&sample, range, page), expected);
    }

    #[test]
    fn damage_is_seen_from_both_sides(
        frames in frames(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..6),
        picks in any::<(prop::sample::Index, prop::sample::Index)>(),
        reopened in any::<bool>(),
    ) {
        // In lone frames: inside a batch an index entry may lead to records that a walk from the front gives up.
        let lone: Vec<Frame> = frames.iter().flat_map(|frame| frame.records.iter().map(|len| lone(*len))).collect();
        let lone: Vec<Frame> = lone.into_iter().take(400).enumerate()
            .map(|(number, frame)| Frame { new_segment: number % 37 == 36, ..frame }).collect();
        prop_assume!(!lone.is_empty());
        let mut sample = Sample::new(&lone);
        for (pick, header) in damage {
            let offset = pick.index(lone.len()) as u64;
            if header { sample.damage_before(offset) } else { sample.damage_record(offset) }
        }
        if reopened {
            sample = sample.reopened();
        }
        let range = range_of(&sample, picks);
        let (records, holes) = forward(&sample, range);
        let (back, back_holes) = backward(&sample, range, 3);
        prop_assert_eq!(back_holes, joined(holes));
        // Addresses are not to be relied on behind a hole.
        let plain = |records: Vec<Seen>| -> Vec<_> {
            records.into_iter().map(|(offset, time, producer, _, data)| (offset, time, producer, data)).collect()
        };
        prop_assert!(plain(back) == plain(records));
    }
}

#[test]
fn damage_inside_a_batch_hides_no_record_that_a_forward_read_gives() {
    let sample = Sample::new(&[lone(10), batch(vec![100; 500]), lone(10), batch(vec![3_000; 20])]);
    for offset in [1, 77, 78, 400, 505, 521] {
        sample.damage_record(offset);
    }
    let range = Range { from: 0, until: sample.end() };
    let (ahead, back) = (forward(&sample, range), backward(&sample, range, 7));
    assert!(ahead.0.iter().all(|record| back.0.contains(record)));
    for (number, record) in back.0.iter().enumerate().skip(1) {
        let before = &back.0[number - 1];
        let is_hole = back.1.contains(&(before.0 + 1, record.0));
        assert!(before.0 + 1 == record.0 || is_hole, "{} {} {:?}", before.0, record.0, back.1);
    }
    assert!(back.1.contains(&(1, 2)), "{:?}", back.1);
}

#[test]
fn a_hole_at_each_end_is_told_with_its_bounds() {
    let frames: Vec<Frame> = (0..10).map(|_| lone(50)).collect();
    let sample = Sample::new(&frames);
    for offset in [2, 3, 8, 9] {
        sample.damage_record(offset);
    }
    let read = |from, until| {
        let mut offsets = Vec::new();
        let ended = read_backward(&sample.segments, Range { from, until }, |record| {
            offsets.push(record.offset);
            Flow::Continue
        });
        (offsets, ended.unwrap())
    };
    let damaged = |from, next| EndedBackward { next, damaged_from: Some(from), is_trimmed: false };
    assert_eq!(read(0, 10), (vec![], damaged(8, 10)), "at the end of the log");
    assert_eq!(read(0, 8), (vec![7, 6, 5, 4], damaged(2, 4)), "in the middle, behind what can be had");
    assert_eq!(read(3, 5), (vec![4], damaged(3, 4)), "no further than the range");
    assert_eq!(read(0, 2), (vec![1, 0], EndedBackward::at(0)));
    assert_eq!(read(5, 5), (vec![], EndedBackward::at(5)));
}

#[test]
fn a_large_record_between_small_ones_costs_no_read_per_record() {
    let mut lens = vec![10; 200];
    lens.insert(150, 5_000_000);
    let sample = Sample::new(&[batch(lens.clone()), batch(lens)]);
    let range = Range { from: 0, until: sample.end() };
    assert_eq!(backward(&sample, range, usize::MAX), forward(&sample, range));
}

#[test]
fn a_log_that_lost_its_beginning_gives_the_rest() {
    let frames: Vec<Frame> = (0..30).map(|number| Frame { new_segment: number % 10 == 0, ..lone(9) }).collect();
    let mut sample = Sample::new(&frames);
    sample.segments.remove(0);
    let mut count = 0;
    let ended = read_backward(&sample.segments, Range { from: 3, until: 30 }, |_| {
        count += 1;
        Flow::Continue
    });
    assert_eq!((count, ended.unwrap()), (20, EndedBackward { next: 10, damaged_from: None, is_trimmed: true }));
}

#[test]
fn more_damage_than_places_are_kept_for_is_walked_again() {
    // After a restart the index has no entry of a damaged batch, so that all of it is one stretch.
    let count = PLACES_MAX * 2 + 100;
    let sample = Sample::new(&[lone(5), batch(vec![0; count]), lone(5)]);
    sample.damage_record(40);
    let sample = sample.reopened();
    let range = Range { from: 0, until: sample.end() };
    let (records, holes) = backward(&sample, range, usize::MAX);
    assert_eq!((records.len(), holes), (count + 1, vec![(40, 41)]));
}
