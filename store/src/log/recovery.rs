//! Opening a partition's files after an orderly stop, or after any other. Nothing is deleted: a torn tail goes to
//! quarantine before it is cut, and damage stays where it is, as a hole, behind which a new segment begins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::Timestamp;
use logstore_api::frame::{FrameView, HEADER_LEN, Header, Kind, PRODUCER_LEN, Salt, control};
use serde::{Deserialize, Serialize};

use super::changes::{CONTROL_RECORD_LEN_MAX, Change, Changes, Doubt, FramePlace};
use super::confirmed::ConfirmedFile;
use super::cursor::{FRAMES_AT, Window};
use super::find::Finding;
use super::find::side::{self, SideSite};
use super::find::tables::Tables;
use super::overlay::Hidden;
use super::scan::{Found, Scan};
use super::segment::{self, Segment, SegmentHeader};
use super::state::{LogState, Tail};
use crate::broken::{self, Broken};
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
    /// The orderly end was trusted.
    pub clean: bool,
}

/// Opens the files.
pub fn recover(site: &Site, clean: Option<&CleanMark>) -> io::Result<Recovered> {
    if clean.is_none() {
        // A killed process may have given names, of a segment or of a configuration, that are not on the disk yet.
        unless_read_only(sync_parents(&*site.disk, &site.dir))?;
    }
    let bases = list_segments(site)?;
    let Some((last, sealed)) = bases.split_last() else {
        return Ok(Recovered {
            state: LogState::default(),
            seen: Changes::default(),
            hidden: Vec::new(),
            segments: Vec::new(),
            holes: Vec::new(),
            must_roll: false,
            quarantined_bytes: 0,
            clean: true,
        });
    };
    let mut files = Files { site, opened: Vec::new() };
    for base in sealed {
        files.open(*base)?;
    }
    if let Some(recovered) = clean.map(|mark| files.trust(*last, mark)).transpose()?.flatten() {
        return Ok(recovered);
    }
    let mut recovered = files.recover_active(*last)?;
    if let Some(mark) = clean
        && !site.ordered
    {
        recovered.miss(site, mark);
    }
    Ok(recovered)
}

