//! Large batches, against what each of their steps takes alone.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::ROUNDS;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::load_one;

const BATCH_RECORDS: usize = 1024;
const RECORD_BYTES: usize = 1024;
const BODY_BYTES: usize = BATCH_RECORDS * RECORD_BYTES;
/// How long each step goes on alone.
const STEP_TIME: Duration = Duration::from_secs(1);
const ABOUT: &str = "Batches of 1,024 records of 1 KiB in binary, `written`, one connection, closed loop, no producer. \
    The steps are those that nobody can leave out, each alone: a body that arrives at the null server, the CRC32C of 1 \
    MiB, and `pwrite` of 1 MiB behind the last to a file that grows as the log does; their serial rate is that of one after \
    the other.";

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
    let body = vec![7; BODY_BYTES];
    let (file, mut position) = (File::create(dir.path().join("alone")).unwrap(), 0);
    let [arriving, checksum, write, batches] = rounds(
        "batch",
        ROUNDS,
        [
            &mut || rate(&null),
            &mut || {
                per_second(|| {
                    black_box(crc32c::crc32c(black_box(&body)));
                })
            },
            &mut || {
                per_second(|| {
                    // New pages, as those of the log are: memory that was written before costs less.
                    file.write_all_at(&body, position).unwrap();
                    position += BODY_BYTES as u64;
                })
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

/// How many bytes of bodies a step does in a second.
fn per_second(mut step: impl FnMut()) -> f64 {
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < STEP_TIME {
        step();
        bytes += BODY_BYTES;
    }
    bytes as f64 / begun.elapsed().as_secs_f64()
}
