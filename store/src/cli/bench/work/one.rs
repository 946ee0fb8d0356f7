//! Reads of one record, at an offset chosen by chance.

use std::sync::Arc;

use super::super::payload::Random;
use super::super::request::{Heads, put_number};
use super::{Expected, Span};

/// The reads of one connection.
#[derive(Debug)]
pub(in super::super) struct One {
    pub(in super::super) heads: Arc<Heads>,
    pub(in super::super) end: Arc<[u8]>,
    pub(in super::super) spans: Arc<[Span]>,
    /// Where appends of this connection go on behind the spans: the ends as it knows them.
    pub(in super::super) ends: Option<Vec<u64>>,
    pub(in super::super) random: Random,
    pub(in super::super) turn: usize,
}

impl One {
    /// `None` where the namespace holds nothing.
    pub(super) fn render(&mut self, out: &mut Vec<u8>) -> Option<Expected> {
        let namespace = self.turn;
        self.turn = (namespace + 1) % self.heads.len();
        let Span { start, end } = self.spans[namespace];
        let end = self.ends.as_ref().map_or(end, |ends| ends[namespace].max(end));
        if end <= start {
            return None;
        }
        out.extend_from_slice(&self.heads[namespace]);
        put_number(start + self.random.below(end - start), out);
        out.extend_from_slice(&self.end);
        Some(Expected::Record)
    }

    /// The namespace has records up to here.
    pub(super) fn extend(&mut self, namespace: usize, end: u64) {
        if let Some(ends) = &mut self.ends {
            ends[namespace] = ends[namespace].max(end);
        }
    }
}
