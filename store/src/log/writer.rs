//! The leader's work: numbers for what waits, one write, and the line of answers.
//!
//! Frames are staged with the numbers that they will have, and written together. Only when the write has succeeded does
//! the state take them in, so a failed write leaves nothing behind.

mod change;
mod load;

use std::cell::OnceCell;
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;

use logstore_api::frame::control::{self, Trim};
use logstore_api::frame::{Draft, Kind, Numbers, Producer};
use logstore_api::{Code, Durability, Problem, Timestamp};

use super::acks::{Mark, Waiting};
use super::changes::{Erased, FramePlace};
use super::cursor::FRAMES_AT;
use super::overlay::Hidden;
use super::place::{self, Place};
use super::producers::{Stored, Verdict};
use super::recovery::{self, CleanMark};
use super::scan::Found;
use super::segment::{Segment, SegmentHeader};
use super::shared::Shared;
use super::state::{LogState, Tail};
use super::work::{Answer, Reply, What, Work, frozen, frozen_outcome};
use crate::broken::{self, Broken};
use crate::disk;

/// Frames whose checksums are kept for writers that repeat themselves.
const RECENT_MAX: usize = 4096;

/// The end of the log, held by whoever leads.
#[derive(Debug)]
pub struct Writer {
    state: LogState,
    active: Option<Arc<Segment>>,
    /// Where the snapshot at the beginning of the active segment ends, once that was asked for: a start reads nothing for it.
    snapshot_end: OnceCell<u64>,
    must_roll: bool,
    staged: Vec<Staged>,
    staged_tail: Tail,
    staged_bytes: u64,
    /// Records that staged frames change.
    staged_changes: BTreeSet<u64>,
    /// Wire checksums of the newest frames, where writers place them.
    recent: VecDeque<(u64, u32)>,
}

/// What [`Work::Append`] asks for.
struct Append {
    draft: Draft,
    producer: Option<Producer>,
    expect_offset: Option<u64>,
    durability: Durability,
}

#[derive(Debug)]
struct Staged {
    frame: Option<(Draft, u32)>,
    level: Durability,
    until: Mark,
    answer: Option<Answer>,
}

impl Writer {
    /// The end of a log that was recovered.
    #[must_use]
    pub fn new(state: LogState, active: Option<Arc<Segment>>, must_roll: bool) -> Self {
        let staged_tail = state.tail;
        Self {
            state,
            active,
            snapshot_end: OnceCell::new(),
            must_roll,
            staged: Vec::new(),
            staged_tail,
            staged_bytes: 0,
            staged_changes: BTreeSet::new(),
            recent: VecDeque::new(),
        }
    }

    /// What the log knows.
    #[must_use]
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Does all of it.
    pub fn run(&mut self, shared: &Shared, works: impl IntoIterator<Item = Work>) {
        for work in works {
            match work {
                Work::Append { draft, producer, expect_offset, durability, reply } => {
                    self.append(shared, Append { draft, producer, expect_offset, durability }, reply);
                }
                Work::Trim { before, reply } => self.trim(shared, before, reply),
                Work::Patch { request, durability, reply } => self.patch(shared, &request, durability, reply),
                Work::Erase { request, durability, reply } => self.erase(shared, &request, durability, reply),
                Work::Place { place, reply } => self.place(shared, place, reply),
            }
        }
        self.flush(shared);
    }

    fn append(&mut self, shared: &Shared, append: Append, reply: Reply) {
        let Append { draft, producer, expect_offset, durability } = append;
        if let Some(producer) = producer {
            let in_flight = |staged: &Staged| {
                staged.frame.as_ref().is_some_and(|(draft, _)| {
                    draft.view().header().producer.is_some_and(|other| other.id == producer.id)
                })
            };
            if self.staged.iter().any(in_flight) {
                // The table learns of a frame only when it is written.
                self.flush(shared);
            }
            match self.state.producers.judge(producer, draft.record_count(), draft.content_crc()) {
                Verdict::Store => {}
                Verdict::Duplicate(stored) => {
                    self.state.producers.fence(producer);
                    let what = What::Appended {
                        offset: stored.map(|Stored { offset, .. }| offset),
                        time: stored.map(|Stored { time, .. }| time),
                        duplicate: true,
                    };
                    return self.answer_in_line(durability, reply, Ok(what));
                }
                Verdict::Refuse(problem) => return self.answer_in_line(durability, reply, Err(problem)),
            }
        }
        if let Err(problem) = self.check_offset(expect_offset) {
            // In line: what it rests on may not be on the disk yet.
            return self.answer_in_line(durability, reply, Err(problem));
        }
        let frame_len = draft.frame_len() as u64;
        let admitted = shared
            .check_quota(self.staged_bytes, frame_len)
            .and_then(|()| self.make_room(shared, frame_len, true))
            .and_then(|()| shared.take_rate(draft.payload_bytes));
        if let Err(problem) = admitted {
            return shared.refuse(reply, problem);
        }
        if let Err(problem) = self.check_tags(shared, &draft) {
            return shared.refuse(reply, problem);
        }
        if let Err(problem) = self.check_offset(expect_offset) {
            // To make room, what was staged before was written, and that can fail.
            return self.answer_in_line(durability, reply, Err(problem));
        }
        let numbers = self.next_numbers(Timestamp::now());
        let what = What::Appended {
            offset: Some(numbers.base_offset),
            time: Some(Timestamp(numbers.time_us)),
            duplicate: false,
        };
        self.stage(shared, draft, numbers, 0, durability, Some(Answer { reply, result: Ok(what) }));
    }

