use proptest::collection::vec;
use proptest::prelude::*;

use super::control::{EpochStart, Erase, Patch, PatchHead, Trim};
use super::*;

const SALT: Salt = Salt(0x1234_5678_9abc_def0);
const NUMBERS: Numbers = Numbers { number: 7, base_offset: 40, time_us: 1_700_000_000_000_000, epoch: 3 };

fn frame(records: &[(Vec<u8>, u32, Meta)], producer: Option<Producer>, salt: Salt, position: u64) -> Draft {
    let mut builder = FrameBuilder::new(Kind::Data, producer, salt);
    for (data, alloc, meta) in records {
        builder.push(&NewRecord { data, alloc: *alloc, meta: meta.clone() });
    }
    let mut draft = builder.finish();
    draft.seal(NUMBERS, salt, position);
    draft
}

fn lone(data: &[u8]) -> Vec<(Vec<u8>, u32, Meta)> {
    vec![(data.to_vec(), 0, Meta::default())]
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let indices = vec((any::<u8>(), any::<i64>()), 0..=8);
    let key = proptest::option::of(vec(any::<u8>(), 0..1024));
    (indices, key, vec(vec(any::<u8>(), 0..=255), 0..8)).prop_map(|(indices, key, tags)| Meta { indices, key, tags })
}

fn any_records() -> impl Strategy<Value = Vec<(Vec<u8>, u32, Meta)>> {
    vec((vec(any::<u8>(), 0..200), 0_u32..300, any_meta()), 0..5)
}

fn any_producer() -> impl Strategy<Value = Option<Producer>> {
    proptest::option::of((any::<u128>(), any::<u64>(), any::<u32>()))
        .prop_map(|producer| producer.map(|(id, seq, epoch)| Producer { id, seq, epoch }))
}

#[test]
fn a_lone_record_costs_72_bytes_and_104_with_a_producer() {
    assert_eq!(frame(&lone(&[1; 64]), None, SALT, 64).frame_len(), 64 + 72);
    let producer = Producer { id: 1, seq: 0, epoch: 0 };
    assert_eq!(frame(&lone(&[1; 64]), Some(producer), SALT, 64).frame_len(), 64 + 104);
}

/// The bytes of format 1. A change here is a new format.
#[test]
fn the_bytes_on_disk_are_these() {
    let meta = Meta { indices: vec![(2, -1)], key: Some(b"k".to_vec()), tags: vec![b"a".to_vec(), vec![]] };
    let producer = Producer { id: 0x1111, seq: 5, epoch: 9 };
    let draft = frame(&[(b"hello".to_vec(), 10, meta)], Some(producer), SALT, 4096);
    let hex: String = draft.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        ("magic, flags, kind", "4c534652 0100 0100"),
        ("frame_len, record_count", "80000000 01000000"),
        ("number, base_offset", "0700000000000000 2800000000000000"),
        ("time_us, epoch, crc", "00401e18240a0600 03000000 1fe5d4f3"),
        ("producer id", "11110000000000000000000000000000"),
        ("producer seq, epoch, reserved", "0500000000000000 09000000 00000000"),
        ("data_len, alloc_len, meta_len, flags, crc", "05000000 0a000000 1100 0000 0343dbfa"),
        ("meta: presence, one index", "07 01 02 ffffffffffffffff"),
        ("meta: key, two tags", "01 6b 02 01 61 00"),
        ("data, padding", "68656c6c6f 0000"),
        ("checksum, frame_len", "ee3ecdcc 80000000"),
    ];
    assert_eq!(hex, expected.map(|(_, hex)| hex.replace(' ', "")).concat());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let meta = Meta { tags: vec![b"tag".to_vec()], ..Meta::default() };
    let producer = Producer { id: 1, seq: 2, epoch: 3 };
    let draft = frame(&[(b"one".to_vec(), 0, meta), (b"four".to_vec(), 9, Meta::default())], Some(producer), SALT, 64);
    for bit in 0..draft.bytes().len() * 8 {
        let mut bytes = draft.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(FrameView::verify(&bytes, SALT, 64).is_err(), "bit {bit} of {} was not noticed", bytes.len() * 8);
    }
}

/// Turns a frame's record into a stub, as the rewriting of a segment does.
fn erase(frame: &mut [u8], number: usize, salt: Salt) {
    let record = FrameView::trusted(frame).records().nth(number).unwrap();
    let range = record.position..record.position + RECORD_HEADER_LEN + record.body_len();
    erase_record(&mut frame[range], salt);
}

