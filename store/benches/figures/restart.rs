//! How long a store with more than a gibibyte of data takes to serve again after a crash.

use std::time::{Duration, Instant};

use super::report::{Figure, Report};
use super::servers::{Server, scratch};
use super::{ROUNDS, disk, median};

/// Chosen so that the last segment is nearly full: it is the one that a start reads.
const DATA_BYTES: usize = 1216 * 1024 * 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const RECORD_BYTES: usize = 1024;

/// Fills a store, kills it, and times starts up to the first answered append.
pub(crate) fn measure(report: &mut Report) {
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let root = dir.path().join("store");
    let server = Server::store(&root);
    server.put_namespace("data", r#"{"durability":"written"}"#);
    let line = [vec![b'x'; RECORD_BYTES - 1], vec![b'\n']].concat();
    let batch = line.repeat(BATCH_BYTES / RECORD_BYTES);
    for number in 0..DATA_BYTES / BATCH_BYTES {
        if number % 64 == 0 {
            eprintln!("restart: wrote {} of {} MiB", (number * BATCH_BYTES) >> 20, DATA_BYTES >> 20);
        }
        let answer = server.request("POST", "/v1/namespaces/data/records?split=lines", &batch);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    server.kill();
    let (mut starts, mut reads) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        eprintln!("restart: round {} of {ROUNDS}", round + 1);
        let active = active_segment(&root);
        reads.push(disk::read_seconds(&active));
        let begun = Instant::now();
        let server = Server::store(&root);
        let answer = server.request("POST", "/v1/namespaces/data/records", b"again");
        starts.push(begun.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        server.kill();
    }
    let (start, read) =
        (median(&mut starts), median(&mut reads.into_iter().map(Duration::from_secs_f64).collect::<Vec<_>>()));
    let about = "start after SIGKILL with 1.2 GiB, to the first acknowledged append";
    report.add(Figure::new(about, format!("{:.0} ms", start.as_secs_f64() * 1e3), ""));
    let mib = std::fs::metadata(active_segment(&root)).unwrap().len() >> 20;
    let about = format!("reading the active segment of {mib} MiB, warm (the start reads it from the disk)");
    report.add(Figure::new(about, format!("{:.0} ms", read.as_secs_f64() * 1e3), ""));
}

fn active_segment(root: &std::path::Path) -> std::path::PathBuf {
    let logs = std::fs::read_dir(root.join("ns/data/0")).unwrap().map(|entry| entry.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}
