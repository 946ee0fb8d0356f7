mod change;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use logstore_api::config::StoreConfig;
use logstore_api::namespace::{Internal, Ownership, PutNamespace, Rotation, WhenRemoved};
use logstore_api::{Code, Durability, NamespaceConfig, NamespaceName, Problem};
use uuid::Uuid;

use super::batch::{Attributes, Batch};
use super::namespace::Namespace;
use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::log::read::{Flow, Range};
use crate::log::work::{Done, What, Work};

mod room;

/// A store on real files, with faults to switch on. Stopping it is the test's matter: a drop is a crash of the process.
struct Store {
    engine: Arc<Engine>,
    disk: FaultyDisk,
    dir: Arc<tempfile::TempDir>,
}

impl Store {
    fn new() -> Self {
        Self::start(FaultyDisk::default(), Arc::new(tempfile::tempdir().unwrap()), StoreConfig::default())
    }

    fn start(disk: FaultyDisk, dir: Arc<tempfile::TempDir>, config: StoreConfig) -> Self {
        let engine = Engine::start(Arc::new(disk.clone()), dir.path().join("root"), config).unwrap();
        Self { engine, disk, dir }
    }

    fn restart(self) -> Self {
        let Self { engine, disk, dir } = self;
        let config = engine.config();
        drop(engine);
        Self::start(disk, dir, config)
    }

    fn namespace(&self, name: &str) -> Arc<Namespace> {
        self.engine.get_or_create(&NamespaceName::parse(name).unwrap()).unwrap()
    }

    fn configured(&self, name: &str, config: NamespaceConfig) -> Arc<Namespace> {
        let name = NamespaceName::parse(name).unwrap();
        self.engine.put(&name, PutNamespace { config, internal: None }, false).unwrap().1
    }

    /// Log files of the namespace `orders`, oldest first.
    fn segments(&self) -> Vec<std::path::PathBuf> {
        let dir = self.dir.path().join("root/ns/orders/0");
        let mut names: Vec<_> = (&self.disk as &dyn Disk).list(&dir).unwrap();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    fn read_file(&self, path: &std::path::Path) -> Vec<u8> {
        (&self.disk as &dyn Disk).read(path, usize::MAX).unwrap()
    }

    fn write_file(&self, path: &std::path::Path, bytes: &[u8]) {
        (&self.disk as &dyn Disk).replace(path, bytes).unwrap();
    }

    fn quarantine(&self) -> Vec<Vec<u8>> {
        let dir = self.dir.path().join("root/quarantine");
        let names = (&self.disk as &dyn Disk).list(&dir).unwrap_or_default();
        names.into_iter().map(|name| self.read_file(&dir.join(name))).collect()
    }
}

fn submit(
    namespace: &Namespace,
    records: &[&[u8]],
    level: Durability,
) -> tokio::sync::oneshot::Receiver<Result<Done, Box<Problem>>> {
    let mut batch = Batch::new(None, namespace.salt(), 0);
    for record in records {
        batch.push(record, Attributes::default()).unwrap();
    }
    let ready = batch.finish().unwrap();
    let work = |reply| Work::Append {
        draft: ready.draft,
        producer: ready.producer,
        expect_offset: None,
        durability: level,
        reply,
    };
    namespace.partition(0).unwrap().submit(work)
}

fn append(namespace: &Namespace, records: &[&[u8]]) -> Result<u64, Problem> {
    match submit(namespace, records, Durability::Synced).blocking_recv().unwrap() {
        Ok(Done { what: What::Appended { offset, .. }, .. }) => Ok(offset.unwrap()),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(*problem),
    }
}

fn read_all(namespace: &Namespace) -> Vec<(u64, Vec<u8>)> {
    let (records, damaged) = read(namespace, 0);
    assert_eq!(damaged, None);
    records
}

type Records = Vec<(u64, Vec<u8>)>;
type Damaged = Option<(u64, u64)>;

/// Records from an offset on, and the hole that ended them.
fn read(namespace: &Namespace, from: u64) -> (Records, Damaged) {
    let partition = namespace.partition(0).unwrap();
    let published = *partition.published().borrow();
    let mut records = Vec::new();
    let range = Range { from: from.max(published.start), until: published.end };
    let ended = partition
        .read(range, |record| {
            records.push((record.offset, record.data().to_vec()));
            Flow::Continue
        })
        .unwrap();
    (records, ended.damaged_until.map(|until| (ended.next, until)))
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(|number| (number, format!("record {number}").into_bytes())).collect()
}

fn append_numbered(namespace: &Namespace, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(append(namespace, &[format!("record {number}").as_bytes()]), Ok(number));
    }
}

