//! Large batches, against what each of their steps takes alone.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::ROUNDS;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::load_one;

const BATCH_RECORDS: usize = 1024;
const RECORD_BYTES: usize = 1024;
const BODY_BYTES: usize = BATCH_RECORDS * RECORD_BYTES;
/// How often a step is done in a round; what it writes stays within a segment.
const STEPS: usize = 200;
const ABOUT: &str = "Batches of 1,024 records of 1 KiB in binary, `written`, one connection, closed loop, no producer. \
    The steps are those that nobody can leave out, each alone: a body that arrives at the null server, the CRC32C of 1 \
    MiB, and `pwrite` of 1 MiB to the page cache; their serial rate is that of one after the other.";

/// Throughput of payload.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Batches of 1 MiB", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let null = Server::null(&dir.path().join("null"));
    let store = Server::store(&dir.path().join("store"));
    let rate = |server: &Server| {
        let line = format!(
            "batch --batch {BATCH_RECORDS} --record-size {RECORD_BYTES} --connections 1 --durability written \
             --warm-up 300ms --duration 2s"
        );
        load_one(server.address, &line).payload_bytes_per_second
    };
    let (body, path) = (vec![7; BODY_BYTES], dir.path().join("alone"));
    let [arriving, checksum, write, batches] = rounds(
        "batch",
        ROUNDS,
        [
            &mut || rate(&null),
            &mut || {
                per_second(|_| {
                    black_box(crc32c::crc32c(black_box(&body)));
                })
            },
            &mut || {
                let file = File::create(&path).unwrap();
                per_second(|step| file.write_all_at(&body, (step * BODY_BYTES) as u64).unwrap())
            },
            &mut || rate(&store),
        ],
    );
    let arriving = section.throughput("bodies arriving at the null server", &arriving);
    let checksum = section.throughput("checksum alone", &checksum);
    let write = section.throughput("`pwrite` alone", &write);
    let batches = section.throughput("batches", &batches);
    let serial = 1.0 / (1.0 / arriving + 1.0 / checksum + 1.0 / write);
    section.judge("batches / serial rate of the steps", batches / serial, "", Bound::AtLeast(0.8));
    section
}

fn per_second(mut step: impl FnMut(usize)) -> f64 {
    let begun = Instant::now();
    (0..STEPS).for_each(&mut step);
    (STEPS * BODY_BYTES) as f64 / begun.elapsed().as_secs_f64()
}
