//! Patches and erasures: what readers see of them, what is left in the files, and what damage makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use logstore_api::Timestamp;
use logstore_api::frame::Kind;
use logstore_api::limits::PATCHES_MAX;
use proptest::prelude::*;

use super::*;
use crate::log::Partition;
use crate::log::cursor::{FRAMES_AT, Window};
use crate::log::modify::{At, EraseRequest, PatchRequest, Target, Version};
use crate::log::scan::{Found, Scan};
use crate::log::segment::read_header;

fn log(namespace: &Namespace) -> &Arc<Partition> {
    namespace.partition(0).unwrap()
}

/// Appends a record with a reservation and a tag.
fn append_with(namespace: &Namespace, data: &[u8], alloc: u64, tag: &str) -> u64 {
    let mut batch = Batch::new(None, namespace.salt(), 0);
    let attributes = Attributes { alloc: Some(alloc), tags: vec![tag.to_owned()], ..Attributes::default() };
    batch.push(data, attributes).unwrap();
    let draft = batch.finish().unwrap().draft;
    let work =
        |reply| Work::Append { draft, producer: None, expect_offset: None, durability: Durability::Written, reply };
    match log(namespace).submit(work).blocking_recv().unwrap().unwrap().what {
        What::Appended { offset, .. } => offset.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn patch_work(
    namespace: &Namespace,
    offset: u64,
    at: At,
    bytes: &[u8],
    durability: Durability,
    if_match: Option<Vec<Version>>,
) -> tokio::sync::oneshot::Receiver<Result<Done, Box<Problem>>> {
    let Some(Target::Standing { data_len, alloc_len }) = log(namespace).target(offset).unwrap() else {
        panic!("record {offset} is not there");
    };
    let bytes = Bytes::copy_from_slice(bytes);
    let request = PatchRequest { offset, data_len, alloc_len, at, bytes, if_match };
    log(namespace).submit(|reply| Work::Patch { request, durability, reply })
}

fn patch(namespace: &Namespace, offset: u64, at: At, bytes: &[u8]) -> Result<u32, String> {
    match patch_work(namespace, offset, at, bytes, Durability::Written, None).blocking_recv().unwrap() {
        Ok(Done { what: What::Patched { data_len, .. }, .. }) => Ok(data_len),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem.code),
    }
}

pub(super) fn erase(namespace: &Namespace, offset: u64) -> Result<(), String> {
    let request = EraseRequest { offset, if_match: None };
    let work = |reply| Work::Erase { request, durability: Durability::Written, reply };
    log(namespace).submit(work).blocking_recv().unwrap().map(|_| ()).map_err(|problem| problem.code)
}

fn roll(namespace: &Namespace) {
    let later = Timestamp(Timestamp::now().0 + 3_600_000_000);
    log(namespace).tend(later);
}

/// Until nothing is left to do.
fn carry_out(namespace: &Namespace) {
    (0..50).for_each(|_| log(namespace).carry_out_erasures(Duration::ZERO, Timestamp::now()));
    log(namespace).tend(Timestamp::now());
}

fn rolling() -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: None, max_segment_age_seconds: Some(60) };
    NamespaceConfig { rotation, ..NamespaceConfig::default() }
}

/// How often some bytes stand in the files of `orders`, quarantine left out.
fn occurrences(store: &Store, needle: &[u8]) -> usize {
    let dir = store.dir.path().join("root/ns/orders/0");
    let names = (&store.disk as &dyn Disk).list(&dir).unwrap();
    let count = |bytes: Vec<u8>| bytes.windows(needle.len()).filter(|window| *window == needle).count();
    names.iter().map(|name| count(store.read_file(&dir.join(name)))).sum()
}

