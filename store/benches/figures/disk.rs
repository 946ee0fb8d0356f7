//! What the disk does alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::samples::Samples;

const TIME: Duration = Duration::from_secs(1);

/// How long one write of this size behind the last and its `fdatasync` take, in seconds: the median of a second.
pub(crate) fn sync_seconds(dir: &Path, bytes: usize) -> f64 {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(dir.join("sync-probe")).unwrap();
    let (record, end) = (vec![7; bytes], Instant::now() + TIME);
    let mut samples = Samples::default();
    for count in 0.. {
        let begun = Instant::now();
        file.write_all_at(&record, count * bytes as u64).unwrap();
        file.sync_data().unwrap();
        samples.push(begun.elapsed().as_secs_f64());
        if Instant::now() > end {
            break;
        }
    }
    samples.median()
}

/// How long it takes to read a file from its beginning to its end, in seconds.
pub(crate) fn read_seconds(path: &Path) -> f64 {
    let file = File::open(path).unwrap();
    let mut buffer = vec![0; 1024 * 1024];
    let (begun, mut position) = (Instant::now(), 0);
    loop {
        let read = file.read_at(&mut buffer, position).unwrap();
        if read == 0 {
            return begun.elapsed().as_secs_f64();
        }
        position += read as u64;
    }
}
