//! How long one append takes that survives a power loss: alone, and among many.

use super::report::{Bound, Section};
use super::samples::{Samples, rounds};
use super::servers::{Server, scratch};
use super::tool::load_one;
use super::{ROUNDS, disk};

/// What a record of 100 B takes in a log.
const FRAME_BYTES: usize = 152;
const CONNECTIONS: usize = 64;
const ABOUT: &str = "Lone records of 100 B, `synced`, no producer. The reference writes the bytes that one record takes \
    in the log, and calls `fdatasync`. The open loop sends at half of the highest rate of the closed one, and counts \
    from when a request was due.";

/// The median of one connection against the disk, then the tail at half the highest rate.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Latency of lone appends", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let store = Server::store(&dir.path().join("store"));
    let append = |arguments: &str| {
        let line = format!("append --durability synced --record-size 100 --warm-up 500ms --duration 2s {arguments}");
        load_one(store.address, &line)
    };
    let [alone, one] = rounds(
        "latency",
        ROUNDS,
        [&mut || disk::sync_seconds(dir.path(), FRAME_BYTES), &mut || append("--connections 1").latency_us.p50 / 1e6],
    );
    let alone = section.time("`pwrite` and `fdatasync` alone, median", &alone);
    let one = section.time("one connection, p50", &one);
    section.judge("p50 / (1.3 × that + 50 µs)", one / (1.3 * alone + 50e-6), "", Bound::AtMost(1.0));
    let highest = append(&format!("--connections {CONNECTIONS}")).operations_per_second;
    let [mut p50, mut p99, mut p999] = [(); 3].map(|()| Samples::default());
    for round in 1..=ROUNDS {
        eprintln!("latency, open loop: round {round} of {ROUNDS}");
        let latency = append(&format!("--connections {CONNECTIONS} --rate {:.0}", highest / 2.0)).latency_us;
        p50.push(latency.p50 / 1e6);
        p99.push(latency.p99 / 1e6);
        p999.push(latency.p999 / 1e6);
    }
    section.tell("64 connections, open loop", &format!("{:.0}/s of {highest:.0}/s", highest / 2.0));
    let p50 = section.time("p50", &p50);
    let p99 = section.time("p99", &p99);
    section.time("p99.9", &p999);
    section.judge("p99 / p50", p99 / p50, "", Bound::AtMost(5.0));
    section
}
