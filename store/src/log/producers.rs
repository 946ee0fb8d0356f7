//! Idempotent producers: which sequence numbers a partition has stored, so that a retry is answered and not stored.
//!
//! Sequences count records, dense per producer and partition. The table is derived from the log: from frames, and from
//! the snapshot at the start of a segment.

use std::collections::{HashMap, VecDeque};

use logstore_api::frame::Producer;
use logstore_api::limits::{PRODUCER_FRAMES_MAX, PRODUCERS_MAX};
use logstore_api::{Code, Problem, Timestamp};
use uuid::Uuid;

use super::state::codec::{Put, Take};

/// Frames of producers, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: HashMap<u128, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    epoch: u32,
    next_seq: u64,
    last_time: Timestamp,
    frames: VecDeque<Stored>,
}

/// What is remembered of a producer beside its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The producer.
    pub id: u128,
    /// Its epoch.
    pub epoch: u32,
    /// The sequence number that comes next.
    pub next_seq: u64,
    /// Server time of its last frame.
    pub last_time: Timestamp,
}

/// A frame that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Sequence number of its first record.
    pub seq: u64,
    /// Records.
    pub count: u32,
    /// Checksum over the records' checksums.
    pub content_crc: u32,
    /// Offset of its first record.
    pub offset: u64,
    /// Server time.
    pub time: Timestamp,
}

/// What to do with a frame that has an identity.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is new.
    Store,
    /// It is stored; where, unless that is forgotten.
    Duplicate(Option<Stored>),
    /// It cannot be.
    Refuse(Box<Problem>),
}

impl Producers {
    /// Judges a frame. Pure: nothing is remembered before [`Producers::note`].
    #[must_use]
    pub fn judge(&self, producer: Producer, count: u32, content_crc: u32) -> Verdict {
        let Producer { id, seq, epoch } = producer;
        let Some(known) = self.by_id.get(&id) else {
            return if seq == 0 { Verdict::Store } else { refuse(unknown_producer(id, seq)) };
        };
        if epoch < known.epoch {
            return refuse(fenced(id, epoch, known.epoch));
        }
        if seq == known.next_seq {
            return Verdict::Store;
        }
        if seq > known.next_seq {
            return refuse(gap(id, seq, known.next_seq));
        }
        match known.frames.iter().find(|frame| frame.seq == seq) {
            Some(frame) if frame.count == count && frame.content_crc == content_crc => Verdict::Duplicate(Some(*frame)),
            Some(_) => refuse(conflict(id, seq)),
            None if known.frames.front().is_some_and(|oldest| seq > oldest.seq) => refuse(conflict(id, seq)),
            // Where the table was full, an older frame is stored and forgotten; of an import none may be known.
            None if known.frames.len() == PRODUCER_FRAMES_MAX || known.frames.is_empty() => {
                let forgotten_until = known.frames.front().map_or(known.next_seq, |oldest| oldest.seq);
                match seq.checked_add(u64::from(count)).is_some_and(|end| end <= forgotten_until) {
                    // One that has come back and counts from 0 again has new records.
                    true if epoch > known.epoch => refuse(begun_again(id, seq, known.next_seq)),
                    true => Verdict::Duplicate(None),
                    false => refuse(conflict(id, seq)),
                }
            }
            None => refuse(lost(id, seq)),
        }
    }

    /// A producer has come back with this epoch: older ones append no more, though it has only repeated what is stored. The
    /// log does not tell of it before the next segment or the producer's next frame.
    pub fn fence(&mut self, producer: Producer) {
        if let Some(known) = self.by_id.get_mut(&producer.id) {
            known.epoch = known.epoch.max(producer.epoch);
        }
    }

