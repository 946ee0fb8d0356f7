//! One file of a partition, and the side files of a sealed one.
//!
//! ```text
//! NNN.log    header, 64 B: magic u64 | format u32 | crc32c u32 | salt u64 | base frame u64 | base offset u64
//!                          created i64 | base payload sum u64 | base address u64        then frames
//! NNN.idx    the sparse index: entries, then crc32c u32 | count u32 | magic u64
//! NNN.seal   a document: where the segment ends
//! ```
//!
//! The side files are derived: a missing or damaged one is made again from the log.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use logstore_api::Timestamp;
use logstore_api::frame::{Kind, Salt};
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, FRAMES_AT, Window};
use super::index::{Entry, SparseIndex};
use super::scan::{Found, Scan};
use crate::disk::{Disk, DiskFile, Open};
use crate::document;

const MAGIC: u64 = u64::from_le_bytes(*b"LGSTLOG1");
const INDEX_MAGIC: u64 = u64::from_le_bytes(*b"LGSTIDX1");
/// Version of the bytes in a segment.
pub const FORMAT: u32 = 1;
const HEADER_LEN: usize = 64;
const INDEX_FOOTER_LEN: usize = 16;
/// More than the index of the largest segment takes.
const SIDE_FILE_MAX: usize = 64 * 1024 * 1024;

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Seed of the checksums.
    pub salt: Salt,
    /// Number of the first ordered frame.
    pub base_frame: u64,
    /// Offset of the first record.
    pub base_offset: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// Bytes of payload before it.
    pub base_payload_sum: u64,
    /// Address of its first record in rochefort's file.
    pub base_address: u64,
}

impl SegmentHeader {
    /// The bytes on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let Self { salt, base_frame, base_offset, created, base_payload_sum, base_address } = *self;
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&salt.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&base_frame.to_le_bytes());
        bytes[32..40].copy_from_slice(&base_offset.to_le_bytes());
        bytes[40..48].copy_from_slice(&created.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&base_payload_sum.to_le_bytes());
        bytes[56..64].copy_from_slice(&base_address.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the bytes back; `None` where they do not verify or are of another format.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let mut covered = *bytes;
        covered[12..16].fill(0);
        let crc = crc32c::crc32c(&covered);
        let head = u64::from(FORMAT) | u64::from(crc) << 32;
        #[allow(clippy::cast_possible_wrap, reason = "the same 64 bits")]
        let created = Timestamp(word(40) as i64);
        (word(0) == MAGIC && word(8) == head).then(|| Self {
            salt: Salt(word(16)),
            base_frame: word(24),
            base_offset: word(32),
            created,
            base_payload_sum: word(48),
            base_address: word(56),
        })
    }
}

/// Name of the log file of the segment that begins with this frame.
#[must_use]
pub fn file_name(base_frame: u64) -> String {
    format!("{base_frame:020}.log")
}

/// The first frame of the segment in a file with this name; `None` for other files.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Where a sealed segment ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of the segment's bytes.
    pub format: u32,
    /// The frame number after its last.
    pub end_frame: u64,
    /// The offset after its last record.
    pub end_offset: u64,
    /// Length of the log file.
    pub log_bytes: u64,
    /// Server time of its last frame.
    pub last_time: Timestamp,
    /// Bytes of payload up to its end.
    pub payload_sum: u64,
    /// Address in rochefort's file up to its end.
    pub address: u64,
}

/// A cursor that was set back, so that records can be given newest first.
#[derive(Debug)]
pub struct Back {
    /// It goes forward from there.
    pub cursor: Cursor,
    /// The first offset that it can meet.
    pub offset: u64,
    /// Where in the file it begins.
    pub position: u64,
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    /// What its header says.
    pub header: SegmentHeader,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    len: AtomicU64,
    last_time: AtomicI64,
    /// Its side files are there.
    sealed: AtomicBool,
    /// Not there before it is needed, where the segment was sealed in an earlier run.
    index: RwLock<Option<SparseIndex>>,
}

impl Segment {
    /// Begins a segment: header and first frame are written beside it and synced, then it gets its name.
    pub fn create(disk: &dyn Disk, dir: &Path, header: SegmentHeader, first_frame: &[u8]) -> io::Result<Self> {
        let path = dir.join(file_name(header.base_frame));
        disk.replace(&path, &[&header.encode()[..], first_frame].concat())?;
        let len = FRAMES_AT + first_frame.len() as u64;
        let file = disk.open(&path, Open::Write)?;
        Ok(Self::open(header, path, file, len, header.created, Some(SparseIndex::default())))
    }

