//! A partition: the queue before the writer, the line of answers behind it, and the segments for readers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use logstore_api::fence::{PartitionTail, Reign};
use logstore_api::frame::FrameView;
use logstore_api::namespace::{PartitionInfo, TrimAnswer};
use logstore_api::{Code, NamespaceConfig, Problem, Timestamp};
use tokio::sync::{oneshot, watch};

use super::acks::{Acks, Mark, Waiting};
use super::confirmed::ConfirmedFile;
use super::cursor::LogRecord;
use super::read::{self, Ended, Flow, Range};
use super::recovery::{self, CleanMark, Recovered, Site};
use super::retention::{self, Candidate};
use super::scan::Found;
use super::segment::Segment;
use super::sync::SyncPool;
use super::writer::{Answer, Done, Reply, Work, Writer, frozen_outcome};
use crate::metrics::Metrics;
use crate::space::SpaceGauge;

/// Frames that a leader takes at once, at most.
const BATCH_FRAMES_MAX: usize = 4096;
/// Bytes that a leader takes at once, at most, unless one frame is larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// An active segment of which everything is trimmed is replaced when it is larger than this.
const TRIMMED_BYTES_MIN: u64 = 64 * 1024;
/// Damaged ranges that are kept for the description; more are still refused on read.
const HOLES_MAX: usize = 1024;

/// What the partition lives on.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its files.
    pub site: Site,
    /// Room on the disk.
    pub space: Arc<SpaceGauge>,
    /// Threads for syncs.
    pub sync_pool: Arc<SyncPool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What readers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The first offset that is still there.
    pub start: u64,
    /// The offset that the next record gets.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
}

/// One log.
#[derive(Debug)]
pub struct Partition {
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Queue {
    works: VecDeque<Work>,
    closed: bool,
}

/// What the writer shares with readers and with the threads that sync.
#[derive(Debug)]
pub struct Shared {
    pub(super) site: Site,
    pub(super) space: Arc<SpaceGauge>,
    sync_pool: Arc<SyncPool>,
    metrics: Arc<Metrics>,
    config: RwLock<NamespaceConfig>,
    reign: Mutex<Option<Reign>>,
    acks: Mutex<Acks<Option<Answer>>>,
    segments: RwLock<Vec<Arc<Segment>>>,
    trim_start: Mutex<u64>,
    holes: Mutex<Vec<(u64, u64)>>,
    published: watch::Sender<Published>,
    confirmed_file: ConfirmedFile,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not take the log with it: what the locks guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partition {
    /// Opens the log in its directory, after an orderly stop by its mark, else by verifying the active segment.
    pub fn open(
        context: Context,
        config: NamespaceConfig,
        reign: Option<Reign>,
        clean: Option<&CleanMark>,
    ) -> io::Result<Self> {
        let Context { site, space, sync_pool, metrics } = context;
        let Recovered { state, segments, holes, must_roll, quarantined_bytes, clean: _ } =
            recovery::recover(&site, clean)?;
        metrics.quarantined_bytes.inc_by(quarantined_bytes);
        metrics.holes.inc_by(holes.len() as u64);
        let end = Mark { frame: state.tail.next_frame, offset: state.tail.next_offset };
        let confirmed_file = ConfirmedFile::load(Arc::clone(&site.disk), &site.dir);
        let confirmed = site.ordered.then(|| confirmed_file.saved());
        let shared = Arc::new(Shared {
            space,
            sync_pool,
            metrics,
            config: RwLock::new(config),
            reign: Mutex::new(reign),
            acks: Mutex::new(Acks::new(end, confirmed)),
            segments: RwLock::new(segments.clone()),
            trim_start: Mutex::new(state.trim_start),
            holes: Mutex::new(holes),
            published: watch::Sender::new(Published::default()),
            confirmed_file,
            site,
        });
        shared.publish();
        let writer = Mutex::new(Writer::new(state, segments.last().cloned(), must_roll));
        Ok(Self { queue: Mutex::default(), writer, shared })
    }

    /// Puts work into the queue and leads, unless somebody does already. The answer comes on the channel, when it is
    /// at the level that was asked for.
    pub fn submit(&self, work: impl FnOnce(Reply) -> Work) -> oneshot::Receiver<Result<Done, Box<Problem>>> {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = lock(&self.queue);
            if queue.closed {
                let _ = reply.send(Err(Box::new(Problem::new(Code::Draining, "the log is closed"))));
                return answer;
            }
            queue.works.push_back(work(reply));
        }
        self.lead();
        answer
    }