#[test]
fn every_flipped_bit_of_a_frame_with_stubs_is_noticed() {
    let meta = Meta { tags: vec![b"secret".to_vec()], ..Meta::default() };
    let draft = frame(
        &[(b"one".to_vec(), 0, Meta::default()), (b"gone".to_vec(), 9, meta), (vec![], 0, Meta::default())],
        None,
        SALT,
        64,
    );
    let mut stubbed = draft.bytes().to_vec();
    erase(&mut stubbed, 1, SALT);
    erase(&mut stubbed, 2, SALT);
    let view = FrameView::verify(&stubbed, SALT, 64).unwrap();
    assert_eq!(view.checksum(), draft.view().checksum(), "copies agree");
    let records: Vec<_> = view.records().map(|record| (record.data(), record.header.erased)).collect();
    assert_eq!(records, [(&b"one"[..], false), (b"", true), (b"", true)]);
    assert_eq!(view.records().nth(1).unwrap().meta(), Ok(Meta::default()));
    assert_eq!(view.sums(), draft.view().sums(), "addresses stay");
    assert!(!stubbed.windows(4).any(|bytes| bytes == b"gone"));
    for bit in 0..stubbed.len() * 8 {
        let mut bytes = stubbed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(FrameView::verify(&bytes, SALT, 64).is_err(), "bit {bit} of {} was not noticed", bytes.len() * 8);
    }
    // Each stub verifies by itself too: a reader may come to it in the middle of a frame.
    for at in view.records().skip(1).map(|record| record.position) {
        let record_len = RecordHeader::peek(&stubbed[at..]).unwrap().record_len();
        for bit in 0..record_len * 8 {
            let mut bytes = stubbed[at..at + record_len].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordView::verify(&bytes, SALT).is_none(), "bit {bit} of the record at {at} was not noticed");
        }
    }
}

#[test]
fn a_frame_verifies_only_at_its_place_and_with_its_salt() {
    let draft = frame(&lone(b"x"), None, SALT, 64);
    assert!(FrameView::verify(draft.bytes(), SALT, 64).is_ok());
    assert_eq!(FrameView::verify(draft.bytes(), SALT, 72).unwrap_err(), Fault::NoHeader);
    assert_eq!(FrameView::verify(draft.bytes(), Salt::WIRE, 64).unwrap_err(), Fault::NoHeader);
    // A payload that holds a whole frame is not taken for one.
    let carrier = frame(&lone(draft.bytes()), None, SALT, 64);
    let inside = HEADER_LEN + RECORD_HEADER_LEN;
    assert_eq!(&carrier.bytes()[inside..inside + 4], &MAGIC.to_le_bytes());
    assert!(Header::verify(&carrier.bytes()[inside..], SALT, 64 + inside as u64).is_err());
}

#[test]
fn cut_and_damaged_frames_are_told_apart() {
    let draft = frame(&lone(&[7; 100]), None, SALT, 64);
    let bytes = draft.bytes();
    let frame_len = bytes.len();
    for len in 0..HEADER_LEN {
        assert_eq!(FrameView::verify(&bytes[..len], SALT, 64).unwrap_err(), Fault::NoHeader);
    }
    for len in HEADER_LEN..frame_len {
        assert_eq!(FrameView::verify(&bytes[..len], SALT, 64).unwrap_err(), Fault::Cut { frame_len });
    }
    let mut damaged = bytes.to_vec();
    damaged[HEADER_LEN + 40] ^= 1;
    assert_eq!(FrameView::verify(&damaged, SALT, 64).unwrap_err(), Fault::Damaged { frame_len });
}

