//! What stands in a segment's file, frame by frame, for people who look for a fault. Goes on behind damage.

use std::io;
use std::path::Path;
use std::sync::Arc;

use logstore_api::Timestamp;
use logstore_api::frame::control::{self, EpochStart, Erase, PatchHead, Trim};
use logstore_api::frame::view::RecordView;
use logstore_api::frame::{FrameView, HEADER_LEN, Header, Kind, PRODUCER_LEN, RecordHeader, Salt, TRAILER_LEN};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::disk::{Disk, DiskFile, Open};
use crate::log::cursor::{FRAMES_AT, Window};
use crate::log::scan::{Found, Scan};
use crate::log::segment::{self, FORMAT, SegmentHeader};
use crate::log::state::LogState;

/// Something that stands in a segment's file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Entry {
    /// Its header; the salt is left out, because it is a secret.
    Segment {
        /// The file.
        path: String,
        /// Length of the file.
        bytes: u64,
        /// Version of the bytes; nothing else is there where the header does not verify.
        format: Option<u32>,
        /// Number of the first frame.
        base_frame: Option<u64>,
        /// Offset of the first record.
        base_offset: Option<u64>,
        /// When it was begun.
        created: Option<Timestamp>,
        /// Bytes of payload before it.
        base_payload_sum: Option<u64>,
        /// Address of its first record in rochefort's file.
        base_address: Option<u64>,
    },
    /// A frame that verifies.
    Frame(Frame),
    /// Bytes that do not verify.
    Damage {
        /// Where they begin.
        from: u64,
        /// Where the next sound frame begins, or the file ends.
        until: u64,
        /// Nothing sound follows.
        at_end: bool,
        /// The frame whose header is sound there.
        #[serde(skip_serializing_if = "Option::is_none")]
        header: Option<Box<Frame>>,
    },
}

/// A frame's header, and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frame {
    /// Where it begins in the file.
    pub position: u64,
    /// What it is.
    pub kind: String,
    /// Its length.
    pub len: usize,
    /// Its frame number.
    pub number: u64,
    /// Offset of its first record, or the offset that comes next.
    pub base_offset: u64,
    /// Server time.
    pub time: Timestamp,
    /// The writer's epoch.
    pub epoch: u32,
    /// How many records its header says.
    pub record_count: u32,
    /// Its checksum, in the trailer; of a damaged one, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Who produced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<Value>,
    /// Its records.
    pub records: Vec<Record>,
    /// The body of a control frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// A record in a frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Where it begins in the file.
    pub position: u64,
    /// Bytes of payload.
    pub data_len: usize,
    /// Bytes reserved.
    pub alloc_len: u32,
    /// Bytes of metadata.
    pub meta_len: usize,
    /// It was erased, and its bytes are zeroes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    /// Whether its checksum fits.
    pub sound: bool,
}

