//! Many records at offsets chosen by chance: from a cold cache against the disk's own random reads, and from a warm one.

use std::fs::File;
use std::path::Path;

use super::fio;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::{Work, load, load_one};

const ROUNDS: usize = 7;
const RECORDS: usize = 1_000;
const RECORD_BYTES: usize = 1024;
const LOG_BYTES: usize = 512 * 1024 * 1024;
const CONNECTIONS: usize = 16;
const ABOUT: &str = "1,000 records of 1 KiB at offsets chosen by chance of 524,288 that were appended one by one, with one \
    request of `POST …/records/get`, in binary. Cold: before each request the log is synced and its pages are dropped from the page \
    cache. The reference is `fio` on the log's own file: random reads of 4 KiB, direct, queue depth 32.";

/// Cold against the disk, then warm.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Multiget", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let root = dir.path().join("store");
    let server = Server::store(&root);
    let operations = LOG_BYTES / RECORD_BYTES;
    let line = format!(
        "append --record-size {RECORD_BYTES} --operations {operations} --connections {CONNECTIONS} --pipeline 16 \
         --durability written"
    );
    load(server.address, &line);
    let log = root.join("ns/bench/0").join(format!("{:020}.log", 0));
    let get = |arguments: &str| load_one(server.address, &format!("multiget --get {RECORDS} {arguments}"));
    let cold = || {
        drop_cache(&log);
        per_second(&get("--connections 1 --operations 1"))
    };
    let [disk, cold] = rounds("multiget", ROUNDS, [&mut || fio::random_reads_per_second(&log), &mut || cold()]);
    let disk = section.rate("`fio`, random reads of 4 KiB, queue depth 32", &disk);
    let cold = section.rate("cold: records", &cold);
    section.judge("cold: records / `fio`", cold / disk, "", Bound::AtLeast(0.8));
    get("--connections 1 --operations 2000");
    let warm = |connections: usize| {
        let work = get(&format!("--connections {connections} --warm-up 300ms --duration 1s"));
        work.operations_per_second * RECORDS as f64
    };
    let [one, many] = rounds("multiget, warm", 3, [&mut || warm(1), &mut || warm(CONNECTIONS)]);
    section.rate("warm: records, one connection", &one);
    section.rate(&format!("warm: records, {CONNECTIONS} connections"), &many);
    section
}

/// Records per second of a single request.
fn per_second(work: &Work) -> f64 {
    RECORDS as f64 / (work.latency_us.p50 / 1e6)
}

/// Makes the next reads of a file come from the disk.
fn drop_cache(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}
