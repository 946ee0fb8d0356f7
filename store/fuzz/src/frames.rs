//! Frames as a writer sends them. Their checksums are no secret on the wire, so they are put right before each try: what
//! is behind them has to stand any number.

use logstore_api::frame::control::{self, EpochStart, Erase, Patch, Trim};
use logstore_api::frame::{
    FLAG_PRODUCER, FrameView, HEADER_LEN, MAGIC, PRODUCER_LEN, RECORD_HEADER_LEN, Salt, TRAILER_LEN,
};
use logstore_store::log::changes::FramePlace;
use logstore_store::log::place::parse_frames;
use logstore_store::log::state::LogState;

/// One frame or several, one after the other.
pub(crate) fn run(bytes: &[u8]) {
    // As they came, too: most of what reads frames has to find out that they are none.
    let _ = parse_frames(bytes, Salt(5));
    let mut body = bytes.to_vec();
    let mut at = 0;
    while let Some(len) = put_right(&mut body[at..]) {
        at += len;
    }
    let Ok(frames) = parse_frames(&body[..at], Salt(5)) else { return };
    let mut state = LogState::default();
    for frame in frames {
        let view = frame.draft.view();
        assert_eq!(frame.wire_checksum, view.wire_checksum(Salt(5)));
        look(&view);
        // A store takes only what goes on where its log ends.
        let numbers = view.header().numbers;
        if (numbers.number, numbers.base_offset) == (state.tail.next_frame, state.tail.next_offset) {
            state.apply(&view, FramePlace { segment: 0, position: 64 }, view.sums(), frame.wire_checksum);
        }
    }
    assert_eq!(LogState::decode(&state.encode()), Some(state));
}

fn look(view: &FrameView<'_>) {
    for record in view.records() {
        let _ = (record.meta(), record.data(), record.address_bytes());
    }
    let _ = Patch::of(view);
    if let Some(body) = control::body(view) {
        let _ = (Trim::decode(body), EpochStart::decode(body), Erase::decode(body));
        let _ = LogState::decode(body);
    }
}

/// Puts the lengths and checksums of the frame at the beginning right, for the wire; its length.
fn put_right(frame: &mut [u8]) -> Option<usize> {
    if frame.len() < HEADER_LEN + PRODUCER_LEN + TRAILER_LEN {
        return None;
    }
    frame[..4].copy_from_slice(&MAGIC.to_le_bytes());
    // The number of flags and records that can be had with the bytes there are.
    let flags = u16::from(frame[4]) & FLAG_PRODUCER;
    frame[4..6].copy_from_slice(&flags.to_le_bytes());
    let header_len = HEADER_LEN + if flags & FLAG_PRODUCER == 0 { 0 } else { PRODUCER_LEN };
    let wanted = u32::from_le_bytes([frame[12], frame[13] & 3, 0, 0]);
    let salt = crc32c::crc32c(&Salt::WIRE.0.to_le_bytes());
    let (mut at, mut count, mut crcs) = (header_len, 0_u32, Vec::new());
    while count < wanted && at + RECORD_HEADER_LEN + TRAILER_LEN <= frame.len() {
        let room = frame.len() - TRAILER_LEN - at;
        let Some(len) = put_record_right(&mut frame[at..at + room], salt, &mut crcs) else { break };
        at += len;
        count += 1;
    }
    let frame_len = at + TRAILER_LEN;
    frame[8..12].copy_from_slice(&u32::try_from(frame_len).ok()?.to_le_bytes());
    frame[12..16].copy_from_slice(&count.to_le_bytes());
    let producer = frame[HEADER_LEN..header_len].to_vec();
    let header_crc = crc32c::crc32c_append(crc32c::crc32c_append(salt, &frame[..HEADER_LEN - 4]), &producer);
    frame[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&header_crc.to_le_bytes());
    let checksum = crcs.iter().fold(header_crc, |crc, record: &[u8; 4]| crc32c::crc32c_append(crc, record));
    frame[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    frame[at + 4..frame_len].copy_from_slice(&u32::try_from(frame_len).ok()?.to_le_bytes());
    Some(frame_len)
}

fn put_record_right(record: &mut [u8], salt: u32, crcs: &mut Vec<[u8; 4]>) -> Option<usize> {
    let data_len = usize::from(u16::from_le_bytes([record[0], record[1]]));
    let meta_len = usize::from(record[8]);
    let unpadded = RECORD_HEADER_LEN + meta_len + data_len;
    let len = unpadded.next_multiple_of(8);
    if len > record.len() {
        return None;
    }
    record[2..4].fill(0);
    record[9..12].fill(0);
    let alloc = u32::from_le_bytes([record[4], record[5], record[6], record[7]]).max(u32::try_from(data_len).ok()?);
    record[4..8].copy_from_slice(&alloc.to_le_bytes());
    record[unpadded..len].fill(0);
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(salt, &record[..12]), &record[RECORD_HEADER_LEN..unpadded]);
    record[12..16].copy_from_slice(&crc.to_le_bytes());
    crcs.push(crc.to_le_bytes());
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_right_verifies() {
        let mut bytes = vec![7; 400];
        bytes[6..8].copy_from_slice(&1_u16.to_le_bytes());
        bytes[12..14].copy_from_slice(&[2, 0]);
        bytes[80] = 3;
        bytes[81] = 0;
        bytes[88] = 0;
        let len = put_right(&mut bytes).unwrap();
        let view = FrameView::verify(&bytes[..len], Salt::WIRE, 0).unwrap();
        assert!(view.header().record_count > 0 && view.header().producer.is_some());
    }
}