/// Files in which not every byte verifies.
fn faults(store: &Store) -> Vec<std::path::PathBuf> {
    let is_faulty = |path: &std::path::PathBuf| {
        let file = (&store.disk as &dyn Disk).open(path, crate::disk::Open::Read).unwrap();
        let (len, header) = (file.size().unwrap(), read_header(&*file).unwrap().unwrap());
        let mut scan = Scan::new(Window::new(file, len), header.salt, FRAMES_AT, len);
        loop {
            match scan.step().unwrap() {
                Found::Frame { .. } => {}
                Found::End => return false,
                Found::Damage { .. } | Found::Tail { .. } => return true,
            }
        }
    };
    store.segments().into_iter().filter(is_faulty).collect()
}

/// Position and length of the newest frame of a kind in a segment's bytes, by its magic.
fn frame_of(bytes: &[u8], kind: Kind) -> (usize, usize) {
    let magic = logstore_api::frame::MAGIC.to_le_bytes();
    let mut places = (64..bytes.len() - 48).step_by(8).filter(|at| bytes[*at..at + 4] == magic);
    let of_kind = |at: &usize| bytes[at + 6..at + 8] == (kind as u16).to_le_bytes();
    let at = places.rfind(of_kind).unwrap();
    (at, u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize)
}

#[test]
fn a_patched_record_reads_patched_after_a_crash_a_stop_and_in_the_next_segment() {
    let mut store = Store::new();
    store.configured("orders", rolling());
    let namespace = store.namespace("orders");
    append_with(&namespace, b"hello", 16, "t");
    append_with(&namespace, b"other", 0, "t");
    assert_eq!(patch(&namespace, 0, At::Byte(0), b"J"), Ok(5));
    assert_eq!(patch(&namespace, 0, At::End, b"!"), Ok(6));
    assert_eq!(patch(&namespace, 0, At::Byte(9), b"x"), Ok(10));
    assert_eq!(patch(&namespace, 0, At::Byte(16), b""), Ok(16));
    assert_eq!(patch(&namespace, 0, At::Byte(16), b"x"), Err("reservation_exceeded".to_owned()));
    assert_eq!(patch(&namespace, 1, At::End, b"x"), Err("reservation_exceeded".to_owned()));
    let expected = vec![(0, b"Jello!\0\0\0x\0\0\0\0\0\0".to_vec()), (1, b"other".to_vec())];
    for stop in [None, Some(false), Some(true), Some(false)] {
        if let Some(orderly) = stop {
            if orderly {
                store.engine.stop();
            }
            store = store.restart();
        }
        let namespace = store.namespace("orders");
        assert_eq!(read_all(&namespace), expected);
        roll(&namespace);
        assert_eq!(read_all(&namespace), expected);
    }
    assert_eq!(faults(&store), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_condition_names_the_state_that_may_be_patched() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_with(&namespace, b"hello", 16, "t");
    let patch_if = |version: Version| {
        let answer = patch_work(&namespace, 0, At::End, b"!", Durability::Synced, Some(vec![version]));
        answer.blocking_recv().unwrap().map(|done| done.what).map_err(|problem| problem.code)
    };
    let Ok(What::Patched { frame, .. }) = patch_if(None) else { panic!("the record was not patched before") };
    assert_eq!(patch_if(None), Err("precondition_failed".to_owned()));
    assert!(patch_if(Some(frame)).is_ok());
    assert_eq!(read_all(&namespace), [(0, b"hello!!".to_vec())]);
}

#[test]
fn many_patches_of_a_record_are_folded_and_none_is_lost() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, b"", 1000, "t");
    let count = u8::try_from(PATCHES_MAX * 3).unwrap();
    for number in 0..count {
        assert_eq!(patch(&namespace, 0, At::End, &[number]), Ok(u32::from(number) + 1));
        if number % 50 == 0 {
            roll(&namespace);
        }
    }
    let expected: Vec<u8> = (0..count).collect();
    assert_eq!(read_all(&namespace), [(0, expected.clone())]);
    let store = store.restart();
    assert_eq!(read_all(&store.namespace("orders")), [(0, expected)]);
}

