//! The sparse index of a segment: where to begin reading for an offset or an address.

use logstore_api::Timestamp;

/// Bytes of log from one entry to the next.
pub const STRIDE: u32 = 4096;

/// A record's place. It may stand inside a large frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of the record.
    pub offset: u64,
    /// Where its frame begins in the file.
    pub frame_position: u32,
    /// Where the record begins in the file.
    pub position: u32,
    /// Server time of its frame.
    pub time: Timestamp,
    /// Bytes of payload before it in the partition.
    pub payload_sum: u64,
    /// Its address in rochefort's file: bytes of all records before it there.
    pub address: u64,
}

/// Length of an entry on disk.
pub const ENTRY_LEN: usize = 40;

/// Entries in the order of the log, at most one per [`STRIDE`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseIndex {
    entries: Vec<Entry>,
}

impl SparseIndex {
    /// Notes a record, where the last entry is far enough back.
    pub fn note(&mut self, entry: Entry) {
        if self.wants(entry.position) {
            self.entries.push(entry);
        }
    }

    /// Whether a record at this position would get an entry.
    #[must_use]
    pub fn wants(&self, position: u32) -> bool {
        self.entries.last().is_none_or(|last| position - last.position >= STRIDE)
    }

    /// The last entry at or before an offset.
    #[must_use]
    pub fn at_offset(&self, offset: u64) -> Option<Entry> {
        self.last_before(|entry| entry.offset <= offset)
    }

    /// The last entry at or before an address in rochefort's file.
    #[must_use]
    pub fn at_address(&self, address: u64) -> Option<Entry> {
        self.last_before(|entry| entry.address <= address)
    }

    /// The last entry whose frame is older than a time.
    #[must_use]
    pub fn before_time(&self, time: Timestamp) -> Option<Entry> {
        self.last_before(|entry| entry.time < time)
    }

    /// Where the record at an offset ends at the latest: the place of the first entry behind it.
    #[must_use]
    pub fn position_behind(&self, offset: u64) -> Option<u32> {
        let at = self.entries.partition_point(|entry| entry.offset <= offset);
        self.entries.get(at).map(|entry| entry.position)
    }

    /// An entry to begin at for what stands before `until`, about `bytes` back and no further than `floor` needs.
    #[must_use]
    pub fn back_from(&self, until: u64, floor: u64, bytes: u32) -> Option<Entry> {
        let last = self.entries.partition_point(|entry| entry.offset < until).checked_sub(1)?;
        let reach = self.entries[last].position.saturating_sub(bytes);
        let far = self.entries[..=last].partition_point(|entry| entry.position < reach);
        let lowest = self.entries[..=last].partition_point(|entry| entry.offset <= floor).saturating_sub(1);
        Some(self.entries[far.max(lowest)])
    }

    fn last_before(&self, before: impl Fn(&Entry) -> bool) -> Option<Entry> {
        self.entries.partition_point(before).checked_sub(1).map(|at| self.entries[at])
    }

    /// The form on disk, without checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_LEN);
        for Entry { offset, frame_position, position, time, payload_sum, address } in &self.entries {
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&frame_position.to_le_bytes());
            bytes.extend_from_slice(&position.to_le_bytes());
            bytes.extend_from_slice(&time.0.to_le_bytes());
            bytes.extend_from_slice(&payload_sum.to_le_bytes());
            bytes.extend_from_slice(&address.to_le_bytes());
        }
        bytes
    }

    /// Reads the form on disk back; `None` where it cannot be one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_LEN>();
        if !rest.is_empty() {
            return None;
        }
        let entries: Vec<Entry> = entries
            .iter()
            .map(|bytes| {
                let [offset, places, time, payload_sum, address] =
                    [0, 8, 16, 24, 32].map(|at| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte])));
                #[allow(clippy::cast_possible_truncation, reason = "two numbers in one word")]
                #[allow(clippy::cast_possible_wrap, reason = "the same 64 bits")]
                Entry {
                    offset,
                    frame_position: places as u32,
                    position: (places >> 32) as u32,
                    time: Timestamp(time as i64),
                    payload_sum,
                    address,
                }
            })
            .collect();
        let ordered =
            entries.windows(2).all(|pair| pair[0].offset < pair[1].offset && pair[0].position < pair[1].position);
        ordered.then_some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: u64, position: u32) -> Entry {
        let address = offset * 25;
        Entry { offset, frame_position: position, position, time: Timestamp(-7), payload_sum: offset * 5, address }
    }

    fn index() -> SparseIndex {
        let mut index = SparseIndex::default();
        (0..100).for_each(|number| index.note(entry(number, 64 + u32::try_from(number).unwrap() * 1000)));
        index
    }

    #[test]
    fn entries_are_a_stride_apart() {
        let offsets: Vec<u64> = index().entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, (0..100).step_by(5).collect::<Vec<_>>());
    }

    #[test]
    fn look_ups_find_the_entry_before() {
        let index = index();
        assert_eq!(index.at_offset(4).map(|entry| entry.offset), Some(0));
        assert_eq!(index.at_offset(5).map(|entry| entry.offset), Some(5));
        assert_eq!(index.at_offset(9_999).map(|entry| entry.offset), Some(95));
        assert_eq!(index.at_address(10 * 25 - 1).map(|entry| entry.offset), Some(5));
        assert_eq!(index.at_address(10 * 25).map(|entry| entry.offset), Some(10));
        assert_eq!(SparseIndex::default().at_offset(3), None);
    }

    #[test]
    fn the_form_on_disk_reads_back() {
        let index = index();
        let bytes = index.encode();
        assert_eq!(bytes.len(), 20 * ENTRY_LEN);
        assert_eq!(SparseIndex::decode(&bytes), Some(index));
        assert_eq!(SparseIndex::decode(&bytes[..ENTRY_LEN + 1]), None);
        let swapped = [&bytes[ENTRY_LEN..2 * ENTRY_LEN], &bytes[..ENTRY_LEN]].concat();
        assert_eq!(SparseIndex::decode(&swapped), None);
    }
}