    fn check_offset(&self, expected: Option<u64>) -> Result<(), Box<Problem>> {
        let next = self.staged_tail.next_offset;
        match expected.filter(|expected| *expected != next) {
            Some(expected) => Err(Box::new(offset_mismatch(expected, next))),
            None => Ok(()),
        }
    }

    fn trim(&mut self, shared: &Shared, before: u64, reply: Reply) {
        self.flush(shared);
        let end = self.state.tail.next_offset;
        if before > end {
            let detail = format!("before is {before}, but the log ends at {end}; give at most that");
            let problem = Problem::new(Code::BeyondEnd, detail).field("before").expected(end).got(before);
            return shared.refuse(reply, problem.with("end", end));
        }
        let start = shared.start().max(self.state.trim_start);
        if before <= start {
            return self.answer_in_line(Durability::Synced, reply, Ok(What::Trimmed { start }));
        }
        let draft = control::draft(Kind::Trim, &Trim { before }.encode(), shared.site.salt);
        if let Err(problem) = self.make_room(shared, draft.frame_len() as u64, false) {
            return shared.refuse(reply, problem);
        }
        let numbers = self.next_numbers(Timestamp::now());
        let answer = Answer { reply, result: Ok(What::Trimmed { start: before }) };
        self.stage(shared, draft, numbers, 0, Durability::Synced, Some(answer));
        // What is judged next is judged behind the trim.
        self.flush(shared);
    }

    fn place(&mut self, shared: &Shared, place: Place, reply: Reply) {
        self.flush(shared);
        if let Err(problem) = place::check_reign(shared.reign().as_ref(), place.epoch, place.writer) {
            return shared.refuse(reply, problem);
        }
        let known = place::known_frames(&place, &self.state.tail, |number| self.wire_checksum_of(shared, number));
        let known = match known {
            Ok(known) => known,
            Err(problem) => return shared.refuse(reply, problem),
        };
        let next_frame = place.frame + place.frames.len() as u64;
        let bytes = place.frames[known..].iter().map(|frame| frame.draft.frame_len() as u64).sum();
        // Records and patches count against the quota: what drops or erases some is let through.
        let counts = |kind: Kind| matches!(kind, Kind::Data | Kind::Patch);
        let has_payload = place.frames[known..].iter().any(|frame| counts(frame.draft.view().header().kind));
        let admitted = self
            .make_room_for_changes(shared, &place.frames[known..])
            .and_then(|()| if has_payload { shared.check_quota(0, bytes) } else { Ok(()) })
            .and_then(|()| if bytes > 0 { self.make_room(shared, bytes, true) } else { Ok(()) });
        if let Err(problem) = admitted {
            return shared.refuse(reply, problem);
        }
        // A copy cannot refuse what the others take; it begins a segment instead.
        if place.frames[known..].iter().any(|frame| self.has_too_many_tags_with(&frame.draft))
            && let Err(problem) = self.roll(shared)
        {
            return shared.refuse(reply, problem);
        }
        shared.confirm(place.confirmed);
        if place.frames.is_empty() {
            // The writer says it alone because nothing follows: this is what a restart should show.
            shared.save_confirmed();
        }
        let mut answer = Some(Answer {
            reply,
            result: Ok(What::Placed {
                next_frame: next_frame.max(self.state.tail.next_frame),
                confirmed: place.confirmed,
            }),
        });
        let count = place.frames.len();
        for (number, frame) in place.frames.into_iter().enumerate().skip(known) {
            let numbers = frame.draft.view().header().numbers;
            let answer = if number + 1 == count { answer.take() } else { None };
            self.stage(shared, frame.draft, numbers, frame.wire_checksum, place.durability, answer);
        }
        if let Some(Answer { reply, result }) = answer {
            self.answer_in_line(place.durability, reply, result);
        }
    }