fn small_segments() -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
    NamespaceConfig { rotation, ..NamespaceConfig::default() }
}

#[test]
fn records_are_there_after_a_crash_and_after_an_orderly_stop() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..10);
    let store = store.restart();
    assert_eq!(read_all(&store.namespace("orders")), numbered(0..10));
    append_numbered(&store.namespace("orders"), 10..20);
    store.engine.stop();
    let store = store.restart();
    append_numbered(&store.namespace("orders"), 20..25);
    assert_eq!(read_all(&store.namespace("orders")), numbered(0..25));
}

#[test]
fn an_orderly_stop_is_trusted_only_where_it_fits_the_files() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..10);
    store.engine.stop();
    let path = store.segments()[0].clone();
    // The file is cut after the mark was written: the mark must not hide that.
    let bytes = store.read_file(&path);
    store.write_file(&path, &bytes[..bytes.len() - 200]);
    let store = store.restart();
    let namespace = store.namespace("orders");
    let (left, hole) = read(&namespace, 0);
    let count = left.len() as u64;
    assert!(count < 10 && left == numbered(0..count), "{left:?}");
    assert_eq!(hole, Some((count, 10)), "the mark has told that they were there");
    assert_eq!(append(&namespace, &[b"next"]), Ok(10));
}

#[test]
fn what_was_written_behind_an_orderly_stop_is_not_passed_over() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..10);
    store.engine.stop();
    let path = store.segments()[0].clone();
    let mut bytes = store.read_file(&path);
    bytes.extend_from_slice(b"something that came later");
    store.write_file(&path, &bytes);
    let store = store.restart();
    append_numbered(&store.namespace("orders"), 10..12);
    assert_eq!(store.quarantine(), [b"something that came later"]);
    assert_eq!(read_all(&store.restart().namespace("orders")), numbered(0..12));
}

#[test]
fn segments_roll_and_reads_cross_them() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    let payload = vec![7; 9_000];
    for number in 0..40 {
        assert_eq!(append(&namespace, &[&payload, b"small"]), Ok(number * 2));
    }
    assert!(store.segments().len() > 5, "{:?}", store.segments());
    for store in [store.restart()] {
        let namespace = store.namespace("orders");
        let records = read_all(&namespace);
        assert_eq!(records.len(), 80);
        assert!(records.iter().all(|(offset, data)| data.len() == if offset % 2 == 0 { 9_000 } else { 5 }));
        for from in 0..80 {
            assert_eq!(read(&namespace, from).0.first().map(|(offset, _)| *offset), Some(from));
        }
    }
}

#[test]
fn a_segment_is_on_the_disk_before_the_next_one_has_its_name() {
    use crate::disk::faulty::Event;
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    for _ in 0..20 {
        submit(&namespace, &[&[7; 9_000]], Durability::Written).blocking_recv().unwrap().unwrap();
    }
    let events = store.disk.faults.events.lock().unwrap().clone();
    let segments = store.segments();
    assert!(segments.len() > 2);
    for pair in segments.windows(2) {
        let named = events.iter().position(|event| *event == Event::Rename(pair[1].clone())).unwrap();
        let (write, sync) = (Event::Write(pair[0].clone()), Event::Sync(pair[0].clone()));
        let last = events[..named].iter().rfind(|event| [&write, &sync].contains(event));
        assert_eq!(last, Some(&sync), "{pair:?}");
        assert!(!events[named..].contains(&write), "nothing is written behind it");
    }
}

