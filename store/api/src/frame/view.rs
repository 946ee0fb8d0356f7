//! Reading frames back, trusting nothing that was not verified.

use super::build::ROCHEFORT_HEADER_LEN;
use super::meta::MalformedMeta;
use super::seal::{Numbers, header_crc, stored_header_crc};
use super::stub;
use super::{
    ALIGN, FLAG_PRODUCER, FRAME_LEN_MIN, HEADER_COVERED_LEN, HEADER_LEN, Kind, MAGIC, Meta, PRODUCER_LEN, Producer,
    RECORD_COVERED_LEN, RECORD_HEADER_LEN, Salt, TRAILER_LEN, padded, u16_at, u32_at, u64_at, u128_at,
};
use crate::limits::FRAME_BYTES_MAX;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No header verifies here: nothing was written, or not all of a header, or something else.
    #[error("no frame header here")]
    NoHeader,
    /// The header is sound, but the frame goes on behind the bytes.
    #[error("the frame is {frame_len} bytes long, more than there are")]
    Cut {
        /// Length of the whole frame.
        frame_len: usize,
    },
    /// The header is sound and the frame is all there, but its bytes do not verify: it was whole once.
    #[error("the frame does not verify")]
    Damaged {
        /// Length of the whole frame.
        frame_len: usize,
    },
}

/// A frame header that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Length of the whole frame.
    pub frame_len: usize,
    /// Records in it.
    pub record_count: u32,
    /// Its place in the order.
    pub numbers: Numbers,
    /// Its producer, where it had an identity.
    pub producer: Option<Producer>,
}

impl Header {
    /// Reads the header of the frame at `position`; `bytes` begin there and may end anywhere.
    ///
    /// # Errors
    /// [`Fault::NoHeader`], where none verifies.
    pub fn verify(bytes: &[u8], salt: Salt, position: u64) -> Result<Self, Fault> {
        if bytes.len() < HEADER_LEN || u32_at(bytes, 0) != MAGIC {
            return Err(Fault::NoHeader);
        }
        if u16_at(bytes, 4) & FLAG_PRODUCER != 0 && bytes.len() < HEADER_LEN + PRODUCER_LEN {
            return Err(Fault::NoHeader);
        }
        if header_crc(bytes, salt, position) != stored_header_crc(bytes) {
            return Err(Fault::NoHeader);
        }
        Self::decode(bytes).ok_or(Fault::NoHeader)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let frame_len = u32_at(bytes, 8) as usize;
        let flags_known = u16_at(bytes, 4) & !FLAG_PRODUCER == 0;
        let producer = producer_bytes(bytes).map(|producer| Producer {
            id: u128_at(producer, 0),
            seq: u64_at(producer, 16),
            epoch: u32_at(producer, 24),
        });
        let least = FRAME_LEN_MIN + if producer.is_some() { PRODUCER_LEN } else { 0 };
        if !flags_known || frame_len < least || frame_len > FRAME_BYTES_MAX || !frame_len.is_multiple_of(ALIGN) {
            return None;
        }
        Some(Self {
            kind: Kind::from_u16(u16_at(bytes, 6))?,
            frame_len,
            record_count: u32_at(bytes, 12),
            numbers: Numbers {
                number: u64_at(bytes, 16),
                base_offset: u64_at(bytes, 24),
                #[allow(clippy::cast_possible_wrap, reason = "the same 64 bits")]
                time_us: u64_at(bytes, 32) as i64,
                epoch: u32_at(bytes, 40),
            },
            producer,
        })
    }

    /// Where the first record begins in the frame.
    #[must_use]
    pub fn records_at(&self) -> usize {
        HEADER_LEN + if self.producer.is_some() { PRODUCER_LEN } else { 0 }
    }

    /// Offsets that the frame counts. Of a hole, its body says.
    #[must_use]
    pub fn offset_count(&self) -> u64 {
        if self.kind == Kind::Data { u64::from(self.record_count) } else { 0 }
    }
}