    /// The wire checksum of a frame that stands in the log.
    fn wire_checksum_of(&self, shared: &Shared, number: u64) -> io::Result<Option<u32>> {
        if let Some((first, _)) = self.recent.front()
            && let Some(at) = number.checked_sub(*first).and_then(|at| usize::try_from(at).ok())
            && let Some((_, checksum)) = self.recent.get(at)
        {
            return Ok(Some(*checksum));
        }
        let mut checksum = None;
        shared.frames(number, |frame, _| {
            checksum = Some(frame.wire_checksum(shared.site.salt)).filter(|_| frame.header().numbers.number == number);
            false
        })?;
        let first = shared.segments().first().map_or(0, |segment| segment.header.base_frame);
        match checksum {
            None if number >= first => Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is damaged here")),
            checksum => Ok(checksum),
        }
    }

    fn next_numbers(&self, now: Timestamp) -> Numbers {
        let Tail { next_frame, next_offset, last_time, .. } = self.staged_tail;
        // Time never runs backwards in a log, so that a search for a time is a binary one.
        Numbers { number: next_frame, base_offset: next_offset, time_us: now.max(last_time).0, epoch: 0 }
    }

    fn answer_in_line(&mut self, level: Durability, reply: Reply, result: Result<What, Box<Problem>>) {
        let until = Mark { frame: self.staged_tail.next_frame, offset: self.staged_tail.next_offset };
        self.staged.push(Staged { frame: None, level, until, answer: Some(Answer { reply, result }) });
    }

    fn stage(
        &mut self,
        shared: &Shared,
        mut draft: Draft,
        numbers: Numbers,
        wire_checksum: u32,
        level: Durability,
        answer: Option<Answer>,
    ) {
        let position = self.active.as_ref().map_or(0, |active| active.log_bytes()) + self.staged_bytes;
        if shared.site.ordered {
            draft.seal_at(shared.site.salt, position);
        } else {
            draft.seal(numbers, shared.site.salt, position);
        }
        let sums = (draft.payload_bytes, draft.address_bytes);
        self.staged_tail = self.staged_tail.after(&draft.view().header(), sums, wire_checksum);
        self.staged_bytes += draft.frame_len() as u64;
        let until = Mark { frame: self.staged_tail.next_frame, offset: self.staged_tail.next_offset };
        self.staged.push(Staged { frame: Some((draft, wire_checksum)), level, until, answer });
    }

    /// Refuses a frame that would bring more different tags than a segment may have.
    ///
    /// Frames that are staged for the same write are not counted: the bound may be passed by a batch.
    fn check_tags(&self, shared: &Shared, draft: &Draft) -> Result<(), Problem> {
        if !self.has_too_many_tags_with(draft) {
            return Ok(());
        }
        let max = shared.site.finding.limits.segment_tags;
        let detail = format!(
            "the segment has {max} different tags, and this would be more; put what differs from record to record into a key or an index, or wait for the next segment"
        );
        Err(Problem::new(Code::TooManyTags, detail).field("tags").expected(max))
    }

    fn has_too_many_tags_with(&self, draft: &Draft) -> bool {
        self.active.as_ref().is_some_and(|active| active.has_too_many_tags_with(&draft.view()))
    }