#[test]
fn a_torn_last_frame_goes_to_quarantine_and_its_offset_is_given_again() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..3);
    let path = store.segments()[0].clone();
    let whole = store.read_file(&path);
    append_numbered(&store.namespace("orders"), 3..4);
    let longer = store.read_file(&path);
    for cut in whole.len() + 1..longer.len() {
        store.write_file(&path, &longer[..cut]);
        let again = Store::start(store.disk.clone(), copy_of(&store), StoreConfig::default());
        let namespace = again.namespace("orders");
        assert_eq!(read_all(&namespace), numbered(0..3), "cut at {cut}");
        assert_eq!(again.quarantine(), [longer[whole.len()..cut].to_vec()]);
        append_numbered(&namespace, 3..5);
        assert_eq!(read_all(&again.restart().namespace("orders")), numbered(0..5));
    }
}

/// The files of a store that still runs, elsewhere.
fn copy_of(store: &Store) -> Arc<tempfile::TempDir> {
    let copy = tempfile::tempdir().unwrap();
    let from = store.dir.path().join("root");
    let status = std::process::Command::new("cp").arg("-r").arg(&from).arg(copy.path()).status().unwrap();
    assert!(status.success());
    Arc::new(copy)
}

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

#[test]
fn a_full_disk_refuses_appends_and_nothing_else() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    let payload = vec![7; 30_000];
    (0..5).for_each(|_| {
        append(&namespace, &[&payload]).unwrap();
    });
    for room in [0, 10, 100] {
        store.disk.faults.room.store(room, Ordering::SeqCst);
        assert_eq!(append(&namespace, &[b"no room", b"no room"]).unwrap_err().code, "disk_full", "{room} bytes");
        assert_eq!(read_all(&namespace).len(), 5);
    }
    store.disk.faults.room.store(1_000, Ordering::SeqCst);
    let partition = namespace.partition(0).unwrap();
    let trimmed = partition.submit(|reply| Work::Trim { before: 3, reply }).blocking_recv().unwrap().unwrap();
    assert_eq!(trimmed.what, What::Trimmed { start: 3 });
    let before = store.segments().len();
    partition.drop_segments(logstore_api::Timestamp::now());
    assert!(store.segments().len() < before);
    store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"room again"]), Ok(5));
    let store = store.restart();
    let left: Vec<u64> = read_all(&store.namespace("orders")).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(left, [3, 4, 5]);
}

#[test]
fn a_failed_sync_is_final_until_a_restart() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    store.disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 3"]).unwrap_err().code, "outcome_unknown");
    store.disk.faults.sync_fails.store(false, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 4"]).unwrap_err().code, "frozen", "not as if nothing happened");
    assert_eq!(read_all(&namespace), numbered(0..3), "what was not acknowledged is not shown");
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read_all(&namespace), numbered(0..4), "it was in the page cache all along");
    append_numbered(&namespace, 4..6);
}

#[test]
fn a_failed_write_that_cannot_be_taken_back_freezes_the_log() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    store.disk.faults.room.store(10, Ordering::SeqCst);
    store.disk.faults.truncate_fails.store(true, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"lost"]).unwrap_err().code, "outcome_unknown");
    store.disk.faults.truncate_fails.store(false, Ordering::SeqCst);
    store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[b"record 3"]).unwrap_err().code, "frozen");
    let store = store.restart();
    append_numbered(&store.namespace("orders"), 3..5);
    assert_eq!(read_all(&store.namespace("orders")), numbered(0..5));
}

#[test]
fn nothing_is_acknowledged_or_shown_before_its_sync_and_one_sync_serves_many() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    let before = store.disk.faults.syncs.load(Ordering::SeqCst);
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let mut waiting: Vec<_> = (0..50).map(|_| submit(&namespace, &[b"x"], Durability::Synced)).collect();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_err()));
    let published = *namespace.partition(0).unwrap().published().borrow();
    assert_eq!((published.end, published.durable_end), (1, 1));
    drop(gate);
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    let syncs = store.disk.faults.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 3, "{syncs} syncs for 50 appends");
}

