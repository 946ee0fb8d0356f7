//! A partition: the queue before the writer, the line of answers behind it, and the segments for readers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logstore_api::fence::{PartitionTail, Reign};
use logstore_api::frame::FrameView;
use logstore_api::namespace::{Hole, PartitionInfo, SealAnswer, TrimAnswer};
use logstore_api::{Code, NamespaceConfig, Problem, Timestamp};
use tokio::sync::{oneshot, watch};

use super::backward::{self, EndedBackward};
use super::changes::Erased;
use super::cursor::LogRecord;
use super::each::{Each, Plan};
use super::erasing::Erasing;
use super::find::ordinals::Direction;
use super::find::select::{self, Read, Reads, Search, Selected, Selection};
use super::mend;
use super::modify::Target;
use super::overlay::{Lens, Obstacle};
use super::read::{self, Ended, Flow, Range};
use super::recovery::{self, CleanMark, Recovered};
use super::retention;
use super::segment::Segment;
use super::shared::{Context, Published, Shared, lock};
use super::state::LogState;
use super::time;
use super::work::{Done, Held, Reply, Work, frozen};
use super::writer::Writer;
use crate::primitives::{Mutex, TryLockError};

/// Frames that a leader takes at once, at most.
const BATCH_FRAMES_MAX: usize = 4096;
/// Bytes that a leader takes at once, at most, unless one frame is larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Batches after which a leader hands over.
const BATCHES_MAX: usize = 64;
/// An active segment of which everything is trimmed is replaced when it is larger than this.
const TRIMMED_BYTES_MIN: u64 = 64 * 1024;

/// One log.
#[derive(Debug)]
pub struct Partition {
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
    shared: Arc<Shared>,
    /// Held while files come and go outside the queue.
    tending: Mutex<Erasing>,
    /// A thread of the pool is about to lead.
    handed_over: AtomicBool,
}

/// Whose thread leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// It serves connections: it writes, but does not wait for the disk.
    OfRequests,
    /// It may wait.
    MayWait,
}

#[derive(Debug, Default)]
struct Queue {
    works: VecDeque<Work>,
    closed: Option<Closed>,
}

/// Why a log takes no more work.
#[derive(Clone, Copy, Debug)]
enum Closed {
    Stopping,
    Deleted,
}

impl Closed {
    fn problem(self) -> Problem {
        match self {
            Self::Stopping => Problem::new(Code::Draining, "the store is stopping; try again when it is back"),
            Self::Deleted => Problem::new(Code::NamespaceNotFound, "the namespace was deleted just now"),
        }
    }
}

impl Partition {
    /// Opens the log in its directory, after an orderly stop by its mark, else by verifying the active segment.
    pub fn open(
        context: Context,
        config: NamespaceConfig,
        reign: Option<Reign>,
        clean: Option<&CleanMark>,
    ) -> io::Result<Self> {
        let recovered = recovery::recover(&context.site, clean)?;
        context.metrics.quarantined_bytes.inc_by(recovered.quarantined_bytes);
        context.metrics.holes.inc_by(recovered.holes.len() as u64);
        let shared = Arc::new(Shared::new(context, config, reign, &recovered));
        let Recovered { state, segments, must_roll, .. } = recovered;
        let writer = Mutex::new(Writer::new(state, segments.last().cloned(), must_roll));
        Ok(Self {
            queue: Mutex::default(),
            writer,
            shared,
            tending: Mutex::default(),
            handed_over: AtomicBool::new(false),
        })
    }

    /// Puts work into the queue and leads, unless somebody does already. The answer comes on the channel, when it is
    /// at the level that was asked for.
    pub fn submit(self: &Arc<Self>, work: impl FnOnce(Reply) -> Work) -> oneshot::Receiver<Result<Done, Box<Problem>>> {
        self.submit_with(None, work)
    }

    /// The same for a request that has a share of the memory.
    pub fn submit_with(
        self: &Arc<Self>,
        share: Option<Held>,
        work: impl FnOnce(Reply) -> Work,
    ) -> oneshot::Receiver<Result<Done, Box<Problem>>> {
        let (reply, answer) = Reply::new(share);
        {
            let mut queue = lock(&self.queue);
            if let Some(closed) = queue.closed {
                reply.send(Err(Box::new(closed.problem())));
                return answer;
            }
            queue.works.push_back(work(reply));
        }
        self.lead(Thread::OfRequests);
        answer
    }

