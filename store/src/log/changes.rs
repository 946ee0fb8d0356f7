//! Patches and erasures of records that are still in the log: a fold over the frames that change records. Pure.
//!
//! The writer keeps one, up to what is written, by which it judges; readers have another, up to what they may see
//! ([`super::overlay`]). It holds where patches stand and not their bytes, so it is small enough for every snapshot.

pub mod codec;

use std::collections::BTreeMap;

use logstore_api::Timestamp;
use logstore_api::frame::control::{self, Erase, Patch, PatchHead, Trim};
use logstore_api::frame::{FrameView, Header, Kind, RecordView, Salt};
use logstore_api::limits::{ERASURES_OPEN_MAX, PATCHES_OPEN_MAX};

/// More than the first record of a patch or an erasure takes.
pub const CONTROL_RECORD_LEN_MAX: usize = 64;

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// First frame of its segment, by which the segment is known.
    pub segment: u64,
    /// Where it begins in the segment's file.
    pub position: u32,
}

impl FramePlace {
    /// A segment's positions fit 32 bits.
    #[must_use]
    pub fn new(segment: u64, position: u64) -> Self {
        Self { segment, position: u32::try_from(position).unwrap_or(u32::MAX) }
    }
}

/// A patch that stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchRef {
    /// Number of its frame.
    pub frame: u64,
    /// Where its frame stands.
    pub place: FramePlace,
    /// Length of the record's payload afterwards.
    pub data_len: u32,
    /// It holds the whole payload: what was before does not count.
    pub whole: bool,
}

/// What a frame does to records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Bytes of a record are replaced.
    Patch {
        /// The record.
        offset: u64,
        /// By what.
        patch: PatchRef,
    },
    /// A patch of this record is damaged.
    Lose {
        /// The record.
        offset: u64,
        /// The segment in which the patch stands.
        segment: u64,
    },
    /// A record is hidden.
    Erase {
        /// The record.
        offset: u64,
        /// By what.
        erased: Erased,
    },
    /// Records before this offset are gone.
    Trim {
        /// The first offset that is still there.
        before: u64,
    },
    /// Frames that may have changed records were lost.
    Doubt(Doubt),
}

/// Which records may have been changed by frames that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Records before this offset.
    pub until: u64,
    /// Changes by this frame and later ones are known.
    pub frame: u64,
}

impl Doubt {
    /// Whether it is open what a record is, of whose patches this is the first: a whole payload that came later than what
    /// was lost is beyond doubt.
    fn covers(&self, offset: u64, first: Option<&PatchRef>) -> bool {
        offset < self.until && !first.is_some_and(|first| first.whole && first.frame >= self.frame)
    }
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Patched(Patched),
    Erased(Erased),
}

/// Patches of a record, in the order of the log; those before a whole one are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Patched {
    /// The segment of the first patch there ever was: from there on the record's bytes stand in patches too.
    since: u64,
    /// One that is not in the list is damaged.
    lost: bool,
    patches: Vec<PatchRef>,
}

/// An erasure whose bytes may still be in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Number of its frame.
    pub frame: u64,
    /// The segment in which its frame stands.
    pub segment: u64,
    /// When it was asked for.
    pub time: Timestamp,
    /// The segment of the record's first patch, where it had any.
    pub patched_since: Option<u64>,
}

impl Erased {
    fn by(header: &Header, place: FramePlace) -> Self {
        let (frame, time) = (header.numbers.number, Timestamp(header.numbers.time_us));
        Self { frame, segment: place.segment, time, patched_since: None }
    }
}

/// How a record is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<'a> {
    /// As it stands in the log.
    AsItStands,
    /// With these laid over, in this order.
    Patched(&'a [PatchRef]),
    /// Not at all.
    Erased,
    /// Not at all: what a lost frame has made of it is not known.
    Damaged,
}

/// All changes up to a place in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Frames that change records may stand behind this place.
    begun: bool,
    doubt: Option<Doubt>,
    fates: BTreeMap<u64, Fate>,
    patch_count: usize,
    erasure_count: usize,
}