    /// Remembers a frame that was stored.
    pub fn note(&mut self, producer: Producer, stored: Stored) {
        let Producer { id, seq, epoch } = producer;
        if !self.by_id.contains_key(&id) && self.by_id.len() >= PRODUCERS_MAX {
            self.forget_oldest();
        }
        let known = self.by_id.entry(id).or_insert_with(|| Known {
            epoch,
            next_seq: 0,
            last_time: stored.time,
            frames: VecDeque::new(),
        });
        known.epoch = known.epoch.max(epoch);
        // A writer may send the last of all numbers; nothing comes after it.
        known.next_seq = seq.saturating_add(u64::from(stored.count));
        known.last_time = stored.time;
        if known.frames.len() == PRODUCER_FRAMES_MAX {
            known.frames.pop_front();
        }
        known.frames.push_back(stored);
    }

    /// What is remembered of each producer, by id.
    #[must_use]
    pub fn remembered(&self) -> Vec<Remembered> {
        let of = |(id, known): (&u128, &Known)| {
            let Known { epoch, next_seq, last_time, frames: _ } = *known;
            Remembered { id: *id, epoch, next_seq, last_time }
        };
        let mut all: Vec<_> = self.by_id.iter().map(of).collect();
        all.sort_unstable_by_key(|one| one.id);
        all
    }

    /// The table of these producers, with what is known here of their frames.
    #[must_use]
    pub fn of(&self, remembered: &[Remembered]) -> Self {
        let known = |one: &Remembered| {
            let Remembered { id, epoch, next_seq, last_time } = *one;
            let frames = self.by_id.get(&id).map(|known| known.frames.clone()).unwrap_or_default();
            (id, Known { epoch, next_seq, last_time, frames })
        };
        Self { by_id: remembered.iter().take(PRODUCERS_MAX).map(known).collect() }
    }

    /// Forgets frames whose offsets cannot be had: a retry of them must not be told that they are stored.
    pub fn forget(&mut self, from: u64, until: u64) {
        self.by_id.retain(|_, known| {
            let before = known.frames.len();
            known.frames.retain(|stored| !(from..until).contains(&stored.offset));
            before == 0 || !known.frames.is_empty()
        });
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.by_id.iter().min_by_key(|(id, known)| (known.last_time, **id)).map(|(id, _)| *id) {
            self.by_id.remove(&oldest);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        // Sorted, so that equal tables have equal bytes.
        ids.sort_unstable();
        out.put_u32(ids.len());
        for id in ids {
            let Known { epoch, next_seq, last_time, frames } = &self.by_id[&id];
            out.put(&id.to_le_bytes());
            out.put(&epoch.to_le_bytes());
            out.put(&next_seq.to_le_bytes());
            out.put(&last_time.0.to_le_bytes());
            out.put_u32(frames.len());
            for Stored { seq, count, content_crc, offset, time } in frames {
                out.put(&seq.to_le_bytes());
                out.put(&count.to_le_bytes());
                out.put(&content_crc.to_le_bytes());
                out.put(&offset.to_le_bytes());
                out.put(&time.0.to_le_bytes());
            }
        }
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut by_id = HashMap::new();
        for _ in 0..bytes.take_count(PRODUCERS_MAX)? {
            let id = u128::from_le_bytes(bytes.take()?);
            let epoch = u32::from_le_bytes(bytes.take()?);
            let next_seq = u64::from_le_bytes(bytes.take()?);
            let last_time = Timestamp(i64::from_le_bytes(bytes.take()?));
            let mut frames = VecDeque::new();
            for _ in 0..bytes.take_count(PRODUCER_FRAMES_MAX)? {
                frames.push_back(Stored {
                    seq: u64::from_le_bytes(bytes.take()?),
                    count: u32::from_le_bytes(bytes.take()?),
                    content_crc: u32::from_le_bytes(bytes.take()?),
                    offset: u64::from_le_bytes(bytes.take()?),
                    time: Timestamp(i64::from_le_bytes(bytes.take()?)),
                });
            }
            by_id.insert(id, Known { epoch, next_seq, last_time, frames });
        }
        Some(Self { by_id })
    }
}

fn refuse(problem: Problem) -> Verdict {
    Verdict::Refuse(Box::new(problem))
}

fn gap(id: u128, seq: u64, next_seq: u64) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!("producer {id} sends sequence {seq}, but {next_seq} comes next; send what is missing first");
    Problem::new(Code::SequenceGap, detail).field("Producer-Seq").expected(next_seq).got(seq)
}

