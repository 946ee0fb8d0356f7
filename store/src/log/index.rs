//! The sparse index of a segment: where to begin reading for an offset or an address.

use std::io;

use logstore_api::Timestamp;
use logstore_api::frame::FrameView;

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

impl Entry {
    /// Reads the form on disk back.
    #[must_use]
    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Self {
        let [offset, places, time, payload_sum, address] =
            [0, 8, 16, 24, 32].map(|at| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte])));
        #[allow(clippy::cast_possible_truncation, reason = "two numbers in one word")]
        Self {
            offset,
            frame_position: places as u32,
            position: (places >> 32) as u32,
            time: Timestamp(time.cast_signed()),
            payload_sum,
            address,
        }
    }
}

/// Entries in the order of the log, in memory or in a file.
pub trait Entries {
    /// How many there are.
    fn count(&self) -> u64;
    /// The entry with this number, which is less than the count.
    fn entry(&self, number: u64) -> io::Result<Entry>;
}

impl dyn Entries + '_ {
    /// How many entries come first for which `before` holds, where it holds for none behind them.
    fn partition_point(&self, before: impl Fn(&Entry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if before(&self.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The last entry for which `before` holds, where it holds for none behind it.
    pub fn last_before(&self, before: impl Fn(&Entry) -> bool) -> io::Result<Option<Entry>> {
        self.partition_point(before)?.checked_sub(1).map(|number| self.entry(number)).transpose()
    }

    /// The last entry at or before an offset, and the first behind it: the record stands between them.
    pub fn around(&self, offset: u64) -> io::Result<(Option<Entry>, Option<Entry>)> {
        let behind = self.partition_point(|entry| entry.offset <= offset)?;
        let before = behind.checked_sub(1).map(|number| self.entry(number)).transpose()?;
        let behind = (behind < self.count()).then(|| self.entry(behind)).transpose()?;
        Ok((before, behind))
    }

    /// Where the record at an offset ends at the latest: the place of the first entry behind it.
    pub fn position_behind(&self, offset: u64) -> io::Result<Option<u32>> {
        let number = self.partition_point(|entry| entry.offset <= offset)?;
        if number == self.count() { Ok(None) } else { self.entry(number).map(|entry| Some(entry.position)) }
    }

    /// An entry to begin at for what stands before `until`, about `bytes` back and no further than `floor` needs.
    pub fn back_from(&self, until: u64, floor: u64, bytes: u32) -> io::Result<Option<Entry>> {
        let Some(last) = self.partition_point(|entry| entry.offset < until)?.checked_sub(1) else { return Ok(None) };
        let reach = self.entry(last)?.position.saturating_sub(bytes);
        let far = self.partition_point(|entry| entry.position < reach)?;
        let lowest = self.partition_point(|entry| entry.offset <= floor)?.saturating_sub(1);
        self.entry(far.max(lowest).min(last)).map(Some)
    }
}

/// Entries in memory, at most one per [`STRIDE`] bytes.
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

    /// Whether any record of a frame at this position would get an entry.
    #[must_use]
    pub fn wants_any(&self, position: u64, frame_len: usize) -> bool {
        let near = self.entries.last().is_some_and(|last| position - u64::from(last.position) < u64::from(STRIDE));
        !(near && frame_len <= STRIDE as usize)
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<&Entry> {
        self.entries.first()
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
        let entries: Vec<Entry> = entries.iter().map(Entry::decode).collect();
        let ordered =
            entries.windows(2).all(|pair| pair[0].offset < pair[1].offset && pair[0].position < pair[1].position);
        ordered.then_some(Self { entries })
    }
}

/// The index entries that a data frame could get: its first record, and one every stride inside it. `sums` are payload
/// and address before it.
#[must_use]
pub fn entries_of(frame: &FrameView<'_>, position: u64, sums: (u64, u64)) -> Vec<Entry> {
    let header = frame.header();
    let Ok(frame_position) = u32::try_from(position) else { return Vec::new() };
    let time = Timestamp(header.numbers.time_us);
    let (mut payload_sum, mut address) = sums;
    let mut entries = Vec::with_capacity(1);
    for (ordinal, record) in frame.records().enumerate() {
        let first = ordinal == 0;
        #[allow(clippy::cast_possible_truncation, reason = "positions in a segment fit 32 bits")]
        let position = if first { frame_position } else { frame_position + record.position as u32 };
        let far = entries.last().is_none_or(|last: &Entry| position - last.position >= STRIDE);
        if far {
            let offset = header.numbers.base_offset + ordinal as u64;
            entries.push(Entry { offset, frame_position, position, time, payload_sum, address });
        }
        if header.frame_len <= STRIDE as usize {
            break;
        }
        payload_sum += record.header.data_len as u64;
        address += record.address_bytes();
    }
    entries
}

impl Entries for SparseIndex {
    fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    fn entry(&self, number: u64) -> io::Result<Entry> {
        let number = usize::try_from(number).map_err(io::Error::other)?;
        self.entries.get(number).copied().ok_or_else(|| io::ErrorKind::InvalidInput.into())
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
        let index: &dyn Entries = &index;
        let offset = |entry: io::Result<Option<Entry>>| entry.unwrap().map(|entry| entry.offset);
        let at_offset = |at| offset(index.last_before(|entry| entry.offset <= at));
        let at_address = |at| offset(index.last_before(|entry| entry.address <= at));
        assert_eq!([4, 5, 9_999].map(at_offset), [Some(0), Some(5), Some(95)]);
        assert_eq!([10 * 25 - 1, 10 * 25].map(at_address), [Some(5), Some(10)]);
        let empty: &dyn Entries = &SparseIndex::default();
        assert_eq!(offset(empty.last_before(|_| true)), None);
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