#[test]
fn written_is_acknowledged_without_a_sync_and_synced_in_the_background() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let done = submit(&namespace, &[b"x"], Durability::Written).blocking_recv().unwrap().unwrap();
    assert_eq!((done.end, done.durable_end), (2, 1));
    drop(gate);
    let partition = namespace.partition(0).unwrap();
    let mut published = partition.published();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while published.borrow_and_update().durable_end < 2 {
        assert!(std::time::Instant::now() < until, "the background sync never came");
        // As housekeeping does it, again and again: while a sync runs, none begins.
        partition.sync_in_background();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn producers_are_remembered_across_segments_and_restarts() {
    use logstore_api::frame::Producer;
    let send = |namespace: &Namespace, seq: u64, record: &[u8]| {
        let producer = Some(Producer { id: 9, seq, epoch: 1 });
        let mut batch = Batch::new(producer, namespace.salt(), 0);
        batch.push(record, Attributes::default()).unwrap();
        let ready = batch.finish().unwrap();
        let work = |reply| Work::Append {
            draft: ready.draft,
            producer,
            expect_offset: None,
            durability: Durability::Synced,
            reply,
        };
        match namespace.partition(0).unwrap().submit(work).blocking_recv().unwrap() {
            Ok(Done { what: What::Appended { offset, duplicate, .. }, .. }) => Ok((offset, duplicate)),
            Ok(other) => panic!("{other:?}"),
            Err(problem) => Err(problem.code),
        }
    };
    let mut store = Store::new();
    store.configured("orders", small_segments());
    let payload = vec![1; 30_000];
    for seq in 0..10 {
        assert_eq!(send(&store.namespace("orders"), seq, &payload), Ok((Some(seq), false)));
    }
    assert!(store.segments().len() > 3);
    for stop in [false, true] {
        if stop {
            store.engine.stop();
        }
        store = store.restart();
        let namespace = store.namespace("orders");
        assert_eq!(send(&namespace, 3, &payload), Ok((Some(3), true)));
        assert_eq!(send(&namespace, 3, b"other"), Err("identity_conflict".to_owned()));
        assert_eq!(send(&namespace, 11, b"gap"), Err("sequence_gap".to_owned()));
    }
    assert_eq!(read_all(&store.namespace("orders")).len(), 10);
}

#[test]
fn retention_drops_old_segments_and_keeps_the_numbers() {
    let store = Store::new();
    let config = NamespaceConfig {
        retention: logstore_api::namespace::Retention { max_bytes: Some(128 * 1024), max_age_seconds: None },
        ..small_segments()
    };
    let namespace = store.configured("orders", config);
    let payload = vec![7; 30_000];
    (0..20).for_each(|_| {
        append(&namespace, &[&payload]).unwrap();
    });
    let partition = namespace.partition(0).unwrap();
    partition.tend(logstore_api::Timestamp::now());
    let info = partition.describe();
    assert!(info.bytes <= 128 * 1024 && info.start > 10 && info.end == 20, "{info:?}");
    let store = store.restart();
    assert_eq!(store.namespace("orders").partition(0).unwrap().describe(), info);
    assert_eq!(append(&store.namespace("orders"), &[b"next"]), Ok(20));
}

#[test]
fn a_quiet_namespace_expires_by_age() {
    let store = Store::new();
    let retention = logstore_api::namespace::Retention { max_age_seconds: Some(5), max_bytes: None };
    let namespace = store.configured("orders", NamespaceConfig { retention, ..NamespaceConfig::default() });
    append_numbered(&namespace, 0..3);
    let partition = namespace.partition(0).unwrap();
    let now = logstore_api::Timestamp::now();
    partition.tend(logstore_api::Timestamp(now.0 + 4_000_000));
    assert_eq!(partition.describe().start, 0);
    partition.tend(logstore_api::Timestamp(now.0 + 7_000_000));
    assert_eq!((partition.describe().start, partition.describe().end), (3, 3));
    assert_eq!(append(&namespace, &[b"next"]), Ok(3));
}

#[test]
fn a_trim_of_everything_frees_the_active_segment() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    (0..10).for_each(|_| {
        append(&namespace, &[&[7; 30_000]]).unwrap();
    });
    let partition = namespace.partition(0).unwrap();
    partition.submit(|reply| Work::Trim { before: 10, reply }).blocking_recv().unwrap().unwrap();
    partition.drop_segments(logstore_api::Timestamp::now());
    let info = partition.describe();
    assert!(info.bytes < 10_000 && info.start == 10 && info.end == 10, "{info:?}");
    let beyond = partition.submit(|reply| Work::Trim { before: 11, reply }).blocking_recv().unwrap().unwrap_err();
    assert_eq!(beyond.code, "beyond_end");
    let store = store.restart();
    assert_eq!(append(&store.namespace("orders"), &[b"next"]), Ok(10));
}