impl Recovered {
    /// What an orderly stop has told and is there no more becomes a hole: its offsets are not given again. (A copy gets
    /// it from the others instead.)
    fn miss(&mut self, site: &Site, mark: &CleanMark) {
        let Tail { next_frame, next_offset, .. } = self.state.tail;
        if next_frame >= mark.next_frame {
            return;
        }
        tracing::error!(partition = %site.label, next_offset, was = mark.next_offset, "records that were there at the last stop are gone; their offsets are not given again");
        if next_offset < mark.next_offset {
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

/// What a walk over a segment's frames gives.
struct Replay {
    state: LogState,
    /// Changes of records by frames that are confirmed, once others have come.
    seen: Option<Changes>,
    /// Those others.
    hidden: Vec<Hidden>,
    /// What the damage just passed was, where that can be told.
    lost: Option<Lost>,
    tables: Tables,
    holes: Vec<(u64, u64)>,
    damaged: bool,
    /// Where sound frames end, and a torn tail begins if the file goes on.
    end: u64,
}

/// A damaged frame whose header is sound.
struct Lost {
    /// Where it ends in the file.
    end: u64,
    /// What it has changed of other records; `None` where that is not known.
    change: Option<Option<Change>>,
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
        let header = segment::read_header(&*file)?.filter(|header| header.base_frame == base_frame);
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
        let window = Window::new(Arc::clone(file), len);
        let state = match Scan::new(window, self.site.salt, FRAMES_AT, len).step()? {
            Found::Frame { position: FRAMES_AT, frame } => decode_snapshot(&frame),
            _ => None,
        };
        let state = match state {
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

    /// Walks over a segment. `cut_from`: damage at or behind this frame number ends the log, because a writer brings what
    /// follows again; a copy must not count as holding what it cannot read.
    fn replay(&self, opened: &OpenedFile, number: usize, cut_from: Option<u64>) -> io::Result<Replay> {
        let window = Window::new(Arc::clone(&opened.file), opened.len);
        let mut scan = Scan::new(window, self.site.salt, FRAMES_AT, opened.len);
        let mut replay = Replay {
            state: LogState::default(),
            seen: None,
            hidden: Vec::new(),
            lost: None,
            tables: Tables::new(opened.header.base_offset),
            holes: Vec::new(),
            damaged: !opened.sound,
            end: opened.len.min(FRAMES_AT),
        };
        let mut begun = false;
        // Whether damage here ends the log.
        let cuts = |replay: &Replay| {
            cut_from.is_some_and(|frame| replay.state.tail.next_frame >= frame) || broken::is(Broken::DamageCutOff)
        };
        loop {
            let found = scan.step()?;
            let snapshot = match &found {
                Found::Frame { frame, .. } if !begun => decode_snapshot(frame),
                _ => None,
            };
            if !begun {
                replay.damaged |= snapshot.is_none();
                replay.state = match snapshot {
                    Some(state) => state,
                    None => self.state_without_snapshot(opened, number)?,
                };
                begun = true;
            }
            match found {
                Found::Frame { position, frame } => {
                    let place = FramePlace {
                        segment: opened.header.base_frame,
                        position: u32::try_from(position).unwrap_or(u32::MAX),
                    };
                    replay.take(&frame, place, self.site, cut_from);
                    replay.end = position + frame.bytes().len() as u64;
                }
                Found::Damage { from, until } => {
                    tracing::error!(path = %opened.path.display(), from, until, "damage in a segment; what stands behind it is kept");
                    replay.damaged = true;
                    replay.end = if cuts(&replay) { from } else { until };
                    if replay.end == from {
                        return Ok(replay);
                    }
                    replay.lost = self.look_at_lost(opened, from)?.filter(|lost| lost.end == until);
                }
                Found::Tail { from, whole: Some(header) } if !cuts(&replay) => {
                    let hole_from = replay.state.tail.next_offset;
                    replay.lost = self.look_at_lost(opened, from)?;
                    replay.take_lost(&header);
                    replay.state.tail = replay.state.tail.after(&header, (0, 0), 0);
                    replay.note_hole(hole_from, replay.state.tail.next_offset);
                    replay.damaged = true;
                    replay.end = from + header.frame_len as u64;
                }
                Found::Tail { from, whole: _ } => {
                    replay.end = from;
                    return Ok(replay);
                }
                Found::End => return Ok(replay),
            }
        }
    }

    /// What a damaged frame was, whose header is sound.
    fn look_at_lost(&self, opened: &OpenedFile, position: u64) -> io::Result<Option<Lost>> {
        let mut window = Window::new(Arc::clone(&opened.file), opened.len);
        let Ok(header) = Header::verify(window.get(position, HEADER_LEN + PRODUCER_LEN)?, self.site.salt, position)
        else {
            return Ok(None);
        };
        let place =
            FramePlace { segment: opened.header.base_frame, position: u32::try_from(position).unwrap_or(u32::MAX) };
        let records = window.get(position + header.records_at() as u64, CONTROL_RECORD_LEN_MAX)?;
        let change = Change::of_damaged(&header, records, self.site.salt, place);
        Ok(Some(Lost { end: position + header.frame_len as u64, change }))
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
    fn trust(&mut self, base_frame: u64, mark: &CleanMark) -> io::Result<Option<Recovered>> {
        self.open(base_frame)?;
        let trusted = self.opened.last().and_then(|active| {
            let state = trusted_state(active, mark, self.site.salt)?;
            let tables = self.site.side(base_frame).load(active.header.base_offset, mark.end).ok()?;
            Some((state, tables))
        });
        let Some((mut state, tables)) = trusted else {
            self.opened.pop();
            return Ok(None);
        };
        state.changes.forget_before(self.opened.first().map_or(0, |first| first.header.base_offset));
        let recovered = Recovered {
            seen: state.changes.clone(),
            hidden: Vec::new(),
            segments: self.segments(Some(tables), state.tail.last_time),
            state,
            holes: Vec::new(),
            must_roll: false,
            quarantined_bytes: 0,
            clean: true,
        };
        Ok(Some(recovered))
    }

    fn recover_active(&mut self, base_frame: u64) -> io::Result<Recovered> {
        self.open(base_frame)?;
        let number = self.opened.len() - 1;
        let active = &self.opened[number];
        // What only the page cache holds may be what a failed sync has left there: it has to come from the disk.
        unless_read_only(active.file.sync_data())?;
        active.file.drop_cache()?;
        let confirmed = ConfirmedFile::load(Arc::clone(&self.site.disk), &self.site.dir).saved().frame;
        let cut_from = self.site.ordered.then_some(confirmed);
        let Replay { mut state, seen, hidden, lost: _, tables, holes, damaged, end } =
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
        Ok(Recovered { state, seen, hidden, segments, holes, must_roll, quarantined_bytes, clean: false })
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

impl Replay {
    /// Takes in a frame. Changes by frames from `seen_until` on are not seen yet.
    fn take(&mut self, frame: &FrameView<'_>, place: FramePlace, site: &Site, seen_until: Option<u64>) {
        let header = frame.header();
        if !header.kind.is_ordered() {
            return self.take_checkpoint(frame);
        }
        let Tail { next_frame, next_offset, payload_sum, address_sum, .. } = self.state.tail;
        if header.numbers.number != next_frame || header.numbers.base_offset != next_offset {
            self.damaged = true;
            self.note_hole(next_offset, header.numbers.base_offset);
            self.take_lost(&header);
        }
        self.lost = None;
        self.tables.note_frame(frame, u64::from(place.position), (payload_sum, address_sum));
        let wire_checksum = if site.ordered { frame.wire_checksum(site.salt) } else { 0 };
        if seen_until.is_some_and(|until| header.numbers.number >= until) && self.seen.is_none() {
            self.seen = Some(self.state.changes.clone());
        }
        let change = self.state.apply(frame, place, frame.sums(), wire_checksum);
        if let Some(change) = change.filter(|_| self.seen.is_some()) {
            let next_offset = self.state.tail.next_offset;
            self.hidden.push(Hidden { frame: header.numbers.number, next_offset, change });
        }
    }

    /// What frames that were lost may have changed is not to be served as it was. `next` is the frame behind them, or the
    /// last of them.
    fn take_lost(&mut self, next: &Header) {
        let Tail { next_frame, next_offset, .. } = self.state.tail;
        let frames = next.numbers.number.saturating_sub(next_frame);
        let offsets = next.numbers.base_offset.saturating_sub(next_offset);
        let doubt = Change::Doubt(Doubt { until: next.numbers.base_offset, frame: next.numbers.number });
        let change = match self.lost.take() {
            // The frame itself: its header is sound.
            Some(lost) if frames <= 1 => lost.change.unwrap_or(Some(doubt)),
            // A frame that counts offsets holds records.
            _ if frames == 0 || frames == 1 && offsets > 0 => None,
            _ => Some(doubt),
        };
        if let Some(change) = change.filter(|_| self.state.changes.has_begun() && !broken::is(Broken::LostPatchIgnored))
        {
            if let Change::Doubt(Doubt { until, .. }) = change {
                tracing::error!(
                    until,
                    "frames that may have patched or erased records were lost; records before this offset are not served, unless they are patched whole or erased"
                );
            }
            self.state.changes.apply(change, next_offset);
        }
    }

    /// A checkpoint knows of frames that damage before it has hidden.
    fn take_checkpoint(&mut self, frame: &FrameView<'_>) {
        self.lost = None;
        if let Some(state) = decode_snapshot(frame)
            && state.tail.next_frame > self.state.tail.next_frame
        {
            self.damaged = true;
            self.note_hole(self.state.tail.next_offset, state.tail.next_offset);
            self.state = state;
        }
    }

    fn note_hole(&mut self, from: u64, until: u64) {
        if from < until {
            self.holes.push((from, until));
        }
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

/// Copies what stands behind the last sound frame into quarantine, then cuts it off.
fn quarantine(site: &Site, active: &OpenedFile, end: u64) -> io::Result<()> {
    let kept = keep(site, &*active.file, active.header.base_frame, end, active.len)?;
    active.file.truncate(end)?;
    tracing::warn!(path = %active.path.display(), end, bytes = active.len - end, kept = %kept.display(), "a torn tail was cut off and kept");
    Ok(())
}

/// Copies a whole segment, which is about to be replaced, into quarantine.
pub fn keep_copy(site: &Site, segment: &Segment) -> io::Result<()> {
    let len = segment.file().size()?;
    let kept = keep(site, &**segment.file(), segment.header.base_frame, 0, len)?;
    tracing::warn!(path = %segment.path().display(), kept = %kept.display(), "a damaged segment without frames is replaced; it was kept");
    Ok(())
}

/// Copies a range of a log file into quarantine; where to.
pub fn keep(site: &Site, file: &dyn DiskFile, base_frame: u64, from: u64, until: u64) -> io::Result<PathBuf> {
    site.disk.create_dir(&site.quarantine)?;
    let name = format!("{}-{base_frame:020}-{from}-{}.tail", site.label, Timestamp::now().0);
    let kept = site.quarantine.join(&name);
    let copy = site.disk.open(&kept, Open::Create)?;
    let result = file.copy_range(&*copy, from, until);
    if let Err(error) = result.and_then(|()| copy.sync_data()) {
        // Half a copy is no copy; the original is still whole.
        let _ = site.disk.remove_file(&kept);
        return Err(error);
    }
    sync_parents(&*site.disk, &site.quarantine)?;
    Ok(kept)
}

fn sync_parents(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.sync_dir(dir)?;
    dir.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
}
