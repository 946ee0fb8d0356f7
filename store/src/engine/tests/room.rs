//! What the disk has left: room, inodes, descriptors, the right to write; and what is done in the background about it.

use std::time::{Duration, Instant};

use logstore_api::Timestamp;
use logstore_api::config::{StoreRetention, StoreSync};
use logstore_api::namespace::Retention;
use rustix::io::Errno;

use super::*;
use crate::disk::PooledDisk;
use crate::space::Room;

impl Store {
    /// From now on nothing new can be written, for this reason.
    fn fail_writes(&self, why: Option<Errno>) {
        self.disk.faults.write_error.store(why.map_or(0, Errno::raw_os_error), Ordering::SeqCst);
    }

    fn set_free(&self, free: u64) {
        self.disk.faults.free.store(free, Ordering::SeqCst);
        self.engine.space.look();
    }

    /// Stops it in an orderly way and starts it again.
    fn stop_and_start(self, between: impl FnOnce(&Self)) -> Self {
        self.engine.stop();
        between(&self);
        self.restart()
    }
}

fn trim(namespace: &Namespace, before: u64) -> Result<Done, Box<Problem>> {
    namespace.partition(0).unwrap().submit(|reply| Work::Trim { before, reply }).blocking_recv().unwrap()
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
fn no_room_no_quota_and_a_read_only_disk_refuse_appends_until_it_is_over() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    append_numbered(&namespace, 0..3);
    for (number, why) in [Errno::NOSPC, Errno::DQUOT, Errno::ROFS].into_iter().enumerate() {
        store.fail_writes(Some(why));
        let large = vec![7; 60_000];
        for record in [&b"x"[..], &large, &large] {
            let problem = append(&namespace, &[record]).unwrap_err();
            assert_eq!((problem.code.as_str(), problem.status), ("disk_full", 507), "{why}");
        }
        assert_eq!(read_all(&namespace), numbered(0..3 + number as u64), "{why}");
        namespace.describe().unwrap();
        namespace.partition(0).unwrap().tend(Timestamp::now());
        store.fail_writes(None);
        append_numbered(&namespace, 3 + number as u64..4 + number as u64);
    }
}

#[test]
fn a_new_segment_that_finds_no_room_or_descriptor_is_tried_again() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    let record = vec![7; 40_000];
    append(&namespace, &[&record]).unwrap();
    store.fail_writes(Some(Errno::NOSPC));
    assert_eq!(append(&namespace, &[&record]).unwrap_err().code, "disk_full");
    store.fail_writes(None);
    store.disk.faults.opens_that_fail.store(u64::MAX, Ordering::SeqCst);
    let problem = append(&namespace, &[&record]).unwrap_err();
    assert_eq!((problem.code.as_str(), problem.status), ("overloaded", 503));
    assert!(problem.detail.contains("limit of open files"), "{problem}");
    let other = NamespaceName::parse("other").unwrap();
    assert_eq!(store.engine.get_or_create(&other).unwrap_err().code, "overloaded");
    store.disk.faults.opens_that_fail.store(0, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[&record]), Ok(1));
    assert_eq!(store.segments().len(), 2);
    store.engine.get_or_create(&other).unwrap();
}

#[test]
fn below_the_margin_appends_are_refused_before_anything_is_made() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..3);
    store.set_free(1);
    assert_eq!(append(&namespace, &[b"x"]).unwrap_err().code, "disk_full");
    let new = NamespaceName::parse("new").unwrap();
    assert_eq!(store.engine.get_or_create(&new).unwrap_err().code, "disk_full");
    assert!(store.engine.get(&new).is_err(), "what is refused leaves nothing behind");
    assert_eq!(read_all(&namespace), numbered(0..3));
    assert_eq!(trim(&namespace, 2).unwrap().what, What::Trimmed { start: 2 });
    store.engine.delete(namespace.name(), None).unwrap();
    store.set_free(1 << 40);
    store.engine.get_or_create(&new).unwrap();
}

