//! Damaged files: what it costs, and that writing goes on behind it.

use super::*;

#[test]
fn a_flipped_byte_costs_its_record_and_no_other() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..5);
    let namespace = store.namespace("orders");
    append(&namespace, &[b"record 5", b"record 6", b"record 7"]).unwrap();
    append_numbered(&namespace, 8..10);
    let path = store.segments()[0].clone();
    let bytes = store.read_file(&path);
    for (text, gone) in [("record 2", 2..3), ("record 6", 6..7), ("record 0", 0..1)] {
        let at = bytes.windows(8).position(|window| window == text.as_bytes()).unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        (&store.disk as &dyn Disk)
            .open(&path, crate::disk::Open::Write)
            .unwrap()
            .write_all_at(&mut [std::io::IoSlice::new(&damaged)], 0)
            .unwrap();
        let (before, hole) = read(&namespace, 0);
        assert_eq!(before, numbered(0..gone.start), "{text}");
        assert_eq!(hole, Some((gone.start, gone.end)));
        assert_eq!(read(&namespace, gone.end), (numbered(gone.end..10), None));
    }
}

#[test]
fn damage_in_the_middle_of_the_active_segment_becomes_a_hole_and_writing_goes_on_behind_it() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..10);
    let path = store.segments()[0].clone();
    let mut bytes = store.read_file(&path);
    let at = bytes.windows(8).position(|window| window == b"record 4").unwrap();
    // The whole frame, header and all.
    bytes[at - 64..at + 8].fill(0xee);
    store.write_file(&path, &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 0), (numbered(0..4), Some((4, 5))));
    assert_eq!(read(&namespace, 5), (numbered(5..10), None));
    append_numbered(&namespace, 10..12);
    assert_eq!(store.segments().len(), 2);
    assert_eq!(store.read_file(&path), bytes, "the damaged segment stays as it was");
    assert_eq!(namespace.describe().unwrap().holes.len(), 1);
    let store = store.restart();
    assert_eq!(read(&store.namespace("orders"), 5), (numbered(5..12), None));
}

#[test]
fn a_last_frame_that_was_whole_once_keeps_its_offset() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..3);
    let path = store.segments()[0].clone();
    let mut bytes = store.read_file(&path);
    let at = bytes.windows(8).position(|window| window == b"record 2").unwrap();
    bytes[at] ^= 1;
    store.write_file(&path, &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 0), (numbered(0..2), Some((2, 3))));
    append_numbered(&namespace, 3..5);
    assert_eq!(read(&namespace, 3), (numbered(3..5), None));
}

#[test]
fn a_damaged_snapshot_or_header_loses_no_record() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    let payload = vec![7; 9_000];
    (0..20).for_each(|_| {
        append(&namespace, &[&payload]).unwrap();
    });
    let last = store.segments().last().unwrap().clone();
    let bytes = store.read_file(&last);
    for at in [40, 64 + 20, 64 + 70] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        store.write_file(&last, &damaged);
        let again = Store::start(store.disk.clone(), copy_of(&store), StoreConfig::default());
        let namespace = again.namespace("orders");
        assert_eq!(read_all(&namespace).len(), 20, "byte {at}");
        assert_eq!(append(&namespace, &[b"next"]), Ok(20));
        assert_eq!(read_all(&again.restart().namespace("orders")).len(), 21);
    }
}

/// A new segment that began at the same frame as the damaged one took its file's name, and the file was then removed as
/// that of the old one.
#[test]
fn a_damaged_segment_without_frames_is_replaced_by_the_next() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..1);
    let path = store.segments()[0].clone();
    let bytes = store.read_file(&path);
    store.write_file(&path, &bytes[..bytes.len() - 20]);
    let Store { engine, disk, dir } = store;
    drop(engine);
    // No room for the torn tail in quarantine, so it stays.
    disk.faults.room.store(20, Ordering::SeqCst);
    let store = Store::start(disk, dir, StoreConfig::default());
    let namespace = store.namespace("orders");
    namespace.partition(0).unwrap();
    store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
    append_numbered(&namespace, 0..5);
    namespace.partition(0).unwrap().tend(logstore_api::Timestamp::now());
    assert_eq!(store.quarantine().len(), 1);
    assert_eq!(read_all(&store.restart().namespace("orders")), numbered(0..5));
}