#[test]
fn control_bodies_read_back() {
    let start = EpochStart { writer: uuid::Uuid::from_u128(9), label: "append on host".to_owned() };
    let mut draft = control::draft(Kind::EpochStart, &start.encode(), SALT);
    draft.seal(NUMBERS, SALT, 64);
    let view = FrameView::verify(draft.bytes(), SALT, 64).unwrap();
    assert_eq!(view.header().kind, Kind::EpochStart);
    assert_eq!(view.header().offset_count(), 0);
    assert_eq!(control::body(&view).and_then(EpochStart::decode), Some(start));
    assert_eq!(Trim::decode(&Trim { before: 9 }.encode()), Some(Trim { before: 9 }));
    assert_eq!(Trim::decode(b"short"), None);
    let head = PatchHead { offset: 3, position: 2, data_len: 9 };
    let patch = Patch { head, bytes: b"abc" };
    assert_eq!(Patch::of(&patch.draft(SALT).view()), Some(patch));
    let outside = Patch { head: PatchHead { data_len: 4, ..head }, ..patch };
    assert_eq!(Patch::of(&outside.draft(SALT).view()), None);
    assert_eq!(Patch::of(&control::draft(Kind::Patch, b"no patch", SALT).view()), None);
    assert_eq!(Erase::decode(&Erase { offset: 9 }.encode()), Some(Erase { offset: 9 }));
    assert_eq!(EpochStart::decode(&[0xff; 30]), None);
}

proptest! {
    #[test]
    fn frames_read_back(records in any_records(), producer in any_producer(), position in (8_u64..1 << 40)) {
        let position = position / 8 * 8;
        let draft = frame(&records, producer, SALT, position);
        let view = FrameView::verify(draft.bytes(), SALT, position).unwrap();
        let header = view.header();
        prop_assert_eq!(header.numbers, NUMBERS);
        prop_assert_eq!(header.producer, producer);
        prop_assert_eq!(header.frame_len % ALIGN, 0);
        let back: Vec<_> = view.records().map(|r| (r.data().to_vec(), r.header.alloc_len, r.meta().unwrap())).collect();
        let given: Vec<_> = records
            .into_iter()
            .map(|(data, alloc, meta)| { let alloc = alloc.max(super::len_u32(data.len())); (data, alloc, meta) })
            .collect();
        prop_assert_eq!(back, given);
        prop_assert_eq!(view.sums(), (draft.payload_bytes, draft.address_bytes));
    }

    #[test]
    fn a_frame_goes_over_the_wire_and_comes_back_the_same(records in any_records(), producer in any_producer()) {
        let disk = frame(&records, producer, SALT, 4096);
        let wire = frame(&records, producer, Salt::WIRE, 0);
        prop_assert_eq!(disk.view().wire_checksum(SALT), wire.view().checksum());
        let mut bytes = disk.bytes().to_vec();
        prop_assert_eq!(reseal(&mut bytes, (SALT, 4096), (Salt::WIRE, 0)), Ok(wire.view().checksum()));
        prop_assert_eq!(&bytes, wire.bytes());
        prop_assert_eq!(reseal(&mut bytes, (Salt::WIRE, 0), (SALT, 4096)), Ok(disk.view().checksum()));
        prop_assert_eq!(&bytes, disk.bytes());
    }

    #[test]
    fn a_frame_with_stubs_goes_over_the_wire_with_the_checksum_it_always_had(
        records in any_records(), erased in vec(any::<bool>(), 5),
    ) {
        let disk = frame(&records, None, SALT, 4096);
        let wire = frame(&records, None, Salt::WIRE, 0);
        let (mut stubbed, mut on_the_wire) = (disk.bytes().to_vec(), wire.bytes().to_vec());
        for number in (0..records.len()).filter(|number| erased[*number]) {
            erase(&mut stubbed, number, SALT);
            erase(&mut on_the_wire, number, Salt::WIRE);
        }
        prop_assert_eq!(FrameView::verify(&stubbed, SALT, 4096).unwrap().wire_checksum(SALT), wire.view().checksum());
        let mut bytes = stubbed.clone();
        prop_assert_eq!(reseal(&mut bytes, (SALT, 4096), (Salt::WIRE, 0)), Ok(wire.view().checksum()));
        prop_assert_eq!(&bytes, &on_the_wire);
        prop_assert_eq!(reseal(&mut bytes, (Salt::WIRE, 0), (SALT, 4096)), Ok(disk.view().checksum()));
        prop_assert_eq!(&bytes, &stubbed);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300), meta in vec(any::<u8>(), 0..40)) {
        let mut with_magic = MAGIC.to_le_bytes().to_vec();
        with_magic.extend_from_slice(&bytes);
        for candidate in [&bytes, &with_magic] {
            let _ = FrameView::verify(candidate, SALT, 64);
            let _ = RecordView::verify(candidate, SALT);
        }
        let _ = Meta::decode(&meta);
        let _ = EpochStart::decode(&bytes);
    }
}
