//! A walk over a segment's frames, which makes the state of the log again.

use std::io;
use std::sync::Arc;

use logstore_api::frame::{FrameView, Header};

use super::gap::{Gap, Lost, is_unwritten};
use super::{OpenedFile, Site, decode_snapshot};
use crate::broken::{self, Broken};
use crate::log::changes::{Change, Changes, Doubt, FramePlace};
use crate::log::cursor::{FRAMES_AT, Window};
use crate::log::find::tables::Tables;
use crate::log::overlay::Hidden;
use crate::log::scan::{Found, Scan};
use crate::log::state::{LogState, Tail};

/// What a walk over a segment's frames gives.
pub(super) struct Replayed {
    pub(super) state: LogState,
    /// Changes of records by frames that are confirmed, once others have come.
    pub(super) seen: Option<Changes>,
    /// Those others.
    pub(super) hidden: Vec<Hidden>,
    pub(super) tables: Tables,
    pub(super) holes: Vec<(u64, u64)>,
    pub(super) damaged: bool,
    /// Where sound frames end, and a torn tail begins if the file goes on.
    pub(super) end: u64,
}

/// A walk that is under way.
pub(super) struct Replay<'a> {
    site: &'a Site,
    opened: &'a OpenedFile,
    cut_from: Option<u64>,
    /// The damage just passed.
    gap: Gap,
    /// What frames may have changed that were never synced and are lost.
    unsynced: Option<Doubt>,
    done: Replayed,
}

impl<'a> Replay<'a> {
    /// Begins with what the segment's snapshot says. `cut_from`: damage at or behind this frame number ends the log,
    /// because a writer brings what follows again; a copy must not count as holding what it cannot read.
    pub(super) fn new(site: &'a Site, opened: &'a OpenedFile, state: LogState, cut_from: Option<u64>) -> Self {
        let done = Replayed {
            state,
            seen: None,
            hidden: Vec::new(),
            tables: Tables::new(opened.header.base_offset),
            holes: Vec::new(),
            damaged: !opened.sound,
            end: opened.len.min(FRAMES_AT),
        };
        Self { site, opened, cut_from, gap: Gap::default(), unsynced: None, done }
    }

    /// Walks to the end of the sound frames.
    pub(super) fn run(mut self) -> io::Result<Replayed> {
        let window = Window::new(Arc::clone(&self.opened.file), self.opened.len);
        let mut scan = Scan::new(window, self.site.salt, FRAMES_AT, self.opened.len);
        while self.take_found(scan.step()?)? {}
        Ok(self.done)
    }

    /// Takes in what stands next; whether to go on.
    fn take_found(&mut self, found: Found<'_>) -> io::Result<bool> {
        let (opened, salt) = (self.opened, self.site.salt);
        match found {
            Found::Frame { position, frame } => {
                self.take(&frame, FramePlace::new(opened.header.base_frame, position));
                self.done.end = position + frame.bytes().len() as u64;
                Ok(true)
            }
            Found::Damage { from, until } => {
                tracing::error!(path = %opened.path.display(), from, until, "damage in a segment; what stands behind it is kept");
                self.done.damaged = true;
                let cuts = self.cuts();
                self.done.end = if cuts { from } else { until };
                self.gap = Gap::look(opened, salt, from, until)?;
                Ok(!cuts)
            }
            Found::Tail { from, whole: Some(header) }
                if !self.cuts() && !is_unwritten(opened, salt, from, opened.len)? =>
            {
                let hole_from = self.done.state.tail.next_offset;
                self.gap = Gap { lost: Lost::at(opened, salt, from)?, unsynced: false };
                self.take_lost(&header);
                self.done.state.tail = self.done.state.tail.after(&header, (0, 0), 0);
                self.note_hole(hole_from, self.done.state.tail.next_offset);
                self.done.damaged = true;
                self.done.end = from + header.frame_len as u64;
                Ok(true)
            }
            Found::Tail { from, whole: _ } => {
                self.done.end = from;
                Ok(false)
            }
            Found::End => Ok(false),
        }
    }

    /// Whether damage here ends the log.
    fn cuts(&self) -> bool {
        self.cut_from.is_some_and(|frame| self.done.state.tail.next_frame >= frame) || broken::is(Broken::DamageCutOff)
    }