#[test]
fn sealed_segments_have_side_files_and_do_without_them() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    (0..20).for_each(|_| {
        append(&namespace, &[&[7; 9_000]]).unwrap();
    });
    namespace.partition(0).unwrap().tend(logstore_api::Timestamp::now());
    let first = store.segments()[0].clone();
    for extension in ["idx", "seal"] {
        let side = first.with_extension(extension);
        let mut bytes = store.read_file(&side);
        bytes[3] ^= 1;
        store.write_file(&side, &bytes);
    }
    let store = store.restart();
    assert_eq!(read_all(&store.namespace("orders")).len(), 20);
    for extension in ["idx", "seal"] {
        (&store.disk as &dyn Disk).remove_file(&first.with_extension(extension)).unwrap();
    }
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(read_all(&namespace).len(), 20);
    namespace.partition(0).unwrap().tend(logstore_api::Timestamp::now());
    assert!(!store.read_file(&first.with_extension("seal")).is_empty());
}

#[test]
fn names_live_and_die_and_nothing_comes_back() {
    let store = Store::new();
    for name in ["a/b", "..a", "A", "a", "\u{1f600}"] {
        append(&store.namespace(name), &[name.as_bytes()]).unwrap();
    }
    let store = store.restart();
    for name in ["a/b", "..a", "A", "a", "\u{1f600}"] {
        assert_eq!(read_all(&store.namespace(name)), [(0, name.as_bytes().to_vec())]);
    }
    let name = NamespaceName::parse("a/b").unwrap();
    let incarnation = store.engine.get(&name).unwrap().incarnation();
    assert_eq!(store.engine.delete(&name, Some(Uuid::nil())).unwrap_err().code, "precondition_failed");
    store.engine.delete(&name, Some(incarnation)).unwrap();
    assert!(store.engine.get(&name).unwrap_err().is(Code::NamespaceNotFound));
    let store = store.restart();
    assert!(store.engine.get(&name).is_err());
    assert_eq!(read_all(&store.namespace("a/b")), []);
    let names: Vec<String> =
        store.engine.list("", None, 9).namespaces.into_iter().map(|entry| entry.name.into()).collect();
    assert_eq!(names, ["..a", "A", "a", "a/b", "\u{1f600}"]);
    let page = store.engine.list("a", None, 1);
    assert_eq!((page.namespaces.len(), page.next.as_ref().map(NamespaceName::as_str)), (1, Some("a")));
    assert_eq!(store.engine.list("a", Some("a"), 9).namespaces[0].name.as_str(), "a/b");
}

fn internal(revision: u64, incarnation: u128, salt: Option<u64>) -> PutNamespace {
    let ownership = Ownership { owner: "default/events".into(), revision, when_removed: WhenRemoved::Retain };
    let internal = Internal { ownership, incarnation: Uuid::from_u128(incarnation), salt };
    PutNamespace { config: NamespaceConfig::default(), internal: Some(internal) }
}