    /// A segment whose content is known.
    #[must_use]
    pub fn open(
        header: SegmentHeader,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        len: u64,
        last_time: Timestamp,
        index: Option<SparseIndex>,
    ) -> Self {
        let (len, last_time) = (AtomicU64::new(len), AtomicI64::new(last_time.0));
        Self { header, path, file, len, last_time, sealed: AtomicBool::new(false), index: RwLock::new(index) }
    }

    /// Length of the log file up to the last frame.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Server time of the last frame.
    #[must_use]
    pub fn last_time(&self) -> Timestamp {
        Timestamp(self.last_time.load(Ordering::Relaxed))
    }

    /// Whether its side files are known to be there.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Relaxed)
    }

    /// Notes that its side files are there.
    pub fn set_sealed(&self) {
        self.sealed.store(true, Ordering::Relaxed);
    }

    /// The log file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open log file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Writes frames behind the last; the caller is the only writer.
    pub fn append(&self, parts: &mut [IoSlice<'_>], len: u64, last_time: Timestamp) -> io::Result<()> {
        let position = self.log_bytes();
        self.file.write_all_at(parts, position)?;
        self.last_time.store(last_time.0, Ordering::Relaxed);
        self.len.store(position + len, Ordering::Release);
        Ok(())
    }

    /// Takes back what a failed write may have left behind the last frame.
    pub fn cut_back(&self) -> io::Result<()> {
        self.file.truncate(self.log_bytes())
    }

    /// Notes places in the index.
    pub fn note(&self, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let index = index.get_or_insert_default();
        entries.iter().for_each(|entry| index.note(*entry));
    }

    /// Bytes of log that hold a range of offsets, or more; `None` where it begins elsewhere, or the index is not in
    /// memory.
    #[must_use]
    pub fn bytes_of(&self, from: u64, until: u64) -> Option<u64> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let index = index.as_ref().filter(|_| from >= self.header.base_offset)?;
        let begin = index.at_offset(from).map_or(FRAMES_AT, |entry| u64::from(entry.position));
        let end = index.position_behind(until).map_or_else(|| self.log_bytes(), u64::from);
        Some(end.saturating_sub(begin))
    }

    /// A cursor for the records before an offset, about `bytes` back and no further than `floor` needs.
    pub fn cursor_back_from(&self, until: u64, floor: u64, bytes: u32) -> io::Result<Back> {
        let (entry, end) =
            self.with_index(|index| (index.back_from(until, floor, bytes), index.position_behind(until)))?;
        let len = self.log_bytes();
        let position = entry.map_or(FRAMES_AT, |entry| u64::from(entry.position));
        let reach = end.map_or(len, u64::from).saturating_sub(position);
        let cursor = self.cursor_at(entry, Window::new(Arc::clone(&self.file), len).expecting(reach))?;
        Ok(Back { cursor, offset: entry.map_or(self.header.base_offset, |entry| entry.offset), position })
    }

    /// A cursor at or before the first record of a time or later.
    pub fn cursor_at_time(&self, time: Timestamp) -> io::Result<Cursor> {
        self.cursor(|index| index.before_time(time))
    }

    /// A cursor at or before an offset.
    pub fn cursor_at_offset(&self, offset: u64) -> io::Result<Cursor> {
        self.cursor(|index| index.at_offset(offset))
    }

    /// A cursor at or before an address of rochefort's file.
    pub fn cursor_at_address(&self, address: u64) -> io::Result<Cursor> {
        self.cursor(|index| index.at_address(address))
    }

    fn cursor(&self, entry: impl Fn(&SparseIndex) -> Option<Entry>) -> io::Result<Cursor> {
        let entry = self.with_index(entry)?;
        self.cursor_at(entry, Window::new(Arc::clone(&self.file), self.log_bytes()))
    }

    fn cursor_at(&self, entry: Option<Entry>, window: Window) -> io::Result<Cursor> {
        let salt = self.header.salt;
        match entry {
            Some(entry) => Cursor::at_entry(window, salt, entry),
            None => Ok(Cursor::at_start(window, salt, self.header.base_offset, self.header.base_address)),
        }
    }

    fn with_index<T>(&self, look_up: impl Fn(&SparseIndex) -> T) -> io::Result<T> {
        if let Some(index) = &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(look_up(index));
        }
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(self.rebuild_index()?);
        }
        Ok(slot.as_ref().map(&look_up).unwrap_or_else(|| look_up(&SparseIndex::default())))
    }

    fn rebuild_index(&self) -> io::Result<SparseIndex> {
        let mut cursor_sums = (self.header.base_payload_sum, self.header.base_address);
        let mut index = SparseIndex::default();
        let mut scan = self.scan();
        loop {
            match scan.step()? {
                Found::Frame { position, frame } if frame.header().kind == Kind::Data => {
                    for entry in entries_of(&frame, position, cursor_sums) {
                        index.note(entry);
                    }
                    let (payload, address) = frame.sums();
                    cursor_sums = (cursor_sums.0 + payload, cursor_sums.1 + address);
                }
                Found::End => return Ok(index),
                Found::Frame { .. } | Found::Damage { .. } | Found::Tail { .. } => {}
            }
        }
    }

    /// A walk over all frames.
    #[must_use]
    pub fn scan(&self) -> Scan {
        let len = self.log_bytes();
        Scan::new(Window::new(Arc::clone(&self.file), len), self.header.salt, FRAMES_AT, len)
    }

    /// Writes the side files of a segment that gets no more frames. Its log must be synced.
    pub fn seal(&self, disk: &dyn Disk, seal: &Seal) -> io::Result<()> {
        self.write_index(disk)?;
        disk.replace(&self.path.with_extension("seal"), &document::encode(seal))
    }

    /// Writes the index as a side file.
    pub fn write_index(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut bytes = self.with_index(SparseIndex::encode)?;
        let crc = crc32c::crc32c(&bytes);
        let count = u32::try_from(bytes.len() / super::index::ENTRY_LEN).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&INDEX_MAGIC.to_le_bytes());
        disk.replace(&self.path.with_extension("idx"), &bytes)
    }

    /// Removes all files of a segment, the log last: without it the others mean nothing.
    pub fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        for extension in ["seal", "idx", "log"] {
            match disk.remove_file(&self.path.with_extension(extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads an index from its side file; `None` where it is missing or damaged.
#[must_use]
pub fn read_index(disk: &dyn Disk, log_path: &Path) -> Option<SparseIndex> {
    let bytes = disk.read(&log_path.with_extension("idx"), SIDE_FILE_MAX).ok()?;
    let (entries, footer) = bytes.split_last_chunk::<INDEX_FOOTER_LEN>()?;
    let crc = crc32c::crc32c(entries);
    let count = u32::try_from(entries.len() / super::index::ENTRY_LEN).ok()?;
    let sound = footer[..4] == crc.to_le_bytes()
        && footer[4..8] == count.to_le_bytes()
        && footer[8..] == INDEX_MAGIC.to_le_bytes();
    sound.then(|| SparseIndex::decode(entries))?
}

/// Reads a seal; `None` where it is missing or damaged.
#[must_use]
pub fn read_seal(disk: &dyn Disk, log_path: &Path) -> Option<Seal> {
    let bytes = disk.read(&log_path.with_extension("seal"), SIDE_FILE_MAX).ok()?;
    document::decode::<Seal>(&bytes).ok().filter(|seal| seal.format == FORMAT)
}

/// Reads a segment's header; `None` where it does not verify.
pub fn read_header(file: &dyn DiskFile) -> io::Result<Option<SegmentHeader>> {
    let mut bytes = [0; HEADER_LEN];
    let read = file.read_full_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes).filter(|_| read == HEADER_LEN))
}

/// The index entries that a data frame could get: its first record, and one every stride inside it. `sums` are payload
/// and address before it.
#[must_use]
pub fn entries_of(frame: &logstore_api::frame::FrameView<'_>, position: u64, sums: (u64, u64)) -> Vec<Entry> {
    let header = frame.header();
    let Ok(frame_position) = u32::try_from(position) else { return Vec::new() };
    let time = Timestamp(header.numbers.time_us);
    let (mut payload_sum, mut address) = sums;
    let mut entries = Vec::with_capacity(1);
    for (ordinal, record) in frame.records().enumerate() {
        let first = ordinal == 0;
        #[allow(clippy::cast_possible_truncation, reason = "positions in a segment fit 32 bits")]
        let position = if first { frame_position } else { frame_position + record.position as u32 };
        let far = entries.last().is_none_or(|last: &Entry| position - last.position >= super::index::STRIDE);
        if far {
            let offset = header.numbers.base_offset + ordinal as u64;
            entries.push(Entry { offset, frame_position, position, time, payload_sum, address });
        }
        if header.frame_len <= super::index::STRIDE as usize {
            break;
        }
        payload_sum += record.header.data_len as u64;
        address += record.address_bytes();
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        salt: Salt(5),
        base_frame: 7,
        base_offset: 6,
        created: Timestamp(-1),
        base_payload_sum: 100,
        base_address: 200,
    };

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let bytes = HEADER.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(HEADER));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn only_log_files_have_a_first_frame() {
        assert_eq!(file_name(42), "00000000000000000042.log");
        assert_eq!(parse_file_name("00000000000000000042.log"), Some(42));
        for other in ["42.log", "00000000000000000042.idx", "0000000000000000004x.log", "00000000000000000042.log.tmp"]
        {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