#[test]
fn a_patch_is_seen_only_at_the_level_it_was_asked_at() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_with(&namespace, b"old", 0, "t");
    // The first change of all begins a segment, which is synced.
    patch(&namespace, 0, At::Byte(0), b"one").unwrap();
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let patched = patch_work(&namespace, 0, At::Byte(0), b"two", Durability::Synced, None);
    let erased = log(&namespace).submit(|reply| {
        let request = EraseRequest { offset: 0, if_match: None };
        Work::Erase { request, durability: Durability::Written, reply }
    });
    assert_eq!(read_all(&namespace), [(0, b"one".to_vec())]);
    drop(gate);
    patched.blocking_recv().unwrap().unwrap();
    erased.blocking_recv().unwrap().unwrap();
    assert_eq!(read_all(&namespace), []);
}

#[test]
fn an_erased_record_is_gone_from_every_file_and_nothing_else_is() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, b"first", 0, "public");
    let erased = append_with(&namespace, b"SECRET-BODY", 40, "SECRET-TAG");
    append_with(&namespace, b"last", 40, "public");
    patch(&namespace, erased, At::Byte(20), b"SECRET-PATCH").unwrap();
    patch(&namespace, 2, At::End, b" of all").unwrap();
    roll(&namespace);
    // A whole payload drops the patches before it from what is kept in memory, but not from the files.
    patch(&namespace, erased, At::Byte(0), &[b"SECRET-WHOLE".as_slice(), &[b'.'; 28]].concat()).unwrap();
    roll(&namespace);
    append_with(&namespace, b"later", 0, "public");
    let secrets: [&[u8]; 4] = [b"SECRET-BODY", b"SECRET-TAG", b"SECRET-PATCH", b"SECRET-WHOLE"];
    assert!(secrets.iter().all(|secret| occurrences(&store, secret) > 0));
    erase(&namespace, erased).unwrap();
    erase(&namespace, erased).unwrap();
    let expected = vec![(0, b"first".to_vec()), (2, b"last of all".to_vec()), (3, b"later".to_vec())];
    assert_eq!(read_all(&namespace), expected, "hidden at once");
    assert_eq!(patch(&namespace, erased, At::End, b"x"), Err("erased".to_owned()));
    // Who reads while the files are replaced sees what it has begun to read.
    let within = Duration::from_secs(86_400);
    log(&namespace).carry_out_erasures(within, Timestamp::now());
    assert!(occurrences(&store, b"SECRET-BODY") > 0, "not due yet");
    let half_a_day = Timestamp(Timestamp::now().0 + 43_200_000_000);
    (0..50).for_each(|_| log(&namespace).carry_out_erasures(within, half_a_day));
    log(&namespace).tend(Timestamp::now());
    assert_eq!(secrets.map(|secret| occurrences(&store, secret)), [0; 4]);
    assert_eq!(log(&namespace).target(erased).unwrap(), Some(Target::Erased));
    assert_eq!(read_all(&namespace), expected);
    assert_eq!(faults(&store), Vec::<std::path::PathBuf>::new());
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read_all(&namespace), expected);
    // Its reservation keeps its place in rochefort's file.
    let file = crate::dialects::rochefort::file::File::new(name("orders"), Arc::clone(log(&namespace)));
    let addresses = [0, 25, 25 + 60, 25 + 60 + 60];
    let read = addresses.map(|address| file.read(address).map_err(|error| error.to_string()));
    assert_eq!(read, [Ok("first".into()), Err("EOF".to_owned()), Ok("last of all".into()), Ok("later".into())]);
}

#[test]
fn a_reader_with_the_old_file_open_does_not_see_what_was_erased() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    (0..3).for_each(|_| {
        append_with(&namespace, b"record", 0, "t");
    });
    erase(&namespace, 2).unwrap();
    let mut offsets = Vec::new();
    let reading = log(&namespace).read(Range { from: 0, until: 3 }, |record| {
        // All of it happens while the first record is looked at.
        if offsets.is_empty() {
            carry_out(&namespace);
        }
        offsets.push(record.offset);
        Flow::Continue
    });
    assert_eq!((reading.unwrap().damaged_until, offsets), (None, vec![0, 1]));
    carry_out(&namespace);
    assert_eq!(read_all(&namespace).len(), 2);
}

