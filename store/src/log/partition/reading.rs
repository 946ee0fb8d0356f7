//! What readers ask a partition for.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use logstore_api::Timestamp;
use logstore_api::frame::FrameView;

use super::Partition;
use crate::log::backward::{self, EndedBackward};
use crate::log::cursor::LogRecord;
use crate::log::each::{Each, Plan};
use crate::log::find::ordinals::Direction;
use crate::log::find::select::{self, Read, Reads, Search, Selected, Selection};
use crate::log::modify::Target;
use crate::log::overlay::{Lens, Obstacle};
use crate::log::read::{self, Ended, Flow, Range};
use crate::log::segment::Segment;
use crate::log::time;

impl Partition {
    /// Gives records to `sink`; `range` lies between start and end. Erased ones are passed over.
    pub fn read(&self, range: Range, sink: impl FnMut(&LogRecord<'_>) -> Flow) -> io::Result<Ended> {
        self.read_in(&self.shared.segments(), range, sink)
    }

    fn read_in(
        &self,
        segments: &[Arc<Segment>],
        range: Range,
        mut sink: impl FnMut(&LogRecord<'_>) -> Flow,
    ) -> io::Result<Ended> {
        let mut lens = Lens::new(&self.shared, segments);
        let ended = read::read(segments, range, |record| lens.give(record, &mut sink))?;
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

    /// Grows before anybody is told of a patch or an erasure: what was read before may show what it has replaced.
    #[must_use]
    pub fn changes_shown(&self) -> u64 {
        self.shared.overlay.changes_shown()
    }

    /// How these offsets, ascending and each once, are read best.
    pub fn plan_each(&self, offsets: &[u64]) -> io::Result<Plan> {
        let plan = Plan::new(&self.shared.segments(), offsets)?;
        // A patched record may be longer than it stands there.
        Ok(if self.shared.overlay.is_empty() { plan } else { plan.of_any_size() })
    }

    /// Says to `sink` what stands at each planned offset, in order, until it says stop.
    pub fn read_each(&self, plan: &Plan, sink: impl FnMut(u64, Each<'_>) -> Flow) -> io::Result<()> {
        let segments = self.shared.segments();
        plan.carry_out(|range, sink| self.read_in(&segments, range, sink), sink)
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
