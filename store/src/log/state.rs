//! What a log knows besides its bytes: a fold over its frames. Recovery replays it, the writer keeps it, and every
//! segment begins with it as a snapshot.

pub mod codec;

use logstore_api::Timestamp;
use logstore_api::frame::control::{self, EpochStart, Trim};
use logstore_api::frame::{FrameView, Header, Kind};
use uuid::Uuid;

use self::codec::{Put, Take};
use super::changes::{Change, Changes, FramePlace};
use super::producers::{Producers, Stored};

/// Reigns that are remembered; older ones are forgotten first.
const EPOCHS_MAX: usize = 1024;

/// Everything up to a place in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Where the order stands.
    pub tail: Tail,
    /// Records before this offset were trimmed.
    pub trim_start: u64,
    /// Writers' reigns, oldest first.
    pub epochs: Vec<Epoch>,
    /// Idempotent producers.
    pub producers: Producers,
    /// Patches and erasures of records that are still there.
    pub changes: Changes,
}

/// The numbers that come next, and those of the last ordered frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The frame number that comes next.
    pub next_frame: u64,
    /// The offset that comes next.
    pub next_offset: u64,
    /// Server time of the last frame.
    pub last_time: Timestamp,
    /// Epoch of the last ordered frame.
    pub last_epoch: u32,
    /// Wire checksum of the last ordered frame; kept only where writers place frames.
    pub last_wire_checksum: u32,
    /// Bytes of payload so far.
    pub payload_sum: u64,
    /// Bytes in rochefort's file so far: the address that comes next.
    pub address_sum: u64,
}

/// A writer's reign in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its number.
    pub epoch: u32,
    /// The writer.
    pub writer: Uuid,
    /// Number of its `epoch-start` frame.
    pub first_frame: u64,
}

impl Tail {
    /// The numbers after an ordered frame with these; local frames change nothing.
    #[must_use]
    pub fn after(self, header: &Header, sums: (u64, u64), wire_checksum: u32) -> Self {
        if !header.kind.is_ordered() {
            return self;
        }
        Self {
            next_frame: header.numbers.number + 1,
            next_offset: header.numbers.base_offset + header.offset_count(),
            last_time: self.last_time.max(Timestamp(header.numbers.time_us)),
            last_epoch: header.numbers.epoch,
            last_wire_checksum: wire_checksum,
            payload_sum: self.payload_sum + if header.kind == Kind::Data { sums.0 } else { 0 },
            address_sum: self.address_sum + if header.kind == Kind::Data { sums.1 } else { 0 },
        }
    }
}

impl LogState {
    /// Takes in a frame that stands in the log, and says what it changes of other records. `sums` are its bytes of
    /// payload and of rochefort's file.
    pub fn apply(
        &mut self,
        frame: &FrameView<'_>,
        place: FramePlace,
        sums: (u64, u64),
        wire_checksum: u32,
    ) -> Option<Change> {
        let header = frame.header();
        self.tail = self.tail.after(&header, sums, wire_checksum);
        match header.kind {
            Kind::Data => self.note_producer(frame, &header),
            Kind::Trim => {
                if let Some(Trim { before }) = control::body(frame).and_then(Trim::decode) {
                    self.trim_start = self.trim_start.max(before);
                }
            }
            Kind::EpochStart => {
                if let Some(EpochStart { writer, label: _ }) = control::body(frame).and_then(EpochStart::decode) {
                    self.note_epoch(Epoch { epoch: header.numbers.epoch, writer, first_frame: header.numbers.number });
                }
            }
            // Written by later releases; they count a frame number, and their content is not for this one.
            Kind::Cursor | Kind::Hole => {}
            Kind::Patch | Kind::Erase | Kind::Snapshot | Kind::Padding => {}
        }
        let change = Change::of(frame, place)?;
        self.changes.apply(change, self.tail.next_offset);
        Some(change)
    }

    fn note_producer(&mut self, frame: &FrameView<'_>, header: &Header) {
        if let Some(producer) = header.producer {
            self.producers.note(
                producer,
                Stored {
                    seq: producer.seq,
                    count: header.record_count,
                    content_crc: frame.content_crc(),
                    offset: header.numbers.base_offset,
                    time: Timestamp(header.numbers.time_us),
                },
            );
        }
    }

