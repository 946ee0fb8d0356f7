//! The stub that an erased record leaves: its lengths and its old checksum, with zeroes in place of its bytes.
//!
//! A frame's checksum covers its records' checksums and not their bytes, so a frame verifies as before when one of its
//! records has become a stub, and has the same checksum on all copies. The stub itself verifies by 15 bits beside its
//! flag. Its checksum under another salt needs no bytes either: a CRC is linear, so that a change of what stands in front
//! changes it by something that depends on the length alone.

use super::build::record_crc;
use super::{RECORD_COVERED_LEN, RECORD_HEADER_LEN, Salt, u16_at, u32_at};

/// Flag of a record: it was erased. The other 15 bits are its check.
const FLAG_ERASED: u16 = 0x8000;
/// Where a record's flags stand in its header.
const FLAGS_AT: usize = 10;

/// Turns a record that verified into a stub. `record` begins with its header and ends with its data.
pub fn erase_record(record: &mut [u8], salt: Salt) {
    record[RECORD_HEADER_LEN..].fill(0);
    let flags = stub_flags(record, salt);
    record[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&flags.to_le_bytes());
}

/// Whether a record's header says that it is a stub.
pub(super) fn is_stub(header: &[u8]) -> bool {
    u16_at(header, FLAGS_AT) & FLAG_ERASED != 0
}

/// Whether a record's bytes are sound: those of a whole one, or those of a stub. `record` begins with its header and ends
/// with its data.
pub(super) fn is_sound(record: &[u8], salt: Salt) -> bool {
    match u16_at(record, FLAGS_AT) {
        0 => record_crc(salt, record) == u32_at(record, RECORD_COVERED_LEN),
        flags => flags == stub_flags(record, salt) && record[RECORD_HEADER_LEN..].iter().all(|byte| *byte == 0),
    }
}

/// The checksum of a record under another salt than the one it has now.
pub(super) fn crc_under(record: &[u8], from: Salt, to: Salt) -> u32 {
    if !is_stub(record) {
        return record_crc(to, record);
    }
    let covered_len = record.len() - (RECORD_HEADER_LEN - RECORD_COVERED_LEN);
    u32_at(record, RECORD_COVERED_LEN) ^ crc32c::crc32c_combine(from.crc() ^ to.crc(), 0, covered_len)
}

/// Gives a record the checksums of another salt.
pub(super) fn reseal_record(record: &mut [u8], from: Salt, to: Salt) {
    let crc = crc_under(record, from, to);
    record[RECORD_COVERED_LEN..RECORD_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    if is_stub(record) {
        let flags = stub_flags(record, to);
        record[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&flags.to_le_bytes());
    }
}

fn stub_flags(record: &[u8], salt: Salt) -> u16 {
    let lengths = crc32c::crc32c_append(salt.crc(), &record[..FLAGS_AT]);
    let check = crc32c::crc32c_append(lengths, &record[RECORD_COVERED_LEN..RECORD_HEADER_LEN]);
    #[allow(clippy::cast_possible_truncation, reason = "the upper 15 bits of 32")]
    let check = (check >> 17) as u16;
    FLAG_ERASED | check
}
