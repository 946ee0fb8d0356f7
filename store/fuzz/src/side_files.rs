//! Side files and documents whose checksums are right and whose content is anything.

use std::path::Path;
use std::sync::Arc;

use logstore_api::frame::Salt;
use logstore_store::disk::Disk;
use logstore_store::disk::memory::MemoryDisk;
use logstore_store::document;
use logstore_store::engine::root::{CleanMarks, Node};
use logstore_store::log::find::paged::{self, Footer, Identity};
use logstore_store::log::find::side::{SideSite, seed};
use logstore_store::log::find::{FindLimits, Finding};
use logstore_store::log::segment::{Seal, SegmentHeader};
use logstore_store::log::state::LogState;

const SALT: Salt = Salt(77);
const LOG_BYTES: u64 = 1 << 20;

/// `count u8 | directory u16 | flags u8`, for each of three files, then their contents, divided by the length of the first
/// and the second, `u16` each.
pub(crate) fn run(bytes: &[u8]) {
    plain(bytes);
    let Some((head, content)) = bytes.split_at_checked(16) else { return };
    let first = usize::from(u16::from_le_bytes([head[12], head[13]])).min(content.len());
    let second = (first + usize::from(u16::from_le_bytes([head[14], head[15]]))).min(content.len());
    let parts = [&content[..first], &content[first..second], &content[second..]];
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    disk.create_dir(Path::new("/d")).expect("a directory");
    let log_path = Path::new("/d/00000000000000000000.log");
    let seed = seed(SALT, 0);
    for (number, (extension, magic)) in
        [("idx", b"LGSTIDX2"), ("tags", b"LGSTTAG1"), ("cols", b"LGSTCOL1")].iter().enumerate()
    {
        let [count, low, high, flags] = [0, 1, 2, 3].map(|at| head[number * 4 + at]);
        let identity = Identity { magic: u64::from_le_bytes(**magic), seed };
        let footer = Footer {
            content_len: parts[number].len() as u64,
            log_bytes: LOG_BYTES,
            count: u64::from(count),
            directory: u64::from(u16::from_le_bytes([low, high])),
            flags: u32::from(flags),
        };
        let file = paged::encode(identity, parts[number], footer);
        disk.replace(&log_path.with_extension(extension), &file).expect("a file");
    }
    let site = SideSite { disk, finding: Finding::new(FindLimits::default()), log_path: log_path.to_owned(), seed };
    if let Ok(tables) = site.load(0, LOG_BYTES) {
        let _ = tables.bytes();
    }
    let _ = site.open(LOG_BYTES);
}

/// What needs no file.
fn plain(bytes: &[u8]) {
    if let Some(state) = LogState::decode(bytes) {
        assert_eq!(LogState::decode(&state.encode()), Some(state));
    }
    if let Some(header) = bytes.first_chunk().and_then(SegmentHeader::decode) {
        assert_eq!(Some(&header.encode()), bytes.first_chunk());
    }
    let mut document = bytes.to_vec();
    let crc = crc32c::crc32c(&document);
    document.extend_from_slice(format!("\ncrc32c {crc:08x}\n").as_bytes());
    let _ = document::decode::<Seal>(&document);
    let _ = document::decode::<Node>(&document);
    if let Ok(marks) = document::decode::<CleanMarks>(&document) {
        assert_eq!(document::decode::<CleanMarks>(&document::encode(&marks)).ok(), Some(marks));
    }
}