/// Gives the entries of a segment's file to `take`. `salt` is that of the namespace, where it is known; else the header's.
pub fn dump(
    disk: &dyn Disk,
    path: &Path,
    salt: Option<Salt>,
    mut take: impl FnMut(Entry) -> io::Result<()>,
) -> io::Result<()> {
    let file = disk.open(path, Open::Read)?;
    let bytes = file.size()?;
    let header = segment::read_header(&*file)?;
    take(head(path, bytes, header.as_ref()))?;
    let Some(salt) = salt.or(header.map(|header| header.salt)) else {
        let what = "the segment's header does not verify, so its checksums cannot be computed; give the root and the namespace";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    let mut scan = Scan::new(Window::new(Arc::clone(&file), bytes), salt, FRAMES_AT, bytes);
    loop {
        match scan.step()? {
            Found::End => return Ok(()),
            Found::Frame { position, frame } => take(Entry::Frame(whole(position, &frame)))?,
            Found::Damage { from, until } => {
                let header = damaged_frame(&file, from, until, salt)?;
                take(Entry::Damage { from, until, at_end: false, header })?;
            }
            Found::Tail { from, whole } => {
                let until = whole.map_or(bytes, |header| from + header.frame_len as u64);
                let header = damaged_frame(&file, from, bytes, salt)?;
                take(Entry::Damage { from, until, at_end: true, header })?;
            }
        }
    }
}

fn head(path: &Path, bytes: u64, header: Option<&SegmentHeader>) -> Entry {
    Entry::Segment {
        path: path.display().to_string(),
        bytes,
        format: header.map(|_| FORMAT),
        base_frame: header.map(|header| header.base_frame),
        base_offset: header.map(|header| header.base_offset),
        created: header.map(|header| header.created),
        base_payload_sum: header.map(|header| header.base_payload_sum),
        base_address: header.map(|header| header.base_address),
    }
}

fn of_header(position: u64, header: &Header) -> Frame {
    let producer = header
        .producer
        .map(|producer| json!({"id": Uuid::from_u128(producer.id), "epoch": producer.epoch, "seq": producer.seq}));
    Frame {
        position,
        kind: format!("{:?}", header.kind).to_lowercase(),
        len: header.frame_len,
        number: header.numbers.number,
        base_offset: header.numbers.base_offset,
        time: Timestamp(header.numbers.time_us),
        epoch: header.numbers.epoch,
        record_count: header.record_count,
        checksum: None,
        producer,
        records: Vec::new(),
        body: None,
    }
}

fn whole(position: u64, frame: &FrameView<'_>) -> Frame {
    let record = |record: RecordView<'_>| record_of(position + record.position as u64, record.header, true);
    Frame {
        checksum: Some(format!("{:08x}", frame.checksum())),
        records: frame.records().map(record).collect(),
        body: body(frame),
        ..of_header(position, &frame.header())
    }
}

fn record_of(position: u64, header: RecordHeader, sound: bool) -> Record {
    let RecordHeader { data_len, alloc_len, meta_len, erased } = header;
    Record { position, data_len, alloc_len, meta_len, erased, sound }
}

fn body(frame: &FrameView<'_>) -> Option<Value> {
    let kind = frame.header().kind;
    if kind == Kind::Patch {
        let PatchHead { offset, position, data_len } = PatchHead::of(&frame.records().next()?)?;
        return Some(json!({"offset": offset, "position": position, "data_len": data_len}));
    }
    let bytes = control::body(frame).filter(|_| kind != Kind::Data)?;
    match kind {
        Kind::Trim => Trim::decode(bytes).map(|Trim { before }| json!({ "before": before })),
        Kind::Erase => Erase::decode(bytes).map(|Erase { offset }| json!({ "offset": offset })),
        Kind::EpochStart => {
            EpochStart::decode(bytes).map(|EpochStart { writer, label }| json!({"writer": writer, "label": label}))
        }
        Kind::Snapshot => LogState::decode(bytes).map(|state| {
            json!({
                "next_frame": state.tail.next_frame,
                "next_offset": state.tail.next_offset,
                "last_time": state.tail.last_time,
                "trim_start": state.trim_start,
                "reigns": state.epochs.len(),
            })
        }),
        Kind::Data | Kind::Patch | Kind::Cursor | Kind::Hole | Kind::Padding => None,
    }
}

/// The frame that stands at damage, where its header is sound, with those of its records that can be found.
fn damaged_frame(file: &Arc<dyn DiskFile>, from: u64, until: u64, salt: Salt) -> io::Result<Option<Box<Frame>>> {
    let mut window = Window::new(Arc::clone(file), until);
    let Ok(header) = Header::verify(window.get(from, HEADER_LEN + PRODUCER_LEN)?, salt, from) else {
        return Ok(None);
    };
    let bytes = window.get(from, header.frame_len)?;
    let end = header.frame_len.saturating_sub(TRAILER_LEN);
    let mut frame = of_header(from, &header);
    let mut at = header.records_at();
    for _ in 0..header.record_count {
        let rest = bytes.get(at..end.min(bytes.len())).unwrap_or_default();
        let Some(peeked) = RecordHeader::peek(rest) else { break };
        let sound = RecordView::verify(rest, salt).is_some();
        frame.records.push(record_of(from + at as u64, peeked, sound));
        at = at.saturating_add(peeked.record_len());
    }
    Ok(Some(Box::new(frame)))
}
