//! How long a store with more than a gibibyte of data takes to serve again after a crash.

use std::time::Instant;

use super::report::Section;
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::{ROUNDS, disk};

const ABOUT: &str = "From the start of the process after SIGKILL to the first acknowledged append.";

/// Chosen so that the last segment is nearly full: it is the one that a start reads.
const DATA_BYTES: usize = 1216 * 1024 * 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const RECORD_BYTES: usize = 1024;

/// Fills a store, kills it, and times starts up to the first answered append.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Start after a crash", ABOUT);
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
    let start = || {
        let begun = Instant::now();
        let server = Server::store(&root);
        let answer = server.request("POST", "/v1/namespaces/data/records", b"again");
        let taken = begun.elapsed().as_secs_f64();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        server.kill();
        taken
    };
    let [read, start] =
        rounds("restart", ROUNDS, [&mut || disk::read_seconds(&active_segment(&root)), &mut || start()]);
    section.time("reading the active segment", &read);
    section.time("start", &start);
    section
}

fn active_segment(root: &std::path::Path) -> std::path::PathBuf {
    let logs = std::fs::read_dir(root.join("ns/data/0")).unwrap().map(|entry| entry.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}