#[test]
fn an_empty_incarnation_gives_way_and_one_with_records_does_not() {
    let store = Store::new();
    let name = NamespaceName::parse("orders").unwrap();
    let put = |put: PutNamespace| store.engine.put(&name, put, false).map(|(created, _)| created);
    assert_eq!(put(internal(1, 1, None)).unwrap_err().code, "invalid_argument", "no salt");
    assert_eq!(put(internal(1, 1, Some(5))), Ok(true));
    assert_eq!(put(internal(2, 1, None)), Ok(false));
    assert_eq!(put(internal(1, 1, None)).unwrap_err().code, "config_conflict", "an older revision");
    assert_eq!(put(internal(2, 2, Some(6))), Ok(true), "nothing was appended");
    append(&store.namespace("orders"), &[b"x"]).unwrap();
    let taken = put(internal(3, 3, Some(7))).unwrap_err();
    assert_eq!(
        (taken.code.as_str(), &taken.more["incarnation"]),
        ("namespace_exists", &Uuid::from_u128(2).to_string().into())
    );
}

#[test]
fn a_second_store_on_the_same_root_is_refused_with_its_holder() {
    // The lock of one process is one lock, so the holder is another process here.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let path = root.join("LOCK");
    drop(Store {
        engine: Engine::start(Arc::new(crate::disk::RealDisk), root.clone(), StoreConfig::default()).unwrap(),
        disk: FaultyDisk::default(),
        dir: Arc::new(tempfile::tempdir().unwrap()),
    });
    let mut holder = std::process::Command::new("flock").arg(&path).args(["sleep", "60"]).spawn().unwrap();
    while crate::disk::RealDisk.lock(&path).unwrap().is_some() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let error = Engine::start(Arc::new(crate::disk::RealDisk), root, StoreConfig::default()).unwrap_err();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(
        matches!(&error, StartError::Root(root::RootError::InUse { holder, .. }) if holder.starts_with("pid ")),
        "{error}"
    );
}

#[test]
fn a_root_is_ordered_for_ever_or_never() {
    let store = Store::new();
    let Store { engine, disk, dir } = store;
    drop(engine);
    let ordered = StoreConfig { ordered: true, ..StoreConfig::default() };
    let error = Engine::start(Arc::new(disk), dir.path().join("root"), ordered).unwrap_err();
    assert!(matches!(error, StartError::Ordered { found: false, wanted: true, .. }), "{error}");
}

fn name(name: &str) -> NamespaceName {
    NamespaceName::parse(name).unwrap()
}

