//! Bodies of the control frames. A control frame has one record, whose payload is the body; a patch has a second one,
//! which holds the new bytes.

use uuid::Uuid;

use super::{Draft, FrameBuilder, FrameView, Kind, NewRecord, RecordView, Salt, u32_at, u64_at};
use crate::limits::{RECORD_BYTES_MAX, WRITER_LABEL_BYTES_MAX};

/// Body of [`Kind::Trim`]: records before this offset go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The first offset to keep.
    pub before: u64,
}

/// A frame of [`Kind::Patch`]: bytes of a record are replaced, inside what it has reserved.
///
/// ```text
/// first record    offset u64 | position u32 | data_len u32
/// second record   bytes
/// ```
/// Each has its own checksum: where only the bytes are damaged, it is still known which record has lost them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    /// What is replaced.
    pub head: PatchHead,
    /// What stands there afterwards.
    pub bytes: &'a [u8],
}

/// The first record of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchHead {
    /// The record.
    pub offset: u64,
    /// The first byte of the payload that is replaced; what lies between the old end and it becomes zeroes.
    pub position: u32,
    /// Length of the payload afterwards, in bytes: where the new bytes end, if that is more than it was.
    pub data_len: u32,
}

/// Body of [`Kind::Erase`]: a record is hidden at once, and its bytes go when its segment is rewritten.
///
/// ```text
/// offset u64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erase {
    /// The record.
    pub offset: u64,
}

/// Body of [`Kind::EpochStart`]: a reign begins here. The epoch is the frame's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The writer.
    pub writer: Uuid,
    /// What the writer calls itself.
    pub label: String,
}

/// The payload of a control frame.
#[must_use]
pub fn body<'a>(frame: &FrameView<'a>) -> Option<&'a [u8]> {
    let mut records = frame.records();
    let body = records.next()?.data();
    records.next().is_none().then_some(body)
}

/// A frame of this kind around a body.
#[must_use]
pub fn draft(kind: Kind, body: &[u8], salt: Salt) -> Draft {
    let mut builder = FrameBuilder::with_capacity(kind, None, salt, body.len() + 96);
    builder.push(&NewRecord { data: body, ..NewRecord::default() });
    builder.finish()
}

impl Trim {
    /// The body.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        self.before.to_le_bytes().to_vec()
    }

    /// Reads a body back; longer ones are of a newer release and begin the same.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        (body.len() >= 8).then(|| Self { before: u64_at(body, 0) })
    }
}

impl<'a> Patch<'a> {
    /// The frame.
    #[must_use]
    pub fn draft(&self, salt: Salt) -> Draft {
        let Self { head: PatchHead { offset, position, data_len }, bytes } = self;
        let mut head = [0; PatchHead::LEN];
        head[..8].copy_from_slice(&offset.to_le_bytes());
        head[8..12].copy_from_slice(&position.to_le_bytes());
        head[12..].copy_from_slice(&data_len.to_le_bytes());
        let mut builder = FrameBuilder::with_capacity(Kind::Patch, None, salt, bytes.len() + 128);
        builder.push(&NewRecord { data: &head, ..NewRecord::default() });
        builder.push(&NewRecord { data: bytes, ..NewRecord::default() });
        builder.finish()
    }

    /// Reads a frame back; `None` where the bytes would stand outside the payload, or were erased.
    #[must_use]
    pub fn of(frame: &FrameView<'a>) -> Option<Self> {
        let mut records = frame.records();
        let head = PatchHead::of(&records.next()?)?;
        let bytes = records.next().filter(|record| !record.header.erased)?.data();
        let end = head.position as usize + bytes.len();
        (records.next().is_none() && end <= head.data_len as usize).then_some(Self { head, bytes })
    }
}

impl PatchHead {
    const LEN: usize = 16;

    /// Reads the first record of a patch.
    #[must_use]
    pub fn of(record: &RecordView<'_>) -> Option<Self> {
        let body = record.data();
        let head = (body.len() >= Self::LEN).then(|| Self {
            offset: u64_at(body, 0),
            position: u32_at(body, 8),
            data_len: u32_at(body, 12),
        })?;
        (head.data_len as usize <= RECORD_BYTES_MAX).then_some(head)
    }
}

impl Erase {
    /// The body.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        self.offset.to_le_bytes().to_vec()
    }

    /// Reads a body back; longer ones are of a newer release and begin the same.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        (body.len() >= 8).then(|| Self { offset: u64_at(body, 0) })
    }
}

impl EpochStart {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let label = self.label.as_bytes();
        let mut body = self.writer.as_u128().to_le_bytes().to_vec();
        body.extend_from_slice(&super::len_u32(label.len()).to_le_bytes());
        body.extend_from_slice(label);
        body
    }

    /// Reads a body back.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        if body.len() < 20 {
            return None;
        }
        let label =
            body[20..].get(..u32_at(body, 16) as usize).filter(|label| label.len() <= WRITER_LABEL_BYTES_MAX)?;
        Some(Self { writer: Uuid::from_u128(super::u128_at(body, 0)), label: String::from_utf8(label.to_vec()).ok()? })
    }
}