/// A frame whose every byte verified.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    bytes: &'a [u8],
}

/// A record's fixed part. Its lengths are to be trusted only after the record's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Bytes of payload.
    pub data_len: usize,
    /// Bytes reserved for the payload.
    pub alloc_len: u32,
    /// Bytes of metadata.
    pub meta_len: usize,
    /// It was erased: a stub stands in its place.
    pub erased: bool,
}

/// A record in a frame.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Where its header begins in the frame.
    pub position: usize,
    /// Its fixed part.
    pub header: RecordHeader,
    body: &'a [u8],
}

impl RecordHeader {
    fn decode(bytes: &[u8]) -> Self {
        Self {
            data_len: u32_at(bytes, 0) as usize,
            alloc_len: u32_at(bytes, 4),
            meta_len: usize::from(u16_at(bytes, 8)),
            erased: stub::is_stub(bytes),
        }
    }

    /// Length of the record in the frame, padding included.
    #[must_use]
    pub fn record_len(&self) -> usize {
        padded(RECORD_HEADER_LEN + self.meta_len + self.data_len)
    }

    /// Reads the header of a record, so that its length is known. Not verified.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= RECORD_HEADER_LEN).then(|| Self::decode(bytes))
    }
}

impl<'a> RecordView<'a> {
    /// Reads and verifies a record alone, wherever it stands: `bytes` begin with its header and may end anywhere behind
    /// its padding. `None` where it is cut or does not verify.
    #[must_use]
    pub fn verify(bytes: &'a [u8], salt: Salt) -> Option<Self> {
        let header = RecordHeader::peek(bytes)?;
        let (len, unpadded) = (header.record_len(), RECORD_HEADER_LEN + header.meta_len + header.data_len);
        let record = bytes.get(..len)?;
        let sound = stub::is_sound(&record[..unpadded], salt)
            && record[unpadded..].iter().all(|byte| *byte == 0)
            && header.alloc_len as usize >= header.data_len;
        sound.then(|| Self { position: 0, header, body: &record[RECORD_HEADER_LEN..unpadded] })
    }

    /// A record whose bytes were verified just before; `bytes` begin with its header.
    ///
    /// # Panics
    /// Where they were not.
    #[must_use]
    pub fn trusted(bytes: &'a [u8]) -> Self {
        let header = RecordHeader::decode(bytes);
        let end = RECORD_HEADER_LEN + header.meta_len + header.data_len;
        Self { position: 0, header, body: &bytes[RECORD_HEADER_LEN..end] }
    }

    /// The payload; of a stub there is none.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        if self.header.erased { &[] } else { &self.body[self.header.meta_len..] }
    }

    /// The metadata; of a stub there is none.
    ///
    /// # Errors
    /// Where the bytes, though sound, are none: written by a newer release.
    pub fn meta(&self) -> Result<Meta, MalformedMeta> {
        if self.header.erased {
            return Ok(Meta::default());
        }
        Meta::decode(&self.body[..self.header.meta_len])
    }

    /// Bytes it takes in the frame, padding left out.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        RECORD_HEADER_LEN + self.body.len()
    }

    /// Bytes of metadata and payload.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Bytes it takes in rochefort's file.
    #[must_use]
    pub fn address_bytes(&self) -> u64 {
        ROCHEFORT_HEADER_LEN + u64::from(self.header.alloc_len)
    }
}

