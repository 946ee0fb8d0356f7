//! What the leader decides about patches and erasures of records. Pure.

use bytes::Bytes;
use logstore_api::frame::control::PatchHead;
use logstore_api::limits::{ERASURES_OPEN_MAX, PATCHES_MAX, PATCHES_OPEN_MAX};
use logstore_api::{Code, Problem};

use super::changes::{Changes, Look};

/// A record as it was appended, whatever has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It stands there.
    Standing {
        /// Length of the payload it was appended with.
        data_len: u32,
        /// Bytes reserved for the payload.
        alloc_len: u32,
    },
    /// A stub stands in its place.
    Erased,
    /// It is damaged.
    Damaged,
}

/// Bytes of a record to replace.
#[derive(Clone, Debug)]
pub struct PatchRequest {
    /// The record.
    pub offset: u64,
    /// Length of the payload it was appended with.
    pub data_len: u32,
    /// Bytes reserved for the payload.
    pub alloc_len: u32,
    /// Where in the payload.
    pub at: At,
    /// The new bytes.
    pub bytes: Bytes,
    /// The versions that may be patched; any where this is `None`.
    pub if_match: Option<Vec<Version>>,
}

/// A record to erase.
#[derive(Clone, Debug)]
pub struct EraseRequest {
    /// The record.
    pub offset: u64,
    /// The versions that may be erased; any where this is `None`.
    pub if_match: Option<Vec<Version>>,
}

/// A place in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// This byte.
    Byte(u64),
    /// Behind the last byte.
    End,
}

/// Number of the frame that has patched a record last; `None` where none has.
pub type Version = Option<u64>;

/// What to write for a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Where the bytes go.
    pub head: PatchHead,
    /// The whole payload is to be written, with the patch in it, so that the patches before it need not be kept.
    pub fold: bool,
}

/// Judges a patch by what is in the log.
pub fn judge_patch(changes: &Changes, start: u64, request: &PatchRequest) -> Result<Judged, Problem> {
    let PatchRequest { offset, data_len, alloc_len, at, ref bytes, ref if_match } = *request;
    if offset < start {
        return Err(trimmed(offset, start));
    }
    let patches = changes.patches(offset);
    let data_len = patches.last().map_or(data_len, |last| last.data_len);
    check_version(changes, offset, if_match.as_deref())?;
    let position = match at {
        At::Byte(byte) => byte,
        At::End => u64::from(data_len),
    };
    let end = position.saturating_add(bytes.len() as u64);
    let head = match (u32::try_from(position), u32::try_from(end)) {
        (Ok(position), Ok(end)) if end <= alloc_len => PatchHead { offset, position, data_len: data_len.max(end) },
        _ => return Err(reservation_exceeded(alloc_len, end)),
    };
    match changes.look(offset) {
        Look::Erased => return Err(erased(offset)),
        // A whole payload does not build on what is lost.
        Look::Damaged if head.position > 0 || (bytes.len() as u64) < u64::from(data_len) => return Err(lost(offset)),
        Look::Damaged | Look::AsItStands | Look::Patched(_) => {}
    }
    let full = changes.is_full_of_patches();
    if full && patches.is_empty() {
        return Err(too_many_changes());
    }
    Ok(Judged { head, fold: full || patches.len() >= PATCHES_MAX })
}

/// Refuses a record that is in none of these versions.
fn check_version(changes: &Changes, offset: u64, versions: Option<&[Version]>) -> Result<(), Problem> {
    let version = changes.patches(offset).last().map(|last| last.frame);
    if versions.is_none_or(|versions| versions.contains(&version)) {
        return Ok(());
    }
    let detail = "the record is not the one that If-Match names; read it again and send what it says now";
    Err(Problem::new(Code::PreconditionFailed, detail).field("If-Match"))
}

/// Judges an erasure; whether there is anything to do. Of a record that is erased no version is left to compare.
pub fn judge_erasure(changes: &Changes, start: u64, request: &EraseRequest) -> Result<bool, Problem> {
    let EraseRequest { offset, ref if_match } = *request;
    if changes.look(offset) == Look::Erased {
        return Ok(false);
    }
    if offset < start {
        return Err(trimmed(offset, start));
    }
    check_version(changes, offset, if_match.as_deref())?;
    if changes.is_full_of_erasures() {
        return Err(too_many_changes());
    }
    Ok(true)
}

/// The refusal of more changes than are kept.
#[must_use]
pub fn too_many_changes() -> Problem {
    let detail = format!(
        "a partition keeps {PATCHES_OPEN_MAX} patches of records that are still there, and {ERASURES_OPEN_MAX} erased records that are still in its files; trim what is old, or wait until the erased ones are gone"
    );
    Problem::new(Code::TooManyChanges, detail)
}

fn reservation_exceeded(alloc_len: u32, end: u64) -> Problem {
    let detail = format!(
        "the patch would end at byte {end}, but the record has reserved {alloc_len}; append a new record, with alloc= for what is to come"
    );
    Problem::new(Code::ReservationExceeded, detail).field("at").expected(alloc_len).got(end)
}

/// The refusal of a record that was erased.
#[must_use]
pub fn erased(offset: u64) -> Problem {
    let detail = format!("the record {offset} was erased; its offset is not given again");
    Problem::new(Code::Erased, detail).field("offset").got(offset).with("next", offset + 1)
}