    /// Whoever gets the writer works until the queue is empty. One that does not get it may leave: the one that has it
    /// looks at the queue again after giving it back.
    ///
    /// Nobody leads for ever: after a while a thread of the pool goes on. It also does so where a segment is to be begun,
    /// which takes several syncs.
    fn lead(self: &Arc<Self>, thread: Thread) {
        if thread == Thread::OfRequests && self.handed_over.load(Ordering::SeqCst) {
            return;
        }
        for _ in 0..BATCHES_MAX {
            let mut writer = match self.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let (batch, bytes) = take_batch(&mut lock(&self.queue));
            if thread == Thread::OfRequests
                && !batch.is_empty()
                && !writer.has_room(&self.shared, bytes as u64, batch.len())
            {
                put_back(&mut lock(&self.queue), batch);
                drop(writer);
                return self.hand_over();
            }
            writer.run(&self.shared, batch);
            drop(writer);
            self.shared.sync_if_wanted(false);
            self.shared.sync_later();
            if lock(&self.queue).works.is_empty() {
                return;
            }
        }
        self.hand_over();
    }

    /// A thread of the pool leads next, once for all who ask for it meanwhile.
    fn hand_over(self: &Arc<Self>) {
        if self.handed_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let next = Arc::clone(self);
        self.shared.submit_job(Box::new(move || {
            // First, so that whoever comes after the last look at the queue leads again.
            next.handed_over.store(false, Ordering::SeqCst);
            next.lead(Thread::MayWait);
        }));
    }

    /// What the writer shares.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Uses the writer outside the queue, between two batches.
    pub(super) fn with_writer<T>(self: &Arc<Self>, act: impl FnOnce(&mut Writer) -> T) -> T {
        let result = act(&mut lock(&self.writer));
        self.lead(Thread::MayWait);
        result
    }