#[test]
fn appends_are_counted_between_two_looks() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    store.set_free((256 << 20) + (64 << 20) + 10_000);
    append(&namespace, &[&[7; 8_000]]).unwrap();
    store.disk.faults.free.fetch_sub(8_000, Ordering::SeqCst);
    append(&namespace, &[&[7; 1_000]]).unwrap();
    store.disk.faults.free.fetch_sub(8_000, Ordering::SeqCst);
    assert_eq!(append(&namespace, &[&[7; 1_000]]).unwrap_err().code, "disk_full", "it was looked at, by nobody else");
}

#[test]
fn a_start_and_reads_need_no_room() {
    for orderly in [false, true] {
        let store = Store::new();
        append_numbered(&store.namespace("orders"), 0..3);
        if orderly {
            store.engine.stop();
        }
        store.disk.faults.room.store(0, Ordering::SeqCst);
        store.fail_writes(Some(Errno::NOSPC));
        let store = store.restart();
        let namespace = store.namespace("orders");
        assert_eq!(read_all(&namespace), numbered(0..3));
        assert_eq!(append(&namespace, &[b"x"]).unwrap_err().code, "disk_full");
        assert_eq!(trim(&namespace, 1).unwrap_err().code, "disk_full");
        // And it ends without room, and comes back with some.
        let store = store.stop_and_start(|store| {
            store.fail_writes(None);
            store.disk.faults.room.store(u64::MAX, Ordering::SeqCst);
        });
        append_numbered(&store.namespace("orders"), 3..4);
        assert_eq!(read_all(&store.namespace("orders")), numbered(0..4));
    }
}

#[test]
fn a_root_that_cannot_be_made_for_want_of_room_says_so() {
    let (disk, dir) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    disk.faults.write_error.store(Errno::NOSPC.raw_os_error(), Ordering::SeqCst);
    let error = Engine::start(Arc::new(disk), dir.path().join("root"), StoreConfig::default()).unwrap_err();
    assert!(error.to_string().starts_with("there is no room to make a root at"), "{error}");
}

#[test]
fn a_root_on_a_read_only_disk_is_read_and_nothing_else() {
    for orderly in [false, true] {
        let store = Store::new();
        let namespace = store.configured("orders", small_segments());
        let records = [&b"one"[..], &[7; 40_000], &[8; 40_000]];
        for record in records {
            append(&namespace, &[record]).unwrap();
        }
        // What a crash leaves in the middle of a creation.
        let half_made = store.dir.path().join("root/ns/.new-1");
        (&store.disk as &dyn Disk).create_dir(&half_made).unwrap();
        if orderly {
            store.engine.stop();
        }
        store.fail_writes(Some(Errno::ROFS));
        let store = store.restart();
        let namespace = store.namespace("orders");
        let read: Vec<_> = read_all(&namespace).into_iter().map(|(_, record)| record).collect();
        assert_eq!(read, records);
        // Whatever becomes of the disk: its files are open for reading alone.
        store.fail_writes(None);
        store.engine.space.look();
        assert_eq!(store.engine.space.room(), Room::ReadOnly);
        assert_eq!(append(&namespace, &[b"x"]).unwrap_err().code, "disk_full");
        assert_eq!(trim(&namespace, 1).unwrap_err().code, "disk_full");
        let store = store.stop_and_start(|_| {});
        assert_eq!(append(&store.namespace("orders"), &[b"four"]), Ok(3));
    }
}

