//! What readers lay over the records of the log: patches and erasures, up to the frame that readers see.
//!
//! A record that nothing has changed costs one look at a flag. A patched one costs a read of each of its patches' frames,
//! which verify like any other.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use logstore_api::frame::control::Patch;
use logstore_api::frame::{FrameView, Kind};

use super::changes::{Change, Changes, Erased, Look, PatchRef};
use super::cursor::{LogRecord, Window};
use super::read::{Ended, Flow};
use super::scan;
use super::segment::Segment;
use super::shared::Shared;

/// The changes that readers see, and those that they will.
#[derive(Debug)]
pub struct Overlay {
    /// Some record is not to be read as it stands.
    any: AtomicBool,
    /// Some change is written and not seen yet.
    hidden: AtomicBool,
    /// How often what readers see has changed.
    shown: AtomicU64,
    /// Changes of records before this offset may be forgotten, because the log begins behind them: a read that has begun
    /// before does not know any more how they are to be read.
    forgotten_before: AtomicU64,
    layers: RwLock<Layers>,
}

#[derive(Debug, Default)]
struct Layers {
    seen: Changes,
    /// By frame number, and the offset that came next.
    hidden: VecDeque<Hidden>,
}

/// A change that is written and not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Number of the frame that makes it.
    pub frame: u64,
    /// The offset that came next there.
    pub next_offset: u64,
    /// The change.
    pub change: Change,
}

impl Overlay {
    /// What a recovered log shows, and what it does not show yet.
    #[must_use]
    pub fn new(seen: Changes, hidden: Vec<Hidden>) -> Self {
        Self {
            any: AtomicBool::new(!seen.is_empty()),
            hidden: AtomicBool::new(!hidden.is_empty()),
            shown: AtomicU64::new(0),
            forgotten_before: AtomicU64::new(0),
            layers: RwLock::new(Layers { seen, hidden: hidden.into() }),
        }
    }

    fn change<T>(&self, act: impl FnOnce(&mut Layers) -> T) -> T {
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut layers);
        self.any.store(!layers.seen.is_empty(), Ordering::SeqCst);
        self.hidden.store(!layers.hidden.is_empty(), Ordering::SeqCst);
        self.shown.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// How often what readers see may have changed: what was read before the number grew may show what is gone.
    #[must_use]
    pub fn changes_shown(&self) -> u64 {
        self.shown.load(Ordering::SeqCst)
    }

    /// Takes in a change that was written.
    pub fn hide(&self, hidden: Hidden) {
        self.change(|layers| layers.hidden.push_back(hidden));
    }

    /// Readers see the frames before this number now.
    pub fn show(&self, before_frame: u64) {
        if !self.hidden.load(Ordering::SeqCst) {
            return;
        }
        self.change(|layers| {
            while let Some(Hidden { next_offset, change, .. }) =
                layers.hidden.pop_front_if(|hidden| hidden.frame < before_frame)
            {
                if let Change::Trim { before } = change {
                    self.note_forgotten(layers, before);
                }
                layers.seen.apply(change, next_offset);
            }
        });
    }

    /// Forgets the records before an offset: their segments are gone.
    pub fn forget_before(&self, offset: u64) {
        if self.any.load(Ordering::SeqCst) {
            self.change(|layers| {
                self.note_forgotten(layers, offset);
                layers.seen.forget_before(offset);
            });
        }
    }

    /// First, so that whoever finds a change forgotten finds this.
    fn note_forgotten(&self, layers: &Layers, before: u64) {
        if !layers.seen.is_empty() {
            self.forgotten_before.fetch_max(before, Ordering::SeqCst);
        }
    }

    /// Forgets erasures that were carried out, once no reader has the old files any more.
    pub fn forget_erased(&self, carried_out: &[(u64, Erased)]) {
        self.change(|layers| layers.seen.forget_erased(carried_out));
    }

    /// Whether some record is not to be read as it stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    fn laid(&self, offset: u64) -> Laid {
        if self.is_empty() {
            return Laid::AsItStands;
        }
        let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
        match layers.seen.look(offset) {
            Look::AsItStands => Laid::AsItStands,
            Look::Patched(patches) => Laid::Patched(patches.to_vec()),
            Look::Erased => Laid::Erased,
            Look::Damaged => Laid::Damaged,
        }
    }
}

/// Why a read ends at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It cannot be had.
    Damaged(u64),
    /// The log begins behind it by now.
    Gone,
}

enum Laid {
    AsItStands,
    Patched(Vec<PatchRef>),
    Erased,
    Damaged,
}

