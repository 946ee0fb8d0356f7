//! Appends: lone records, or batches of them in binary.

use std::sync::Arc;

use uuid::Uuid;

use super::super::payload::Filler;
use super::super::request::{Heads, number_behind, put_number};
use super::super::tally::{Load, Purpose};
use super::{Expected, Verdict};

/// Which number a record gets.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Numbering {
    /// `next`, and with each record `step` more.
    Count { next: u64, step: u64 },
    /// When its request was due, so that whoever reads it knows how old it is.
    Due,
}

/// The appends of one connection.
#[derive(Debug)]
pub(in super::super) struct Append {
    pub(in super::super) heads: Arc<Heads>,
    pub(in super::super) filler: Arc<Filler>,
    pub(in super::super) numbering: Numbering,
    /// Records of each request; `None` is a lone one, which is the whole body.
    pub(in super::super) batch: Option<u64>,
    pub(in super::super) producer: Option<Producer>,
    /// Which namespace is next.
    pub(in super::super) turn: usize,
    /// Offset of the append that was acknowledged last.
    pub(in super::super) acknowledged: Option<u64>,
}

/// The identity of one connection, and where its sequences are.
#[derive(Debug)]
pub(in super::super) struct Producer {
    lines: Vec<u8>,
    sequences: Vec<Sequence>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    next: u64,
    acknowledged: u64,
}

impl Producer {
    /// One that nobody knows, for so many namespaces.
    pub(in super::super) fn new(namespaces: usize) -> Self {
        let id = Uuid::new_v4();
        let lines = format!("Producer-Id: {id}\r\nProducer-Epoch: 1\r\nProducer-Seq: ").into_bytes();
        Self { lines, sequences: vec![Sequence::default(); namespaces] }
    }
}

impl Append {
    pub(super) fn render(&mut self, due: u64, out: &mut Vec<u8>) -> Expected {
        let namespace = self.turn;
        self.turn = (namespace + 1) % self.heads.len();
        let records = self.batch.unwrap_or(1);
        out.extend_from_slice(&self.heads[namespace]);
        if let Some(Producer { lines, sequences }) = &mut self.producer {
            out.extend_from_slice(lines);
            put_number(sequences[namespace].next, out);
            out.extend_from_slice(b"\r\n");
            sequences[namespace].next += records;
        }
        out.extend_from_slice(b"\r\n");
        let record_bytes = self.filler.record_bytes();
        for _ in 0..records {
            if self.batch.is_some() {
                let len = u32::try_from(record_bytes).unwrap_or(u32::MAX);
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&len.to_le_bytes());
            }
            let number = self.number(due);
            self.filler.push(number, out);
        }
        let load = Load { records, payload_bytes: records * record_bytes as u64 };
        Expected::Appended { namespace, load }
    }

    fn number(&mut self, due: u64) -> u64 {
        match &mut self.numbering {
            Numbering::Due => due,
            Numbering::Count { next, step } => {
                let number = *next;
                *next = number.wrapping_add(*step);
                number
            }
        }
    }

    pub(super) fn judge(&mut self, namespace: usize, load: Load, body: &[u8]) -> Verdict {
        self.acknowledged = number_behind(b"{\"offset\":", body);
        if let Some(Producer { sequences, .. }) = &mut self.producer {
            sequences[namespace].acknowledged += load.records;
        }
        if body.ends_with(b"\"duplicate\":true}") { Verdict::Duplicate } else { Verdict::Done(Purpose::Append, load) }
    }

    /// Offset of the append that was acknowledged last.
    pub(in super::super) fn acknowledged(&self) -> Option<u64> {
        self.acknowledged
    }

    /// The sequences go on behind what was acknowledged; under another name, where it is not known what was stored.
    pub(super) fn rewind(&mut self, is_outcome_known: bool) {
        let Some(producer) = &mut self.producer else { return };
        if is_outcome_known {
            producer.sequences.iter_mut().for_each(|sequence| sequence.next = sequence.acknowledged);
        } else {
            *producer = Producer::new(producer.sequences.len());
        }
    }
}