#[test]
fn the_oldest_segments_of_logs_with_a_retention_go_to_keep_the_floor() {
    let (disk, dir) = (FaultyDisk::default(), Arc::new(tempfile::tempdir().unwrap()));
    let retention = StoreRetention { min_free_bytes: Some(1 << 30) };
    let store = Store::start(disk, dir, StoreConfig { retention, ..StoreConfig::default() });
    let with =
        |name: &str, retention: Retention| store.configured(name, NamespaceConfig { retention, ..small_segments() });
    let keeps = with("keeps", Retention::default());
    let by_age = with("by-age", Retention { max_age_seconds: Some(1 << 30), max_bytes: None });
    let by_size = with("by-size", Retention { max_age_seconds: None, max_bytes: Some(1 << 40) });
    // In turn, so that their ages are in turn too; each record fills a segment.
    for _ in 0..4 {
        for namespace in [&keeps, &by_age, &by_size] {
            append(namespace, &[&[7; 60_000]]).unwrap();
        }
    }
    let starts = || [&keeps, &by_age, &by_size].map(|namespace| namespace.partition(0).unwrap().describe().start);
    let tend_with = |missing: u64| {
        store.set_free((1 << 30) - missing);
        housekeeping::tend_once(&store.engine, Timestamp::now());
        starts()
    };
    assert_eq!(tend_with(0), [0, 0, 0]);
    assert_eq!(tend_with(1), [0, 1, 0], "one segment is enough, and it is the oldest");
    assert_eq!(tend_with(100_000), [0, 2, 1], "two more, the next oldest");
    assert_eq!(tend_with(1 << 29), [0, 3, 3], "the active ones stay");
    assert_eq!(store.engine.metrics.dropped_for_room.get(), 6);
    let store = store.restart();
    assert_eq!(store.namespace("by-age").partition(0).unwrap().describe().start, 3);
}

#[test]
fn the_reserve_is_made_where_there_is_plenty_and_what_it_gives_back_is_not_for_appends() {
    let store = Store::new();
    let (space, total) = (&store.engine.space, store.engine.space.free_and_total().1);
    let file = store.dir.path().join("root/reserve");
    store.set_free(total / 10);
    space.restore_reserve();
    assert!(!file.exists(), "the rest would be low");
    store.set_free(total / 2);
    space.restore_reserve();
    assert_eq!(space.reserve().len(), 64 << 20);
    assert_eq!(store.disk.open(&file, crate::disk::Open::Read).unwrap().size().unwrap(), 64 << 20);
    let margin = 256 << 20;
    store.set_free(margin);
    assert_eq!(space.room(), Room::Low, "with the reserve in place all but the margin is for appends");
    assert_eq!(space.reserve().release().unwrap(), 64 << 20);
    store.set_free(margin + (64 << 20) - 1);
    assert_eq!(space.room(), Room::Full);
    space.restore_reserve();
    assert!(!file.exists());
    // A start finds what there is.
    store.set_free(total / 2);
    space.restore_reserve();
    let store = store.restart();
    assert_eq!(store.engine.space.reserve().len(), 64 << 20);
}

/// Waits until the disk holds so many records.
fn wait_durable(namespace: &Namespace, end: u64) {
    let published = namespace.partition(0).unwrap().published();
    let until = Instant::now() + Duration::from_secs(20);
    while published.borrow().durable_end < end {
        assert!(Instant::now() < until, "{:?}", published.borrow());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_written_record_is_synced_when_it_is_due_also_behind_a_sync_that_came_before_it() {
    let sync = StoreSync { interval_ms: 10 };
    let config = StoreConfig { sync, ..StoreConfig::default() };
    let store = Store::start(FaultyDisk::default(), Arc::new(tempfile::tempdir().unwrap()), config);
    let namespace = store.namespace("orders");
    append_numbered(&namespace, 0..1);
    let unsynced = Arc::clone(store.engine.unsynced());
    let write = || submit(&namespace, &[b"x"], Durability::Written).blocking_recv().unwrap().unwrap();
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let before = store.disk.faults.syncs.load(Ordering::SeqCst);
    write();
    write();
    unsynced.sync_due(Duration::from_secs(20));
    while store.disk.faults.syncs.load(Ordering::SeqCst) == before {
        std::thread::sleep(Duration::from_millis(1));
    }
    // A sync is under way, and does not reach this one.
    write();
    unsynced.sync_due(Duration::from_secs(20));
    assert_eq!(namespace.partition(0).unwrap().published().borrow().durable_end, 1);
    drop(gate);
    wait_durable(&namespace, 4);
    assert_eq!(
        store.disk.faults.syncs.load(Ordering::SeqCst) - before,
        2,
        "one sync for two records, one for the third"
    );
    unsynced.sync_due(Duration::ZERO);
    assert_eq!(store.disk.faults.syncs.load(Ordering::SeqCst) - before, 2, "at rest nothing is synced");
}

#[test]
fn whoever_finds_the_segment_full_does_not_wait_for_the_disk_and_nothing_changes_places() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    submit(&namespace, &[&[7; 60_000]], Durability::Written).blocking_recv().unwrap().unwrap();
    let gate = store.disk.faults.sync_gate.lock().unwrap();
    let (sent, answers) = std::sync::mpsc::channel();
    let from_another_thread = Arc::clone(&namespace);
    std::thread::spawn(move || {
        let records: [&[u8]; 4] = [&[1; 60_000], b"2", &[3; 60_000], b"4"];
        let answers = records.map(|record| submit(&from_another_thread, &[record], Durability::Written));
        sent.send(answers).unwrap();
    });
    let mut answers = answers.recv_timeout(Duration::from_secs(20)).expect("the requests wait for the disk");
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()));
    drop(gate);
    for (number, answer) in answers.into_iter().enumerate() {
        let Done { what, .. } = answer.blocking_recv().unwrap().unwrap();
        assert!(matches!(what, What::Appended { offset: Some(offset), .. } if offset == number as u64 + 1), "{what:?}");
    }
    let sizes: Vec<usize> = read_all(&namespace).iter().map(|(_, record)| record.len()).collect();
    assert_eq!(sizes, [60_000, 60_000, 1, 60_000, 1]);
}