    /// What readers see now, and a way to wait for more.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Published> {
        self.shared.subscribe()
    }

    /// Gives records to `sink`; `range` lies between start and end. Erased ones are passed over.
    pub fn read(&self, range: Range, mut sink: impl FnMut(&LogRecord<'_>) -> Flow) -> io::Result<Ended> {
        let segments = self.shared.segments();
        let mut lens = Lens::new(&self.shared, &segments);
        let ended = read::read(&segments, range, |record| lens.give(record, &mut sink))?;
        let ended = lens.ended(ended)?;
        if let Some(until) = ended.damaged_until {
            self.shared.note_hole(ended.next, until);
        }
        Ok(ended)
    }

    /// Gives records to `sink`, newest first; `range` lies between start and end. Erased ones are passed over.
    pub fn read_backward(
        &self,
        range: Range,
        mut sink: impl FnMut(&LogRecord<'_>) -> Flow,
    ) -> io::Result<EndedBackward> {
        let segments = self.shared.segments();
        let mut lens = Lens::new(&self.shared, &segments);
        let ended = backward::read_backward(&segments, range, |record| lens.give(record, &mut sink))?;
        let ended = match lens.obstacle()? {
            Some(Obstacle::Damaged(offset)) => EndedBackward { damaged_from: Some(offset), ..ended },
            Some(Obstacle::Gone) => EndedBackward { is_trimmed: true, ..ended },
            None => ended,
        };
        if let Some(from) = ended.damaged_from {
            self.shared.note_hole(from, ended.next);
        }
        Ok(ended)
    }

    /// Gives records that fit a selection to `sink`, in this direction; `range` lies between start and end. When the
    /// deadline is over the answer says where to go on.
    pub fn select(
        &self,
        selection: &Selection,
        range: Range,
        direction: Direction,
        deadline: Instant,
        sink: impl FnMut(&LogRecord<'_>) -> Flow,
    ) -> io::Result<Selected> {
        let mut search = Search::new(self.shared.segments(), selection, range, direction);
        select::select(&mut search, self, deadline, sink)
    }

    /// Whether any record of a range fits a selection. No record is read.
    pub fn any_fits(&self, selection: &Selection, range: Range) -> io::Result<bool> {
        let mut search = Search::new(self.shared.segments(), selection, range, Direction::Up);
        while let Some(batch) = search.next_batch()? {
            if !batch.offsets.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How these offsets, ascending and each once, are read best.
    pub fn plan_each(&self, offsets: &[u64]) -> io::Result<Plan> {
        let plan = Plan::new(&self.shared.segments(), offsets)?;
        // A patched record may be longer than it stands there.
        Ok(if self.shared.overlay.is_empty() { plan } else { plan.of_any_size() })
    }

    /// Says to `sink` what stands at each planned offset, in order, until it says stop.
    pub fn read_each(&self, plan: &Plan, sink: impl FnMut(u64, Each<'_>) -> Flow) -> io::Result<()> {
        plan.carry_out(|range, sink| self.read(range, sink), sink)
    }

    /// The first offset whose record is of this time or later; `None` where there is none yet.
    pub fn offset_at(&self, time: Timestamp) -> io::Result<Option<u64>> {
        time::offset_at(&self.shared.segments(), time)
    }

    /// More than the records of a range take, where that can be told without touching the disk: in the active segment.
    #[must_use]
    pub fn bytes_at_most(&self, range: Range) -> Option<usize> {
        if !self.shared.overlay.is_empty() {
            // A patched record may be longer than it stands there.
            return None;
        }
        let active = self.shared.segments().last().cloned()?;
        let bytes = active.bytes_of(range.from, range.until)?;
        Some(if range.from < range.until { usize::try_from(bytes).unwrap_or(usize::MAX) } else { 0 })
    }

    /// Gives records to `sink` from one at or before an address of rochefort's file, erased ones left out; `None` stands
    /// for damage.
    pub fn read_from_address(
        &self,
        address: u64,
        mut sink: impl FnMut(Option<&LogRecord<'_>>) -> Flow,
    ) -> io::Result<()> {
        let segments = self.shared.segments();
        let mut lens = Lens::new(&self.shared, &segments);
        read::read_from_address(&segments, address, |record| match record {
            Some(record) => lens.give(record, &mut |record| sink(Some(record))),
            None => sink(None),
        })?;
        if lens.obstacle()?.is_some() {
            sink(None);
        }
        Ok(())
    }

    /// A record as it was appended, for one that is going to change it; `None` where the log does not have it any more.
    pub fn target(&self, offset: u64) -> io::Result<Option<Target>> {
        let mut target = Target::Damaged;
        let ended = read::read(&self.shared.segments(), Range { from: offset, until: offset + 1 }, |record| {
            let data_len = u32::try_from(record.data().len()).unwrap_or(u32::MAX);
            let standing = Target::Standing { data_len, alloc_len: record.alloc_len() };
            target = if record.is_erased() { Target::Erased } else { standing };
            Flow::Stop
        })?;
        Ok(ended.begins_at.is_none().then_some(target))
    }

    /// Gives ordered frames to `sink`, from a number on, until it says no.
    pub fn frames(&self, from: u64, sink: impl FnMut(&FrameView<'_>, u64) -> bool) -> io::Result<()> {
        self.shared.frames(from, sink)
    }

    /// Damaged ranges that were noticed.
    #[must_use]
    pub fn holes(&self) -> Vec<Hole> {
        let partition = self.number();
        self.shared.holes().into_iter().map(|(from, until)| Hole { partition, from, until }).collect()
    }

    /// Its number in the namespace.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.shared.site.number
    }

    /// The reign in force.
    #[must_use]
    pub fn reign(&self) -> Option<Reign> {
        self.shared.reign()
    }

    /// Puts another configuration in force.
    pub fn configure(&self, config: NamespaceConfig) {
        self.shared.configure(config);
    }

    /// Puts another reign in force and says where the log ends. Nothing of an earlier reign is placed afterwards: whoever
    /// leads looks at the reign for each place, and this waits until nobody leads.
    pub fn fence(self: &Arc<Self>, reign: Reign) -> io::Result<PartitionTail> {
        self.shared.set_reign(reign);
        self.tail()
    }

    /// Where the log ends.
    pub fn tail(self: &Arc<Self>) -> io::Result<PartitionTail> {
        self.with_writer(|writer| {
            let tail = writer.state().tail;
            Ok(PartitionTail {
                partition: self.number(),
                first_frame: writer.first_frame(&self.shared)?,
                next_frame: tail.next_frame,
                last_epoch: tail.last_epoch,
                last_checksum: tail.last_wire_checksum,
                next_offset: tail.next_offset,
                last_time: tail.last_time.0,
                confirmed: self.shared.confirmed().frame,
            })
        })
    }

    /// Lets `act` fill a new log with frames that keep their offsets and times.
    pub fn load<T>(self: &Arc<Self>, act: impl FnOnce(&mut Writer, &Shared) -> T) -> T {
        self.with_writer(|writer| act(writer, &self.shared))
    }

    /// Writes the side files of segments that have none yet.
    pub fn seal_segments(&self) {
        let _one_at_a_time = lock(&self.tending);
        self.shared.seal_segments();
    }

    /// Writes again what the frames tell of segments' headers and side files.
    pub fn mend(&self) -> io::Result<()> {
        let _one_at_a_time = lock(&self.tending);
        mend::mend(&self.shared.site, &self.shared.segments())
    }

    /// The first offset that is still there, seen by readers or not.
    #[must_use]
    pub fn first_offset(&self) -> u64 {
        self.shared.start()
    }

    /// What the log knows besides its bytes.
    #[must_use]
    pub fn state(self: &Arc<Self>) -> LogState {
        self.with_writer(|writer| writer.state().clone())
    }

    /// Whether nothing was ever appended.
    #[must_use]
    pub fn is_empty(self: &Arc<Self>) -> bool {
        self.with_writer(|writer| writer.state().tail.next_frame == 0)
    }

    /// The partition as the API describes it.
    #[must_use]
    pub fn describe(&self) -> PartitionInfo {
        let Published { start, end, durable_end, written_end: _ } = self.shared.published();
        let segments = self.shared.segments();
        let last_time = segments.last().map(|segment| segment.last_time());
        PartitionInfo {
            partition: self.number(),
            start,
            end,
            durable_end,
            bytes: segments.iter().map(|segment| segment.log_bytes()).sum(),
            segments: segments.len() as u64,
            time_of_last: last_time.filter(|_| end > 0),
        }
    }

    /// Everything that is due: a sync of what was only written, a new segment by age, old segments away, side files.
    pub fn tend(self: &Arc<Self>, now: Timestamp) {
        self.rotate_by_age(now);
        self.drop_segments(now);
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return;
        }
        self.shared.seal_segments();
        self.shared.save_confirmed();
    }

    /// Takes erased records out of the files, a step at a time, so that all bytes of each are gone within this time.
    pub fn carry_out_erasures(self: &Arc<Self>, within: Duration, now: Timestamp) {
        let mut erasing = lock(&self.tending);
        if !self.shared.is_retired() {
            erasing.go_on(self, within, now);
        }
    }

    /// Syncs what was only written.
    pub fn sync_in_background(&self) {
        self.shared.sync_if_wanted(true);
    }

    /// Whether it takes no appends after a failed write or sync.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.shared.is_frozen()
    }

    /// Ends the active segment, where it holds anything, and begins a new one.
    pub fn seal(self: &Arc<Self>) -> Result<SealAnswer, Problem> {
        if let Some(closed) = lock(&self.queue).closed {
            return Err(closed.problem());
        }
        let sealed = self.with_writer(|writer| match writer.active_with_frames() {
            _ if self.shared.is_frozen() => Err(frozen()),
            _ if self.shared.is_retired() => Err(Closed::Deleted.problem()),
            None => Ok(false),
            Some(_) => writer.roll(&self.shared).map(|()| true),
        })?;
        let PartitionInfo { partition, segments, end, .. } = self.describe();
        Ok(SealAnswer { partition, sealed, segments, end })
    }

    fn rotate_by_age(self: &Arc<Self>, now: Timestamp) {
        let config = self.shared.config();
        let due = |writer: &Writer| {
            writer.active_with_frames().is_some_and(|active| {
                let (created, last) = (active.header.created, active.last_time());
                active.tables_too_large()
                    || retention::rotates_by_age(created, last, &config.rotation, &config.retention, now)
            })
        };
        self.with_writer(|writer| {
            if due(writer) && !self.shared.is_frozen() && !self.shared.is_retired() && writer.roll(&self.shared).is_ok() {
                tracing::debug!(partition = %self.shared.site.label, "began a new segment because of the age of the last");
            }
        });
    }

    /// Removes segments that retention or a trim lets go, the active one too where all of it is trimmed.
    pub fn drop_segments(self: &Arc<Self>, now: Timestamp) {
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return;
        }
        self.roll_trimmed();
        let dropped = self.shared.take_droppable(now);
        self.shared.note_usage();
        self.remove(dropped);
    }

    /// When the last record of the oldest segment came, where that segment may go because the store needs room: only
    /// in a log that has a retention.
    #[must_use]
    pub fn oldest_for_room(&self) -> Option<Timestamp> {
        self.shared.oldest_for_room()
    }

    /// Removes that segment; how many bytes.
    pub fn drop_oldest(self: &Arc<Self>) -> u64 {
        let _one_at_a_time = lock(&self.tending);
        if self.shared.is_retired() {
            return 0;
        }
        let dropped: Vec<_> = self.shared.take_oldest_for_room().into_iter().collect();
        let bytes = dropped.iter().map(|segment| segment.log_bytes()).sum();
        self.shared.note_usage();
        self.remove(dropped);
        bytes
    }

    /// Removes the files of segments that readers do not see any more. Each is let go before the next: one that is removed
    /// keeps its descriptor as long as somebody holds it.
    fn remove(self: &Arc<Self>, dropped: Vec<Arc<Segment>>) {
        if dropped.is_empty() {
            return;
        }
        self.shared.publish();
        self.forget(&[]);
        for segment in dropped {
            tracing::info!(partition = %self.shared.site.label, first_offset = segment.header.base_offset, bytes = segment.log_bytes(), "removing a segment");
            if let Err(error) = segment.remove() {
                tracing::warn!(path = %segment.path().display(), %error, "failed to remove a segment; the next start tries again");
            }
        }
        if let Err(error) = self.shared.site.disk.sync_dir(&self.shared.site.dir) {
            tracing::warn!(dir = %self.shared.site.dir.display(), %error, "failed to sync a directory after removing segments");
        }
        self.shared.space.look();
    }

    /// Forgets changes of records whose segments are gone, and erasures that were carried out.
    pub(super) fn forget(self: &Arc<Self>, carried_out: &[(u64, Erased)]) {
        let start = self.shared.segments().first().map_or(0, |first| first.header.base_offset);
        self.with_writer(|writer| writer.forget(start, carried_out));
        self.shared.overlay.forget_before(start);
        self.shared.overlay.forget_erased(carried_out);
    }

    fn roll_trimmed(self: &Arc<Self>) {
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
        TrimAnswer { partition: self.number(), start, end: self.shared.published().end }
    }

    /// Takes no more work.
    pub fn stop(self: &Arc<Self>) {
        self.take_no_more(Closed::Stopping);
    }

    fn take_no_more(self: &Arc<Self>, why: Closed) {
        lock(&self.queue).closed = Some(why);
        self.lead(Thread::MayWait);
    }

    /// Takes work again after [`Partition::stop`].
    pub fn go_on(&self) {
        lock(&self.queue).closed = None;
    }

    /// Ends the log because its namespace goes. When this returns nothing touches its directory any more.
    pub fn retire(self: &Arc<Self>) {
        self.take_no_more(Closed::Deleted);
        let _nobody_tends = lock(&self.tending);
        self.with_writer(|_| self.shared.retire());
    }

    /// Ends the log in an orderly way; see [`Writer::close`].
    pub fn close(self: &Arc<Self>) -> Option<CleanMark> {
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

impl Reads for Partition {
    fn read(
        &self,
        range: Range,
        direction: Direction,
        sink: &mut dyn FnMut(&LogRecord<'_>) -> Flow,
    ) -> io::Result<Read> {
        match direction {
            Direction::Up => {
                let Ended { next, damaged_until, begins_at } = self.read(range, sink)?;
                Ok(Read { next, damaged: damaged_until.map(|until| Range { from: next, until }), begins_at })
            }
            Direction::Down => {
                let EndedBackward { next, damaged_from, is_trimmed } = self.read_backward(range, sink)?;
                let damaged = damaged_from.map(|from| Range { from, until: next });
                Ok(Read { next, damaged, begins_at: is_trimmed.then_some(next) })
            }
        }
    }
}

/// What one leader does at once, and how many bytes of frames it takes.
fn take_batch(queue: &mut Queue) -> (Vec<Work>, usize) {
    let mut bytes = 0;
    let mut count = 0;
    for work in queue.works.iter().take(BATCH_FRAMES_MAX) {
        let more: usize = match work {
            Work::Append { draft, .. } => draft.frame_len(),
            Work::Place { place, .. } => place.frames.iter().map(|frame| frame.draft.frame_len()).sum(),
            Work::Patch { request, .. } => request.bytes.len(),
            Work::Trim { .. } | Work::Erase { .. } => 0,
        };
        if count > 0 && bytes + more > BATCH_BYTES_MAX {
            break;
        }
        bytes += more;
        count += 1;
    }
    (queue.works.drain(..count).collect(), bytes)
}

/// Puts a batch back in front of what has come meanwhile: only a leader takes, so the order stays.
fn put_back(queue: &mut Queue, batch: Vec<Work>) {
    batch.into_iter().rev().for_each(|work| queue.works.push_front(work));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trim(before: u64) -> Work {
        Work::Trim { before, reply: Reply::new(None).0 }
    }

    #[test]
    fn what_is_put_back_comes_before_what_came_meanwhile() {
        let mut queue = Queue::default();
        queue.works.extend([1, 2, 3].map(trim));
        let (batch, _) = take_batch(&mut queue);
        queue.works.push_back(trim(4));
        put_back(&mut queue, batch);
        let order: Vec<u64> = queue
            .works
            .iter()
            .filter_map(|work| match work {
                Work::Trim { before, .. } => Some(*before),
                _ => None,
            })
            .collect();
        assert_eq!(order, [1, 2, 3, 4]);
    }
}
