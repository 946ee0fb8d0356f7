//! Opening a partition's files after an orderly stop, or after any other. Nothing is deleted: a torn tail goes to
//! quarantine before it is cut, and damage stays where it is, as a hole, behind which a new segment begins.

mod gap;
mod keep;
mod replay;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::Timestamp;
use logstore_api::frame::{FrameView, Kind, Salt, control};
use serde::{Deserialize, Serialize};

pub use self::keep::{keep, keep_copy};
use self::keep::{quarantine, set_aside};
use self::replay::{Replay, Replayed};
use super::changes::{Change, Changes, Doubt};
use super::confirmed::ConfirmedFile;
use super::cursor::{FRAMES_AT, Window};
use super::find::Finding;
use super::find::side::{self, SideSite};
use super::find::tables::Tables;
use super::overlay::Hidden;
use super::scan::{Found, Scan};
use super::segment::{self, Segment, SegmentHeader};
use super::state::{LogState, Tail};
use crate::disk::{self, Disk, DiskFile, Open};

/// Where a partition's files are, and what verifies them.
#[derive(Clone, Debug)]
pub struct Site {
    /// The seam to the files.
    pub disk: Arc<dyn Disk>,
    /// The partition's number in its namespace.
    pub number: u32,
    /// The partition's own directory.
    pub dir: PathBuf,
    /// Where cut tails go.
    pub quarantine: PathBuf,
    /// What the partition is called in the names of files in quarantine.
    pub label: String,
    /// Seed of the checksums.
    pub salt: Salt,
    /// Writers place frames: wire checksums are kept.
    pub ordered: bool,
    /// Memory for finding records.
    pub finding: Arc<Finding>,
}

impl Site {
    /// Where the side files of the segment that begins with this frame are.
    #[must_use]
    pub fn side(&self, base_frame: u64) -> SideSite {
        SideSite {
            disk: Arc::clone(&self.disk),
            finding: Arc::clone(&self.finding),
            log_path: self.dir.join(segment::file_name(base_frame)),
            seed: side::seed(self.salt, base_frame),
        }
    }
}

/// The end of a partition at an orderly stop. It is trusted only where it fits the files exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanMark {
    /// The active segment.
    pub segment: u64,
    /// Length of its log file.
    pub end: u64,
    /// Where the checkpoint stands that is its last frame.
    pub checkpoint: u64,
    /// That frame's checksum.
    pub checksum: u32,
    /// The frame number that comes next.
    pub next_frame: u64,
    /// The offset that comes next.
    pub next_offset: u64,
}

/// An open log.
#[derive(Debug)]
pub struct Recovered {
    /// What it knows.
    pub state: LogState,
    /// The changes of records that readers see, and those that wait to be confirmed.
    pub seen: Changes,
    /// See [`Recovered::seen`].
    pub hidden: Vec<Hidden>,
    /// Its segments, oldest first; the last one is active.
    pub segments: Vec<Arc<Segment>>,
    /// Offsets that cannot be had.
    pub holes: Vec<(u64, u64)>,
    /// The active segment is damaged: what comes next goes to a new one.
    pub must_roll: bool,
    /// Bytes that were cut and kept in quarantine.
    pub quarantined_bytes: u64,
}

/// Opens the files.
pub fn recover(site: &Site, clean: Option<&CleanMark>) -> io::Result<Recovered> {
    if clean.is_none() {
        // A killed process may have given names, of a segment or of a configuration, that are not on the disk yet.
        unless_read_only(sync_parents(&*site.disk, &site.dir))?;
    }
    let mut files = Files { site, opened: Vec::new() };
    for base in list_segments(site)? {
        files.open(base)?;
    }
    if let Some(recovered) = clean.and_then(|mark| files.trust(mark)) {
        return Ok(recovered);
    }
    let mut recovered = files.recover_active()?;
    if let Some(mark) = clean
        && !site.ordered
    {
        recovered.miss(site, mark);
    }
    Ok(recovered)
}

impl Recovered {
    /// A log that has no files yet.
    fn empty() -> Self {
        Self {
            state: LogState::default(),
            seen: Changes::default(),
            hidden: Vec::new(),
            segments: Vec::new(),
            holes: Vec::new(),
            must_roll: false,
            quarantined_bytes: 0,
        }
    }

    /// What an orderly stop has told and is there no more becomes a hole: its offsets are not given again. (A copy gets
    /// it from the others instead.)
    fn miss(&mut self, site: &Site, mark: &CleanMark) {
        let Tail { next_frame, next_offset, .. } = self.state.tail;
        if next_frame >= mark.next_frame {
            return;
        }
        tracing::error!(partition = %site.label, next_offset, was = mark.next_offset, "records that were there at the last stop are gone; their offsets are not given again");
        if self.segments.is_empty() {
            // There is nothing before the hole: the log begins behind it.
            self.state.trim_start = mark.next_offset;
        } else if next_offset < mark.next_offset {
            self.holes.push((next_offset, mark.next_offset));
        }
        if self.state.changes.has_begun() {
            let doubt = Change::Doubt(Doubt { until: next_offset, frame: mark.next_frame });
            self.state.changes.apply(doubt, next_offset);
            self.seen = self.state.changes.clone();
        }
        self.state.tail = Tail { next_frame: mark.next_frame, next_offset: mark.next_offset, ..self.state.tail };
        self.must_roll = true;
    }
}

