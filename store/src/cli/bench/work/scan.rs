//! Reads of everything, page by page: each connection has stretches of its own, so that all together read each record
//! once.

use std::sync::Arc;

use logstore_api::record::binary::entries;

use super::super::answer::Head;
use super::super::refusal::Refusal;
use super::super::request::{Heads, number_behind, put_number};
use super::super::tally::{Load, Purpose, Seen};
use super::{Expected, Span, Verdict, look};

/// Bytes of payload in a page, at most, but for a single larger record.
const PAGE_BYTES: u64 = 1024 * 1024;
const PAGE_RECORDS: u64 = logstore_api::limits::READ_RECORDS_MAX as u64;

/// What is left to read of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Stretch {
    pub(in super::super) namespace: usize,
    pub(in super::super) from: u64,
    pub(in super::super) until: u64,
}

impl Stretch {
    /// What connection `number` of so many reads: its part of each namespace.
    pub(in super::super) fn of(number: usize, connections: usize, spans: &[Span]) -> Vec<Self> {
        let part = |Span { start, end }: &Span, number: usize| {
            let len = u128::from(end.saturating_sub(*start));
            start + u64::try_from(len * number as u128 / connections as u128).unwrap_or(u64::MAX)
        };
        let stretches = spans.iter().enumerate().map(|(namespace, span)| Self {
            namespace,
            from: part(span, number),
            until: part(span, number + 1),
        });
        stretches.filter(|stretch| stretch.from < stretch.until).collect()
    }
}

/// The pages of one connection.
#[derive(Debug)]
pub(in super::super) struct Scan {
    pub(in super::super) heads: Arc<Heads>,
    pub(in super::super) end: Arc<[u8]>,
    /// The last one is read.
    pub(in super::super) stretches: Vec<Stretch>,
}

impl Scan {
    pub(super) fn render(&mut self, out: &mut Vec<u8>) -> Option<Expected> {
        while self.stretches.last().is_some_and(|stretch| stretch.from >= stretch.until) {
            self.stretches.pop();
        }
        let Stretch { namespace, from, until } = *self.stretches.last()?;
        out.extend_from_slice(&self.heads[namespace]);
        put_number(from, out);
        for (name, value) in [("&until=", until), ("&limit=", PAGE_RECORDS), ("&max_bytes=", PAGE_BYTES)] {
            out.extend_from_slice(name.as_bytes());
            put_number(value, out);
        }
        out.extend_from_slice(&self.end);
        Some(Expected::Page)
    }

    pub(super) fn judge(&mut self, head: Head, body: &[u8], seen: &mut Seen) -> Verdict {
        let Some(stretch) = self.stretches.last_mut() else { return wrong("nothing was asked for") };
        let (mut load, mut lowest) = (Load::default(), stretch.from);
        for entry in entries(body) {
            let Ok(entry) = entry else { return wrong("a page ends within a record") };
            match number_behind(b"{\"offset\":", entry.meta) {
                Some(offset) if (lowest..stretch.until).contains(&offset) => lowest = offset + 1,
                _ => return wrong("a page holds records that were not asked for, or not in their order"),
            }
            let Load { records, payload_bytes } = look(entry.data, seen);
            load.records += records;
            load.payload_bytes += payload_bytes;
        }
        match head.next {
            Some(next) if next >= lowest && next > stretch.from => stretch.from = next,
            _ => return wrong("a page does not say where to go on"),
        }
        Verdict::Done(Purpose::Read, load)
    }

    /// Goes on behind what is not there.
    pub(super) fn skip(&mut self, goes_on_at: Option<u64>) {
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.from = goes_on_at.filter(|next| *next > stretch.from).unwrap_or(stretch.until);
        }
    }
}

fn wrong(what: &str) -> Verdict {
    Verdict::Refused(Refusal::Final { message: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_read_each_record_once() {
        let spans = [Span { start: 5, end: 105 }, Span { start: 0, end: 2 }, Span { start: 3, end: 3 }];
        for connections in [1, 3, 7, 200] {
            let all: Vec<_> = (0..connections).flat_map(|number| Stretch::of(number, connections, &spans)).collect();
            for (namespace, span) in spans.iter().enumerate() {
                let mut at = span.start;
                for stretch in all.iter().filter(|stretch| stretch.namespace == namespace) {
                    assert_eq!(stretch.from, at);
                    at = stretch.until;
                }
                assert_eq!(at, span.end, "{connections} connections, namespace {namespace}");
            }
        }
    }
}
