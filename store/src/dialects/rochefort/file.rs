//! The file that rochefort would have written, computed from the log.
//!
//! Per record: length `u32`, reserved `u64` = 0, allocation `u32`, checksum `u32`, then the data, then room up to the
//! allocation, which is not written: the file ends with the data of its last record.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use logstore_api::NamespaceName;

use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::read::{Flow, Range};

const HEADER_LEN: usize = 20;
/// Bytes that the checksum covers.
const COVERED_LEN: usize = 16;

/// A namespace as rochefort's file.
#[derive(Debug)]
pub struct File {
    name: NamespaceName,
    partition: Arc<Partition>,
}

/// Why an address gives no blob, in the original's words.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It lies behind the end, or is no longer there.
    #[error("EOF")]
    Eof,
    /// No record begins there.
    #[error("wrong checksum got: {got}, expected: {expected}")]
    NotARecord {
        /// The checksum of what stands there.
        got: u32,
        /// The checksum that stands there.
        expected: u32,
    },
    /// Not a place in a file. The original names the server's path here.
    #[error("readat {0}/append.raw: negative offset")]
    Negative(NamespaceName),
    /// The record is damaged on disk; the original would have answered with other bytes.
    #[error("the record is damaged on disk")]
    Damaged,
    /// The log could not be read.
    #[error("input/output error")]
    Io,
}

impl File {
    /// The file of a namespace.
    #[must_use]
    pub fn new(name: NamespaceName, partition: Arc<Partition>) -> Self {
        Self { name, partition }
    }

    /// The blob at an address.
    pub fn read(&self, address: u64) -> Result<Bytes, Unreadable> {
        if i64::try_from(address).is_err() {
            return Err(Unreadable::Negative(self.name.clone()));
        }
        let published = *self.partition.published().borrow();
        let mut look = Look { address, start: published.start, end: published.end, header: Vec::new(), found: None };
        let walked = self.partition.read_from_address(address, |record| look.at(record));
        if let Err(error) = walked {
            tracing::error!(namespace = self.name.as_str(), %error, "failed to read the log");
            return Err(Unreadable::Io);
        }
        look.found.unwrap_or(Err(Unreadable::Eof))
    }
}

/// A look at what stands at an address.
struct Look {
    address: u64,
    /// Offsets that readers see.
    start: u64,
    end: u64,
    /// Bytes that stand there, up to the length of a header.
    header: Vec<u8>,
    found: Option<Result<Bytes, Unreadable>>,
}

impl Look {
    fn at(&mut self, record: Option<&LogRecord<'_>>) -> Flow {
        let Some(record) = record else {
            // Damage before the address tells nothing; addresses behind it are still in the index.
            self.found = Some(Err(Unreadable::Damaged));
            return Flow::Continue;
        };
        if record.offset >= self.end {
            return Flow::StopBefore;
        }
        if record.address + record.address_bytes() <= self.address {
            return Flow::Continue;
        }
        if record.offset < self.start {
            self.found = Some(Err(Unreadable::Eof));
            return Flow::Stop;
        }
        if record.address > self.address + self.header.len() as u64 {
            // What stood there is gone.
            self.found = Some(Err(Unreadable::Eof));
            return Flow::Stop;
        }
        if record.address == self.address {
            self.found = Some(Ok(Bytes::copy_from_slice(record.data())));
            return Flow::Stop;
        }
        self.found = None;
        self.take_bytes(record)
    }