fn list_segments(site: &Site) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for name in site.disk.list(&site.dir)? {
        if name.ends_with(".tmp") {
            // Was never given its name: a crash came first. A disk that is read-only keeps it.
            match site.disk.remove_file(&site.dir.join(&name)) {
                Err(error) if !disk::is_full(&error) => return Err(error),
                _ => {}
            }
        }
        bases.extend(segment::parse_file_name(&name));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Segments that were opened, oldest first.
struct Files<'a> {
    site: &'a Site,
    opened: Vec<OpenedFile>,
}

struct OpenedFile {
    header: SegmentHeader,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    len: u64,
    /// Its own header was sound.
    sound: bool,
}

impl Files<'_> {
    fn open(&mut self, base_frame: u64) -> io::Result<()> {
        let path = self.site.dir.join(segment::file_name(base_frame));
        let file = match self.site.disk.open(&path, Open::Write) {
            // It is read all the same; nothing is written before a restart on a disk that takes it.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                self.site.disk.open(&path, Open::Read)?
            }
            result => result?,
        };
        let len = file.size()?;
        let header = segment::read_header(&*file)?;
        if let Some(header) = header.filter(|header| header.base_frame != base_frame) {
            // Its frames would verify, but they stand elsewhere in the log, if they still do.
            return set_aside(self.site, &path, base_frame, header.base_frame);
        }
        if header.is_some_and(|header| header.salt != self.site.salt) {
            let what = format!("{} is of another incarnation of the namespace", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let sound = header.is_some();
        let header = match header {
            Some(header) => header,
            None => {
                tracing::error!(path = %path.display(), "the header of a segment is damaged; its frames are read without it");
                self.guess_header(base_frame, &file, len)?
            }
        };
        self.opened.push(OpenedFile { header, path, file, len, sound });
        Ok(())
    }

    /// What the header of a segment must have said: its snapshot repeats it, and the segment before ends there.
    fn guess_header(&self, base_frame: u64, file: &Arc<dyn DiskFile>, len: u64) -> io::Result<SegmentHeader> {
        let state = match self.snapshot(base_frame, file, len)? {
            Some(state) => state,
            None => self.state_before(self.opened.len())?,
        };
        Ok(SegmentHeader {
            salt: self.site.salt,
            base_frame,
            base_offset: state.tail.next_offset,
            created: state.tail.last_time,
            base_payload_sum: state.tail.payload_sum,
            base_address: state.tail.address_sum,
        })
    }

    /// What is known where the segment with this number begins: its snapshot, or all of the one before.
    fn state_before(&self, number: usize) -> io::Result<LogState> {
        match number.checked_sub(1).map(|before| &self.opened[before]) {
            Some(before) => Ok(self.replay(before, number - 1, None)?.state),
            None => Ok(LogState::default()),
        }
    }

    /// Walks over a segment; for `cut_from` see [`Replay::new`].
    fn replay(&self, opened: &OpenedFile, number: usize, cut_from: Option<u64>) -> io::Result<Replayed> {
        let snapshot = self.snapshot(opened.header.base_frame, &opened.file, opened.len)?;
        let damaged = snapshot.is_none();
        let state = match snapshot {
            Some(state) => state,
            None => self.state_without_snapshot(opened, number)?,
        };
        let mut replayed = Replay::new(self.site, opened, state, cut_from).run()?;
        replayed.damaged |= damaged;
        Ok(replayed)
    }

    /// What a segment begins with, where it is sound and of this segment.
    fn snapshot(&self, base_frame: u64, file: &Arc<dyn DiskFile>, len: u64) -> io::Result<Option<LogState>> {
        let window = Window::new(Arc::clone(file), len);
        match Scan::new(window, self.site.salt, FRAMES_AT, len).step()? {
            Found::Frame { position: FRAMES_AT, frame } => {
                Ok(decode_snapshot(&frame).filter(|state| state.tail.next_frame == base_frame))
            }
            _ => Ok(None),
        }
    }

    fn state_without_snapshot(&self, opened: &OpenedFile, number: usize) -> io::Result<LogState> {
        tracing::error!(path = %opened.path.display(), "the snapshot of a segment is damaged; it is made again from the segment before");
        let mut state = self.state_before(number)?;
        let SegmentHeader { base_frame, base_offset, base_payload_sum, base_address, .. } = opened.header;
        // The snapshot may have been the first to say so.
        state.changes.begin();
        if number > 0 && state.tail.next_frame < base_frame {
            let doubt = Change::Doubt(Doubt { until: base_offset, frame: base_frame });
            state.changes.apply(doubt, base_offset);
        }
        state.tail = Tail {
            next_frame: base_frame,
            next_offset: base_offset,
            payload_sum: base_payload_sum,
            address_sum: base_address,
            ..state.tail
        };
        Ok(state)
    }

    /// Opens the active segment by the mark of an orderly stop; `None` where it does not fit exactly.
    fn trust(&mut self, mark: &CleanMark) -> Option<Recovered> {
        let active = self.opened.last()?;
        let mut state = trusted_state(active, mark, self.site.salt)?;
        let tables = self.site.side(mark.segment).load(active.header.base_offset, mark.end).ok()?;
        state.changes.forget_before(self.opened.first().map_or(0, |first| first.header.base_offset));
        let segments = self.segments(Some(tables), state.tail.last_time);
        Some(Recovered { seen: state.changes.clone(), segments, state, ..Recovered::empty() })
    }

    fn recover_active(&mut self) -> io::Result<Recovered> {
        let Some(number) = self.opened.len().checked_sub(1) else { return Ok(Recovered::empty()) };
        let active = &self.opened[number];
        // What only the page cache holds may be what a failed sync has left there: it has to come from the disk.
        unless_read_only(active.file.sync_data())?;
        active.file.drop_cache()?;
        let confirmed = ConfirmedFile::load(Arc::clone(&self.site.disk), &self.site.dir).saved().frame;
        let cut_from = self.site.ordered.then_some(confirmed);
        let Replayed { mut state, seen, hidden, tables, holes, damaged, end } =
            self.replay(active, number, cut_from)?;
        let start = self.opened.first().map_or(0, |first| first.header.base_offset);
        state.changes.forget_before(start);
        let mut seen = seen.unwrap_or_else(|| state.changes.clone());
        seen.forget_before(start);
        holes.iter().for_each(|(from, until)| state.producers.forget(*from, *until));
        let (mut must_roll, mut quarantined_bytes) = (damaged, 0);
        if end < active.len {
            match quarantine(self.site, active, end) {
                Ok(()) => quarantined_bytes = active.len - end,
                Err(error) if disk::is_full(&error) => {
                    tracing::warn!(path = %active.path.display(), end, "no room to keep a torn tail in quarantine; it stays where it is");
                    must_roll = true;
                }
                Err(error) => return Err(error),
            }
        }
        // What was in the page cache when the process ended is on the disk from here on.
        unless_read_only(active.file.sync_data())?;
        if quarantined_bytes > 0 {
            self.opened[number].len = end;
        }
        // Frames that are damaged may hold records that are not: then the tables are made again, from each record alone.
        let tables = Some(tables).filter(|_| !damaged);
        let segments = self.segments(tables, state.tail.last_time);
        Ok(Recovered { state, seen, hidden, segments, holes, must_roll, quarantined_bytes })
    }

    fn segments(&mut self, mut active_tables: Option<Tables>, last_time: Timestamp) -> Vec<Arc<Segment>> {
        let begins: Vec<Timestamp> = self.opened.iter().map(|opened| opened.header.created).collect();
        let count = self.opened.len();
        let open = |(number, opened): (usize, OpenedFile)| {
            let OpenedFile { header, path, file, len, sound: _ } = opened;
            let side = self.site.side(header.base_frame);
            if number + 1 == count {
                return Arc::new(Segment::open(header, side, file, len, last_time, active_tables.take()));
            }
            // A sealed segment ends before the next begins.
            let seal = segment::read_seal(&*self.site.disk, &path);
            let last_time = seal.map_or(begins[number + 1], |seal| seal.last_time);
            Arc::new(Segment::open(header, side, file, len, last_time, None))
        };
        std::mem::take(&mut self.opened).into_iter().enumerate().map(open).collect()
    }
}

fn decode_snapshot(frame: &FrameView<'_>) -> Option<LogState> {
    (frame.header().kind == Kind::Snapshot).then(|| LogState::decode(control::body(frame)?))?
}

fn trusted_state(active: &OpenedFile, mark: &CleanMark, salt: Salt) -> Option<LogState> {
    if !active.sound || active.header.base_frame != mark.segment || active.len != mark.end {
        return None;
    }
    let len = usize::try_from(mark.end.checked_sub(mark.checkpoint)?).ok()?;
    let mut window = Window::new(Arc::clone(&active.file), active.len);
    let bytes = window.get(mark.checkpoint, len).ok()?;
    let frame = FrameView::verify(bytes, salt, mark.checkpoint).ok()?;
    let last = frame.bytes().len() == len && frame.checksum() == mark.checksum;
    last.then(|| decode_snapshot(&frame))?
}

/// On a disk that is read-only nothing reaches it any more, and nothing is promised before a restart.
fn unless_read_only(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        result => result,
    }
}

fn sync_parents(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.sync_dir(dir)?;
    dir.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
}