    fn take(&mut self, frame: &FrameView<'_>, place: FramePlace) {
        let header = frame.header();
        if !header.kind.is_ordered() {
            return self.take_checkpoint(frame);
        }
        let Tail { next_frame, next_offset, payload_sum, address_sum, .. } = self.done.state.tail;
        if header.numbers.number < next_frame || header.numbers.base_offset < next_offset {
            // Of another place in the log, which a copied file or a misdirected write has brought here.
            tracing::error!(path = %self.opened.path.display(), position = place.position, "a frame stands where later ones belong; it is passed over");
            self.done.damaged = true;
            return;
        }
        if header.numbers.number != next_frame || header.numbers.base_offset != next_offset {
            self.done.damaged = true;
            self.note_hole(next_offset, header.numbers.base_offset);
            self.take_lost(&header);
        }
        self.gap = Gap::default();
        self.done.tables.note_frame(frame, u64::from(place.position), (payload_sum, address_sum));
        let wire_checksum = if self.site.ordered { frame.wire_checksum(self.site.salt) } else { 0 };
        // Changes by frames that are not confirmed are not seen yet.
        if self.cut_from.is_some_and(|confirmed| header.numbers.number >= confirmed) && self.done.seen.is_none() {
            self.done.seen = Some(self.done.state.changes.clone());
        }
        let change = self.done.state.apply(frame, place, frame.sums(), wire_checksum);
        let lose = change.and_then(|change| self.lose_what_it_needs(&change, place));
        if self.done.seen.is_some() {
            let (frame, next_offset) = (header.numbers.number, self.done.state.tail.next_offset);
            let changes = [change, lose].into_iter().flatten();
            self.done.hidden.extend(changes.map(|change| Hidden { frame, next_offset, change }));
        }
    }

    /// A record that is patched behind patches that were lost would be what it never was.
    fn lose_what_it_needs(&mut self, change: &Change, place: FramePlace) -> Option<Change> {
        let Change::Patch { offset, .. } = *change else { return None };
        self.unsynced.filter(|lost| self.done.state.changes.may_lack(offset, lost))?;
        let lose = Change::Lose { offset, segment: place.segment };
        self.done.state.changes.apply(lose, self.done.state.tail.next_offset);
        Some(lose)
    }

    /// What frames that were lost may have changed is not to be served as it was, unless they were never synced: then it is
    /// as if they had not been asked for. `next` is the frame behind them, or the last of them.
    fn take_lost(&mut self, next: &Header) {
        let Tail { next_frame, next_offset, .. } = self.done.state.tail;
        let frames = next.numbers.number.saturating_sub(next_frame);
        let offsets = next.numbers.base_offset.saturating_sub(next_offset);
        let doubt = Doubt { until: next.numbers.base_offset, frame: next.numbers.number };
        let Gap { lost, unsynced } = std::mem::take(&mut self.gap);
        let change = match lost {
            // The frame itself: its header is sound.
            Some(lost) if frames <= 1 => lost.change.unwrap_or(Some(Change::Doubt(doubt))),
            // A frame that counts offsets holds records.
            _ if frames == 0 || frames == 1 && offsets > 0 => None,
            _ => Some(Change::Doubt(doubt)),
        };
        match change.filter(|_| self.done.state.changes.has_begun() && !broken::is(Broken::LostPatchIgnored)) {
            None => {}
            Some(_) if unsynced => {
                tracing::warn!(
                    frames,
                    "frames that were never synced were lost; patches and erasures among them were not made"
                );
                self.unsynced = Some(doubt);
            }
            Some(change) => {
                if let Change::Doubt(Doubt { until, .. }) = change {
                    tracing::error!(
                        until,
                        "frames that may have patched or erased records were lost; records before this offset are not served, unless they are patched whole or erased"
                    );
                }
                self.done.state.changes.apply(change, next_offset);
            }
        }
    }

    /// A checkpoint knows of frames that damage before it has hidden.
    fn take_checkpoint(&mut self, frame: &FrameView<'_>) {
        self.gap = Gap::default();
        if let Some(state) = decode_snapshot(frame)
            && state.tail.next_frame > self.done.state.tail.next_frame
        {
            self.done.damaged = true;
            self.note_hole(self.done.state.tail.next_offset, state.tail.next_offset);
            self.done.state = state;
        }
    }

    fn note_hole(&mut self, from: u64, until: u64) {
        if from < until {
            self.done.holes.push((from, until));
        }
    }
}