    fn note_epoch(&mut self, epoch: Epoch) {
        if self.epochs.len() == EPOCHS_MAX {
            self.epochs.remove(0);
        }
        self.epochs.push(epoch);
    }

    /// The body of a snapshot frame: sections of `tag u16, len u32, bytes`; readers pass over tags they do not know.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { tail, trim_start, epochs, producers, changes } = self;
        let mut out = Vec::new();
        out.put_section(TAG_TAIL, |out| {
            let Tail { next_frame, next_offset, last_time, last_epoch, last_wire_checksum, payload_sum, address_sum } =
                tail;
            out.put(&next_frame.to_le_bytes());
            out.put(&next_offset.to_le_bytes());
            out.put(&last_time.0.to_le_bytes());
            out.put(&last_epoch.to_le_bytes());
            out.put(&last_wire_checksum.to_le_bytes());
            out.put(&payload_sum.to_le_bytes());
            out.put(&address_sum.to_le_bytes());
        });
        out.put_section(TAG_TRIM, |out| out.put(&trim_start.to_le_bytes()));
        out.put_section(TAG_EPOCHS, |out| {
            out.put_u32(epochs.len());
            for Epoch { epoch, writer, first_frame } in epochs {
                out.put(&epoch.to_le_bytes());
                out.put(&writer.as_u128().to_le_bytes());
                out.put(&first_frame.to_le_bytes());
            }
        });
        out.put_section(TAG_PRODUCERS, |out| producers.encode(out));
        out.put_section(TAG_CHANGES, |out| changes.encode(out));
        out
    }

    /// Reads the body of a snapshot frame back.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        while !bytes.is_empty() {
            let (tag, mut section) = bytes.take_section()?;
            match tag {
                TAG_TAIL => state.tail = decode_tail(&mut section)?,
                TAG_TRIM => state.trim_start = u64::from_le_bytes(section.take()?),
                TAG_EPOCHS => state.epochs = decode_epochs(&mut section)?,
                TAG_PRODUCERS => state.producers = Producers::decode(section)?,
                TAG_CHANGES => state.changes = Changes::decode(section)?,
                _ => {}
            }
        }
        Some(state)
    }
}

const TAG_TAIL: u16 = 1;
const TAG_TRIM: u16 = 2;
const TAG_EPOCHS: u16 = 3;
const TAG_PRODUCERS: u16 = 4;
const TAG_CHANGES: u16 = 5;

fn decode_tail(section: &mut &[u8]) -> Option<Tail> {
    Some(Tail {
        next_frame: u64::from_le_bytes(section.take()?),
        next_offset: u64::from_le_bytes(section.take()?),
        last_time: Timestamp(i64::from_le_bytes(section.take()?)),
        last_epoch: u32::from_le_bytes(section.take()?),
        last_wire_checksum: u32::from_le_bytes(section.take()?),
        payload_sum: u64::from_le_bytes(section.take()?),
        address_sum: u64::from_le_bytes(section.take()?),
    })
}

fn decode_epochs(section: &mut &[u8]) -> Option<Vec<Epoch>> {
    (0..section.take_count(EPOCHS_MAX)?)
        .map(|_| {
            Some(Epoch {
                epoch: u32::from_le_bytes(section.take()?),
                writer: Uuid::from_u128(u128::from_le_bytes(section.take()?)),
                first_frame: u64::from_le_bytes(section.take()?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_back_and_unknown_sections_are_passed_over() {
        let mut state = LogState { trim_start: 3, ..LogState::default() };
        state.tail = Tail { next_frame: 9, next_offset: 8, last_time: Timestamp(7), address_sum: 5, ..Tail::default() };
        state.note_epoch(Epoch { epoch: 2, writer: Uuid::from_u128(4), first_frame: 1 });
        let mut bytes = state.encode();
        bytes.put_section(999, |out| out.put(b"of a newer release"));
        assert_eq!(LogState::decode(&bytes), Some(state));
        assert_eq!(LogState::decode(&bytes[..bytes.len() - 1]), None);
    }
}
