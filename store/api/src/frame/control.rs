//! Bodies of the control frames that this release writes. A control frame has one record, whose payload is the body.

use uuid::Uuid;

use super::{Draft, FrameBuilder, FrameView, Kind, NewRecord, Salt, u32_at, u64_at};
use crate::limits::WRITER_LABEL_BYTES_MAX;

/// Body of [`Kind::Trim`]: records before this offset go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// The first offset to keep.
    pub before: u64,
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