/// A handle of a deleted namespace once opened, and cut, the log of the next one of the same name.
#[test]
fn a_handle_of_a_deleted_namespace_touches_nothing_of_the_next() {
    let store = Store::new();
    let (unopened, opened) = (store.namespace("orders"), store.namespace("other"));
    append_numbered(&opened, 0..3);
    for stale in ["orders", "other"] {
        store.engine.delete(&name(stale), None).unwrap();
        append_numbered(&store.namespace(stale), 0..5);
    }
    assert_eq!(unopened.partition(0).unwrap_err().code, "namespace_not_found");
    let old = opened.partition(0).unwrap();
    old.tend(logstore_api::Timestamp(i64::MAX));
    assert_eq!(append(&opened, &[b"x"]).unwrap_err().code, "namespace_not_found");
    let store = store.restart();
    for name in ["orders", "other"] {
        assert_eq!(read_all(&store.namespace(name)), numbered(0..5));
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
fn after_a_failed_sync_everybody_is_answered() {
    use logstore_api::frame::Producer;
    let send = |namespace: &Namespace, seq: u64| {
        let producer = Some(Producer { id: 9, seq, epoch: 1 });
        let mut batch = Batch::new(producer, namespace.salt(), 0);
        batch.push(b"x", Attributes::default()).unwrap();
        let ready = batch.finish().unwrap();
        let work = |reply| Work::Append {
            draft: ready.draft,
            producer,
            expect_offset: None,
            durability: Durability::Synced,
            reply,
        };
        namespace.partition(0).unwrap().submit(work).blocking_recv().unwrap().map_err(|problem| problem.code)
    };
    let store = Store::new();
    let namespace = store.namespace("orders");
    assert!(send(&namespace, 0).is_ok());
    store.disk.faults.sync_fails.store(true, Ordering::SeqCst);
    assert_eq!(send(&namespace, 1), Err("outcome_unknown".to_owned()));
    assert_eq!(send(&namespace, 1), Err("outcome_unknown".to_owned()), "a retry of what is not known");
    assert_eq!(send(&namespace, 7), Err("outcome_unknown".to_owned()), "a refusal that rests on it");
    assert_eq!(send(&namespace, 2), Err("frozen".to_owned()));
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

#[test]
fn an_append_that_finds_its_namespace_being_created_leaves_the_configuration_alone() {
    let store = Store::new();
    for number in 0..40 {
        let name = name(&format!("n{number}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let config = NamespaceConfig { durability: Durability::Written, ..NamespaceConfig::default() };
                store.engine.put(&name, PutNamespace { config, internal: None }, false).unwrap();
            });
            std::thread::sleep(std::time::Duration::from_micros(300));
            store.engine.get_or_create(&name).unwrap();
        });
        assert_eq!(store.engine.get(&name).unwrap().config().durability, Durability::Written);
    }
}

#[test]
fn an_address_that_retention_took_is_eof() {
    let retention = logstore_api::namespace::Retention { max_age_seconds: None, max_bytes: Some(100 * 1024) };
    let store = Store::new();
    let namespace = store.configured("orders", NamespaceConfig { retention, ..small_segments() });
    (0..20).for_each(|_| {
        append(&namespace, &[&[7; 9_000]]).unwrap();
    });
    let partition = namespace.partition(0).unwrap();
    partition.drop_segments(logstore_api::Timestamp::now());
    assert!(partition.describe().start > 0);
    let file = crate::dialects::rochefort::file::File::new(name("orders"), Arc::clone(partition));
    assert_eq!(file.read(100).unwrap_err().to_string(), "EOF");
    assert_eq!(file.read(19 * 9_020).unwrap().len(), 9_000);
}

#[test]
fn a_log_that_syncs_all_the_time_leaves_threads_to_the_others() {
    let store = Store::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let namespace = store.namespace(&format!("hot{}", number % 4));
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    append(&namespace, &[b"x"]).unwrap();
                }
            });
        }
        // Each of these needs a thread of the pool while four logs want all of them.
        (0..20).for_each(|number| {
            append(&store.namespace(&format!("cold{number}")), &[b"x"]).unwrap();
        });
        stop.store(true, Ordering::Relaxed);
    });
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

#[test]
fn what_an_orderly_stop_has_told_and_is_gone_is_a_hole() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    (0..20).for_each(|_| {
        append(&namespace, &[&[7; 9_000]]).unwrap();
    });
    store.engine.stop();
    let last = store.segments().last().unwrap().clone();
    (&store.disk as &dyn Disk).remove_file(&last).unwrap();
    let store = store.restart();
    let namespace = store.namespace("orders");
    assert_eq!(append(&namespace, &[b"next"]), Ok(20), "no offset is given again");
    let (before, hole) = read(&namespace, 0);
    assert_eq!(hole, Some((before.len() as u64, 20)));
    assert_eq!(read(&namespace, 20).0.len(), 1);
}

#[test]
fn of_two_fences_the_higher_stays_in_force_in_whatever_order_they_arrive() {
    use logstore_api::fence::Reign;
    let store = Store::new();
    let namespace = store.namespace("orders");
    let partition = namespace.partition(0).unwrap();
    let reign = |epoch| Reign { epoch, writer: Uuid::from_u128(u128::from(epoch)), label: String::new() };
    partition.fence(reign(2)).unwrap();
    partition.fence(reign(1)).unwrap();
    assert_eq!(partition.reign(), Some(reign(2)));
}