impl Change {
    /// What a frame changes, if it changes anything.
    #[must_use]
    pub fn of(frame: &FrameView<'_>, place: FramePlace) -> Option<Self> {
        let header = frame.header();
        match header.kind {
            Kind::Patch => {
                // A stub of a patch, whose bytes went with the record's, changes nothing: the record is a stub as well.
                let Patch { head: PatchHead { offset, position, data_len }, bytes } = Patch::of(frame)?;
                let whole = position == 0 && bytes.len() == data_len as usize;
                let patch = PatchRef { frame: header.numbers.number, place, data_len, whole };
                Some(Self::Patch { offset, patch })
            }
            Kind::Erase => {
                let Erase { offset } = control::body(frame).and_then(Erase::decode)?;
                Some(Self::Erase { offset, erased: Erased::by(&header, place) })
            }
            Kind::Trim => {
                let Trim { before } = control::body(frame).and_then(Trim::decode)?;
                Some(Self::Trim { before })
            }
            Kind::Data | Kind::Cursor | Kind::EpochStart | Kind::Hole | Kind::Snapshot | Kind::Padding => None,
        }
    }

    /// What a damaged frame whose header is sound has changed, if anything: its first record has a checksum of its own.
    /// `None` where it cannot be told.
    #[must_use]
    #[allow(clippy::option_option, reason = "nothing is changed, and nothing is known, are two answers")]
    pub fn of_damaged(header: &Header, records: &[u8], salt: Salt, place: FramePlace) -> Option<Option<Self>> {
        let first = RecordView::verify(records, salt);
        match header.kind {
            Kind::Patch => {
                let PatchHead { offset, .. } = PatchHead::of(&first?)?;
                Some(Some(Self::Lose { offset, segment: place.segment }))
            }
            Kind::Erase => {
                let Erase { offset } = Erase::decode(first?.data())?;
                Some(Some(Self::Erase { offset, erased: Erased::by(header, place) }))
            }
            _ => Some(None),
        }
    }
}

impl Changes {
    /// Whether frames that change records may stand behind this place. The first one comes only after a snapshot that
    /// says so: without it, damage cannot have hidden one.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// From here on frames may change records.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Takes back [`Changes::begin`], where nothing came of it.
    pub fn unbegin(&mut self) {
        self.begun = false;
    }