#[test]
fn an_append_that_insists_on_an_offset_gets_no_other_when_those_before_it_find_no_room() {
    let store = Store::new();
    let namespace = store.configured("orders", small_segments());
    append_numbered(&namespace, 0..1);
    store.disk.faults.writes_that_fail.store(1, Ordering::SeqCst);
    // Both are judged in one batch, and the second does not fit behind the first.
    let [before, insists] = namespace.partition(0).unwrap().load(|_, _| {
        [(&[7; 40_000][..], 1), (&[8; 30_000][..], 2)].map(|(record, offset)| {
            let mut batch = Batch::new(None, namespace.salt(), 0);
            batch.push(record, Attributes::default()).unwrap();
            let (draft, durability) = (batch.finish().unwrap().draft, Durability::Synced);
            let work = |reply| Work::Append { draft, producer: None, expect_offset: Some(offset), durability, reply };
            namespace.partition(0).unwrap().submit(work)
        })
    });
    let code = |answer: tokio::sync::oneshot::Receiver<Result<Done, Box<Problem>>>| {
        answer.blocking_recv().unwrap().unwrap_err().code
    };
    assert_eq!([code(before), code(insists)], ["disk_full", "offset_mismatch"]);
    append_numbered(&namespace, 1..2);
    assert_eq!(read_all(&namespace), numbered(0..2));
}

#[test]
fn segments_go_without_all_of_them_being_open_at_once() {
    let (disk, dir) = (FaultyDisk::default(), Arc::new(tempfile::tempdir().unwrap()));
    let pooled = Arc::new(PooledDisk::new(Arc::new(disk.clone()), 4));
    let engine = Engine::start(pooled, dir.path().join("root"), StoreConfig::default()).unwrap();
    let store = Store { engine, disk, dir };
    let namespace = store.configured("orders", small_segments());
    for _ in 0..60 {
        submit(&namespace, &[&[7; 60_000]], Durability::Written).blocking_recv().unwrap().unwrap();
    }
    assert!(store.segments().len() >= 60);
    trim(&namespace, 60).unwrap();
    store.disk.faults.most_open.store(0, Ordering::SeqCst);
    namespace.partition(0).unwrap().tend(Timestamp::now());
    assert_eq!(store.segments().len(), 1);
    let most = store.disk.faults.most_open.load(Ordering::SeqCst);
    assert!(most < 20, "{most} files were open");
}