#[test]
fn what_is_appended_after_a_first_change_that_found_no_descriptor_is_there_after_a_crash() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    log(&namespace).seal().unwrap();
    store.disk.faults.no_files_after_rename.store(true, Ordering::SeqCst);
    assert_eq!(patch(&namespace, 0, At::Byte(0), b"R"), Err("overloaded".to_owned()));
    store.disk.faults.opens_that_fail.store(0, Ordering::SeqCst);
    append_numbered(&namespace, 1..3);
    drop(namespace);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read_all(&namespace), numbered(0..3));
    patch(&namespace, 0, At::Byte(0), b"R").unwrap();
    assert_eq!(read_all(&namespace)[0].1, b"Record 0");
}

#[test]
fn a_read_does_not_see_what_records_were_before_they_were_changed_when_they_are_dropped_meanwhile() {
    for newest_first in [false, true] {
        let store = Store::new();
        let namespace = store.configured("orders", rolling());
        (0..4).for_each(|_| {
            append_with(&namespace, b"SECRET", 0, "t");
        });
        patch(&namespace, 1, At::Byte(0), b"public").unwrap();
        erase(&namespace, 2).unwrap();
        roll(&namespace);
        let mut seen = Vec::new();
        let sink = |record: &crate::log::cursor::LogRecord<'_>| {
            if seen.is_empty() {
                let work = |reply| Work::Trim { before: 4, reply };
                log(&namespace).submit(work).blocking_recv().unwrap().unwrap();
                log(&namespace).drop_segments(Timestamp::now());
            }
            seen.push(record.offset);
            Flow::Continue
        };
        let range = Range { from: 0, until: 4 };
        if newest_first {
            let ended = log(&namespace).read_backward(range, sink).unwrap();
            assert_eq!((seen, ended.next, ended.damaged_from, ended.is_trimmed), (vec![3], 3, None, true));
        } else {
            let ended = log(&namespace).read(range, sink).unwrap();
            assert_eq!((seen, ended.next, ended.damaged_until, ended.begins_at), (vec![0], 1, None, Some(4)));
        }
        assert_eq!(log(&namespace).holes(), []);
    }
}

#[test]
fn a_rewrite_without_room_leaves_everything_as_it_was_and_is_tried_again() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, b"SECRET", 0, "t");
    append_with(&namespace, b"kept", 0, "t");
    erase(&namespace, 0).unwrap();
    roll(&namespace);
    store.disk.faults.room.store(100, Ordering::SeqCst);
    let now = Timestamp::now();
    log(&namespace).carry_out_erasures(Duration::ZERO, now);
    assert_eq!(occurrences(&store, b"SECRET"), 1);
    let names = |store: &Store| (&store.disk as &dyn Disk).list(&store.dir.path().join("root/ns/orders/0")).unwrap();
    assert!(names(&store).iter().all(|name| !name.ends_with(".tmp")));
    assert_eq!(read_all(&namespace), [(1, b"kept".to_vec())]);
    store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
    log(&namespace).carry_out_erasures(Duration::ZERO, now);
    assert_eq!(occurrences(&store, b"SECRET"), 1, "a pause first");
    let later = Timestamp(now.0 + 61_000_000);
    (0..5).for_each(|_| log(&namespace).carry_out_erasures(Duration::ZERO, later));
    assert_eq!(occurrences(&store, b"SECRET"), 0);
    assert_eq!(read_all(&namespace), [(1, b"kept".to_vec())]);
}

