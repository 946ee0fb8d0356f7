//! Segments: how they follow each other, and how the oldest go.

use super::*;

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