fn lost(offset: u64) -> Problem {
    let detail = format!(
        "what became of the record {offset} is not known: a patch of it was damaged on disk; replace it with at=0 and a whole payload, or erase it"
    );
    Problem::new(Code::Damaged, detail).field("offset").got(offset)
}

fn trimmed(offset: u64, start: u64) -> Problem {
    let detail = format!("offset {offset} is gone; the log begins at {start}");
    Problem::new(Code::Trimmed, detail).field("offset").got(offset).with("start", start)
}

#[cfg(test)]
mod tests {
    use super::super::changes::{Change, Doubt, Erased, FramePlace, PatchRef};
    use super::*;
    use logstore_api::Timestamp;

    fn request(at: At, bytes: &'static [u8]) -> PatchRequest {
        PatchRequest { offset: 5, data_len: 4, alloc_len: 10, at, bytes: Bytes::from_static(bytes), if_match: None }
    }

    fn judge(changes: &Changes, request: &PatchRequest) -> Result<(u32, u32, bool), String> {
        judge_patch(changes, 3, request)
            .map(|Judged { head, fold }| (head.position, head.data_len, fold))
            .map_err(|problem| problem.code)
    }

    fn patched(frames: std::ops::Range<u64>) -> Changes {
        let mut changes = Changes::default();
        for frame in frames {
            let place = FramePlace { segment: 0, position: 64 };
            let patch = PatchRef { frame, place, data_len: 6, whole: false };
            changes.apply(Change::Patch { offset: 5, patch }, 9);
        }
        changes
    }

    #[test]
    fn a_payload_grows_inside_its_reservation_and_never_shrinks() {
        let none = Changes::default();
        assert_eq!(judge(&none, &request(At::Byte(0), b"ab")), Ok((0, 4, false)));
        assert_eq!(judge(&none, &request(At::End, b"ab")), Ok((4, 6, false)));
        assert_eq!(judge(&none, &request(At::Byte(8), b"ab")), Ok((8, 10, false)), "the gap is zeroes");
        assert_eq!(judge(&none, &request(At::Byte(10), b"")), Ok((10, 10, false)), "nothing, but longer");
        for (at, end) in [(At::Byte(9), 11), (At::Byte(11), 11), (At::Byte(u64::MAX), u64::MAX)] {
            let bytes = if at == At::Byte(11) { &b""[..] } else { b"ab" };
            let problem = judge_patch(&none, 3, &request(at, bytes)).unwrap_err();
            assert_eq!(problem.code, "reservation_exceeded");
            assert_eq!((problem.expected, problem.got), (Some(10.into()), Some(end.into())));
        }
        assert_eq!(judge(&patched(7..8), &request(At::End, b"ab")), Ok((6, 8, false)));
    }

    #[test]
    fn conditions_are_judged_by_the_last_patch() {
        let if_match =
            |versions: &[Version]| PatchRequest { if_match: Some(versions.to_vec()), ..request(At::Byte(0), b"") };
        let (none, twice) = (Changes::default(), patched(7..9));
        assert!(judge(&none, &if_match(&[Some(1), None])).is_ok());
        assert!(judge(&twice, &if_match(&[Some(8)])).is_ok());
        for (changes, versions) in [(&none, &[Some(8)][..]), (&twice, &[None, Some(7)]), (&none, &[])] {
            assert_eq!(judge(changes, &if_match(versions)), Err("precondition_failed".to_owned()));
        }
    }

    #[test]
    fn what_is_gone_is_not_patched() {
        let erased = Erased { frame: 7, segment: 0, time: Timestamp(0), patched_since: None };
        let mut changes = Changes::default();
        changes.apply(Change::Erase { offset: 5, erased }, 9);
        assert_eq!(judge(&changes, &request(At::End, b"")), Err("erased".to_owned()));
        let erasure = |versions: Option<&[Version]>| EraseRequest { offset: 5, if_match: versions.map(<[_]>::to_vec) };
        assert_eq!(judge_erasure(&changes, 0, &erasure(None)), Ok(false));
        assert_eq!(judge_erasure(&changes, 0, &erasure(Some(&[]))), Ok(false), "none is left to compare");
        assert_eq!(judge_patch(&changes, 6, &request(At::End, b"")).unwrap_err().code, "trimmed");
        assert_eq!(judge_erasure(&Changes::default(), 6, &erasure(None)).unwrap_err().code, "trimmed");
        let judge =
            |versions| judge_erasure(&Changes::default(), 5, &erasure(versions)).map_err(|problem| problem.code);
        assert_eq!((judge(None), judge(Some(&[Some(3), None]))), (Ok(true), Ok(true)));
        assert_eq!(judge(Some(&[Some(3)])), Err("precondition_failed".to_owned()));
    }

    #[test]
    fn what_is_lost_can_be_replaced_whole() {
        let mut changes = Changes::default();
        changes.apply(Change::Doubt(Doubt { until: 6, frame: 7 }), 9);
        assert_eq!(judge(&changes, &request(At::Byte(0), b"abc")), Err("damaged".to_owned()));
        assert_eq!(judge(&changes, &request(At::Byte(1), b"abcd")), Err("damaged".to_owned()));
        assert_eq!(judge(&changes, &request(At::Byte(0), b"abcd")), Ok((0, 4, false)));
    }

    #[test]
    fn the_patches_of_a_record_are_folded_when_they_are_many() {
        assert_eq!(judge(&patched(0..63), &request(At::End, b"")), Ok((6, 6, false)));
        assert_eq!(judge(&patched(0..64), &request(At::End, b"")), Ok((6, 6, true)));
    }
}