#[test]
fn an_erased_record_in_a_frame_that_is_damaged_elsewhere_goes_too() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append(&namespace, &[b"damaged", b"SECRET", b"kept"]).unwrap();
    erase(&namespace, 1).unwrap();
    roll(&namespace);
    let path = store.segments()[0].clone();
    let mut bytes = store.read_file(&path);
    let at = bytes.windows(7).position(|window| window == b"damaged").unwrap();
    bytes[at] ^= 1;
    // In place: the store has the file open.
    let file = (&store.disk as &dyn Disk).open(&path, crate::disk::Open::Write).unwrap();
    file.write_all_at(&mut [std::io::IoSlice::new(&bytes)], 0).unwrap();
    carry_out(&namespace);
    assert_eq!(occurrences(&store, b"SECRET"), 0);
    assert_eq!(read(&namespace, 1), (vec![(2, b"kept".to_vec())], None));
}

#[test]
fn a_segment_holds_at_least_as_much_as_its_snapshot() {
    let store = Store::new();
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
    let namespace = store.configured("orders", NamespaceConfig { rotation, ..NamespaceConfig::default() });
    let records = vec![&b"0123456789"[..]; 2000];
    append(&namespace, &records).unwrap();
    for offset in 0..2000 {
        assert_eq!(patch(&namespace, offset, At::Byte(0), b"x"), Ok(10));
    }
    let bytes: usize = store.segments().iter().map(|path| store.read_file(path).len()).sum();
    // A frame of 152 bytes for each patch, and no more than that for the snapshots.
    let frames = 64 * 1024 + 2000 * 152;
    assert!(store.segments().len() < 12 && bytes < 2 * frames, "{} segments, {bytes} bytes", store.segments().len());
    // Nor does each start begin one.
    let (before, store) = (store.segments().len(), store.restart());
    assert_eq!(patch(&store.namespace("orders"), 0, At::Byte(0), b"y"), Ok(10));
    assert_eq!(store.segments().len(), before);
}

#[test]
fn patches_end_with_their_records_and_not_before() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    append_with(&namespace, &[b'a'; 60_000], 0, "t");
    append_with(&namespace, &[b'b'; 60_000], 0, "t");
    append_with(&namespace, b"c", 0, "t");
    patch(&namespace, 0, At::Byte(0), b"A").unwrap();
    patch(&namespace, 1, At::Byte(0), b"B").unwrap();
    log(&namespace).submit(|reply| Work::Trim { before: 1, reply }).blocking_recv().unwrap().unwrap();
    log(&namespace).drop_segments(Timestamp::now());
    assert_eq!(log(&namespace).describe().start, 1);
    for stop in [false, true] {
        if stop {
            store.engine.stop();
        }
        let store = Store::start(store.disk.clone(), Arc::clone(&copy_of(&store)), StoreConfig::default());
        let namespace = store.namespace("orders");
        let records = read_all(&namespace);
        assert_eq!((records[0].0, records[0].1[0], records[1].1.as_slice()), (1, b'B', &b"c"[..]));
        assert_eq!(patch(&namespace, 2, At::Byte(0), b"C"), Ok(1));
    }
}

/// Flips a bit in a file that a store may have open.
fn flip(store: &Store, path: &std::path::Path, at: usize) {
    let file = (&store.disk as &dyn Disk).open(path, crate::disk::Open::Write).unwrap();
    let mut byte = [0];
    file.read_full_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&mut [std::io::IoSlice::new(&[byte[0] ^ 1])], at as u64).unwrap();
}

/// Two records, a patch of the first one, and a record behind it.
fn with_a_patch() -> (Store, Arc<Namespace>) {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, b"old", 0, "t");
    append_with(&namespace, b"other", 0, "t");
    patch(&namespace, 0, At::Byte(0), b"new").unwrap();
    append_with(&namespace, b"behind", 0, "t");
    (store, namespace)
}