impl<'a> FrameView<'a> {
    /// Reads and verifies the frame at `position`; `bytes` begin there and may end anywhere behind it.
    ///
    /// # Errors
    /// Says whether no frame is here, or one that is cut, or one that is damaged.
    pub fn verify(bytes: &'a [u8], salt: Salt, position: u64) -> Result<Self, Fault> {
        let header = Header::verify(bytes, salt, position)?;
        let frame_len = header.frame_len;
        let frame = bytes.get(..frame_len).ok_or(Fault::Cut { frame_len })?;
        let mut at = header.records_at();
        for _ in 0..header.record_count {
            let record = frame
                .get(at..frame_len - TRAILER_LEN)
                .and_then(|rest| RecordView::verify(rest, salt))
                .ok_or(Fault::Damaged { frame_len })?;
            at += record.header.record_len();
        }
        let view = Self { bytes: frame };
        let whole = at == frame_len - TRAILER_LEN
            && u32_at(frame, frame_len - 4) as usize == frame_len
            && view.checksum() == view.compute_checksum(salt);
        if whole { Ok(view) } else { Err(Fault::Damaged { frame_len }) }
    }

    /// A frame whose bytes were verified or made just before; `bytes` are all of it.
    ///
    /// # Panics
    /// Here or in the calls below, where they were not.
    #[must_use]
    pub fn trusted(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its header.
    ///
    /// # Panics
    /// Never: the header was verified.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::decode(self.bytes).expect("a frame in view has a sound header")
    }

    /// Its records, in order.
    pub fn records(&self) -> impl Iterator<Item = RecordView<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut position = HEADER_LEN + producer_bytes(bytes).map_or(0, <[u8]>::len);
        (0..u32_at(bytes, 12)).map(move |_| {
            let header = RecordHeader::decode(&bytes[position..]);
            let body_at = position + RECORD_HEADER_LEN;
            let body = &bytes[body_at..body_at + header.meta_len + header.data_len];
            let record = RecordView { position, header, body };
            position += header.record_len();
            record
        })
    }

    /// The frame checksum, as it stands in the trailer: the same on all copies.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        u32_at(self.bytes, self.bytes.len() - TRAILER_LEN)
    }

    /// The frame checksum, as it is on the wire, of a frame that is sealed with `salt` here.
    #[must_use]
    pub fn wire_checksum(&self, salt: Salt) -> u32 {
        self.fold_record_crcs(self.covered_crc(Salt::WIRE), |at, len| {
            stub::crc_under(&self.bytes[at..at + len], salt, Salt::WIRE).to_le_bytes()
        })
    }

    /// Checksum over the records' checksums.
    #[must_use]
    pub fn content_crc(&self) -> u32 {
        self.fold_record_crcs(0, |at, _| self.stored_record_crc(at))
    }

    /// Bytes of data in its records, and bytes they take in rochefort's file.
    #[must_use]
    pub fn sums(&self) -> (u64, u64) {
        self.records().fold((0, 0), |(payload, address), record| {
            (payload + record.header.data_len as u64, address + record.address_bytes())
        })
    }

    pub(super) fn compute_checksum(&self, salt: Salt) -> u32 {
        self.fold_record_crcs(self.covered_crc(salt), |at, _| self.stored_record_crc(at))
    }

    fn covered_crc(&self, salt: Salt) -> u32 {
        let crc = crc32c::crc32c_append(salt.crc(), &self.bytes[..HEADER_COVERED_LEN]);
        producer_bytes(self.bytes).map_or(crc, |producer| crc32c::crc32c_append(crc, producer))
    }

    fn stored_record_crc(&self, at: usize) -> [u8; 4] {
        u32_at(self.bytes, at + RECORD_COVERED_LEN).to_le_bytes()
    }

    fn fold_record_crcs(&self, crc: u32, record_crc: impl Fn(usize, usize) -> [u8; 4]) -> u32 {
        self.records().fold(crc, |crc, record| {
            crc32c::crc32c_append(crc, &record_crc(record.position, RECORD_HEADER_LEN + record.body_len()))
        })
    }
}

/// The producer's bytes, where the flag says that they follow the header.
pub(super) fn producer_bytes(frame: &[u8]) -> Option<&[u8]> {
    (u16_at(frame, 4) & FLAG_PRODUCER != 0).then(|| &frame[HEADER_LEN..HEADER_LEN + PRODUCER_LEN])
}
