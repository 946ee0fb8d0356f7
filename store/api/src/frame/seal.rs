//! Giving a frame its numbers and checksums.

use super::view::{Fault, FrameView};
use super::{Draft, HEADER_COVERED_LEN, HEADER_LEN, RECORD_HEADER_LEN, Salt, TRAILER_LEN, u32_at};

/// A frame's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Its frame number; of a local kind, the number of the next ordered frame.
    pub number: u64,
    /// Offset of its first record; of a control frame, the offset that comes next.
    pub base_offset: u64,
    /// Server time in microseconds, never lower than that of the frame before.
    pub time_us: i64,
    /// The writer's epoch; 0 where the store orders by itself.
    pub epoch: u32,
}

impl Draft {
    /// Writes the numbers, and the checksums of header and frame, for this position in the file. Returns the frame's
    /// checksum. May be called again, should the frame get another place.
    pub fn seal(&mut self, numbers: Numbers, salt: Salt, position: u64) -> u32 {
        let Numbers { number, base_offset, time_us, epoch } = numbers;
        self.bytes[16..24].copy_from_slice(&number.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&base_offset.to_le_bytes());
        self.bytes[32..40].copy_from_slice(&time_us.to_le_bytes());
        self.bytes[40..44].copy_from_slice(&epoch.to_le_bytes());
        seal_header(&mut self.bytes, salt, position);
        seal_trailer(&mut self.bytes, salt)
    }

    /// The frame's bytes, for a file or the wire. Without [`Draft::seal`] they do not verify.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The frame's bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Checksum over the records' checksums: the same for the same records in the same namespace.
    #[must_use]
    pub fn content_crc(&self) -> u32 {
        FrameView::trusted(&self.bytes).content_crc()
    }

    /// Takes a frame that was sealed elsewhere; [`reseal`] gives it this store's checksums.
    ///
    /// # Errors
    /// Where the bytes do not verify with that salt at that position.
    pub fn from_sealed(bytes: &[u8], salt: Salt, position: u64) -> Result<Self, Fault> {
        let view = FrameView::verify(bytes, salt, position)?;
        let (payload_bytes, address_bytes) = view.sums();
        Ok(Self {
            bytes: view.bytes().to_vec(),
            record_count: view.header().record_count,
            payload_bytes,
            address_bytes,
        })
    }

    /// Writes the header's checksum for another position, numbers unchanged.
    pub fn seal_at(&mut self, salt: Salt, position: u64) {
        seal_header(&mut self.bytes, salt, position);
    }

    /// Its parts, as they can be read.
    #[must_use]
    pub fn view(&self) -> FrameView<'_> {
        FrameView::trusted(&self.bytes)
    }
}

/// Rewrites the checksums of a whole, verified frame from one salt to another. Returns the frame's new checksum.
///
/// # Errors
/// Where the frame does not verify with `from`; `frame` is unchanged then.
pub fn reseal(frame: &mut [u8], from: (Salt, u64), to: (Salt, u64)) -> Result<u32, Fault> {
    let records: Vec<(usize, usize)> = {
        let view = FrameView::verify(frame, from.0, from.1)?;
        view.records().map(|record| (record.position, RECORD_HEADER_LEN + record.body_len())).collect()
    };
    for (at, len) in records {
        super::stub::reseal_record(&mut frame[at..at + len], from.0, to.0);
    }
    seal_header(frame, to.0, to.1);
    Ok(seal_trailer(frame, to.0))
}

fn seal_header(frame: &mut [u8], salt: Salt, position: u64) {
    let crc = header_crc(frame, salt, position);
    frame[HEADER_COVERED_LEN..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

fn seal_trailer(frame: &mut [u8], salt: Salt) -> u32 {
    let checksum = FrameView::trusted(frame).compute_checksum(salt);
    let at = frame.len() - TRAILER_LEN;
    frame[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Checksum of header and producer; `frame` holds at least these.
pub(super) fn header_crc(frame: &[u8], salt: Salt, position: u64) -> u32 {
    let crc = crc32c::crc32c_append(salt.crc_at(position), &frame[..HEADER_COVERED_LEN]);
    match super::view::producer_bytes(frame) {
        Some(producer) => crc32c::crc32c_append(crc, producer),
        None => crc,
    }
}

/// The header's own checksum, as it stands there.
pub(super) fn stored_header_crc(frame: &[u8]) -> u32 {
    u32_at(frame, HEADER_COVERED_LEN)
}
