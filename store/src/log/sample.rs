//! Logs made frame by frame, for tests of reading: times, sizes and damage are as the test wants them.

use std::io::IoSlice;
use std::sync::Arc;

use logstore_api::Timestamp;
use logstore_api::frame::{FrameBuilder, Kind, NewRecord, Numbers, Producer, Salt};
use proptest::prelude::*;

use super::find::side::SideSite;
use super::find::{FindLimits, Finding};
use super::segment::{Segment, SegmentHeader, file_name, read_header};
use crate::disk::{Disk, Open, RealDisk};

const SALT: Salt = Salt(77);

/// One frame of a sample.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Lengths of its records; none for a frame that is not data.
    pub(super) records: Vec<usize>,
    /// Microseconds since the frame before.
    pub(super) later: i64,
    pub(super) with_producer: bool,
    /// A new segment begins with it.
    pub(super) new_segment: bool,
}

/// Any log: lone records and batches, small and large, frames without records, segments that hold none.
pub(super) fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let len = prop_oneof![8 => 0_usize..40, 3 => 40_usize..3_000, 1 => 3_000_usize..20_000];
    let records = prop_oneof![6 => Just(1_usize), 2 => 0_usize..4, 1 => 4_usize..80]
        .prop_flat_map(move |count| proptest::collection::vec(len.clone(), count));
    let later = prop_oneof![3 => Just(0_i64), 2 => 1_i64..50];
    let frame = (records, later, any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(records, later, with_producer, new_segment)| Frame { records, later, with_producer, new_segment });
    proptest::collection::vec(frame, 1..60)
}

/// A log in a directory of its own.
pub(super) struct Sample {
    dir: tempfile::TempDir,
    disk: RealDisk,
    finding: Arc<Finding>,
    pub(super) segments: Vec<Arc<Segment>>,
    /// Offset and time of each record.
    pub(super) times: Vec<(u64, Timestamp)>,
    /// Where each record's first byte of payload stands: segment, position.
    places: Vec<(usize, u64)>,
}

impl Sample {
    pub(super) fn new(frames: &[Frame]) -> Self {
        let mut sample = Self {
            dir: tempfile::tempdir().unwrap(),
            disk: RealDisk,
            finding: Finding::new(FindLimits::default()),
            segments: Vec::new(),
            times: Vec::new(),
            places: Vec::new(),
        };
        let (mut time, mut number, mut sums) = (1_000_000, 0, (0, 0));
        for frame in frames {
            if frame.new_segment || sample.segments.is_empty() {
                sample.begin_segment(number, time, sums);
            }
            time += frame.later;
            sums = sample.append(frame, number, time, sums);
            number += 1;
        }
        sample
    }

    pub(super) fn end(&self) -> u64 {
        self.times.len() as u64
    }

    fn side(&self, base_frame: u64) -> SideSite {
        SideSite {
            disk: Arc::new(self.disk),
            finding: Arc::clone(&self.finding),
            log_path: self.dir.path().join(file_name(base_frame)),
            seed: base_frame,
        }
    }

    fn begin_segment(&mut self, base_frame: u64, time: i64, sums: (u64, u64)) {
        let header = SegmentHeader {
            salt: SALT,
            base_frame,
            base_offset: self.end(),
            created: Timestamp(time),
            base_payload_sum: sums.0,
            base_address: sums.1,
        };
        let mut snapshot = FrameBuilder::new(Kind::Snapshot, None, SALT);
        snapshot.push(&NewRecord { data: b"state", ..NewRecord::default() });
        let mut snapshot = snapshot.finish();
        let numbers = Numbers { number: base_frame, base_offset: self.end(), time_us: time, epoch: 0 };
        snapshot.seal(numbers, SALT, 64);
        let segment = Segment::create(self.side(base_frame), header, snapshot.bytes()).unwrap();
        self.segments.retain(|segment| segment.header.base_frame != base_frame);
        self.segments.push(Arc::new(segment));
    }

    fn append(&mut self, frame: &Frame, number: u64, time: i64, sums: (u64, u64)) -> (u64, u64) {
        let producer = frame.with_producer.then_some(Producer { id: 9, seq: self.end(), epoch: 1 });
        let kind = if frame.records.is_empty() { Kind::Trim } else { Kind::Data };
        let mut builder = FrameBuilder::new(kind, producer, SALT);
        for len in &frame.records {
            let data: Vec<u8> = (0..*len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            builder.push(&NewRecord { data: &data, ..NewRecord::default() });
        }
        let mut draft = builder.finish();
        let segment = Arc::clone(self.segments.last().unwrap());
        let position = segment.log_bytes();
        let numbers = Numbers { number, base_offset: self.end(), time_us: time, epoch: 0 };
        draft.seal(numbers, SALT, position);
        let len = draft.frame_len() as u64;
        segment.append(&mut [IoSlice::new(draft.bytes())], len, Timestamp(time)).unwrap();
        if kind == Kind::Data {
            segment.note(&draft.view(), position, sums);
            for record in draft.view().records() {
                self.times.push((self.end(), Timestamp(time)));
                self.places.push((self.segments.len() - 1, position + record.position as u64));
            }
        }
        (sums.0 + draft.payload_bytes, sums.1 + draft.address_bytes)
    }

    /// Flips a bit of a record's checksum on the disk.
    pub(super) fn damage_record(&self, offset: u64) {
        let (segment, position) = self.places[usize::try_from(offset).unwrap()];
        self.flip(segment, position + 12);
    }

    /// Flips a bit of the header of the frame that holds a record, as far as the header is the record's neighbour.
    pub(super) fn damage_before(&self, offset: u64) {
        let (segment, position) = self.places[usize::try_from(offset).unwrap()];
        self.flip(segment, position - 20);
    }

    fn flip(&self, segment: usize, position: u64) {
        let file = self.segments[segment].file();
        let mut byte = [0];
        file.read_at(&mut byte, position).unwrap();
        byte[0] ^= 1;
        assert_eq!(file.write_at(&[IoSlice::new(&byte)], position).unwrap(), 1);
    }

    /// The same log after a restart: no index is in memory.
    pub(super) fn reopened(mut self) -> Self {
        self.segments = self
            .segments
            .iter()
            .map(|segment| {
                let file = (&self.disk as &dyn Disk).open(segment.path(), Open::Write).unwrap();
                let header = read_header(&*file).unwrap().unwrap();
                Arc::new(Segment::open(
                    header,
                    self.side(header.base_frame),
                    file,
                    segment.log_bytes(),
                    segment.last_time(),
                    None,
                ))
            })
            .collect();
        self
    }
}
