//! Clients that append over kept connections, many requests under way on each, and remember what they were told.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::common::{Answer, Connection};
use super::random::Random;

/// Namespaces, and how large their segments get: small ones, so that kills meet new segments and seals.
pub(crate) const NAMESPACES: [(&str, u64); 3] =
    [("small", 64 * 1024), ("middle", 512 * 1024), ("large", 16 * 1024 * 1024)];
/// Connections.
pub(crate) const CLIENTS: usize = 10;
/// Requests under way on a connection; fewer than the frames that a store remembers of a producer.
const UNDER_WAY: usize = 64;
/// Records in a batch, at most.
const BATCH_MAX: u64 = 20;
/// Bytes that a payload is made longer, at most.
const PADDING_MAX: u64 = 120;

/// What one connection does, for a whole generation.
pub(crate) struct Client {
    number: usize,
    pub(crate) namespace: usize,
    level: &'static str,
    shape: Shape,
    /// Appends have an identity: what was not answered is sent again in the next life.
    pub(crate) identified: bool,
    random: Random,
    next_seq: u64,
    under_way: VecDeque<Append>,
    /// What was acknowledged in this life.
    pub(crate) acknowledged: Vec<(u64, Append)>,
}

#[derive(Clone, Copy)]
enum Shape {
    Lone,
    Lines,
    Envelopes,
}

/// A request: records of one client with numbers from `seq` on.
#[derive(Clone)]
pub(crate) struct Append {
    pub(crate) seq: u64,
    pub(crate) records: Vec<String>,
}

impl Client {
    pub(crate) fn new(number: usize, random: &mut Random) -> Self {
        Self {
            number,
            namespace: number % NAMESPACES.len(),
            // A synced append waits for the disk, and what comes behind it in the line waits with it.
            level: if number % 5 == 4 { "synced" } else { "written" },
            shape: [Shape::Lone, Shape::Lone, Shape::Lines, Shape::Envelopes][number % 4],
            identified: number >= CLIENTS / 2,
            random: Random::new(random.next()),
            next_seq: 0,
            under_way: VecDeque::new(),
            acknowledged: Vec::new(),
        }
    }

    /// Appends until the store is gone; how many appends were acknowledged.
    pub(crate) fn load(&mut self, address: SocketAddr) -> u64 {
        self.acknowledged.clear();
        if !self.identified {
            // Nobody knows whether they are stored, and sending them again could store them twice.
            self.under_way.clear();
        }
        let Ok(mut connection) = Connection::try_open(address) else { return 0 };
        let again: Vec<u8> = self.under_way.iter().flat_map(|append| self.request(append)).collect();
        let mut answers = 0;
        if connection.write(&again).is_err() {
            return 0;
        }
        loop {
            let mut requests = Vec::new();
            while self.under_way.len() < UNDER_WAY {
                let append = self.next_append();
                requests.extend(self.request(&append));
                self.under_way.push_back(append);
            }
            if connection.write(&requests).is_err() {
                return answers;
            }
            for _ in 0..UNDER_WAY / 2 {
                match connection.answer() {
                    Ok(answer) if self.take(&answer) => answers += 1,
                    _ => return answers,
                }
            }
        }
    }

    /// Takes the answer to the oldest request; false where the store stops.
    fn take(&mut self, answer: &Answer) -> bool {
        if answer.status != 200 {
            assert_eq!(answer.problem().1, "draining", "{answer:?}");
            return false;
        }
        let body = answer.json();
        let append = self.under_way.pop_front().unwrap();
        assert_eq!(body["count"], append.records.len());
        let offset = body["offset"].as_u64().expect("few enough are under way that none is forgotten");
        assert!(self.identified || body["duplicate"] == false);
        self.acknowledged.push((offset, append));
        true
    }

    fn next_append(&mut self) -> Append {
        let seq = self.next_seq;
        let count = match self.shape {
            Shape::Lone => 1,
            Shape::Lines | Shape::Envelopes => 1 + self.random.below(BATCH_MAX),
        };
        self.next_seq += count;
        let records = (0..count).map(|index| self.payload(seq, index, count)).collect();
        Append { seq, records }
    }

    /// Says whose it is, and where in which batch.
    fn payload(&mut self, seq: u64, index: u64, count: u64) -> String {
        let padding = usize::try_from(self.random.below(PADDING_MAX)).unwrap();
        format!("{} {} {index} {count} {:x<padding$}", self.number, seq + index, "")
    }

    fn request(&self, append: &Append) -> Vec<u8> {
        let namespace = NAMESPACES[self.namespace].0;
        let (split, body, envelopes) = match self.shape {
            Shape::Lone => ("", append.records[0].clone(), false),
            Shape::Lines => ("&split=lines", append.records.join("\n"), false),
            Shape::Envelopes => {
                let lines = append.records.iter().map(|data| format!("{{\"data\":\"{data}\",\"tags\":[\"t\"]}}\n"));
                ("", lines.collect(), true)
            }
        };
        let mut text = format!(
            "POST /v1/namespaces/{namespace}/records?durability={}{split} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n",
            self.level,
            body.len()
        );
        if envelopes {
            text += "Content-Type: application/vnd.logstore.records+ndjson\r\n";
        }
        if self.identified {
            let id = self.number + 1;
            write!(text, "Producer-Id: {id:032x}\r\nProducer-Epoch: 1\r\nProducer-Seq: {}\r\n", append.seq).unwrap();
        }
        text += "\r\n";
        text += &body;
        text.into_bytes()
    }
}
