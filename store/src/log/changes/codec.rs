//! Changes as a section of a snapshot.
//!
//! ```text
//! begun u8 | doubt: frame u64, until u64 (0 for none) | count u32, then per record:
//! offset u64 | 1 u8 | since u64 | lost u8 | count u32 | per patch: frame u64, segment u64, position u32, data_len u32, whole u8
//! offset u64 | 2 u8 | frame u64 | segment u64 | time i64 | patched u8 | since u64
//! ```

use std::collections::BTreeMap;

use logstore_api::Timestamp;
use logstore_api::limits::{ERASURES_OPEN_MAX, PATCHES_OPEN_MAX};

use super::{Changes, Doubt, Erased, Fate, FramePlace, PatchRef, Patched};
use crate::log::state::codec::{Put, Take};

const PATCHED: u8 = 1;
const ERASED: u8 = 2;
/// More patches than a snapshot can hold: a batch that was judged before the last one was counted, and lost ones.
const PATCHES_DECODED_MAX: usize = 2 * PATCHES_OPEN_MAX;
const RECORDS_DECODED_MAX: usize = PATCHES_DECODED_MAX + 2 * ERASURES_OPEN_MAX;

impl Changes {
    /// Appends the section's body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { begun, doubt, fates, patch_count: _, erasure_count: _ } = self;
        let Doubt { until, frame } = doubt.unwrap_or(Doubt { until: 0, frame: 0 });
        out.push(u8::from(*begun));
        out.put(&frame.to_le_bytes());
        out.put(&until.to_le_bytes());
        out.put_u32(fates.len());
        for (offset, fate) in fates {
            out.put(&offset.to_le_bytes());
            match fate {
                Fate::Patched(patched) => encode_patched(patched, out),
                Fate::Erased(erased) => encode_erased(erased, out),
            }
        }
    }

    /// Reads the section's body back.
    #[must_use]
    pub fn decode(mut section: &[u8]) -> Option<Self> {
        let [begun] = section.take()?;
        let frame = u64::from_le_bytes(section.take()?);
        let until = u64::from_le_bytes(section.take()?);
        let mut fates = BTreeMap::new();
        let (mut patch_count, mut erasure_count) = (0, 0);
        for _ in 0..section.take_count(RECORDS_DECODED_MAX)? {
            let offset = u64::from_le_bytes(section.take()?);
            let fate = match section.take()? {
                [PATCHED] => {
                    let patched = decode_patched(&mut section)?;
                    patch_count += patched.patches.len();
                    Fate::Patched(patched)
                }
                [ERASED] => {
                    erasure_count += 1;
                    Fate::Erased(decode_erased(&mut section)?)
                }
                _ => return None,
            };
            fates.insert(offset, fate);
        }
        let doubt = (until > 0).then_some(Doubt { until, frame });
        Some(Self { begun: begun != 0, doubt, fates, patch_count, erasure_count })
    }
}

fn encode_patched(patched: &Patched, out: &mut Vec<u8>) {
    let Patched { since, lost, patches } = patched;
    out.push(PATCHED);
    out.put(&since.to_le_bytes());
    out.push(u8::from(*lost));
    out.put_u32(patches.len());
    for PatchRef { frame, place: FramePlace { segment, position }, data_len, whole } in patches {
        out.put(&frame.to_le_bytes());
        out.put(&segment.to_le_bytes());
        out.put(&position.to_le_bytes());
        out.put(&data_len.to_le_bytes());
        out.push(u8::from(*whole));
    }
}

fn decode_patched(section: &mut &[u8]) -> Option<Patched> {
    let since = u64::from_le_bytes(section.take()?);
    let [lost] = section.take()?;
    let patches = (0..section.take_count(PATCHES_DECODED_MAX)?)
        .map(|_| {
            let frame = u64::from_le_bytes(section.take()?);
            let segment = u64::from_le_bytes(section.take()?);
            let position = u32::from_le_bytes(section.take()?);
            let data_len = u32::from_le_bytes(section.take()?);
            let [whole] = section.take()?;
            Some(PatchRef { frame, place: FramePlace { segment, position }, data_len, whole: whole != 0 })
        })
        .collect::<Option<_>>()?;
    Some(Patched { since, lost: lost != 0, patches })
}

fn encode_erased(erased: &Erased, out: &mut Vec<u8>) {
    let Erased { frame, segment, time, patched_since } = erased;
    out.push(ERASED);
    out.put(&frame.to_le_bytes());
    out.put(&segment.to_le_bytes());
    out.put(&time.0.to_le_bytes());
    out.push(u8::from(patched_since.is_some()));
    out.put(&patched_since.unwrap_or_default().to_le_bytes());
}

fn decode_erased(section: &mut &[u8]) -> Option<Erased> {
    let frame = u64::from_le_bytes(section.take()?);
    let segment = u64::from_le_bytes(section.take()?);
    let time = Timestamp(i64::from_le_bytes(section.take()?));
    let [patched] = section.take()?;
    let since = u64::from_le_bytes(section.take()?);
    Some(Erased { frame, segment, time, patched_since: (patched != 0).then_some(since) })
}

#[cfg(test)]
mod tests {
    use logstore_api::limits::RECORD_BYTES_MAX;

    use super::super::Change;
    use super::*;

    fn patch(number: u64) -> Change {
        let place = FramePlace { segment: number / 9, position: 64 };
        Change::Patch {
            offset: number,
            patch: PatchRef { frame: number, place, data_len: 7, whole: number.is_multiple_of(2) },
        }
    }

    fn erase(offset: u64) -> Change {
        let erased = Erased { frame: offset, segment: 8, time: Timestamp(-3), patched_since: None };
        Change::Erase { offset, erased }
    }

    #[test]
    fn a_section_reads_back() {
        let mut changes = Changes::default();
        changes.begin();
        let more = [Change::Lose { offset: 40, segment: 4 }, Change::Doubt(Doubt { until: 3, frame: 9 }), erase(5)];
        (0..20).map(patch).chain((10..30).map(erase)).chain(more).for_each(|change| changes.apply(change, 99));
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        assert_eq!(Changes::decode(&bytes), Some(changes));
        for len in 0..bytes.len() {
            assert_eq!(Changes::decode(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn as_many_changes_as_there_can_be_leave_half_of_a_snapshot_to_others() {
        let mut changes = Changes::default();
        (0..PATCHES_OPEN_MAX as u64).for_each(|number| changes.apply(patch(number), u64::MAX));
        let behind = PATCHES_OPEN_MAX as u64;
        (behind..behind + ERASURES_OPEN_MAX as u64).for_each(|number| changes.apply(erase(number), u64::MAX));
        assert!(changes.is_full_of_patches() && changes.is_full_of_erasures());
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        assert!(bytes.len() < RECORD_BYTES_MAX / 2, "{} bytes", bytes.len());
    }
}