    /// Whoever gets the writer works until the queue is empty. One that does not get it may leave: the one that has it
    /// looks at the queue again after giving it back.
    fn lead(&self) {
        loop {
            let Ok(mut writer) = self.writer.try_lock() else { return };
            loop {
                let batch = take_batch(&mut lock(&self.queue));
                if batch.is_empty() {
                    break;
                }
                writer.run(&self.shared, batch);
                self.shared.sync_if_wanted(false);
            }
            drop(writer);
            if lock(&self.queue).works.is_empty() {
                return;
            }
        }
    }

    /// Uses the writer outside the queue, between two batches.
    fn with_writer<T>(&self, act: impl FnOnce(&mut Writer) -> T) -> T {
        let result = act(&mut lock(&self.writer));
        self.lead();
        result
    }

    /// What readers see now, and a way to wait for more.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Published> {
        self.shared.published.subscribe()
    }

    /// Gives records to `sink`; `range` lies between start and end.
    pub fn read(&self, range: Range, sink: impl FnMut(&LogRecord<'_>) -> Flow) -> io::Result<Ended> {
        let ended = read::read(&self.shared.segments(), range, sink)?;
        if let Some(until) = ended.damaged_until {
            self.shared.note_hole(ended.next, until);
        }
        Ok(ended)
    }

    /// More than the records of a range take, where that can be told without touching the disk: in the active segment.
    #[must_use]
    pub fn bytes_at_most(&self, range: Range) -> Option<usize> {
        let active = self.shared.segments().last().cloned()?;
        let bytes = active.bytes_from(range.from)?;
        Some(if range.from < range.until { usize::try_from(bytes).unwrap_or(usize::MAX) } else { 0 })
    }

    /// Gives records to `sink` from one at or before an address of rochefort's file.
    pub fn read_from_address(&self, address: u64, sink: impl FnMut(Option<&LogRecord<'_>>) -> Flow) -> io::Result<()> {
        read::read_from_address(&self.shared.segments(), address, sink)
    }

    /// Gives ordered frames to `sink`, from a number on, until it says no.
    pub fn frames(&self, from: u64, sink: impl FnMut(&FrameView<'_>, u64) -> bool) -> io::Result<()> {
        self.shared.frames(from, sink)
    }

    /// Damaged ranges that were noticed.
    #[must_use]
    pub fn holes(&self) -> Vec<(u64, u64)> {
        lock(&self.shared.holes).clone()
    }

    /// Puts another configuration in force.
    pub fn configure(&self, config: NamespaceConfig) {
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Puts another reign in force and says where the log ends. Nothing of an earlier reign is placed afterwards: whoever
    /// leads looks at the reign for each place, and this waits until nobody leads.
    pub fn fence(&self, reign: Reign) -> io::Result<PartitionTail> {
        *lock(&self.shared.reign) = Some(reign);
        self.tail()
    }

    /// Where the log ends.
    pub fn tail(&self) -> io::Result<PartitionTail> {
        self.with_writer(|writer| {
            let tail = writer.state().tail;
            Ok(PartitionTail {
                partition: 0,
                first_frame: writer.first_frame(&self.shared)?,
                next_frame: tail.next_frame,
                last_epoch: tail.last_epoch,
                last_checksum: tail.last_wire_checksum,
                next_offset: tail.next_offset,
                last_time: tail.last_time.0,
                confirmed: lock(&self.shared.acks).confirmed().frame,
            })
        })
    }

    /// Whether nothing was ever appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.with_writer(|writer| writer.state().tail.next_frame == 0)
    }

    /// The partition as the API describes it.
    #[must_use]
    pub fn describe(&self) -> PartitionInfo {
        let Published { start, end, durable_end } = *self.shared.published.borrow();
        let segments = self.shared.segments();
        let last_time = segments.last().map(|segment| segment.last_time());
        PartitionInfo {
            partition: 0,
            start,
            end,
            durable_end,
            bytes: segments.iter().map(|segment| segment.log_bytes()).sum(),
            segments: segments.len() as u64,
            time_of_last: last_time.filter(|_| end > 0),
        }
    }

    /// Everything that is due: a sync of what was only written, a new segment by age, old segments away, side files.
    pub fn tend(&self, now: Timestamp) {
        self.rotate_by_age(now);
        self.drop_segments(now);
        self.shared.seal_segments();
        self.shared.save_confirmed();
    }

    /// Syncs what was only written.
    pub fn sync_in_background(&self) {
        self.shared.sync_if_wanted(true);
    }

    fn rotate_by_age(&self, now: Timestamp) {
        let config = self.shared.config();
        let due = |writer: &Writer| {
            writer.active_with_frames().is_some_and(|active| {
                let (created, last) = (active.header.created, active.last_time());
                retention::rotates_by_age(created, last, &config.rotation, &config.retention, now)
            })
        };
        self.with_writer(|writer| {
            if due(writer) && !self.shared.is_frozen() && writer.roll(&self.shared).is_ok() {
                tracing::debug!(partition = %self.shared.site.label, "began a new segment because of the age of the last");
            }
        });
    }

    /// Removes segments that retention or a trim lets go, the active one too where all of it is trimmed.
    pub fn drop_segments(&self, now: Timestamp) {
        self.roll_trimmed();
        let dropped = self.shared.take_droppable(now);
        if dropped.is_empty() {
            return;
        }
        self.shared.publish();
        for segment in &dropped {
            tracing::info!(partition = %self.shared.site.label, first_offset = segment.header.base_offset, bytes = segment.log_bytes(), "removing a segment");
            if let Err(error) = segment.remove(&*self.shared.site.disk) {
                tracing::warn!(path = %segment.path().display(), %error, "failed to remove a segment; the next start tries again");
            }
        }
        if let Err(error) = self.shared.site.disk.sync_dir(&self.shared.site.dir) {
            tracing::warn!(dir = %self.shared.site.dir.display(), %error, "failed to sync a directory after removing segments");
        }
    }

    fn roll_trimmed(&self) {
        self.with_writer(|writer| {
            let all_trimmed = writer.state().trim_start == writer.state().tail.next_offset;
            let large = writer.active_with_frames().is_some_and(|active| active.log_bytes() > TRIMMED_BYTES_MIN);
            if all_trimmed && large && !self.shared.is_frozen() {
                // Where even a small new segment finds no room, the old one stays until there is some.
                let _ = writer.roll(&self.shared);
            }
        });
    }

    /// The answer to a trim.
    #[must_use]
    pub fn trim_answer(&self, start: u64) -> TrimAnswer {
        TrimAnswer { partition: 0, start, end: self.shared.published.borrow().end }
    }

    /// Takes no more work.
    pub fn stop(&self) {
        lock(&self.queue).closed = true;
        self.lead();
    }

    /// Ends the log in an orderly way; see [`Writer::close`].
    pub fn close(&self) -> Option<CleanMark> {
        self.stop();
        self.shared.save_confirmed();
        match self.with_writer(|writer| writer.close(&self.shared)) {
            Ok(mark) => mark,
            Err(error) => {
                tracing::warn!(partition = %self.shared.site.label, %error, "failed to end a log in an orderly way; the next start verifies it");
                None
            }
        }
    }
}

fn take_batch(queue: &mut Queue) -> Vec<Work> {
    let mut bytes = 0;
    let mut count = 0;
    for work in queue.works.iter().take(BATCH_FRAMES_MAX) {
        bytes += match work {
            Work::Append { draft, .. } => draft.frame_len(),
            Work::Place { place, .. } => place.frames.iter().map(|frame| frame.draft.frame_len()).sum(),
            Work::Trim { .. } => 0,
        };
        if count > 0 && bytes > BATCH_BYTES_MAX {
            break;
        }
        count += 1;
    }
    queue.works.drain(..count).collect()
}

impl Shared {
    pub(super) fn config(&self) -> NamespaceConfig {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn max_segment_bytes(&self) -> u64 {
        self.config.read().unwrap_or_else(PoisonError::into_inner).max_segment_bytes()
    }

    pub(super) fn reign(&self) -> Option<Reign> {
        lock(&self.reign).clone()
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    pub(super) fn start(&self) -> u64 {
        let first = self.segments.read().unwrap_or_else(PoisonError::into_inner).first().map(|s| s.header.base_offset);
        first.unwrap_or(0).max(*lock(&self.trim_start))
    }

    pub(super) fn trim(&self, before: u64) {
        *lock(&self.trim_start) = before;
    }

    pub(super) fn is_frozen(&self) -> bool {
        lock(&self.acks).is_frozen()
    }

    pub(super) fn refuse(&self, reply: Reply, problem: Problem) {
        let _ = reply.send(Err(Box::new(problem)));
    }

    pub(super) fn disk_full(&self) -> Problem {
        self.metrics.disk_full.inc();
        self.space.note_full();
        Problem::new(
            Code::DiskFull,
            "there is no room for records; reads and trims go on. Trim or delete a namespace, shorten its retention, or grow the volume",
        )
    }

    /// Puts written frames into the line and answers those that are done.
    pub(super) fn line_up(&self, waiting: Vec<Waiting<Option<Answer>>>) {
        let done = {
            let mut acks = lock(&self.acks);
            waiting.into_iter().for_each(|one| acks.push(one));
            acks.settle()
        };
        self.answer(done);
    }

    pub(super) fn confirm(&self, frame: u64) {
        if lock(&self.acks).confirm(frame) {
            self.publish();
        }
    }

    pub(super) fn synced(&self, mark: Mark) {
        let done = {
            let mut acks = lock(&self.acks);
            acks.synced(mark);
            acks.settle()
        };
        self.answer(done);
    }

    /// Makes what readers see true, then answers: whoever has an answer can read what it speaks of.
    fn answer(&self, done: Vec<Waiting<Option<Answer>>>) {
        self.metrics.frames.inc_by(done.len() as u64);
        let Published { end, durable_end, .. } = self.publish();
        for answer in done.into_iter().filter_map(|waiting| waiting.answer) {
            answer.send(end, durable_end);
        }
    }

    fn publish(&self) -> Published {
        let start = self.start();
        let acks = lock(&self.acks);
        let end = acks.end();
        let now = Published { start: start.min(end), end, durable_end: acks.durable_end() };
        self.published.send_if_modified(|published| {
            let moved = *published != now;
            *published = now;
            moved
        });
        now
    }

    /// Begins a sync where somebody waits for one (or, in the background, where anything is unsynced) and none runs.
    fn sync_if_wanted(self: &Arc<Self>, background: bool) {
        // The files before the active one were synced when they ended.
        let Some(reach) = lock(&self.acks).begin_sync(background) else { return };
        let Some(active) = self.segments().last().cloned() else { return };
        let shared = Arc::clone(self);
        self.sync_pool.submit(Box::new(move || shared.run_syncs(reach, active)));
    }

    fn run_syncs(self: Arc<Self>, mut reach: Mark, mut active: Arc<Segment>) {
        loop {
            let begun = std::time::Instant::now();
            if let Err(error) = active.file().sync_data() {
                return self.freeze("sync", &error);
            }
            self.metrics.sync_seconds.observe(begun.elapsed().as_secs_f64());
            self.synced(reach);
            match lock(&self.acks).begin_sync(false) {
                Some(further) => reach = further,
                None => return,
            }
            if let Some(last) = self.segments().last() {
                active = Arc::clone(last);
            }
        }
    }

    /// A failed write or sync is final: what the disk holds is not known before the log was read again.
    pub(super) fn freeze(&self, what: &str, error: &io::Error) {
        tracing::error!(partition = %self.site.label, %error, "failed to {what}; the log takes no more appends until a restart has verified it");
        self.metrics.frozen.inc();
        let unknown = lock(&self.acks).freeze();
        for answer in unknown.into_iter().filter_map(|waiting| waiting.answer) {
            answer.fail(frozen_outcome());
        }
    }

    fn note_hole(&self, from: u64, until: u64) {
        let mut holes = lock(&self.holes);
        let known = holes.iter().any(|(known_from, known_until)| *known_from <= from && until <= *known_until);
        if known || holes.len() == HOLES_MAX {
            return;
        }
        tracing::error!(partition = %self.site.label, from, until, "damaged records; the rest is still served");
        self.metrics.holes.inc();
        holes.retain(|(known_from, known_until)| !(from <= *known_from && *known_until <= until));
        holes.push((from, until));
        holes.sort_unstable();
    }

    /// Gives ordered frames to `sink`, with their positions' segments in order, from a number on, until it says no.
    pub(super) fn frames(&self, from: u64, mut sink: impl FnMut(&FrameView<'_>, u64) -> bool) -> io::Result<()> {
        let segments = self.segments();
        let first = segments.partition_point(|segment| segment.header.base_frame <= from).saturating_sub(1);
        for segment in segments.iter().skip(first) {
            let mut scan = segment.scan();
            loop {
                match scan.step()? {
                    Found::Frame { position, frame } => {
                        let header = frame.header();
                        let wanted = header.kind.is_ordered() && header.numbers.number >= from;
                        if wanted && !sink(&frame, position) {
                            return Ok(());
                        }
                    }
                    // A frame that cannot be had ends the answer: what follows is not the next one.
                    Found::Damage { .. } | Found::Tail { .. } => return Ok(()),
                    Found::End => break,
                }
            }
        }
        Ok(())
    }

    fn take_droppable(&self, now: Timestamp) -> Vec<Arc<Segment>> {
        let config = self.config();
        let readable_end = lock(&self.acks).end();
        let trim_start = *lock(&self.trim_start);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = segments.last() else { return Vec::new() };
        let active_bytes = active.log_bytes();
        let sealed: Vec<Candidate> = segments
            .windows(2)
            .map(|pair| Candidate {
                bytes: pair[0].log_bytes(),
                end_offset: pair[1].header.base_offset,
                last_time: pair[0].last_time(),
            })
            .collect();
        let count = retention::droppable(&sealed, active_bytes, &config.retention, trim_start, readable_end, now);
        segments.drain(..count).collect()
    }

    /// Writes the side files of segments that have none yet.
    fn seal_segments(&self) {
        let segments = self.segments();
        for pair in segments.windows(2) {
            let (segment, next) = (&pair[0], &pair[1]);
            let disk = &*self.site.disk;
            if segment.is_sealed() || super::segment::read_seal(disk, segment.path()).is_some() {
                segment.set_sealed();
                continue;
            }
            match segment.seal(disk, &Writer::seal_of(segment, &next.header)) {
                Ok(()) => segment.set_sealed(),
                Err(error) => {
                    tracing::warn!(path = %segment.path().display(), %error, "failed to write the side files of a segment; tried again later");
                }
            }
        }
    }

    /// Keeps what is confirmed for the next start. Failing costs only that a restart shows less for a while.
    pub(super) fn save_confirmed(&self) {
        if !self.site.ordered {
            return;
        }
        let confirmed = lock(&self.acks).confirmed();
        if let Err(error) = self.confirmed_file.save(confirmed) {
            tracing::warn!(partition = %self.site.label, %error, "failed to save what is confirmed; a restart may show less for a while");
        }
    }
}