#[test]
fn a_record_whose_patch_is_damaged_is_not_served_as_it_was_before() {
    let (store, namespace) = with_a_patch();
    let path = store.segments()[1].clone();
    let (at, len) = frame_of(&store.read_file(&path), Kind::Patch);
    flip(&store, &path, at + len - 16);
    assert_eq!(read(&namespace, 0), (vec![], Some((0, 1))), "while it runs");
    let backward = log(&namespace).read_backward(Range { from: 0, until: 3 }, |_| Flow::Continue).unwrap();
    assert_eq!((backward.damaged_from, backward.next), (Some(0), 1));
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 0), (vec![], Some((0, 1))), "after a start that has met the damage");
    let behind = vec![(1, b"other".to_vec()), (2, b"behind".to_vec())];
    assert_eq!(read(&namespace, 1), (behind.clone(), None), "the patch's first record says whose it was");
    assert_eq!(patch(&namespace, 0, At::Byte(1), b"x"), Err("damaged".to_owned()));
    assert_eq!(patch(&namespace, 0, At::Byte(0), b"now"), Ok(3));
    assert_eq!(read_all(&namespace), [vec![(0, b"now".to_vec())], behind].concat());
}

#[test]
fn where_lost_frames_may_have_changed_any_record_none_before_them_is_served() {
    let (store, _) = with_a_patch();
    let path = store.segments()[1].clone();
    let (at, _) = frame_of(&store.read_file(&path), Kind::Patch);
    flip(&store, &path, at + 20);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 0), (vec![], Some((0, 1))));
    assert_eq!(read(&namespace, 1), (vec![], Some((1, 2))));
    assert_eq!(read(&namespace, 2), (vec![(2, b"behind".to_vec())], None));
    // The doubt lasts, and ends record by record.
    erase(&namespace, 1).unwrap();
    patch(&namespace, 0, At::Byte(0), b"now").unwrap();
    roll(&namespace);
    let store = store.restart();
    assert_eq!(read_all(&store.namespace("orders")), [(0, b"now".to_vec()), (2, b"behind".to_vec())]);
}

/// What a sector is that has never reached the disk, from this place to its end.
fn lose_sector(store: &Store, path: &std::path::Path, at: usize) {
    let mut bytes = store.read_file(path);
    let end = (at / 512 + 1) * 512;
    bytes[at..end].fill(0);
    store.write_file(path, &bytes);
}

/// Two records of 2,000 bytes, a patch of the first one over several sectors, and a record behind it.
fn with_a_large_patch() -> (Store, Arc<Namespace>) {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, &[b'a'; 2000], 0, "t");
    append_with(&namespace, &[b'b'; 2000], 0, "t");
    patch(&namespace, 0, At::Byte(0), &[b'p'; 1500]).unwrap();
    append_with(&namespace, &[b'd'; 600], 0, "t");
    (store, namespace)
}

#[test]
fn a_patch_that_never_reached_the_disk_was_not_made_and_casts_no_doubt() {
    let starts_at = |at: usize, _len: usize| at;
    let last_sector = |at: usize, len: usize| (at + len - 1) / 512 * 512;
    for lost in [starts_at, last_sector] {
        let (store, namespace) = with_a_large_patch();
        let path = store.segments()[1].clone();
        let (at, len) = frame_of(&store.read_file(&path), Kind::Patch);
        let last = append_with(&namespace, &[b'l'; 1000], 0, "t");
        patch(&namespace, 1, At::Byte(0), b"later").unwrap();
        lose_sector(&store, &path, lost(at, len));
        let store = store.restart();
        let namespace = store.namespace("orders");
        assert_eq!(read(&namespace, 0).0[0], (0, vec![b'a'; 2000]));
        assert_eq!(read(&namespace, 1), (vec![], Some((1, 2))), "the lost patch may have been of this record");
        assert_eq!(read(&namespace, last), (vec![(last, vec![b'l'; 1000])], None));
        // What comes now is of the record as it is shown.
        assert_eq!(patch(&namespace, 0, At::Byte(0), b"now"), Ok(2000));
        assert_eq!(patch(&namespace, 1, At::Byte(0), &[b'c'; 2000]), Ok(2000));
        let store = store.restart();
        let namespace = store.namespace("orders");
        assert_eq!(read(&namespace, 0).0[0].1[..4], *b"nowa");
        assert_eq!(read(&namespace, 1).0[0].1, [b'c'; 2000]);
    }
}