    /// Writes what is staged; takes it into the state and the line only when that has succeeded.
    fn flush(&mut self, shared: &Shared) {
        self.staged_changes.clear();
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.staged_bytes);
        if bytes > 0
            && let Err(error) = self.write(&staged, bytes)
        {
            self.staged_tail = self.state.tail;
            return self.write_failed(shared, staged, &error);
        }
        shared.add_usage(bytes);
        let mut position = self.active.as_ref().map_or(0, |active| active.log_bytes()) - bytes;
        let mut waiting = Vec::with_capacity(staged.len());
        for Staged { frame, level, until, answer } in staged {
            if let Some((draft, wire_checksum)) = frame {
                self.take_in(shared, &draft, wire_checksum, position);
                position += draft.frame_len() as u64;
            }
            waiting.push(Waiting { until, level, answer });
        }
        shared.line_up(waiting);
    }

    fn write(&self, staged: &[Staged], bytes: u64) -> io::Result<()> {
        let Some(active) = &self.active else { return Err(io::Error::other("no active segment")) };
        let mut parts: Vec<IoSlice<'_>> = staged
            .iter()
            .filter_map(|staged| staged.frame.as_ref())
            .map(|(draft, _)| IoSlice::new(draft.bytes()))
            .collect();
        active.append(&mut parts, bytes, self.staged_tail.last_time)
    }

    fn take_in(&mut self, shared: &Shared, draft: &Draft, wire_checksum: u32, position: u64) {
        let view = draft.view();
        let before = self.state.tail;
        let segment = self.active.as_ref().map_or(0, |active| active.header.base_frame);
        let place = FramePlace::new(segment, position);
        let change = self.state.apply(&view, place, (draft.payload_bytes, draft.address_bytes), wire_checksum);
        if let Some(change) = change {
            let next_offset = self.state.tail.next_offset;
            shared.overlay.hide(Hidden { frame: before.next_frame, next_offset, change });
        }
        if view.header().kind == Kind::Trim {
            shared.trim(self.state.trim_start);
        }
        if shared.site.ordered {
            if self.recent.len() == RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back((before.next_frame, wire_checksum));
        }
        if let Some(active) = &self.active {
            active.note(&view, position, (before.payload_sum, before.address_sum));
        }
    }

    /// Takes back what a failed write has left. Where that succeeds and the disk was only full, the log goes on.
    fn write_failed(&mut self, shared: &Shared, staged: Vec<Staged>, error: &io::Error) {
        // A file that could not even be opened again was not written.
        let cut_back = match &self.active {
            Some(active) if !disk::is_out_of_files(error) => active.cut_back(),
            _ => Ok(()),
        };
        let problem = cut_back.ok().and_then(|()| shared.refusal("append", error)).unwrap_or_else(|| {
            shared.freeze("write", error);
            frozen_outcome()
        });
        for answer in staged.into_iter().filter_map(|staged| staged.answer) {
            answer.fail(problem.clone());
        }
    }

    /// Sees to it that `bytes` more fit behind what is staged: a new segment where the active one is full.
    fn make_room(&mut self, shared: &Shared, bytes: u64, refuse_when_full: bool) -> Result<(), Problem> {
        if shared.is_frozen() {
            return Err(frozen());
        }
        if shared.is_retired() {
            return Err(Problem::new(Code::NamespaceNotFound, "the namespace was deleted just now"));
        }
        if refuse_when_full && !shared.space.admits(bytes) || shared.space.only_reads() {
            return Err(shared.disk_full());
        }
        if self.has_room(shared, bytes, 1) {
            return Ok(());
        }
        self.flush(shared);
        self.roll(shared)
    }

    /// Whether so many frames fit behind what is staged without a new segment. An empty one takes any single frame.
    #[must_use]
    pub fn has_room(&self, shared: &Shared, bytes: u64, frame_count: usize) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let end = active.log_bytes() + self.staged_bytes + bytes;
            let empty = self.staged_tail.next_frame == active.header.base_frame;
            // At least as much as its snapshot takes: else a log with many changes or producers would be snapshots alone.
            let beside_snapshot = || end <= 2 * *self.snapshot_end.get_or_init(|| active.snapshot_end());
            let fits = (end <= shared.max_segment_bytes() || beside_snapshot()) && !active.tables_too_large();
            !self.must_roll && (fits || empty && frame_count <= 1)
        })
    }

    /// Ends the active segment and begins a new one.
    pub fn roll(&mut self, shared: &Shared) -> Result<(), Problem> {
        self.flush(shared);
        if shared.is_frozen() {
            return Err(frozen());
        }
        self.sync_active(shared).map_err(|error| shared.refusal("begin a segment", &error).unwrap_or_else(frozen))?;
        // The last segment is whole and synced, so a failure here costs nothing but this attempt.
        self.must_roll = true;
        if let Some(active) = self.active.as_ref().filter(|_| self.active_with_frames().is_none()) {
            // It holds no frame, but damage: the new one takes its name.
            recovery::keep_copy(&shared.site, active).map_err(|error| no_segment(shared, &error))?;
            // Kept once, however often the new one is tried.
            self.active = None;
        }
        self.begin_segment(shared).map_err(|error| no_segment(shared, &error))
    }

    /// What is in the active segment is on the disk before anything is in the next: a power loss cannot leave a gap.
    fn sync_active(&self, shared: &Shared) -> io::Result<()> {
        let Some(active) = self.active.as_ref().filter(|_| !broken::is(Broken::RollWithoutSync)) else { return Ok(()) };
        let Tail { next_frame, next_offset, .. } = self.state.tail;
        shared.sync(active, Mark { frame: next_frame, offset: next_offset })
    }

    fn begin_segment(&mut self, shared: &Shared) -> io::Result<()> {
        let Tail { next_frame, next_offset, last_time, payload_sum, address_sum, .. } = self.state.tail;
        let header = SegmentHeader {
            salt: shared.site.salt,
            base_frame: next_frame,
            base_offset: next_offset,
            created: Timestamp::now().max(last_time),
            base_payload_sum: payload_sum,
            base_address: address_sum,
        };
        let numbers = Numbers { number: next_frame, base_offset: next_offset, time_us: last_time.0, epoch: 0 };
        let mut snapshot = control::draft(Kind::Snapshot, &self.state.encode(), shared.site.salt);
        snapshot.seal(numbers, shared.site.salt, FRAMES_AT);
        let segment = Segment::create(shared.site.side(next_frame), header, snapshot.bytes())?;
        let segment = Arc::new(segment);
        self.snapshot_end = OnceCell::from(segment.log_bytes());
        self.active = Some(Arc::clone(&segment));
        self.must_roll = false;
        shared.add_segment(segment);
        Ok(())
    }

    /// Forgets what is gone from the files: records before `start`, and erasures that were carried out.
    pub fn forget(&mut self, start: u64, carried_out: &[(u64, Erased)]) {
        self.state.changes.forget_before(start);
        self.state.changes.forget_erased(carried_out);
    }

    /// The active segment, where there is one with frames in it.
    #[must_use]
    pub fn active_with_frames(&self) -> Option<&Arc<Segment>> {
        self.active.as_ref().filter(|active| self.state.tail.next_frame > active.header.base_frame)
    }

    /// Ends the log in an orderly way: all of it synced, with a checkpoint behind it. `None` where there is nothing to
    /// mark, or it cannot be done; the next start then verifies the log.
    pub fn close(&mut self, shared: &Shared) -> io::Result<Option<CleanMark>> {
        self.flush(shared);
        let Some(active) = self.active.clone() else { return Ok(None) };
        if shared.is_frozen() || shared.is_retired() || self.must_roll {
            return Ok(None);
        }
        let Tail { next_frame, next_offset, last_time, .. } = self.state.tail;
        let numbers = Numbers { number: next_frame, base_offset: next_offset, time_us: last_time.0, epoch: 0 };
        let checkpoint = active.log_bytes();
        let mut draft = control::draft(Kind::Snapshot, &self.state.encode(), shared.site.salt);
        let checksum = draft.seal(numbers, shared.site.salt, checkpoint);
        let written = active.append(&mut [IoSlice::new(draft.bytes())], draft.frame_len() as u64, last_time);
        if let Err(error) = written {
            active.cut_back()?;
            active.file().sync_data()?;
            return Err(error);
        }
        self.sync_active(shared)?;
        active.write_side_files()?;
        let (segment, end) = (active.header.base_frame, active.log_bytes());
        Ok(Some(CleanMark { segment, end, checkpoint, checksum, next_frame, next_offset }))
    }

    /// The first ordered frame that is still there.
    pub fn first_frame(&self, shared: &Shared) -> io::Result<u64> {
        let Some(first) = shared.segments().first().cloned() else { return Ok(self.state.tail.next_frame) };
        let mut scan = first.scan();
        loop {
            match scan.step()? {
                Found::Frame { frame, .. } if frame.header().kind.is_ordered() => {
                    return Ok(frame.header().numbers.number);
                }
                Found::End | Found::Tail { whole: None, .. } => return Ok(self.state.tail.next_frame),
                Found::Frame { .. } | Found::Damage { .. } | Found::Tail { .. } => {}
            }
        }
    }
}

fn offset_mismatch(asked: u64, next_offset: u64) -> Problem {
    let detail = format!("the records would get offset {next_offset}, not {asked}; nothing was stored");
    Problem::new(Code::OffsetMismatch, detail).field("expect_offset").expected(next_offset).got(asked)
}

fn no_segment(shared: &Shared, error: &io::Error) -> Problem {
    if let Some(problem) = shared.refusal("begin a segment", error) {
        return problem;
    }
    tracing::error!(partition = %shared.site.label, %error, "failed to begin a segment");
    Problem::new(Code::Overloaded, "a new segment could not be begun; try again later, the store's log says why")
}
