//! What a partition's writer shares with its readers and with the threads that sync: the line of answers, the segments,
//! and what readers see.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use logstore_api::fence::Reign;
use logstore_api::frame::FrameView;
use logstore_api::namespace::Quota;
use logstore_api::{NamespaceConfig, Problem, Timestamp};
use tokio::sync::watch;

use super::acks::{Acks, Mark, Waiting};
use super::confirmed::ConfirmedFile;
use super::overlay::Overlay;
use super::quota::Usage;
use super::recovery::{Recovered, Site};
use super::retention::{self, Candidate};
use super::scan::Found;
use super::segment::Segment;
use super::sync::{Job, SyncPool};
use super::work::{Answer, Reply, frozen_outcome};
use crate::disk;
use crate::metrics::Metrics;
use crate::primitives::{Mutex, MutexGuard, RwLock};
use crate::space::SpaceGauge;

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
    /// What all logs of the namespace use.
    pub usage: Arc<Usage>,
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
    /// Records before this offset are in the file, acknowledged or not.
    pub written_end: u64,
}

/// What the writer shares with readers and with the threads that sync.
#[derive(Debug)]
pub struct Shared {
    pub(super) site: Site,
    pub(super) space: Arc<SpaceGauge>,
    sync_pool: Arc<SyncPool>,
    metrics: Arc<Metrics>,
    usage: Arc<Usage>,
    config: RwLock<NamespaceConfig>,
    reign: Mutex<Option<Reign>>,
    acks: Mutex<Acks<Option<Answer>>>,
    segments: RwLock<Vec<Arc<Segment>>>,
    trim_start: Mutex<u64>,
    holes: Mutex<Vec<(u64, u64)>>,
    published: watch::Sender<Published>,
    confirmed_file: ConfirmedFile,
    /// What readers see of patches and erasures.
    pub(super) overlay: Overlay,
    /// It stands in the line of logs with records that nobody waits for.
    in_line: AtomicBool,
    /// Its turn there has come: when the sync under way has ended, what it did not reach is synced next.
    overdue: AtomicBool,
    /// Held over each sync and what follows from it: Linux tells of a failed write once, to the first who asks.
    one_sync: Mutex<()>,
    /// The namespace is gone: nothing below its directory is touched any more.
    retired: AtomicBool,
}

