use std::sync::atomic::Ordering;

use super::*;
use crate::disk::RealDisk;
use crate::disk::faulty::FaultyDisk;

const MAX: usize = 4;

struct Bench {
    dir: tempfile::TempDir,
    disk: PooledDisk,
    faulty: FaultyDisk,
}

impl Bench {
    fn new() -> Self {
        let faulty = FaultyDisk::default();
        let disk = PooledDisk::new(Arc::new(faulty.clone()), MAX);
        Self { dir: tempfile::tempdir().unwrap(), disk, faulty }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A synced file that holds its own name.
    fn file(&self, name: &str) -> Arc<dyn DiskFile> {
        let file = self.disk.open(&self.path(name), Open::Create).unwrap();
        file.write_all_at(&mut [IoSlice::new(name.as_bytes())], 0).unwrap();
        file.sync_data().unwrap();
        file
    }

    /// Uses so many other files that whatever may be closed is closed.
    fn press(&self) {
        for _ in 0..3 {
            let others: Vec<_> = (0..2 * MAX).map(|number| self.file(&format!("other-{number}"))).collect();
            others.iter().for_each(|other| drop(text(&**other)));
        }
    }
}

fn text(file: &dyn DiskFile) -> io::Result<String> {
    let mut bytes = vec![0; 100];
    let len = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(len);
    Ok(String::from_utf8(bytes).unwrap())
}

/// Descriptors of this process below a directory; what the pool counts is not taken for it.
#[allow(clippy::disallowed_methods, reason = "what the kernel says of this process, beside the seam")]
fn descriptors_below(dir: &Path) -> usize {
    let names = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    names.filter(|name| std::fs::read_link(name.path()).is_ok_and(|target| target.starts_with(dir))).count()
}

#[test]
fn many_files_take_few_descriptors() {
    let bench = Bench::new();
    let names: Vec<String> = (0..200).map(|number| format!("file-{number}")).collect();
    let files: Vec<_> = names.iter().map(|name| bench.file(name)).collect();
    for _ in 0..2 {
        for (file, name) in files.iter().zip(&names) {
            assert_eq!(text(&**file).unwrap(), *name);
            file.write_all_at(&mut [IoSlice::new(name.as_bytes())], 0).unwrap();
            file.sync_data().unwrap();
            assert!(descriptors_below(bench.dir.path()) <= MAX + 2, "{}", bench.disk.open_count());
        }
    }
    assert_eq!(descriptors_below(bench.dir.path()), bench.disk.open_count());
    drop(files);
    assert_eq!((descriptors_below(bench.dir.path()), bench.disk.open_count()), (0, 0));
    assert!(lock(&bench.disk.0.files).is_empty(), "who is gone is forgotten");
}

#[test]
fn files_that_come_and_go_leave_nothing_in_memory() {
    let bench = Bench::new();
    (0..1000).for_each(|_| drop(bench.file("short")));
    assert!(lock(&bench.disk.0.ring).len() <= 2 * MAX + LOOKS_MAX);
}

#[test]
fn what_is_not_synced_stays_open() {
    let bench = Bench::new();
    let written: Vec<_> = (0..=MAX).map(|number| bench.file(&format!("{number}"))).collect();
    written.iter().for_each(|file| file.write_all_at(&mut [IoSlice::new(b"more")], 1).unwrap());
    bench.press();
    assert!((0..=MAX).all(|number| file_is_open(&bench, &number.to_string())));
    written.iter().for_each(|file| file.sync_data().unwrap());
    bench.press();
    assert!(bench.disk.open_count() <= MAX, "{}", bench.disk.open_count());
}

#[test]
fn where_too_many_are_unsynced_they_are_synced_and_closed() {
    let bench = Bench::new();
    let files: Vec<_> = (0..8 * MAX).map(|number| bench.file(&format!("{number}"))).collect();
    for file in &files {
        file.write_all_at(&mut [IoSlice::new(b"more")], 1).unwrap();
        assert!(bench.disk.open_count() <= 2 * MAX + 1, "{}", bench.disk.open_count());
    }
    assert!(files.iter().all(|file| text(&**file).unwrap().ends_with("more")));
}

#[test]
fn a_failure_that_the_pool_was_told_of_is_told_to_the_owner() {
    let bench = Bench::new();
    let files: Vec<_> = (0..8 * MAX).map(|number| bench.file(&format!("{number}"))).collect();
    bench.faulty.faults.sync_fails.store(true, Ordering::SeqCst);
    files.iter().for_each(|file| file.write_all_at(&mut [IoSlice::new(b"more")], 1).unwrap());
    bench.faulty.faults.sync_fails.store(false, Ordering::SeqCst);
    let failed = files.iter().filter(|file| file.sync_data().is_err()).count();
    assert!(failed > 0);
}

#[test]
fn a_truncation_is_a_write() {
    let bench = Bench::new();
    let file = bench.file("file");
    file.truncate(1).unwrap();
    bench.press();
    assert!(file_is_open(&bench, "file"));
}

fn file_is_open(bench: &Bench, name: &str) -> bool {
    let files = bench.disk.0.files_at(&bench.path(name));
    files.iter().any(|file| file.slot.read().unwrap().file.is_some())
}

#[test]
fn after_a_failed_sync_a_file_is_never_closed() {
    let bench = Bench::new();
    let file = bench.file("file");
    file.write_all_at(&mut [IoSlice::new(b"lost")], 0).unwrap();
    bench.faulty.faults.sync_fails.store(true, Ordering::SeqCst);
    assert!(file.sync_data().is_err());
    bench.faulty.faults.sync_fails.store(false, Ordering::SeqCst);
    assert!(file.sync_data().is_err(), "what a second sync would say is not to be trusted");
    bench.press();
    assert!(file_is_open(&bench, "file"));
}

#[test]
fn a_sync_covers_no_write_that_ends_after_it_began() {
    let writes = Writes::default();
    writes.sync(|| writes.write(|| Ok(()))).unwrap();
    assert!(!writes.is_clean(), "it began meanwhile");
    writes.write(|| writes.sync(|| Ok(()))).unwrap();
    assert!(!writes.is_clean(), "it had not ended");
    writes.sync(|| Ok(())).unwrap();
    assert!(writes.is_clean());
}

#[test]
fn names_that_move_take_their_files_with_them() {
    let bench = Bench::new();
    bench.disk.create_dir(&bench.path("dir")).unwrap();
    let (file, beside) = (bench.file("dir/file"), bench.file("directory"));
    bench.press();
    bench.disk.rename(&bench.path("dir"), &bench.path("away")).unwrap();
    bench.disk.create_dir(&bench.path("dir")).unwrap();
    let new = bench.file("dir/file");
    bench.press();
    assert!(!file_is_open(&bench, "away/file") && !file_is_open(&bench, "dir/file"));
    new.write_all_at(&mut [IoSlice::new(b"new")], 0).unwrap();
    assert_eq!(text(&*file).unwrap(), "dir/file");
    assert_eq!(text(&*new).unwrap(), "new/file");
    assert_eq!(text(&*beside).unwrap(), "directory");
}

#[test]
fn a_file_whose_name_is_taken_stays_what_it_is() {
    let bench = Bench::new();
    let (old, removed) = (bench.file("old"), bench.file("removed"));
    bench.press();
    assert!(!file_is_open(&bench, "old"));
    (&bench.disk as &dyn Disk).replace(&bench.path("old"), b"another").unwrap();
    bench.disk.remove_file(&bench.path("removed")).unwrap();
    bench.press();
    assert_eq!(text(&*old).unwrap(), "old");
    assert_eq!(text(&*removed).unwrap(), "removed");
}

#[test]
fn another_file_under_the_name_is_not_read() {
    let bench = Bench::new();
    let file = bench.file("file");
    bench.press();
    (&RealDisk as &dyn Disk).replace(&bench.path("file"), b"stranger").unwrap();
    assert_eq!(text(&*file).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn where_the_process_has_no_descriptor_left_some_are_closed() {
    let bench = Bench::new();
    let (faulty, kept) = (&bench.faulty, bench.file("kept"));
    faulty.faults.opens_that_fail.store(1, Ordering::SeqCst);
    assert_eq!(text(&*bench.file("new")).unwrap(), "new");
    assert!(!file_is_open(&bench, "kept"));
    assert_eq!(text(&*kept).unwrap(), "kept");
    faulty.faults.opens_that_fail.store(2, Ordering::SeqCst);
    let error = bench.disk.open(&bench.path("none"), Open::Create).unwrap_err();
    assert!(is_out_of_files(&error), "{error}");
}

#[test]
fn the_limit_is_a_share_of_the_process_s() {
    assert_eq!([20, 256, 4096, 1 << 20].map(open_files_max), [16, 64, 1024, 1024]);
}
