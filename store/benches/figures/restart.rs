//! How long a store takes to serve again after a crash: it reads the active segment, however much is sealed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Advice, fadvise};

use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::{ROUNDS, disk};

const MIB: usize = 1024 * 1024;
const BATCH_BYTES: usize = 4 * MIB;
const RECORD_BYTES: usize = 1024;
/// What is behind the sealed segments; the last one is nearly full, so that there is something to read.
const ACTIVE_BYTES: usize = 192 * MIB;
const ABOUT: &str = "From the start of the process after SIGKILL to the first acknowledged append, records of 1 KiB, with \
    cold caches, after 1 GiB and after 10 GiB in sealed segments. The reference reads the active segment from its beginning \
    to its end, cold too.";

/// Two stores of different size, killed and started in turn.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Start after a crash", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let [small, large] = [1, 10].map(|gibibytes| filled(&dir.path().join(format!("{gibibytes}")), gibibytes));
    let [read, start_small, start_large] = rounds(
        "restart",
        ROUNDS,
        [
            &mut || {
                let active = active_segment(&small);
                forget(&active);
                disk::read_seconds(&active)
            },
            &mut || start(&small),
            &mut || start(&large),
        ],
    );
    let read = section.time("reading the active segment", &read);
    let start_small = section.time("start with 1 GiB in sealed segments", &start_small);
    let start_large = section.time("start with 10 GiB in sealed segments", &start_large);
    section.judge("10 GiB / (1.5 × reading + 100 ms)", start_large / (1.5 * read + 0.1), "", Bound::AtMost(1.0));
    section.judge("10 GiB / 1 GiB", start_large / start_small, "", Bound::None);
    section
}

/// A root with so many gibibytes in sealed segments, and a nearly full active one, whose store was killed.
fn filled(root: &Path, gibibytes: usize) -> PathBuf {
    let server = Server::store(root);
    server.put_namespace("data", r#"{"durability":"written"}"#);
    let line = [vec![b'x'; RECORD_BYTES - 1], vec![b'\n']].concat();
    let batch = line.repeat(BATCH_BYTES / RECORD_BYTES);
    let bytes = gibibytes * 1024 * MIB + ACTIVE_BYTES;
    for number in 0..bytes / BATCH_BYTES {
        if number % 128 == 0 {
            eprintln!("restart: wrote {} of {} MiB", number * BATCH_BYTES / MIB, bytes / MIB);
        }
        let answer = server.request("POST", "/v1/namespaces/data/records?split=lines", &batch);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    server.kill();
    root.to_owned()
}

fn start(root: &Path) -> f64 {
    let files = std::fs::read_dir(root.join("ns/data/0")).unwrap();
    files.for_each(|file| forget(&file.unwrap().path()));
    let begun = Instant::now();
    let server = Server::store(root);
    let answer = server.request("POST", "/v1/namespaces/data/records", b"again");
    let taken = begun.elapsed().as_secs_f64();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    server.kill();
    taken
}

/// Takes a file out of the page cache.
fn forget(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

fn active_segment(root: &Path) -> PathBuf {
    let logs = std::fs::read_dir(root.join("ns/data/0")).unwrap().map(|entry| entry.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}