/// Stands between the records of the log and a reader.
#[derive(Debug)]
pub struct Lens<'a> {
    shared: &'a Shared,
    /// The reader's own: what it reads of is there, whatever happens meanwhile.
    segments: &'a [Arc<Segment>],
    scratch: Vec<u8>,
    obstacle: Option<Obstacle>,
    failed: Option<io::Error>,
}

impl<'a> Lens<'a> {
    /// A lens for one read of these segments.
    #[must_use]
    pub fn new(shared: &'a Shared, segments: &'a [Arc<Segment>]) -> Self {
        Self { shared, segments, scratch: Vec::new(), obstacle: None, failed: None }
    }

    /// Gives a record to the reader as it is to be seen, or passes over it. At one that cannot be had the read ends.
    pub fn give(&mut self, record: &LogRecord<'_>, sink: &mut impl FnMut(&LogRecord<'_>) -> Flow) -> Flow {
        if record.is_erased() {
            return Flow::Continue;
        }
        let overlay = &self.shared.overlay;
        let patches = match overlay.laid(record.offset) {
            Laid::AsItStands if record.offset < overlay.forgotten_before.load(Ordering::SeqCst) => {
                return self.end_at(Obstacle::Gone);
            }
            Laid::AsItStands => return sink(record),
            Laid::Erased => return Flow::Continue,
            Laid::Damaged => return self.end_at(Obstacle::Damaged(record.offset)),
            Laid::Patched(patches) => patches,
        };
        match lay_over(record, &patches, &mut self.scratch, |patch| find(self.segments, self.shared, patch)) {
            Ok(true) => sink(&record.patched(&self.scratch, patches.last().map_or(0, |last| last.frame))),
            Ok(false) => self.end_at(Obstacle::Damaged(record.offset)),
            Err(error) => {
                self.failed = Some(error);
                Flow::StopBefore
            }
        }
    }

    fn end_at(&mut self, obstacle: Obstacle) -> Flow {
        self.obstacle = Some(obstacle);
        Flow::StopBefore
    }

    /// Why the read ended at a record, where it did; the read's own account ends before it.
    ///
    /// # Errors
    /// Where a patch could not be read.
    pub fn obstacle(self) -> io::Result<Option<Obstacle>> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.obstacle),
        }
    }

    /// How a read ended, with what the lens knows.
    ///
    /// # Errors
    /// Where a patch could not be read.
    pub fn ended(self, ended: Ended) -> io::Result<Ended> {
        let shared = self.shared;
        Ok(match self.obstacle()? {
            None => ended,
            Some(Obstacle::Damaged(offset)) => Ended { damaged_until: Some(offset + 1), ..ended },
            Some(Obstacle::Gone) => Ended { begins_at: Some(shared.start()), ..ended },
        })
    }
}

/// The segment that holds a patch, which may be newer than the read.
fn find(segments: &[Arc<Segment>], shared: &Shared, patch: &PatchRef) -> Option<Arc<Segment>> {
    let base = patch.place.segment;
    let in_list = |segments: &[Arc<Segment>]| {
        let at = segments.binary_search_by_key(&base, |segment| segment.header.base_frame);
        at.ok().map(|at| Arc::clone(&segments[at]))
    };
    in_list(segments).or_else(|| in_list(&shared.segments()))
}

/// Makes the payload of a record with these patches. False where one of them is damaged: what they replaced is then not
/// to be shown.
pub fn lay_over(
    record: &LogRecord<'_>,
    patches: &[PatchRef],
    payload: &mut Vec<u8>,
    find: impl Fn(&PatchRef) -> Option<Arc<Segment>>,
) -> io::Result<bool> {
    payload.clear();
    if !patches.first().is_some_and(|first| first.whole) {
        payload.extend_from_slice(record.data());
    }
    for patch in patches {
        let Some(segment) = find(patch) else { return Ok(false) };
        let mut window = Window::new(Arc::clone(segment.file()), segment.log_bytes());
        let position = u64::from(patch.place.position);
        let frame = scan::frame_at(&mut window, segment.header.salt, position)?;
        let Some(frame) = frame.filter(|frame| is_patch(frame, patch.frame)) else { return Ok(false) };
        let found = Patch::of(&frame).filter(|found| found.head.offset == record.offset);
        let Some(Patch { head, bytes }) = found else { return Ok(false) };
        payload.resize(head.data_len as usize, 0);
        let at = head.position as usize;
        payload[at..at + bytes.len()].copy_from_slice(bytes);
    }
    Ok(true)
}

fn is_patch(frame: &FrameView<'_>, number: u64) -> bool {
    let header = frame.header();
    header.kind == Kind::Patch && header.numbers.number == number
}
