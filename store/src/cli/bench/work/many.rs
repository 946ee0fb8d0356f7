//! Reads of many records at once, at offsets chosen by chance.

use std::sync::Arc;

use logstore_api::record::MissingRecord;
use logstore_api::record::binary::entries;

use super::super::payload::Random;
use super::super::refusal::Refusal;
use super::super::request::{Heads, put_number};
use super::super::tally::{Load, Purpose, Tally};
use super::{Expected, Span, Verdict, look};

/// The reads of one connection.
#[derive(Debug)]
pub(in super::super) struct Many {
    pub(in super::super) heads: Arc<Heads>,
    pub(in super::super) spans: Arc<[Span]>,
    /// Records of each request.
    pub(in super::super) count: u64,
    pub(in super::super) random: Random,
    pub(in super::super) turn: usize,
    pub(in super::super) body: Vec<u8>,
}

impl Many {
    pub(super) fn render(&mut self, out: &mut Vec<u8>) -> Expected {
        let namespace = self.turn;
        self.turn = (namespace + 1) % self.heads.len();
        let Span { start, end } = self.spans[namespace];
        self.body.clear();
        for number in 0..self.count {
            self.body.extend_from_slice(if number == 0 { b"{\"offsets\":[" } else { b"," });
            put_number(start + self.random.below(end.saturating_sub(start).max(1)), &mut self.body);
        }
        self.body.extend_from_slice(b"]}");
        out.extend_from_slice(&self.heads[namespace]);
        put_number(self.body.len() as u64, out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
        Expected::Many { count: self.count }
    }

    pub(super) fn judge(&mut self, count: u64, body: &[u8], tally: &mut Tally) -> Verdict {
        let (mut load, mut found) = (Load::default(), 0);
        for entry in entries(body) {
            let Ok(entry) = entry else { return wrong("an answer ends within a record") };
            found += 1;
            if entry.data.is_empty()
                && let Ok(missing) = serde_json::from_slice::<MissingRecord>(entry.meta)
            {
                Tally::count(&mut tally.errors, &missing.error.code);
                continue;
            }
            let Load { records, payload_bytes } = look(entry.data, &mut tally.seen);
            load.records += records;
            load.payload_bytes += payload_bytes;
        }
        if found != count {
            return wrong(&format!("{count} records were asked for, and {found} are in the answer"));
        }
        Verdict::Done(Purpose::Read, load)
    }
}

fn wrong(what: &str) -> Verdict {
    Verdict::Refused(Refusal::Final { message: what.to_owned() })
}
