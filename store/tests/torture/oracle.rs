//! What must be in the store, kept outside it, and the comparison.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use super::common::{Connection, Store};
use super::load::{Client, NAMESPACES};
use super::reader::{Seen, read_page};

/// What is known of all namespaces.
#[derive(Default)]
pub(crate) struct Oracle {
    logs: [Log; NAMESPACES.len()],
    /// What a reader saw in the life that has ended.
    seen: Option<Seen>,
}

/// What is known of one.
#[derive(Default)]
struct Log {
    /// The records by offset, as hashes; all that were found after the lives so far.
    records: Vec<u64>,
    /// By client, the number that its next record has at least.
    next_seq: HashMap<usize, u64>,
}

/// Namespace whose records are trimmed now and then, and that a reader follows.
pub(crate) const TRIMMED: usize = 0;
pub(crate) const FOLLOWED: usize = 1;

impl Oracle {
    /// Where the followed namespace goes on.
    pub(crate) fn followed_from(&self) -> u64 {
        self.logs[FOLLOWED].records.len() as u64
    }

    pub(crate) fn saw(&mut self, seen: Seen) {
        self.seen = Some(seen);
    }

    /// Trims what was there before this life, after a while.
    pub(crate) fn trim(&self, address: SocketAddr, after: Duration) {
        std::thread::sleep(after);
        let body = json!({"before": self.logs[TRIMMED].records.len()}).to_string();
        let path = format!("/v1/namespaces/{}/trim", NAMESPACES[TRIMMED].0);
        // The store may be gone by now.
        if let Ok(mut connection) = Connection::try_open(address) {
            let _ = connection.send("POST", &path, &[], body.as_bytes());
        }
    }

    /// Reads what has come in the life that has ended, or everything, and compares; how many records were read.
    pub(crate) fn check(&mut self, store: &Store, clients: &mut [Client], full: bool) -> u64 {
        let mut read = 0;
        for (number, log) in self.logs.iter_mut().enumerate() {
            read += log.read_new(store, number, clients);
            if full {
                read += log.read_again(store, number);
            }
        }
        for client in clients {
            self.logs[client.namespace].compare(client);
        }
        if let Some(seen) = self.seen.take() {
            let log = &self.logs[FOLLOWED];
            for (number, hash) in seen.records.iter().enumerate() {
                let offset = seen.from + number as u64;
                assert_eq!(log.at(offset), Some(*hash), "a reader saw another record at {offset} before the kill");
            }
        }
        read
    }
}

impl Log {
    fn at(&self, offset: u64) -> Option<u64> {
        self.records.get(usize::try_from(offset).unwrap()).copied()
    }

    fn read_new(&mut self, store: &Store, number: usize, clients: &[Client]) -> u64 {
        let before = self.records.len();
        let mut connection = Connection::open(store.address);
        // What is left of the batch that is being read: its client, and the record that must come.
        let mut batch: Option<Payload> = None;
        loop {
            let page = read_page(&mut connection, number, self.records.len() as u64).expect("a page");
            if page.is_empty() {
                break;
            }
            for (offset, data) in page {
                assert_eq!(offset, self.records.len() as u64, "offsets have no gaps and come once");
                self.records.push(xxh3_64(data.as_bytes()));
                batch = self.follow(offset, Payload::parse(&data), batch, clients);
            }
        }
        assert!(batch.is_none(), "{}: the last batch is torn: {batch:?}", NAMESPACES[number].0);
        (self.records.len() - before) as u64
    }

    /// Looks at a record in its order; what must come next where its batch goes on.
    fn follow(&mut self, offset: u64, payload: Payload, batch: Option<Payload>, clients: &[Client]) -> Option<Payload> {
        let Payload { client, seq, index, count } = payload;
        match batch {
            Some(wanted) => assert_eq!(payload, wanted, "a batch is torn at offset {offset}"),
            None => assert_eq!(index, 0, "a batch begins in its middle at offset {offset}: {payload:?}"),
        }
        let next = self.next_seq.entry(client).or_default();
        if clients[client].identified {
            assert_eq!(seq, *next, "offset {offset}: client {client}'s records come once each, in order");
        } else {
            assert!(seq >= *next, "offset {offset}: client {client}'s record {seq} comes late or twice");
        }
        *next = seq + 1;
        (index + 1 < count).then_some(Payload { client, seq: seq + 1, index: index + 1, count })
    }

    /// Reads everything that was not trimmed, from the beginning.
    fn read_again(&self, store: &Store, number: usize) -> u64 {
        let info = store.get(&format!("/v1/namespaces/{}", NAMESPACES[number].0)).json();
        assert!(info.get("holes").is_none(), "{info}");
        let start = info["partitions"][0]["start"].as_u64().unwrap();
        assert!(start == 0 || number == TRIMMED);
        let mut connection = Connection::open(store.address);
        let mut next = start;
        loop {
            let page = read_page(&mut connection, number, next).expect("a page");
            if page.is_empty() {
                break;
            }
            for (offset, data) in page {
                assert_eq!(offset, next);
                assert_eq!(self.at(offset), Some(xxh3_64(data.as_bytes())), "offset {offset} has another record now");
                next += 1;
            }
        }
        assert_eq!(next, self.records.len() as u64, "records of earlier lives are gone");
        next - start
    }

    /// Everything that a client was told is where it was told to be.
    fn compare(&self, client: &mut Client) {
        for (offset, append) in client.acknowledged.drain(..) {
            for (index, record) in append.records.iter().enumerate() {
                let offset = offset + index as u64;
                assert_eq!(self.at(offset), Some(xxh3_64(record.as_bytes())), "lost: {record:?} at offset {offset}");
            }
        }
    }
}

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Payload {
    client: usize,
    seq: u64,
    index: u64,
    count: u64,
}

impl Payload {
    fn parse(data: &str) -> Self {
        let mut words = data.split(' ').map(|word| word.parse().unwrap());
        let mut next = || -> u64 { words.next().unwrap() };
        Self { client: usize::try_from(next()).unwrap(), seq: next(), index: next(), count: next() }
    }
}