#[test]
fn many_logs_are_synced_when_they_are_due() {
    let store = Store::new();
    store.engine.unsynced().set_interval(0);
    let namespaces: Vec<_> = (0..40).map(|number| store.namespace(&format!("log-{number}"))).collect();
    for namespace in &namespaces {
        submit(namespace, &[b"x"], Durability::Written).blocking_recv().unwrap().unwrap();
    }
    let durable = |namespace: &Arc<Namespace>| namespace.partition(0).unwrap().published().borrow().durable_end == 1;
    let until = Instant::now() + Duration::from_secs(20);
    while !namespaces.iter().all(durable) {
        assert!(Instant::now() < until, "a log was left out");
        // A log may come into the line a moment after its answer.
        store.engine.unsynced().sync_due(Duration::from_millis(1));
    }
}

#[test]
fn a_log_whose_file_cannot_be_opened_again_refuses_and_goes_on_later() {
    let (faulty, dir) = (FaultyDisk::default(), tempfile::tempdir().unwrap());
    let disk = crate::disk::PooledDisk::new(Arc::new(faulty.clone()), 4);
    let engine = Engine::start(Arc::new(disk), dir.path().join("root"), StoreConfig::default()).unwrap();
    let names: Vec<_> = (0..16).map(|number| NamespaceName::parse(&format!("log-{number}")).unwrap()).collect();
    let namespaces: Vec<_> = names.iter().map(|name| engine.get_or_create(name).unwrap()).collect();
    namespaces.iter().for_each(|namespace| append_numbered(namespace, 0..1));
    faulty.faults.opens_that_fail.store(u64::MAX, Ordering::SeqCst);
    let codes: Vec<_> = namespaces.iter().filter_map(|namespace| append(namespace, &[b"x"]).err()).collect();
    assert!(codes.len() >= 10 && codes.iter().all(|problem| problem.code == "overloaded"), "{codes:?}");
    faulty.faults.opens_that_fail.store(0, Ordering::SeqCst);
    for namespace in &namespaces {
        append(namespace, &[b"y"]).unwrap();
        let read = read_all(namespace);
        assert!(read[0].1 == b"record 0" && read.last().unwrap().1 == b"y", "{read:?}");
    }
}

#[test]
fn all_logs_are_opened_after_a_start_and_one_that_cannot_be_keeps_none_of_the_others() {
    let store = Store::new();
    for number in 0..20 {
        append_numbered(&store.namespace(&format!("log-{number}")), 0..1);
    }
    let Store { engine, disk, dir } = store;
    let broken = dir.path().join("root/ns/log-7/0");
    disk.rename(&broken, &dir.path().join("away")).unwrap();
    drop(engine);
    let store = Store::start(disk, dir, StoreConfig::default());
    store.engine.metrics.recovering.set(20);
    housekeeping::open_all(&Arc::downgrade(&store.engine));
    let opened = |namespace: &Arc<Namespace>| namespace.opened(0).is_some();
    assert_eq!(store.engine.namespaces().iter().filter(|namespace| opened(namespace)).count(), 19);
    assert!(!opened(&store.namespace("log-7")));
    assert_eq!(store.engine.metrics.recovering.get(), 0);
}

#[test]
fn a_quiet_log_begins_a_segment_by_age_once() {
    let store = Store::new();
    let rotation = Rotation { max_segment_age_seconds: Some(60), ..Rotation::default() };
    let namespace = store.configured("orders", NamespaceConfig { rotation, ..NamespaceConfig::default() });
    append_numbered(&namespace, 0..1);
    let (partition, now) = (namespace.partition(0).unwrap(), Timestamp::now());
    let segments_after = |seconds: i64| {
        partition.tend(Timestamp(now.0 + seconds * 1_000_000));
        store.segments().len()
    };
    assert_eq!([59, 62, 3_600].map(segments_after), [1, 2, 2], "an empty one does not end");
}

#[test]
fn the_quarantine_is_measured() {
    let store = Store::new();
    append_numbered(&store.namespace("orders"), 0..1);
    quarantine::measure(&store.engine);
    assert_eq!(store.engine.metrics.quarantine.get(), 0);
    let log = store.segments().remove(0);
    let torn = [store.read_file(&log), vec![1; 1_000]].concat();
    store.write_file(&log, &torn);
    let store = store.restart();
    store.namespace("orders").partition(0).unwrap();
    quarantine::measure(&store.engine);
    assert_eq!(store.engine.metrics.quarantine.get(), 1_000);
}