    /// Whether every record is to be read as it stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fates.is_empty() && self.doubt.is_none()
    }

    /// Takes in a change. Those of records that are not there (`next_offset` and above) change nothing.
    pub fn apply(&mut self, change: Change, next_offset: u64) {
        match change {
            Change::Patch { offset, patch } if offset < next_offset => self.patch(offset, patch),
            Change::Erase { offset, erased } if offset < next_offset => self.erase(offset, erased),
            Change::Lose { offset, segment } if offset < next_offset => self.lose(offset, segment),
            Change::Patch { .. } | Change::Erase { .. } | Change::Lose { .. } => {}
            Change::Trim { before } => self.trim(before),
            Change::Doubt(doubt) => self.doubt = Some(doubt),
        }
    }

    fn patch(&mut self, offset: u64, patch: PatchRef) {
        let since = patch.place.segment;
        let fate = self
            .fates
            .entry(offset)
            .or_insert_with(|| Fate::Patched(Patched { since, lost: false, patches: Vec::new() }));
        // A patch behind an erasure changes nothing any more.
        let Fate::Patched(patched) = fate else { return };
        if patch.whole {
            self.patch_count -= patched.patches.len();
            patched.patches.clear();
            patched.lost = false;
        }
        patched.patches.push(patch);
        self.patch_count += 1;
    }

    fn lose(&mut self, offset: u64, segment: u64) {
        let lost = || Fate::Patched(Patched { since: segment, lost: true, patches: Vec::new() });
        if let Fate::Patched(patched) = self.fates.entry(offset).or_insert_with(lost) {
            patched.lost = true;
        }
    }

    fn erase(&mut self, offset: u64, erased: Erased) {
        let patched_since = match self.fates.get(&offset) {
            Some(Fate::Erased(_)) => return,
            Some(Fate::Patched(patched)) => {
                self.patch_count -= patched.patches.len();
                Some(patched.since)
            }
            None => None,
        };
        self.erasure_count += 1;
        self.fates.insert(offset, Fate::Erased(Erased { patched_since, ..erased }));
    }

    /// Patches of trimmed records count no more. Erasures stay: their bytes are in the files until those go.
    fn trim(&mut self, before: u64) {
        self.remove_where(before, |fate| matches!(fate, Fate::Patched(_)));
    }

    /// Forgets the records before an offset: their segments are gone.
    pub fn forget_before(&mut self, offset: u64) {
        self.remove_where(offset, |_| true);
        self.doubt = self.doubt.filter(|doubt| doubt.until > offset);
    }

    fn remove_where(&mut self, before: u64, goes: impl Fn(&Fate) -> bool) {
        let gone: Vec<u64> =
            self.fates.range(..before).filter(|(_, fate)| goes(fate)).map(|(offset, _)| *offset).collect();
        gone.into_iter().for_each(|offset| self.remove(offset));
    }

    fn remove(&mut self, offset: u64) {
        match self.fates.remove(&offset) {
            Some(Fate::Patched(patched)) => self.patch_count -= patched.patches.len(),
            Some(Fate::Erased(_)) => self.erasure_count -= 1,
            None => {}
        }
    }

    /// Forgets erasures whose bytes are gone from the files, where stubs stand for them now.
    pub fn forget_erased(&mut self, carried_out: &[(u64, Erased)]) {
        for (offset, erased) in carried_out {
            if self.fates.get(offset) == Some(&Fate::Erased(*erased)) {
                self.remove(*offset);
            }
        }
    }

    /// How a record is to be read.
    #[must_use]
    pub fn look(&self, offset: u64) -> Look<'_> {
        match self.fates.get(&offset) {
            Some(Fate::Erased(_)) => Look::Erased,
            Some(Fate::Patched(patched)) if patched.lost => Look::Damaged,
            Some(Fate::Patched(patched)) if self.doubts(offset, patched.patches.first()) => Look::Damaged,
            Some(Fate::Patched(patched)) => Look::Patched(&patched.patches),
            None if self.doubts(offset, None) => Look::Damaged,
            None => Look::AsItStands,
        }
    }

    fn doubts(&self, offset: u64, first: Option<&PatchRef>) -> bool {
        self.doubt.is_some_and(|doubt| doubt.covers(offset, first))
    }

    /// Whether patches of a record may be missing from what is known of it, among those that were lost.
    #[must_use]
    pub fn may_lack(&self, offset: u64, lost: &Doubt) -> bool {
        lost.covers(offset, self.patches(offset).first())
    }

    /// Patches of a record that are known, also where one is lost.
    #[must_use]
    pub fn patches(&self, offset: u64) -> &[PatchRef] {
        match self.fates.get(&offset) {
            Some(Fate::Patched(patched)) => &patched.patches,
            Some(Fate::Erased(_)) | None => &[],
        }
    }

    /// Whether no more patches are taken, but those that replace others.
    #[must_use]
    pub fn is_full_of_patches(&self) -> bool {
        self.patch_count >= PATCHES_OPEN_MAX
    }

    /// Whether so many more can be kept.
    #[must_use]
    pub fn has_room(&self, patches: usize, erasures: usize) -> bool {
        self.patch_count + patches <= PATCHES_OPEN_MAX && self.erasure_count + erasures <= ERASURES_OPEN_MAX
    }

    /// Whether no more erasures are taken, until some are carried out.
    #[must_use]
    pub fn is_full_of_erasures(&self) -> bool {
        self.erasure_count >= ERASURES_OPEN_MAX
    }

    /// Erasures that are not known to be carried out, by offset.
    pub fn erasures(&self) -> impl Iterator<Item = (u64, Erased)> + '_ {
        self.fates.iter().filter_map(|(offset, fate)| match fate {
            Fate::Erased(erased) => Some((*offset, *erased)),
            Fate::Patched(_) => None,
        })
    }

    /// How many erasures are not known to be carried out.
    #[must_use]
    pub fn erasure_count(&self) -> usize {
        self.erasure_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(frame: u64, data_len: u32, whole: bool) -> PatchRef {
        PatchRef { frame, place: FramePlace { segment: 3, position: 64 }, data_len, whole }
    }

    fn erased(frame: u64) -> Erased {
        Erased { frame, segment: 4, time: Timestamp(9), patched_since: None }
    }

    fn changes(list: &[Change]) -> Changes {
        let mut changes = Changes::default();
        list.iter().for_each(|change| changes.apply(*change, 10));
        changes
    }

    #[test]
    fn a_whole_payload_drops_the_patches_before_it() {
        let changes = changes(&[
            Change::Patch { offset: 1, patch: patch(5, 3, false) },
            Change::Patch { offset: 1, patch: patch(6, 4, false) },
            Change::Patch { offset: 1, patch: patch(7, 4, true) },
            Change::Patch { offset: 1, patch: patch(8, 9, false) },
        ]);
        assert_eq!(changes.look(1), Look::Patched(&[patch(7, 4, true), patch(8, 9, false)]));
        assert_eq!(changes.look(2), Look::AsItStands);
        assert_eq!(changes.patch_count, 2);
    }

    #[test]
    fn an_erased_record_stays_erased_and_knows_where_its_patches_begin() {
        let changes = changes(&[
            Change::Patch { offset: 1, patch: patch(5, 3, false) },
            Change::Erase { offset: 1, erased: erased(6) },
            Change::Patch { offset: 1, patch: patch(7, 4, true) },
            Change::Erase { offset: 1, erased: erased(8) },
        ]);
        assert_eq!(changes.look(1), Look::Erased);
        let expected = Erased { patched_since: Some(3), ..erased(6) };
        assert_eq!(changes.erasures().collect::<Vec<_>>(), [(1, expected)]);
        assert_eq!((changes.patch_count, changes.erasure_count), (0, 1));
    }

    #[test]
    fn changes_of_records_that_are_not_there_change_nothing() {
        let changes = changes(&[
            Change::Patch { offset: 10, patch: patch(5, 3, false) },
            Change::Erase { offset: 10, erased: erased(6) },
            Change::Lose { offset: 10, segment: 0 },
        ]);
        assert!(changes.is_empty());
    }

    #[test]
    fn a_trim_forgets_patches_and_a_dropped_segment_erasures_too() {
        let mut changes = changes(&[
            Change::Patch { offset: 1, patch: patch(5, 3, false) },
            Change::Erase { offset: 2, erased: erased(6) },
            Change::Patch { offset: 3, patch: patch(7, 3, false) },
            Change::Trim { before: 3 },
        ]);
        assert_eq!(changes.look(1), Look::AsItStands);
        assert_eq!(changes.look(2), Look::Erased, "its bytes are still in a file");
        assert_eq!(changes.look(3), Look::Patched(&[patch(7, 3, false)]));
        changes.forget_before(4);
        assert!(changes.is_empty());
        assert_eq!((changes.patch_count, changes.erasure_count), (0, 0));
    }

    #[test]
    fn a_lost_patch_hides_its_record_until_a_whole_payload_comes() {
        let mut changes = changes(&[Change::Lose { offset: 1, segment: 2 }]);
        assert_eq!(changes.look(1), Look::Damaged);
        changes.apply(Change::Patch { offset: 1, patch: patch(7, 4, false) }, 10);
        assert_eq!(changes.look(1), Look::Damaged);
        changes.apply(Change::Patch { offset: 1, patch: patch(8, 4, true) }, 10);
        assert_eq!(changes.look(1), Look::Patched(&[patch(8, 4, true)]));
    }

    #[test]
    fn what_lost_frames_may_have_changed_is_not_served() {
        let mut changes = changes(&[
            Change::Patch { offset: 1, patch: patch(2, 4, true) },
            Change::Erase { offset: 2, erased: erased(3) },
            Change::Doubt(Doubt { until: 4, frame: 6 }),
        ]);
        assert_eq!([0, 1, 3].map(|offset| changes.look(offset) == Look::Damaged), [true; 3]);
        assert_eq!((changes.look(2), changes.look(4)), (Look::Erased, Look::AsItStands));
        changes.apply(Change::Patch { offset: 1, patch: patch(6, 4, true) }, 10);
        assert_eq!(changes.look(1), Look::Patched(&[patch(6, 4, true)]), "a whole payload ends the doubt");
        changes.forget_before(4);
        assert!(changes.is_empty());
    }

    #[test]
    fn an_erasure_is_forgotten_only_as_it_was_carried_out() {
        let mut changes = changes(&[Change::Erase { offset: 2, erased: erased(3) }]);
        changes.forget_erased(&[(2, erased(4))]);
        assert_eq!(changes.look(2), Look::Erased);
        changes.forget_erased(&[(2, erased(3))]);
        assert!(changes.is_empty());
    }
}