#[test]
fn damage_before_a_checkpoint_gives_no_offset_twice() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..5);
    store.engine.stop();
    // The mark is used up by this start, the checkpoint stays in the log.
    let store = store.restart();
    let path = store.segments()[0].clone();
    let mut bytes = store.read_file(&path);
    let at = bytes.windows(8).position(|window| window == b"record 4").unwrap();
    bytes[at] ^= 1;
    store.write_file(&path, &bytes);
    let store = store.restart();
    assert_eq!(append(&store.namespace("orders"), &[b"next"]), Ok(5));
    assert_eq!(read(&store.namespace("orders"), 0), (numbered(0..4), Some((4, 5))));
}

/// A last segment without a single frame once made the log begin at 0 again.
#[test]
fn a_last_segment_that_lost_all_its_frames_gives_no_offset_of_the_segments_before() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    (0..20).for_each(|_| {
        append(&namespace, &[&[7; 9_000]]).unwrap();
    });
    let last = store.segments().last().unwrap().clone();
    let whole = store.read_file(&last);
    for left in [0, 10, 63, 64] {
        store.write_file(&last, &whole[..left]);
        let again = Store::start(store.disk.clone(), copy_of(&store), StoreConfig::default());
        let namespace = again.namespace("orders");
        let end = namespace.partition(0).unwrap().describe().end;
        assert!(end > 10 && read_all(&namespace).len() as u64 == end, "{left} bytes left: {end}");
        assert_eq!(append(&namespace, &[b"next"]), Ok(end), "{left} bytes left");
        let again = again.restart();
        assert_eq!(read_all(&again.namespace("orders")).last().unwrap(), &(end, b"next".to_vec()));
    }
}

/// Four records in a segment each but the last two, of which the first is erased.
fn with_four_segments() -> Store {
    let store = Store::new();
    let namespace = store.namespace("orders");
    for number in 0..3 {
        append_numbered(&namespace, number..number + 1);
        namespace.partition(0).unwrap().seal().unwrap();
    }
    super::change::erase(&namespace, 0).unwrap();
    append_numbered(&namespace, 3..4);
    store
}

#[test]
fn a_segment_under_the_name_of_another_is_set_aside() {
    let store = with_four_segments();
    let first = store.segments()[0].clone();
    let bytes = store.read_file(&first);
    store.write_file(&first.with_file_name("00000000000001000000.log"), &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 0), (numbered(1..4), None), "no erased record comes back, and none is lost");
    append_numbered(&namespace, 4..5);
    assert_eq!(store.quarantine(), [bytes]);
}

#[test]
fn a_segment_over_the_last_one_brings_nothing_back() {
    let store = with_four_segments();
    let segments = store.segments();
    let (first, last) = (segments[0].clone(), segments.last().unwrap().clone());
    let bytes = store.read_file(&first);
    store.write_file(&last, &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    // The erasure and the last record are gone with the file; what is left is whole, and nothing stands in a wrong place.
    assert_eq!(read(&namespace, 0), (numbered(0..3), None));
    assert_eq!(store.quarantine(), [bytes]);
}

#[test]
fn frames_of_an_earlier_place_do_not_move_the_end_back() {
    let store = with_four_segments();
    let segments = store.segments();
    let (first, last) = (segments[0].clone(), segments.last().unwrap().clone());
    // A header alone stays what it was.
    let mut bytes = store.read_file(&first);
    bytes[..64].copy_from_slice(&store.read_file(&last)[..64]);
    store.write_file(&last, &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    let (records, _) = read(&namespace, 0);
    assert_eq!(records, numbered(0..3));
    let offset = append(&namespace, &[b"next"]).unwrap();
    assert!(offset >= 3, "{offset}");
}

#[test]
fn where_all_files_are_gone_that_an_orderly_stop_has_left_no_offset_is_given_again() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..4);
    store.engine.stop();
    for path in store.segments() {
        (&store.disk as &dyn Disk).remove_file(&path).unwrap();
    }
    let store = store.restart();
    let namespace = store.namespace("orders");
    let published = *namespace.partition(0).unwrap().published().borrow();
    assert_eq!((published.start, published.end), (4, 4));
    let backward = namespace.partition(0).unwrap().read_backward(Range { from: 4, until: 4 }, |_| Flow::Continue);
    assert!(!backward.unwrap().is_trimmed);
    assert_eq!(append(&namespace, &[b"next"]), Ok(4));
    let store = store.restart();
    assert_eq!(read(&store.namespace("orders"), 4), (vec![(4, b"next".to_vec())], None));
}