/// Takes a lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not take the log with it: what the locks guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What a recovered log shares.
    pub(super) fn new(context: Context, config: NamespaceConfig, reign: Option<Reign>, recovered: &Recovered) -> Self {
        let Context { site, space, sync_pool, metrics, usage } = context;
        let Recovered { state, segments, holes, seen, hidden, .. } = recovered;
        let end = Mark { frame: state.tail.next_frame, offset: state.tail.next_offset };
        let confirmed_file = ConfirmedFile::load(Arc::clone(&site.disk), &site.dir);
        let confirmed = site.ordered.then(|| confirmed_file.saved());
        let shared = Self {
            site,
            space,
            sync_pool,
            metrics,
            usage,
            config: RwLock::new(config),
            reign: Mutex::new(reign),
            acks: Mutex::new(Acks::new(end, confirmed)),
            segments: RwLock::new(segments.clone()),
            trim_start: Mutex::new(state.trim_start),
            holes: Mutex::new(holes.clone()),
            published: watch::Sender::new(Published::default()),
            confirmed_file,
            overlay: Overlay::new(seen.clone(), hidden.clone()),
            in_line: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            one_sync: Mutex::default(),
            retired: AtomicBool::new(false),
        };
        shared.publish();
        shared.note_usage();
        shared
    }

    /// Tells the namespace what the files of this log take.
    pub(super) fn note_usage(&self) {
        let bytes = self.segments().iter().map(|segment| segment.log_bytes()).sum();
        self.usage.note_bytes(self.site.number, bytes);
    }

    /// The same, of what was written since.
    pub(super) fn add_usage(&self, bytes: u64) {
        self.usage.add_bytes(self.site.number, bytes);
    }

    fn with_quota<T>(&self, look: impl FnOnce(&Quota) -> T) -> T {
        look(&self.config.read().unwrap_or_else(PoisonError::into_inner).quota)
    }

    /// Whether the namespace's quota lets so many bytes more into its files, of which `staged` are on their way.
    pub(super) fn check_quota(&self, staged: u64, more: u64) -> Result<(), Problem> {
        if self.with_quota(|quota| quota.max_bytes.is_none()) {
            return Ok(());
        }
        self.note_usage();
        self.with_quota(|quota| self.usage.check_bytes(quota, staged + more))
    }

    /// Takes bytes of records out of what the namespace's quota allows in a second.
    pub(super) fn take_rate(&self, bytes: u64) -> Result<(), Problem> {
        self.with_quota(|quota| self.usage.take_rate(quota, bytes, std::time::Instant::now))
    }

    pub(super) fn published(&self) -> Published {
        *self.published.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    pub(super) fn holes(&self) -> Vec<(u64, u64)> {
        lock(&self.holes).clone()
    }

    pub(super) fn configure(&self, config: NamespaceConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Puts a reign in force, unless a higher one is: two fences may come here in another order than they were kept.
    pub(super) fn set_reign(&self, reign: Reign) {
        let mut current = lock(&self.reign);
        if current.as_ref().is_none_or(|current| current.epoch <= reign.epoch) {
            *current = Some(reign);
        }
    }

    pub(super) fn confirmed(&self) -> Mark {
        lock(&self.acks).confirmed()
    }

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

    /// The segment that begins with this frame.
    pub(super) fn segment(&self, base_frame: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let at = segments.binary_search_by_key(&base_frame, |segment| segment.header.base_frame).ok()?;
        Some(Arc::clone(&segments[at]))
    }

    /// Puts a rewritten segment in the place of the old one, where that is still there.
    pub(super) fn replace_segment(&self, rewritten: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let base = rewritten.header.base_frame;
        if let Ok(at) = segments.binary_search_by_key(&base, |segment| segment.header.base_frame) {
            segments[at] = rewritten;
        }
    }

    /// Puts a new segment behind the others; one that begins at the same frame as the last, which then holds none, takes
    /// its place and its file.
    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if segments.last().is_some_and(|last| last.header.base_frame == segment.header.base_frame) {
            segments.pop();
        }
        segments.push(segment);
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        // Who waits for records looks whether there still is a namespace.
        self.published.send_modify(|_| ());
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Work for the threads of the sync pool.
    pub(super) fn submit_job(&self, job: Job) {
        self.sync_pool.submit(job);
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
        reply.send(Err(Box::new(problem)));
    }

    pub(super) fn disk_full(&self) -> Problem {
        self.metrics.disk_full.inc();
        self.space.refuse_append()
    }

    /// The answer where a write failed because the disk has no room or the process no descriptor, and nothing is lost;
    /// `None` where it failed otherwise.
    pub(super) fn refusal(&self, what: &str, error: &io::Error) -> Option<Problem> {
        if disk::is_full(error) { Some(self.disk_full()) } else { self.space.refusal(what, error) }
    }

    /// Work in the background that found no room is tried again, and said with the other refusals, not each time.
    fn warn_unless_full(&self, error: &io::Error, warn: impl FnOnce()) {
        if self.space.refusal("write side files", error).is_none() {
            warn();
        }
    }

    /// Puts written frames into the line and answers those that are done.
    pub(super) fn line_up(&self, waiting: Vec<Waiting<Option<Answer>>>) {
        let done = {
            let mut acks = lock(&self.acks);
            waiting.into_iter().for_each(|one| acks.push(one));
            let done = acks.settle();
            if acks.is_frozen() {
                // Nothing will ever settle them.
                acks.freeze()
                    .into_iter()
                    .filter_map(|waiting| waiting.answer)
                    .for_each(|answer| answer.fail(frozen_outcome()));
            }
            done
        };
        self.answer(done);
    }

    pub(super) fn confirm(&self, frame: u64) {
        if lock(&self.acks).confirm(frame) {
            self.publish();
        }
    }

    /// Syncs a segment, which makes everything up to `mark` durable, and answers those who waited for it. A failure is
    /// final, and only the first of two syncs is told of it: so they come one after the other, and none after a failure.
    pub(super) fn sync(&self, segment: &Segment, mark: Mark) -> io::Result<()> {
        let _one_at_a_time = lock(&self.one_sync);
        if self.is_frozen() {
            return Err(io::Error::other("an earlier write or sync has failed"));
        }
        let begun = std::time::Instant::now();
        if let Err(error) = segment.file().sync_data() {
            if disk::is_out_of_files(&error) {
                // It could not even be tried.
                return Err(error);
            }
            self.freeze("sync", &error);
            return Err(error);
        }
        self.metrics.sync_seconds.observe(begun.elapsed().as_secs_f64());
        let done = {
            let mut acks = lock(&self.acks);
            acks.synced(mark);
            acks.settle()
        };
        self.answer(done);
        Ok(())
    }

    /// Makes what readers see true, then answers: whoever has an answer can read what it speaks of.
    fn answer(&self, done: Vec<Waiting<Option<Answer>>>) {
        self.metrics.frames.inc_by(done.len() as u64);
        let Published { end, durable_end, .. } = self.publish();
        for answer in done.into_iter().filter_map(|waiting| waiting.answer) {
            answer.send(end, durable_end);
        }
    }

    pub(super) fn publish(&self) -> Published {
        let acks = lock(&self.acks);
        let start = self.start();
        let visible = acks.visible();
        let end = visible.offset;
        self.overlay.show(visible.frame);
        let (durable_end, written_end) = (acks.durable_end(), acks.written().offset);
        let now = Published { start: start.min(end), end, durable_end, written_end };
        self.published.send_if_modified(|published| {
            let moved = *published != now;
            *published = now;
            // Who subscribes after this look reads what was written just now.
            moved && self.published.receiver_count() > 0
        });
        now
    }

    /// Begins a sync where somebody waits for one (or, in the background, where anything is unsynced) and none runs.
    pub(super) fn sync_if_wanted(self: &Arc<Self>, background: bool) {
        if let Some(sync) = self.begin_sync(background) {
            let shared = Arc::clone(self);
            self.sync_pool.submit(Box::new(move || shared.run_syncs(sync)));
        }
    }

    /// What is to be synced, and how far that reaches. The files before the active one were synced when they ended.
    fn begin_sync(&self, background: bool) -> Option<(Mark, Arc<Segment>)> {
        let reach = lock(&self.acks).begin_sync(background)?;
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.last().map(|active| (reach, Arc::clone(active)))
    }

    /// Sees to it that what is written is synced within the interval, whether or not somebody waits for it.
    pub(super) fn sync_later(self: &Arc<Self>) {
        if !lock(&self.acks).is_all_synced() && !self.in_line.swap(true, Ordering::SeqCst) {
            self.sync_pool.unsynced().push(Arc::downgrade(self));
        }
    }

    /// Its turn in the line has come.
    pub(super) fn sync_now_due(self: &Arc<Self>) {
        self.in_line.store(false, Ordering::SeqCst);
        // First, so that a sync that ends just now sees it.
        self.overdue.store(true, Ordering::SeqCst);
        self.sync_if_wanted(true);
    }

    /// Syncs for as long as that is wanted and no other log waits for a thread: the next sync of a busy log begins without
    /// waking one.
    fn run_syncs(self: Arc<Self>, (mut reach, mut active): (Mark, Arc<Segment>)) {
        loop {
            // A failure has frozen the log and told everybody.
            let _ = self.sync(&active, reach);
            lock(&self.acks).end_sync();
            let overdue = self.overdue.swap(false, Ordering::SeqCst);
            if self.sync_pool.is_busy() {
                return self.sync_if_wanted(overdue);
            }
            match self.begin_sync(overdue) {
                Some(next) => (reach, active) = next,
                None => return,
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

    pub(super) fn note_hole(&self, from: u64, until: u64) {
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

    pub(super) fn take_droppable(&self, now: Timestamp) -> Vec<Arc<Segment>> {
        let config = self.config();
        let readable = self.readable();
        let trim_start = *lock(&self.trim_start);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = segments.last() else { return Vec::new() };
        let active_bytes = active.log_bytes();
        let sealed: Vec<Candidate> = segments.windows(2).map(|pair| candidate(&pair[0], &pair[1])).collect();
        let count = retention::droppable(&sealed, active_bytes, &config.retention, trim_start, readable, now);
        segments.drain(..count).collect()
    }

    /// Up to where retention may go.
    fn readable(&self) -> Mark {
        let acks = lock(&self.acks);
        let frame = if self.site.ordered { acks.confirmed().frame } else { u64::MAX };
        Mark { frame, offset: acks.end() }
    }

    /// Server time of the last record of the oldest segment, where it may go because the store needs room.
    pub(super) fn oldest_for_room(&self) -> Option<Timestamp> {
        let config = self.config();
        let readable = self.readable();
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = candidate(segments.first()?, segments.get(1)?);
        retention::goes_for_room(&oldest, &config.retention, readable).then_some(oldest.last_time)
    }

    pub(super) fn take_oldest_for_room(&self) -> Option<Arc<Segment>> {
        self.oldest_for_room()?;
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        // The active one stays, whatever has come between.
        (segments.len() > 1).then(|| segments.remove(0))
    }

    /// Writes the side files of segments that have none yet.
    pub(super) fn seal_segments(&self) {
        let segments = self.segments();
        for pair in segments.windows(2) {
            let (segment, next) = (&pair[0], &pair[1]);
            if segment.is_sealed() || segment.find_seal() {
                continue;
            }
            if let Err(error) = segment.seal(&next.header) {
                self.warn_unless_full(&error, || {
                    tracing::warn!(path = %segment.path().display(), %error, "failed to write the side files of a segment; tried again later");
                });
            }
        }
    }

    /// Keeps what is confirmed for the next start. Failing costs only that a restart shows less for a while.
    pub(super) fn save_confirmed(&self) {
        if !self.site.ordered || self.is_retired() {
            return;
        }
        let confirmed = lock(&self.acks).confirmed();
        if let Err(error) = self.confirmed_file.save(confirmed) {
            self.warn_unless_full(&error, || {
                tracing::warn!(partition = %self.site.label, %error, "failed to save what is confirmed; a restart may show less for a while");
            });
        }
    }
}

/// A segment that has a next one, as retention sees it.
fn candidate(segment: &Segment, next: &Segment) -> Candidate {
    Candidate {
        bytes: segment.log_bytes(),
        end_frame: next.header.base_frame,
        end_offset: next.header.base_offset,
        last_time: segment.last_time(),
    }
}