fn conflict(id: u128, seq: u64) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!(
        "producer {id} has used sequence {seq} for other records, or cut its batch in another way; a retry repeats the same batch"
    );
    Problem::new(Code::IdentityConflict, detail).field("Producer-Seq").got(seq)
}

fn begun_again(id: u128, seq: u64, next_seq: u64) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!(
        "producer {id} has used sequence {seq} in an earlier epoch, too long ago to tell what for; a new epoch goes on at {next_seq}"
    );
    Problem::new(Code::IdentityConflict, detail).field("Producer-Seq").expected(next_seq).got(seq)
}

fn lost(id: u128, seq: u64) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!(
        "sequence {seq} of producer {id} was lost to damage or a power failure, but later ones are stored; send what was not acknowledged again with a new id, from 0"
    );
    Problem::new(Code::UnknownProducer, detail).field("Producer-Seq").got(seq)
}

fn fenced(id: u128, epoch: u32, newer: u32) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!("producer {id} has come back with epoch {newer}; epoch {epoch} may append no more");
    Problem::new(Code::ProducerFenced, detail).field("Producer-Epoch").expected(newer).got(epoch)
}

fn unknown_producer(id: u128, seq: u64) -> Problem {
    let id = Uuid::from_u128(id);
    let detail = format!(
        "producer {id} is not known here (any more), and sequence {seq} is not its first; begin at 0 with a new id"
    );
    Problem::new(Code::UnknownProducer, detail).field("Producer-Seq").expected(0).got(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64, epoch: u32) -> Producer {
        Producer { id: 7, seq, epoch }
    }

    fn stored(seq: u64, count: u32) -> Stored {
        let content_crc = u32::try_from(seq).unwrap() + 1000;
        Stored { seq, count, content_crc, offset: 50 + seq, time: Timestamp(seq as i64) }
    }

    fn table(frames: &[(u64, u32)]) -> Producers {
        let mut table = Producers::default();
        for (seq, count) in frames {
            table.note(at(*seq, 1), stored(*seq, *count));
        }
        table
    }

    fn code(verdict: Verdict) -> String {
        match verdict {
            Verdict::Refuse(problem) => problem.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_retry_is_answered_with_what_was_stored() {
        let table = table(&[(0, 3), (3, 2)]);
        assert_eq!(table.judge(at(0, 1), 3, 1000), Verdict::Duplicate(Some(stored(0, 3))));
        assert_eq!(table.judge(at(3, 1), 2, 1003), Verdict::Duplicate(Some(stored(3, 2))));
        assert_eq!(table.judge(at(5, 1), 9, 1), Verdict::Store);
    }

    #[test]
    fn gaps_conflicts_and_strangers_are_refused() {
        let table = table(&[(0, 3), (3, 2)]);
        assert_eq!(code(table.judge(at(6, 1), 1, 1)), "sequence_gap");
        assert_eq!(code(table.judge(at(3, 1), 2, 999)), "identity_conflict");
        assert_eq!(code(table.judge(at(0, 1), 2, 1000)), "identity_conflict");
        assert_eq!(code(table.judge(at(1, 1), 1, 1)), "identity_conflict");
        assert_eq!(code(table.judge(Producer { id: 8, seq: 1, epoch: 0 }, 1, 1)), "unknown_producer");
        assert_eq!(table.judge(Producer { id: 8, seq: 0, epoch: 0 }, 1, 1), Verdict::Store);
    }

    #[test]
    fn a_newer_epoch_goes_on_and_fences_the_older() {
        let mut table = table(&[(0, 1)]);
        assert_eq!(table.judge(at(1, 2), 1, 1), Verdict::Store);
        table.note(at(1, 2), stored(1, 1));
        assert_eq!(code(table.judge(at(2, 1), 1, 1)), "producer_fenced");
    }

    #[test]
    fn a_newer_epoch_that_begins_with_a_retry_fences_the_older_too() {
        let mut table = table(&[(0, 1)]);
        assert_eq!(table.judge(at(0, 2), 1, 1000), Verdict::Duplicate(Some(stored(0, 1))));
        table.fence(at(0, 2));
        assert_eq!(code(table.judge(at(1, 1), 1, 1)), "producer_fenced");
        assert_eq!(table.judge(at(1, 2), 1, 1), Verdict::Store);
    }

    #[test]
    fn what_reaches_beyond_the_forgotten_frames_is_no_duplicate_of_them() {
        let frames: Vec<_> = (0..=PRODUCER_FRAMES_MAX as u64 + 1).map(|seq| (seq, 1)).collect();
        let table = table(&frames);
        assert_eq!(table.judge(at(0, 1), 2, 7), Verdict::Duplicate(None));
        assert_eq!(code(table.judge(at(0, 1), 3, 7)), "identity_conflict");
        assert_eq!(code(table.judge(at(0, 2), 2, 7)), "identity_conflict", "a new epoch that counts from 0");
        assert_eq!(code(table.judge(at(1, 1), u32::MAX, 7)), "identity_conflict");
    }

    #[test]
    fn a_forgotten_frame_is_a_duplicate_without_an_offset() {
        let frames: Vec<_> = (0..=PRODUCER_FRAMES_MAX as u64).map(|seq| (seq, 1)).collect();
        let table = table(&frames);
        assert_eq!(table.judge(at(0, 1), 1, 1000), Verdict::Duplicate(None));
        assert_eq!(table.judge(at(1, 1), 1, 1001), Verdict::Duplicate(Some(stored(1, 1))));
    }

    #[test]
    fn a_frame_that_was_lost_is_no_duplicate_though_later_ones_are_stored() {
        // A power loss took the first frame and left the second: the retry of the first was answered as a duplicate.
        let table = table(&[(3, 2)]);
        assert_eq!(code(table.judge(at(0, 1), 3, 1000)), "unknown_producer");
        assert_eq!(table.judge(at(3, 1), 2, 1003), Verdict::Duplicate(Some(stored(3, 2))));
    }

    #[test]
    fn a_frame_in_a_hole_is_forgotten_and_its_neighbours_are_not() {
        let mut table = table(&[(0, 3), (3, 2), (5, 1)]);
        table.forget(53, 55);
        assert_eq!(table.judge(at(0, 1), 3, 1000), Verdict::Duplicate(Some(stored(0, 3))));
        assert_eq!(code(table.judge(at(3, 1), 2, 1003)), "identity_conflict");
        assert_eq!(table.judge(at(5, 1), 1, 1005), Verdict::Duplicate(Some(stored(5, 1))));
    }

    #[test]
    fn the_one_that_was_idle_longest_is_forgotten_first() {
        let mut table = Producers::default();
        for id in 0..=PRODUCERS_MAX as u64 {
            table.note(Producer { id: u128::from(id), seq: 0, epoch: 0 }, stored(id, 1));
        }
        assert_eq!(table.by_id.len(), PRODUCERS_MAX);
        assert_eq!(code(table.judge(Producer { id: 0, seq: 1, epoch: 0 }, 1, 1)), "unknown_producer");
        assert_eq!(code(table.judge(Producer { id: 1, seq: 9_999, epoch: 0 }, 1, 1)), "sequence_gap");
    }

    #[test]
    fn the_form_in_a_snapshot_reads_back() {
        let mut table = table(&[(0, 3), (3, 2)]);
        table.note(Producer { id: 1, seq: 0, epoch: 4 }, stored(0, 1));
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        assert_eq!(Producers::decode(&bytes), Some(table));
        for len in 0..bytes.len() {
            assert_eq!(Producers::decode(&bytes[..len]), None);
        }
    }
}