    /// Collects the 20 bytes that the original takes for a header; they may reach over several records.
    fn take_bytes(&mut self, record: &LogRecord<'_>) -> Flow {
        let last = record.offset + 1 == self.end;
        let (data, header) = (record.data(), header(record));
        let written = HEADER_LEN + data.len();
        let space = usize::try_from(record.address_bytes()).unwrap_or(usize::MAX);
        let from = self.address + self.header.len() as u64 - record.address;
        let mut at = usize::try_from(from).unwrap_or(usize::MAX);
        while self.header.len() < HEADER_LEN && at < if last { written } else { space } {
            let byte = match at {
                at if at < HEADER_LEN => header[at],
                at if at < written => data[at - HEADER_LEN],
                _ => 0,
            };
            self.header.push(byte);
            at += 1;
        }
        match self.header.split_first_chunk::<COVERED_LEN>() {
            Some((covered, rest)) if rest.len() == HEADER_LEN - COVERED_LEN => {
                let expected = u32::from_le_bytes(std::array::from_fn(|byte| rest[byte]));
                self.found = Some(Err(Unreadable::NotARecord { got: checksum(covered), expected }));
                Flow::Stop
            }
            _ => Flow::Continue,
        }
    }
}

/// The header that the original would have written for a record.
fn header(record: &LogRecord<'_>) -> [u8; HEADER_LEN] {
    encode_header(u32::try_from(record.data().len()).unwrap_or(u32::MAX), record.alloc_len())
}

fn encode_header(data_len: u32, alloc_len: u32) -> [u8; HEADER_LEN] {
    let mut covered = [0; COVERED_LEN];
    covered[..4].copy_from_slice(&data_len.to_le_bytes());
    covered[12..].copy_from_slice(&alloc_len.to_le_bytes());
    let mut header = [0; HEADER_LEN];
    header[..COVERED_LEN].copy_from_slice(&covered);
    header[COVERED_LEN..].copy_from_slice(&checksum(&covered).to_le_bytes());
    header
}

/// The upper half of MetroHash64 (variant 1, seed 0) of 16 bytes, which is what the original stores as its checksum
/// ([MetroHash](https://github.com/jandrewrogers/MetroHash)).
fn checksum(covered: &[u8; COVERED_LEN]) -> u32 {
    const K0: u64 = 0xD6D0_18F5;
    const K1: u64 = 0xA2AA_033B;
    const K2: u64 = 0x6299_2FC1;
    const K3: u64 = 0x30BC_5B29;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| covered[at + byte]));
    let mut hash = K2.wrapping_mul(K0);
    let mut v0 = hash.wrapping_add(word(0).wrapping_mul(K2)).rotate_right(29).wrapping_mul(K3);
    let mut v1 = hash.wrapping_add(word(8).wrapping_mul(K2)).rotate_right(29).wrapping_mul(K3);
    v0 ^= v0.wrapping_mul(K0).rotate_right(21).wrapping_add(v1);
    v1 ^= v1.wrapping_mul(K3).rotate_right(21).wrapping_add(v0);
    let _ = K1; // Used by the variant for other lengths alone.
    hash = hash.wrapping_add(v1);
    hash ^= hash.rotate_right(28);
    hash = hash.wrapping_mul(K0);
    hash ^= hash.rotate_right(29);
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// The address of a record.
pub fn address_of(partition: &Partition, offset: u64) -> io::Result<Option<u64>> {
    let mut address = None;
    partition.read(Range { from: offset, until: offset + 1 }, |record| {
        address = Some(record.address);
        Flow::Stop
    })?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_original() {
        for (len, alloc, expected) in [
            (9, 1024, "09000000000000000000000000040000811ffff7"),
            (34, 34, "22000000000000000000000022000000dc92efec"),
            (9, 9, "09000000000000000000000009000000ff57a77c"),
            (0, 0, "00000000000000000000000000000000010c3d38"),
            (3, 3, "030000000000000000000000030000009798ed15"),
            (4, 4, "0400000000000000000000000400000066382012"),
            (5, 5, "05000000000000000000000005000000a32aa466"),
            (11, 1024, "0b0000000000000000000000000400001d1953f8"),
            (0, 1024, "0000000000000000000000000004000021dd5474"),
            (1_048_576, 1_048_576, "0000100000000000000000000000100085b01ab5"),
        ] {
            let hex: String = encode_header(len, alloc).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected, "{len}/{alloc}");
        }
    }
}
