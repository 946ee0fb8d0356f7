//! One file of a partition, and the side files of a sealed one.
//!
//! ```text
//! NNN.log    header, 64 B: magic u64 | format u32 | crc32c u32 | salt u64 | base frame u64 | base offset u64
//!                          created i64 | base payload sum u64 | base address u64        then frames
//! NNN.idx .tags .cols    side files: see [`super::find`]
//! NNN.seal               a document: where the segment ends, and which side files it has
//! ```
//!
//! The side files are derived: a missing or damaged one is made again from the log.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use logstore_api::Timestamp;
use logstore_api::frame::{self, FrameView, Kind, Salt};
use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, FRAMES_AT, READ_MAX, Step, Window};
use super::find::Kept;
use super::find::columns::Columns;
use super::find::postings::Postings;
use super::find::side::{SideFileList, SideFiles, SideSite};
use super::find::tables::{self, Tables};
use super::index::{Entries, Entry};
use super::read::Range;
use super::scan::{Found, Scan};
use crate::disk::{Disk, DiskFile, Open};
use crate::document;

const MAGIC: u64 = u64::from_le_bytes(*b"LGSTLOG1");
/// Version of the bytes in a segment.
pub const FORMAT: u32 = 1;
const HEADER_LEN: usize = 64;
/// What is made from the log of a sealed segment; the seal goes first, because it vouches for the rest.
const SIDE_FILES: [&str; 4] = ["seal", "idx", "tags", "cols"];
/// What a frame begins with.
const FRAME_HEAD_LEN: u64 = (frame::HEADER_LEN + frame::PRODUCER_LEN) as u64;
/// More than a seal takes.
const SEAL_BYTES_MAX: usize = 64 * 1024;
/// The tables of a segment among what the cache holds.
const TABLES_KEY: u32 = u32::MAX;

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

/// Where a sealed segment ends, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Version of the segment's bytes.
    pub format: u32,
    /// The frame number after its last.
    pub end_frame: u64,
    /// The offset of its first record.
    pub first_offset: u64,
    /// The offset after its last record.
    pub end_offset: u64,
    /// Length of the log file.
    pub log_bytes: u64,
    /// Server time of its first record.
    pub first_time: Option<Timestamp>,
    /// Server time of its last frame.
    pub last_time: Timestamp,
    /// Bytes of payload up to its end.
    pub payload_sum: u64,
    /// Address in rochefort's file up to its end.
    pub address: u64,
    /// Different tags.
    pub tag_count: u64,
    /// Its side files.
    pub files: SideFileList,
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

/// A part of the log that one entry of the index leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where the frame of its first record begins in the file.
    pub frame: u64,
    /// Where its first record begins there.
    pub begin: u64,
    /// Where its last record has ended.
    pub end: u64,
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    /// What its header says.
    pub header: SegmentHeader,
    side: SideSite,
    file: Arc<dyn DiskFile>,
    len: AtomicU64,
    last_time: AtomicI64,
    /// Its side files are there.
    sealed: AtomicBool,
    /// Its side files were found damaged: they are not opened again before they were written again.
    distrusted: AtomicBool,
    finder: RwLock<Option<Finder>>,
    /// Whose its tables are in the cache.
    id: u64,
}

/// By what the records of a segment are found.
#[derive(Clone, Debug)]
pub enum Finder {
    /// Tables in memory, which may still grow.
    Memory(Arc<RwLock<Tables>>),
    /// Side files.
    Files(Arc<SideFiles>),
}

impl Segment {
    /// Begins a segment: header and first frame are written beside it and synced, then it gets its name.
    pub fn create(side: SideSite, header: SegmentHeader, first_frame: &[u8]) -> io::Result<Self> {
        side.disk.replace(&side.log_path, &[&header.encode()[..], first_frame].concat())?;
        let len = FRAMES_AT + first_frame.len() as u64;
        let file = side.disk.open(&side.log_path, Open::Write)?;
        Ok(Self::open(header, side, file, len, header.created, Some(Tables::new(header.base_offset))))
    }