#[test]
fn a_last_patch_that_never_reached_the_disk_is_a_torn_tail() {
    let (store, namespace) = with_a_large_patch();
    roll(&namespace);
    patch(&namespace, 1, At::Byte(0), &[b'q'; 1500]).unwrap();
    let path = store.segments().last().unwrap().clone();
    let (at, len) = frame_of(&store.read_file(&path), Kind::Patch);
    let mut bytes = store.read_file(&path);
    bytes[(at + len - 1) / 512 * 512..].fill(0);
    store.write_file(&path, &bytes);
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read(&namespace, 1).0[0], (1, vec![b'b'; 2000]));
    assert_eq!(patch(&namespace, 1, At::Byte(0), b"now"), Ok(2000));
}

#[test]
fn lost_records_cast_no_doubt_on_others() {
    let store = Store::new();
    let namespace = store.configured("orders", rolling());
    append_with(&namespace, b"zero", 0, "t");
    patch(&namespace, 0, At::Byte(0), b"Z").unwrap();
    append_with(&namespace, b"lost", 0, "t");
    append_with(&namespace, b"two", 0, "t");
    let path = store.segments()[1].clone();
    let bytes = store.read_file(&path);
    let lost = bytes.windows(4).position(|window| window == b"lost").unwrap();
    // Of a frame's header: that one frame with one offset is missing says that it was no patch.
    let header = (0..lost).rev().find(|at| bytes[*at..].starts_with(b"LSFR")).unwrap();
    for at in [lost, header + 20] {
        let copy = Store::start(FaultyDisk::default(), copy_of(&store), StoreConfig::default());
        drop(copy.engine);
        flip(&store, &path, at);
        let copy = Store::start(FaultyDisk::default(), copy_of(&store), StoreConfig::default());
        flip(&store, &path, at);
        let namespace = copy.namespace("orders");
        assert_eq!(read(&namespace, 0), (vec![(0, b"Zero".to_vec())], Some((1, 2))));
        assert_eq!(read(&namespace, 2), (vec![(2, b"two".to_vec())], None));
    }
}

#[test]
fn a_log_without_changes_doubts_nothing() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    log(&namespace).submit(|reply| Work::Trim { before: 1, reply }).blocking_recv().unwrap().unwrap();
    append_numbered(&namespace, 3..4);
    let path = store.segments()[0].clone();
    let (at, _) = frame_of(&store.read_file(&path), Kind::Trim);
    flip(&store, &path, at + 20);
    let store = store.restart();
    assert_eq!(read_all(&store.namespace("orders")), numbered(0..4));
}

#[derive(Clone, Debug)]
enum Act {
    Append { lens: Vec<usize>, alloc: u64 },
    Patch { which: prop::sample::Index, at: Option<u64>, len: usize },
    Erase(prop::sample::Index),
    Trim(prop::sample::Index),
    Roll,
    CarryOut,
    Restart { orderly: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (proptest::collection::vec(0..200_usize, 1..4), 0..300_u64)
            .prop_map(|(lens, alloc)| Act::Append { lens, alloc }),
        8 => (index(), proptest::option::of(0..250_u64), 0..60_usize)
            .prop_map(|(which, at, len)| Act::Patch { which, at, len }),
        2 => index().prop_map(Act::Erase),
        1 => index().prop_map(Act::Trim),
        2 => Just(Act::Roll),
        2 => Just(Act::CarryOut),
        1 => any::<bool>().prop_map(|orderly| Act::Restart { orderly }),
    ]
}

/// What the log should hold: payload and reservation of each record that is there.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, (Vec<u8>, usize)>,
    start: u64,
    end: u64,
    /// Each byte that is written is another one, as far as there are so many.
    bytes: u8,
}

