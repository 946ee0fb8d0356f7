//! Frames: what one append wrote, one record or a batch, visible whole or not at all.
//!
//! ```text
//! frame header, 48 B   magic u32 | flags u16 | kind u16 | frame_len u32 | record_count u32
//!                      number u64 | base_offset u64 | time_us i64 | epoch u32 | crc u32
//! producer, 32 B       id u128 | seq u64 | epoch u32 | 0 u32                         only with its flag
//! per record, 16 B     data_len u32 | alloc_len u32 | meta_len u16 | flags u16 | crc u32
//!                      meta | data | zeroes up to a multiple of 8
//! trailer, 8 B         checksum u32 | frame_len u32
//! ```
//!
//! All little-endian; every checksum is CRC-32C, seeded by putting 8 bytes in front of what it covers:
//!
//! | checksum | covers | seed |
//! |---|---|---|
//! | header `crc` | header without it, producer | salt ^ position in the file |
//! | record `crc` | record header without it, meta, data | salt |
//! | trailer `checksum` | header without its crc, producer, all record crcs | salt |
//!
//! The salt is a namespace's secret, so that no payload can pass for a frame. On the wire between writers and stores
//! frames are sealed with [`Salt::WIRE`] at position 0: a writer needs no salt, and a store's answer shows none.
//!
//! A record's flags are 0, or those of a [`stub`]: what is left of an erased one.
//!
//! Reading order: [`build`] makes frames, [`seal`] gives them their numbers, [`view`] reads them back, [`control`]
//! holds the bodies of the kinds that are not data.

pub mod build;
pub mod control;
pub mod meta;
pub mod seal;
pub mod stub;
pub mod view;

pub use build::{Draft, FrameBuilder, NewRecord};
pub use meta::Meta;
pub use seal::{Numbers, reseal};
pub use stub::erase_record;
pub use view::{Fault, FrameView, Header, RecordHeader, RecordView};

/// First four bytes of a frame.
pub const MAGIC: u32 = u32::from_le_bytes(*b"LSFR");
/// The fixed header.
pub const HEADER_LEN: usize = 48;
/// The header without its checksum, which comes last.
const HEADER_COVERED_LEN: usize = HEADER_LEN - 4;
/// The producer's identity.
pub const PRODUCER_LEN: usize = 32;
/// The fixed part of a record.
pub const RECORD_HEADER_LEN: usize = 16;
/// The record header without its checksum, which comes last.
const RECORD_COVERED_LEN: usize = RECORD_HEADER_LEN - 4;
/// What ends a frame.
pub const TRAILER_LEN: usize = 8;
/// Frames begin at multiples of this in a file, and records at multiples of it in a frame.
pub const ALIGN: usize = 8;
/// The smallest frame: no record.
pub const FRAME_LEN_MIN: usize = HEADER_LEN + TRAILER_LEN;

/// Flag: a producer's identity follows the header.
pub const FLAG_PRODUCER: u16 = 1;

/// Seed of a namespace's checksums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    /// The seed on the wire, which is no secret. No namespace has it.
    pub const WIRE: Self = Self(0);

    fn crc(self) -> u32 {
        crc32c::crc32c(&self.0.to_le_bytes())
    }

    fn crc_at(self, position: u64) -> u32 {
        Self(self.0 ^ position).crc()
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(secret)")
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Records; they count offsets.
    Data = 1,
    /// Replaces bytes of a record inside its reserved space.
    Patch = 2,
    /// Hides a record.
    Erase = 3,
    /// Moves the start.
    Trim = 4,
    /// Moves a consumer group's cursor.
    Cursor = 5,
    /// Begins a writer's reign.
    EpochStart = 6,
    /// Stands for records that were lost on all copies; it counts their offsets.
    Hole = 7,
    /// What had to be known at this place, so that nothing before it need be read. Local to one store.
    Snapshot = 0x8001,
    /// Nothing. Local to one store.
    Padding = 0x8002,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub fn from_u16(number: u16) -> Option<Self> {
        use Kind::{Cursor, Data, EpochStart, Erase, Hole, Padding, Patch, Snapshot, Trim};
        [Data, Patch, Erase, Trim, Cursor, EpochStart, Hole, Snapshot, Padding]
            .into_iter()
            .find(|kind| *kind as u16 == number)
    }

    /// Whether it counts a frame number. Local kinds do not, and differ between copies.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        (self as u16) & 0x8000 == 0
    }
}

/// A producer's identity in a frame. Sequences count records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The producer.
    pub id: u128,
    /// Sequence number of the frame's first record.
    pub seq: u64,
    /// The producer's own epoch.
    pub epoch: u32,
}

const fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let mut array = [0; 2];
    array.copy_from_slice(&bytes[at..at + 2]);
    u16::from_le_bytes(array)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    let mut array = [0; 16];
    array.copy_from_slice(&bytes[at..at + 16]);
    u128::from_le_bytes(array)
}

/// A length as the format holds it. Lengths are bounded by [`crate::limits`] long before this.
#[allow(clippy::cast_possible_truncation, reason = "asserted")]
fn len_u32(len: usize) -> u32 {
    assert!(len <= u32::MAX as usize, "a length of {len} bytes does not fit the format");
    len as u32
}

#[cfg(test)]
mod tests;
