//! What a start makes of the root that it finds.

use super::*;

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