impl Model {
    fn fill(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| {
                self.bytes = self.bytes.wrapping_add(1).max(1);
                self.bytes
            })
            .collect()
    }

    fn patch(&mut self, namespace: &Namespace, offset: u64, at: Option<u64>, len: usize) {
        let bytes = self.fill(len);
        let Some((payload, alloc)) = self.records.get_mut(&offset) else { return };
        let position = at.map_or(payload.len(), |at| usize::try_from(at).unwrap());
        let answer = patch(namespace, offset, at.map_or(At::End, At::Byte), &bytes);
        if position + len > *alloc {
            assert_eq!(answer, Err("reservation_exceeded".to_owned()));
            return;
        }
        payload.resize(payload.len().max(position + len), 0);
        payload[position..position + len].copy_from_slice(&bytes);
        assert_eq!(answer, Ok(u32::try_from(payload.len()).unwrap()));
    }

    fn check(&self, namespace: &Namespace) {
        let expected: Records = self.records.iter().map(|(offset, (payload, _))| (*offset, payload.clone())).collect();
        assert_eq!(read_all(namespace), expected);
        let mut backward = Vec::new();
        let ended = log(namespace).read_backward(Range { from: self.start, until: self.end }, |record| {
            backward.push((record.offset, record.data().to_vec()));
            Flow::Continue
        });
        assert_eq!(ended.unwrap().damaged_from, None);
        backward.reverse();
        assert_eq!(backward, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_what_a_list_of_records_would_be(acts in proptest::collection::vec(act(), 1..50)) {
        let mut store = Store::new();
        store.configured("orders", rolling());
        let mut model = Model::default();
        for act in acts {
            let namespace = store.namespace("orders");
            match act {
                Act::Append { lens, alloc } => {
                    let records: Vec<Vec<u8>> = lens.iter().map(|len| model.fill(*len)).collect();
                    let mut batch = Batch::new(None, namespace.salt(), 0);
                    for record in &records {
                        batch.push(record, Attributes { alloc: Some(alloc), ..Attributes::default() }).unwrap();
                    }
                    let draft = batch.finish().unwrap().draft;
                    let work = |reply| Work::Append { draft, producer: None, expect_offset: None, durability: Durability::Written, reply };
                    log(&namespace).submit(work).blocking_recv().unwrap().unwrap();
                    for record in records {
                        let alloc = record.len().max(usize::try_from(alloc).unwrap());
                        model.records.insert(model.end, (record, alloc));
                        model.end += 1;
                    }
                }
                Act::Patch { which, at, len } if model.end > 0 => {
                    model.patch(&namespace, which.index(usize::try_from(model.end).unwrap()) as u64, at, len);
                }
                Act::Erase(which) if model.end > model.start => {
                    let offset = model.start + which.index(usize::try_from(model.end - model.start).unwrap()) as u64;
                    if log(&namespace).target(offset).unwrap() != Some(Target::Erased) {
                        prop_assert_eq!(erase(&namespace, offset), Ok(()));
                    }
                    model.records.remove(&offset);
                }
                Act::Trim(which) => {
                    let before = which.index(usize::try_from(model.end).unwrap() + 1) as u64;
                    let trim = |reply| Work::Trim { before, reply };
                    log(&namespace).submit(trim).blocking_recv().unwrap().unwrap();
                    log(&namespace).drop_segments(Timestamp::now());
                    model.start = model.start.max(before);
                    model.records = model.records.split_off(&model.start);
                }
                Act::Roll => roll(&namespace),
                Act::CarryOut => carry_out(&namespace),
                Act::Restart { orderly } => {
                    drop(namespace);
                    if orderly {
                        store.engine.stop();
                    }
                    store = store.restart();
                }
                Act::Patch { .. } | Act::Erase(_) => {}
            }
            model.check(&store.namespace("orders"));
        }
        prop_assert_eq!(faults(&store), Vec::<std::path::PathBuf>::new());
    }
}
