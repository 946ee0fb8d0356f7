//! Making a frame from records, before its place in the log is known.

use super::{
    FLAG_PRODUCER, HEADER_LEN, Kind, MAGIC, Meta, PRODUCER_LEN, Producer, RECORD_COVERED_LEN, RECORD_HEADER_LEN, Salt,
    TRAILER_LEN, erase_record, len_u32, padded,
};

/// A record to append.
#[derive(Clone, Debug, Default)]
pub struct NewRecord<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// Bytes to reserve for the payload; the payload's length where that is more.
    pub alloc: u32,
    /// What it carries beside the payload.
    pub meta: Meta,
}

/// Collects records into one frame. The record checksums are made here, where many requests can do so at once.
#[derive(Debug)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    record_count: u32,
    salt: Salt,
    meta: Vec<u8>,
    payload_bytes: u64,
    address_bytes: u64,
}

/// A frame with its records, without its numbers: sealed by [`super::seal`] when its place is known.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) bytes: Vec<u8>,
    pub(super) record_count: u32,
    /// Bytes of data in its records.
    pub payload_bytes: u64,
    /// Bytes its records take in rochefort's file: 20 and the reserved length each.
    pub address_bytes: u64,
}

/// What a record takes in rochefort's file beside its reserved space.
pub const ROCHEFORT_HEADER_LEN: u64 = 20;

impl FrameBuilder {
    /// Begins a frame.
    #[must_use]
    pub fn new(kind: Kind, producer: Option<Producer>, salt: Salt) -> Self {
        Self::with_capacity(kind, producer, salt, 256)
    }

    /// Begins a frame that will take about this many bytes.
    #[must_use]
    pub fn with_capacity(kind: Kind, producer: Option<Producer>, salt: Salt, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&(if producer.is_some() { FLAG_PRODUCER } else { 0 }).to_le_bytes());
        bytes.extend_from_slice(&(kind as u16).to_le_bytes());
        bytes.resize(HEADER_LEN, 0);
        if let Some(Producer { id, seq, epoch }) = producer {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.extend_from_slice(&epoch.to_le_bytes());
            bytes.resize(HEADER_LEN + PRODUCER_LEN, 0);
        }
        Self { bytes, record_count: 0, salt, meta: Vec::new(), payload_bytes: 0, address_bytes: 0 }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &NewRecord<'_>) {
        let NewRecord { data, alloc, meta } = record;
        self.meta.clear();
        meta.encode(&mut self.meta);
        let alloc_len = (*alloc).max(len_u32(data.len()));
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&len_u32(data.len()).to_le_bytes());
        self.bytes.extend_from_slice(&alloc_len.to_le_bytes());
        #[allow(clippy::cast_possible_truncation, reason = "asserted")]
        {
            assert!(self.meta.len() <= usize::from(u16::MAX), "metadata is bounded by limits::META_BYTES_MAX");
            self.bytes.extend_from_slice(&(self.meta.len() as u16).to_le_bytes());
        }
        self.bytes.extend_from_slice(&[0; 2 + 4]);
        self.bytes.extend_from_slice(&self.meta);
        self.bytes.extend_from_slice(data);
        let crc = record_crc(self.salt, &self.bytes[at..]);
        self.bytes[at + RECORD_COVERED_LEN..at + RECORD_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.record_count += 1;
        self.payload_bytes += data.len() as u64;
        self.address_bytes += ROCHEFORT_HEADER_LEN + u64::from(alloc_len);
    }

    /// Adds what is left of an erased record that has reserved so many bytes.
    pub fn push_erased(&mut self, alloc: u32) {
        let at = self.bytes.len();
        self.push(&NewRecord { alloc, ..NewRecord::default() });
        erase_record(&mut self.bytes[at..], self.salt);
    }

    /// Length of the frame, were it finished now.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.bytes.len() + TRAILER_LEN
    }

    /// Records so far.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Ends the frame.
    #[must_use]
    pub fn finish(self) -> Draft {
        let Self { mut bytes, record_count, salt: _, meta: _, payload_bytes, address_bytes } = self;
        let frame_len = len_u32(bytes.len() + TRAILER_LEN).to_le_bytes();
        bytes[8..12].copy_from_slice(&frame_len);
        bytes[12..16].copy_from_slice(&record_count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&frame_len);
        Draft { bytes, record_count, payload_bytes, address_bytes }
    }
}

impl Draft {
    /// Length of the frame.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.bytes.len()
    }

    /// Its records.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.record_count
    }
}

/// Checksum of a record: `record` begins with its header and ends with its data, padding left out.
pub(super) fn record_crc(salt: Salt, record: &[u8]) -> u32 {
    let covered = crc32c::crc32c_append(salt.crc(), &record[..RECORD_COVERED_LEN]);
    crc32c::crc32c_append(covered, &record[RECORD_HEADER_LEN..])
}