    /// A segment whose log is known, with its tables where they are in memory.
    #[must_use]
    pub fn open(
        header: SegmentHeader,
        side: SideSite,
        file: Arc<dyn DiskFile>,
        len: u64,
        last_time: Timestamp,
        tables: Option<Tables>,
    ) -> Self {
        let finder = tables.map(|mut tables| {
            tables.count_in(&side.finding);
            Finder::Memory(Arc::new(RwLock::new(tables)))
        });
        Self {
            header,
            file,
            len: AtomicU64::new(len),
            last_time: AtomicI64::new(last_time.0),
            sealed: AtomicBool::new(false),
            distrusted: AtomicBool::new(false),
            finder: RwLock::new(finder),
            id: side.finding.next_id(),
            side,
        }
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

    /// Whether its side files are there, as far as that can be told without reading all of them.
    #[must_use]
    pub fn find_seal(&self) -> bool {
        let known = self.known().clone();
        let files = match known {
            Some(Finder::Files(_)) => true,
            Some(Finder::Memory(_)) => false,
            None => self.use_files().is_some(),
        };
        self.sealed.store(files, Ordering::Relaxed);
        files
    }

    fn read_seal(&self) -> Option<Seal> {
        read_seal(&*self.side.disk, self.path()).filter(|seal| seal.log_bytes == self.log_bytes())
    }

    /// The log file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.side.log_path
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

    /// Takes back what a failed write may have left behind the last frame; where it has left nothing, nothing is
    /// written, which a read-only disk would not allow.
    pub fn cut_back(&self) -> io::Result<()> {
        let len = self.log_bytes();
        if self.file.size()? > len { self.file.truncate(len) } else { Ok(()) }
    }

    /// Notes a frame that stands at a position in the tables; `sums` are payload and address before it.
    pub fn note(&self, frame: &FrameView<'_>, position: u64, sums: (u64, u64)) {
        if let Some(Finder::Memory(tables)) = &*self.known() {
            tables::write(tables).note_frame(frame, position, sums);
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Option<Finder>> {
        self.finder.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_finder(&self, finder: Option<Finder>) {
        *self.finder.write().unwrap_or_else(PoisonError::into_inner) = finder;
    }

    /// Whether a frame would bring more different tags than a segment may have. A frame without a new one never does.
    #[must_use]
    pub fn has_too_many_tags_with(&self, frame: &FrameView<'_>) -> bool {
        match &*self.known() {
            Some(Finder::Memory(tables)) => {
                tables::read(tables).has_too_many_tags_with(frame, self.side.finding.limits.segment_tags)
            }
            _ => false,
        }
    }

    /// Whether its tables in memory are to go to the disk, because those of all logs have become too large.
    #[must_use]
    pub fn tables_too_large(&self) -> bool {
        match &*self.known() {
            Some(Finder::Memory(tables)) => self.side.finding.is_too_large(tables::read(tables).bytes()),
            _ => false,
        }
    }

    /// Bytes of log that hold a range of offsets, or more; `None` where it begins elsewhere, or the index is not in
    /// memory.
    #[must_use]
    pub fn bytes_of(&self, from: u64, until: u64) -> Option<u64> {
        let Some(Finder::Memory(tables)) = &*self.known() else { return None };
        if from < self.header.base_offset {
            return None;
        }
        self.bytes_by(&tables::read(tables).index, from, until).ok()
    }

    fn bytes_by(&self, index: &dyn Entries, from: u64, until: u64) -> io::Result<u64> {
        let begin = index.last_before(|entry| entry.offset <= from)?;
        let begin = begin.map_or(FRAMES_AT, |entry| u64::from(entry.position));
        let end = index.position_behind(until)?.map_or_else(|| self.log_bytes(), u64::from);
        Ok(end.saturating_sub(begin))
    }

    /// In which stretch of the index the record at an offset stands.
    pub fn stretch_of(&self, offset: u64) -> io::Result<Stretch> {
        let (before, behind) = self.look_up(|index| index.around(offset))?;
        Ok(Stretch {
            frame: before.map_or(FRAMES_AT, |entry| u64::from(entry.frame_position)),
            begin: before.map_or(FRAMES_AT, |entry| u64::from(entry.position)),
            end: behind.map_or_else(|| self.log_bytes(), |entry| u64::from(entry.position)),
        })
    }

    /// Begins to bring a stretch into the cache, or the first part of a long one, with the head of its frame.
    pub fn will_read(&self, Stretch { frame, begin, end }: Stretch) {
        if frame != begin {
            self.file.will_read(frame, FRAME_HEAD_LEN);
        }
        self.file.will_read(begin, end.saturating_sub(begin).min(READ_MAX as u64));
    }

    /// A cursor for the records before an offset, about `bytes` back and no further than `floor` needs.
    pub fn cursor_back_from(&self, until: u64, floor: u64, bytes: u32) -> io::Result<Back> {
        let (entry, end) =
            self.look_up(|index| Ok((index.back_from(until, floor, bytes)?, index.position_behind(until)?)))?;
        let position = entry.map_or(FRAMES_AT, |entry| u64::from(entry.position));
        let reach = end.map_or(self.log_bytes(), u64::from).saturating_sub(position);
        let cursor = self.cursor_at(entry, self.window().expecting(reach))?;
        Ok(Back { cursor, offset: entry.map_or(self.header.base_offset, |entry| entry.offset), position })
    }

    /// A cursor at or before the first record of a time or later.
    pub fn cursor_at_time(&self, time: Timestamp) -> io::Result<Cursor> {
        self.cursor(|entry| entry.time < time)
    }

    /// A cursor at or before an offset.
    pub fn cursor_at_offset(&self, offset: u64) -> io::Result<Cursor> {
        self.cursor(|entry| entry.offset <= offset)
    }

    /// A cursor at or before the first offset of a range, which is not empty; it reads no more at first than the range takes.
    pub fn cursor_over(&self, Range { from, until }: Range) -> io::Result<Cursor> {
        let (entry, end) = self.look_up(|index| {
            let (before, behind) = index.around(from)?;
            let is_over = behind.is_none_or(|behind| behind.offset >= until);
            Ok((before, if is_over { behind.map(|entry| entry.position) } else { index.position_behind(until - 1)? }))
        })?;
        let begin = entry.map_or(FRAMES_AT, |entry| u64::from(entry.position));
        let len = end.map_or_else(|| self.log_bytes(), u64::from).saturating_sub(begin);
        self.cursor_at(entry, self.window().expecting(len))
    }

    /// A cursor at or before an address of rochefort's file.
    pub fn cursor_at_address(&self, address: u64) -> io::Result<Cursor> {
        self.cursor(|entry| entry.address <= address)
    }

    /// A cursor at the last place of the index for which `before` holds.
    fn cursor(&self, before: impl Fn(&Entry) -> bool) -> io::Result<Cursor> {
        let entry = self.look_up(|index| index.last_before(&before))?;
        self.cursor_at(entry, self.window())
    }

    fn cursor_at(&self, entry: Option<Entry>, window: Window) -> io::Result<Cursor> {
        let SegmentHeader { salt, base_offset, base_address, .. } = self.header;
        match entry {
            Some(entry) => Cursor::at_entry(window, salt, entry),
            None => Ok(Cursor::at_start(window, salt, base_offset, base_address)),
        }
    }

    fn window(&self) -> Window {
        Window::new(Arc::clone(&self.file), self.log_bytes())
    }

    /// Looks something up in the sparse index.
    fn look_up<T>(&self, look_up: impl Fn(&dyn Entries) -> io::Result<T>) -> io::Result<T> {
        self.find(|finder| match finder {
            Finder::Memory(tables) => look_up(&tables::read(tables).index),
            Finder::Files(files) => look_up(&**files),
        })
    }

    /// Looks something up. Side files that turn out to be damaged are made again from the log.
    pub fn find<T>(&self, look_up: impl Fn(&Finder) -> io::Result<T>) -> io::Result<T> {
        let finder = self.finder()?;
        match look_up(&finder) {
            Err(error) if matches!(finder, Finder::Files(_)) => {
                self.distrust(&error);
                look_up(&self.finder()?)
            }
            result => result,
        }
    }

    /// By what its records are found now: what is in memory, else side files, else tables made again from the log.
    pub fn finder(&self) -> io::Result<Finder> {
        if let Some(finder) = self.known().clone() {
            return Ok(finder);
        }
        match self.use_files() {
            Some(files) => Ok(files),
            None => self.remade().map(Finder::Memory),
        }
    }

    fn use_files(&self) -> Option<Finder> {
        let finder = Finder::Files(Arc::new(self.open_files()?));
        self.set_finder(Some(finder.clone()));
        Some(finder)
    }

    /// Its side files, where a seal names them and they are what it names.
    fn open_files(&self) -> Option<SideFiles> {
        if self.distrusted.load(Ordering::Relaxed) {
            return None;
        }
        let seal = self.read_seal()?;
        match self.side.open(seal.log_bytes) {
            Ok(files) if files.fit(&seal.files) => Some(files),
            Ok(_) => {
                self.distrust(&"it is not what the seal names");
                None
            }
            Err(error) => {
                self.distrust(&error);
                None
            }
        }
    }

    /// The same where it was side files that have failed; whether it was.
    pub fn distrust_files(&self, error: &io::Error) -> bool {
        let files = matches!(&*self.known(), Some(Finder::Files(_)));
        if files {
            self.distrust(error);
        }
        files
    }

    /// Side files that are damaged are used no more; they are written again when the log is tended.
    fn distrust(&self, error: &dyn std::fmt::Display) {
        tracing::warn!(path = %self.path().display(), %error, "a side file cannot be used; it is made again from the log");
        self.distrusted.store(true, Ordering::Relaxed);
        self.sealed.store(false, Ordering::Relaxed);
        self.set_finder(None);
    }

    /// Its tables, made again from the log, and kept in memory as long as there is room.
    fn remade(&self) -> io::Result<Arc<RwLock<Tables>>> {
        let (finding, key) = (&self.side.finding, (self.id, TABLES_KEY));
        let _one_at_a_time = finding.remake();
        if let Some(Kept::Tables(tables)) = finding.cache.get(key) {
            return Ok(tables);
        }
        let tables = self.remake_tables()?;
        let bytes = tables.bytes();
        let tables = Arc::new(RwLock::new(tables));
        finding.cache.put(key, Kept::Tables(Arc::clone(&tables)), bytes);
        Ok(tables)
    }

    fn remake_tables(&self) -> io::Result<Tables> {
        let mut tables = Tables::new(self.header.base_offset);
        let mut sums = (self.header.base_payload_sum, self.header.base_address);
        let (mut scan, mut damaged, mut last_time) = (self.scan(), false, i64::MIN);
        loop {
            match scan.step()? {
                Found::Frame { position, frame } => {
                    tables.note_frame(&frame, position, sums);
                    if frame.header().kind == Kind::Data {
                        let (payload, address) = frame.sums();
                        sums = (sums.0 + payload, sums.1 + address);
                    }
                    last_time = last_time.max(frame.header().numbers.time_us);
                }
                Found::End if damaged => break,
                Found::End => {
                    // Without a seal it was only known when the next segment was begun.
                    self.last_time.fetch_min(last_time, Ordering::Relaxed);
                    return Ok(tables);
                }
                Found::Damage { .. } | Found::Tail { .. } => damaged = true,
            }
        }
        self.remake_records(tables)
    }

    /// The same tables with the tags and values of every record that can be read, also in frames that are damaged.
    fn remake_records(&self, tables: Tables) -> io::Result<Tables> {
        let (tags, columns) = (Postings::default(), Columns::default());
        let mut whole = Tables::of(self.header.base_offset, tables.index, tags, columns);
        let mut cursor = self.cursor_at(None, self.window())?;
        loop {
            match cursor.step()? {
                Step::Record(record) => whole.note_meta(record.offset, &record.meta()),
                Step::Hole { .. } => {}
                Step::End => return Ok(whole),
            }
        }
    }

    /// A walk over all frames.
    #[must_use]
    pub fn scan(&self) -> Scan {
        Scan::new(self.window(), self.header.salt, FRAMES_AT, self.log_bytes())
    }

    /// Where the snapshot ends that it begins with; where that is damaged, it counts as none.
    #[must_use]
    pub fn snapshot_end(&self) -> u64 {
        match self.scan().step() {
            Ok(Found::Frame { position, frame }) if frame.header().kind == Kind::Snapshot => {
                position + frame.bytes().len() as u64
            }
            _ => FRAMES_AT,
        }
    }

    /// Writes the side files of a segment that gets no more frames, because the next one begins. Its log must be synced.
    pub fn seal(&self, next: &SegmentHeader) -> io::Result<()> {
        let tables = match self.finder()? {
            Finder::Memory(tables) => tables,
            Finder::Files(_) => self.remade()?,
        };
        let log_bytes = self.log_bytes();
        let seal = {
            let tables = tables::read(&tables);
            Seal {
                format: FORMAT,
                end_frame: next.base_frame,
                first_offset: self.header.base_offset,
                end_offset: next.base_offset,
                log_bytes,
                first_time: tables.index.first().map(|entry| entry.time),
                last_time: self.last_time(),
                payload_sum: next.base_payload_sum,
                address: next.base_address,
                tag_count: tables.tags.len() as u64,
                files: self.side.write(&tables, log_bytes)?,
            }
        };
        self.side.disk.replace(&self.path().with_extension("seal"), &document::encode(&seal))?;
        let files = self.side.open(log_bytes)?;
        self.set_finder(Some(Finder::Files(Arc::new(files))));
        self.side.finding.cache.remove((self.id, TABLES_KEY));
        self.distrusted.store(false, Ordering::Relaxed);
        self.sealed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the side files of a segment that may go on after an orderly stop; without a seal they are used only with
    /// the mark of that stop.
    pub fn write_side_files(&self) -> io::Result<()> {
        match &*self.known() {
            Some(Finder::Memory(tables)) => self.side.write(&tables::read(tables), self.log_bytes()).map(drop),
            _ => Ok(()),
        }
    }

    /// Removes all files of a segment, the log last: without it the others mean nothing.
    pub fn remove(&self) -> io::Result<()> {
        self.remove_files(&SIDE_FILES)?;
        self.remove_files(&["log"])
    }

    /// Removes what is made from the log.
    pub fn remove_side_files(&self) -> io::Result<()> {
        self.remove_files(&SIDE_FILES)
    }

    fn remove_files(&self, extensions: &[&str]) -> io::Result<()> {
        for extension in extensions {
            match self.side.disk.remove_file(&self.path().with_extension(extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The segment with the file that has its name now, and without side files.
    pub fn reopened(&self) -> io::Result<Self> {
        let file = self.side.disk.open(self.path(), Open::Write)?;
        Ok(Self::open(self.header, self.side.clone(), file, self.log_bytes(), self.last_time(), None))
    }
}

/// Reads a seal; `None` where it is missing or damaged.
#[must_use]
pub fn read_seal(disk: &dyn Disk, log_path: &Path) -> Option<Seal> {
    let bytes = disk.read(&log_path.with_extension("seal"), SEAL_BYTES_MAX).ok()?;
    document::decode::<Seal>(&bytes).ok().filter(|seal| seal.format == FORMAT)
}

/// Reads a segment's header; `None` where it does not verify.
pub fn read_header(file: &dyn DiskFile) -> io::Result<Option<SegmentHeader>> {
    let mut bytes = [0; HEADER_LEN];
    let read = file.read_full_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes).filter(|_| read == HEADER_LEN))
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
