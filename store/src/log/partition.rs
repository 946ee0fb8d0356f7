//! A partition: the queue before the writer, the line of answers behind it, and the segments for readers.

mod queued;
mod reading;
mod tending;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logstore_api::fence::{PartitionTail, Reign};
use logstore_api::namespace::{Hole, PartitionInfo, SealAnswer, TrimAnswer};
use logstore_api::{Code, NamespaceConfig, Problem};
use tokio::sync::{oneshot, watch};

pub use self::queued::Queued;
use self::queued::Turn;
use super::erasing::Erasing;
use super::recovery::{self, CleanMark, Recovered};
use super::shared::{Context, Published, Shared, lock};
use super::state::LogState;
use super::work::{Done, Held, Reply, Work, frozen};
use super::writer::Writer;
use crate::primitives::{Mutex, TryLockError};

/// Frames that a leader takes at once, at most.
const BATCH_FRAMES_MAX: usize = 4096;
/// Bytes that a leader takes at once, at most, unless one frame is larger.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Batches after which a leader hands over.
const BATCHES_MAX: usize = 64;

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
        self.enqueue(None, work).lead()
    }

    /// Puts work of a request that has a share of the memory into the queue. Somebody leads when what is returned is
    /// awaited or dropped.
    pub fn enqueue(self: &Arc<Self>, share: Option<Held>, work: impl FnOnce(Reply) -> Work) -> Queued {
        let (reply, answer) = Reply::new(share);
        {
            let mut queue = lock(&self.queue);
            match queue.closed {
                Some(closed) => reply.send(Err(Box::new(closed.problem()))),
                None => queue.works.push_back(work(reply)),
            }
        }
        Queued { turn: Turn(Arc::clone(self)), answer }
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
