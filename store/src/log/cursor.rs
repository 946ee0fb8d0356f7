//! Reading records of one segment, one after the other, each verified. Damage becomes a hole and never stops the rest.

use std::io;
use std::sync::Arc;

use logstore_api::Timestamp;
use logstore_api::frame::meta::MalformedMeta;
use logstore_api::frame::view::RecordView;
use logstore_api::frame::{
    HEADER_LEN, Header, Kind, Meta, PRODUCER_LEN, Producer, RECORD_HEADER_LEN, RecordHeader, Salt, TRAILER_LEN,
};

use super::index::Entry;
use super::scan;
use crate::broken::{self, Broken};
use crate::disk::DiskFile;

/// Where segments' frames begin.
pub const FRAMES_AT: u64 = 64;

/// Bytes read at once, where nothing else is known at first and at most: a lone record costs one small read, a scan few
/// large ones.
const READ_MIN: usize = 8 * 1024;
pub(super) const READ_MAX: usize = 512 * 1024;

/// A part of a file in memory.
#[derive(Debug)]
pub struct Window {
    file: Arc<dyn DiskFile>,
    /// Nothing at or behind this position is read.
    limit: u64,
    start: u64,
    /// Room that is used again for each read; the first `filled` bytes of it are the file's.
    bytes: Vec<u8>,
    filled: usize,
    ahead: usize,
}

impl Window {
    /// A window on a file up to `limit`.
    #[must_use]
    pub fn new(file: Arc<dyn DiskFile>, limit: u64) -> Self {
        Self { file, limit, start: 0, bytes: Vec::new(), filled: 0, ahead: READ_MIN }
    }

    /// Up to `len` bytes at `position`; fewer only at the limit.
    pub fn get(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let left = self.left(position);
        if !self.holds(position, len.min(left)) {
            self.fill(position, len.max(self.ahead).min(left))?;
            self.ahead = (self.ahead * 2).min(READ_MAX);
        }
        self.held(position, len)
    }

    /// The same where what stands behind is not wanted: nothing else is read.
    pub fn get_alone(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min(self.left(position));
        if !self.holds(position, len) {
            self.fill(position, len)?;
        }
        self.held(position, len)
    }

    fn left(&self, position: u64) -> usize {
        usize::try_from(self.limit.saturating_sub(position)).unwrap_or(usize::MAX)
    }

    fn holds(&self, position: u64, len: usize) -> bool {
        position >= self.start && position + len as u64 <= self.start + self.filled as u64
    }

    fn held(&self, position: u64, len: usize) -> io::Result<&[u8]> {
        let at = usize::try_from(position - self.start).map_err(io::Error::other)?;
        let end = at.saturating_add(len).min(self.filled);
        Ok(&self.bytes[at.min(end)..end])
    }

    /// `len` bytes at `position`, for one that goes backwards: where they are not in memory, what stands before them, not
    /// before `begin`, is read with them.
    pub fn get_back(&mut self, position: u64, len: usize, begin: u64) -> io::Result<&[u8]> {
        let end = position + len as u64;
        if !self.holds(position, len) && end <= self.limit {
            let start = end.saturating_sub(READ_MAX as u64).max(begin).min(position);
            self.fill(start, usize::try_from(end - start).map_err(io::Error::other)?)?;
        }
        self.get(position, len)
    }

    /// The next read brings about so many bytes.
    #[must_use]
    pub fn expecting(mut self, bytes: u64) -> Self {
        self.ahead = usize::try_from(bytes).unwrap_or(READ_MAX).clamp(HEADER_LEN + PRODUCER_LEN, READ_MAX);
        self
    }

    fn fill(&mut self, position: u64, len: usize) -> io::Result<()> {
        self.filled = 0;
        if self.bytes.len() < len {
            self.bytes = vec![0; len];
        }
        self.start = position;
        self.filled = self.file.read_full_at(&mut self.bytes[..len], position)?;
        Ok(())
    }
}

/// A record as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'a> {
    /// Its offset.
    pub offset: u64,
    /// Server time of its frame.
    pub time: Timestamp,
    /// Identity of its producer, with the sequence number of this record.
    pub producer: Option<Producer>,
    /// Which record of its frame it is.
    pub part: Part,
    record: RecordView<'a>,
    /// Its address in rochefort's file; not to be relied on behind a hole.
    pub address: u64,
    /// Where it begins in the segment's file.
    position: u64,
    patched: Option<Patched<'a>>,
}

/// What patches have made of a record.
#[derive(Clone, Copy, Debug)]
struct Patched<'a> {
    payload: &'a [u8],
    frame: u64,
}

/// A record's place among those that were appended together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number among them, from 0.
    pub ordinal: u32,
    /// How many they are.
    pub count: u32,
}

/// Where a record was found, so that it can be read again.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its offset.
    pub offset: u64,
    time: Timestamp,
    producer: Option<Producer>,
    part: Part,
    address: u64,
    position: u64,
    len: usize,
}

impl<'a> LogRecord<'a> {
    /// Where it was found.
    #[must_use]
    pub fn place(&self) -> Place {
        let Self { offset, time, producer, part, record, address, position, patched: _ } = *self;
        Place { offset, time, producer, part, address, position, len: record.header.record_len() }
    }

    /// Bytes it takes in the segment's file, padding left out.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        self.record.stored_len()
    }

    /// Where it begins in the segment's file.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The same record with the payload that patches have made of it, the last of them in this frame.
    #[must_use]
    pub fn patched<'b>(&self, payload: &'b [u8], frame: u64) -> LogRecord<'b>
    where
        'a: 'b,
    {
        LogRecord { patched: Some(Patched { payload, frame }), ..*self }
    }

    /// Number of the frame that has patched it last, where one has.
    #[must_use]
    pub fn patched_by(&self) -> Option<u64> {
        self.patched.map(|patched| patched.frame)
    }

    /// Whether it carries something beside the payload.
    #[must_use]
    pub fn has_meta(&self) -> bool {
        self.record.header.meta_len > 0
    }

    /// Whether a stub stands in its place.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.record.header.erased
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.patched.map_or_else(|| self.record.data(), |patched| patched.payload)
    }

    /// What it carries beside the payload.
    ///
    /// # Errors
    /// Where a newer release has written it.
    pub fn checked_meta(&self) -> Result<Meta, MalformedMeta> {
        self.record.meta()
    }

    /// What it carries beside the payload; nothing where a newer release has written it.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.record.meta().unwrap_or_default()
    }

    /// Bytes reserved for the payload.
    #[must_use]
    pub fn alloc_len(&self) -> u32 {
        self.record.header.alloc_len
    }

    /// Bytes of metadata and payload.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.record.header.meta_len + self.data().len()
    }

    /// Bytes it takes in rochefort's file.
    #[must_use]
    pub fn address_bytes(&self) -> u64 {
        self.record.address_bytes()
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Step<'a> {
    /// A record.
    Record(LogRecord<'a>),
    /// Damage: the records in this range cannot be had; those behind it can.
    Hole {
        /// The first offset that cannot be had.
        from: u64,
        /// The first offset behind the damage; `None` where it goes up to the segment's end.
        until: Option<u64>,
    },
    /// Nothing comes before the limit.
    End,
}

#[derive(Clone, Copy, Debug)]
struct InFrame {
    header: Header,
    end: u64,
    /// Records that were passed.
    ordinal: u32,
}

/// Goes through a segment from a place that its index names.
#[derive(Debug)]
pub struct Cursor {
    window: Window,
    salt: Salt,
    position: u64,
    frame: Option<InFrame>,
    offset: u64,
    address: u64,
}

enum Found {
    Record { position: u64, header: RecordHeader },
    Hole { from: u64, until: Option<u64> },
    End,
}

impl Cursor {
    /// A cursor at the beginning of a segment, whose first record has this offset and address.
    #[must_use]
    pub fn at_start(window: Window, salt: Salt, offset: u64, address: u64) -> Self {
        Self { window, salt, position: FRAMES_AT, frame: None, offset, address }
    }

    /// A cursor at an entry of the index.
    pub fn at_entry(mut window: Window, salt: Salt, entry: Entry) -> io::Result<Self> {
        let Entry { offset, frame_position, position, time: _, payload_sum: _, address } = entry;
        let mut cursor_at = u64::from(frame_position);
        let mut frame = None;
        if position != frame_position {
            let bytes = window.get_alone(cursor_at, HEADER_LEN + PRODUCER_LEN)?;
            // A damaged header is met again, and reported, by the first step.
            if let Ok(header) = Header::verify(bytes, salt, cursor_at) {
                let ordinal = u32::try_from(offset - header.numbers.base_offset.min(offset)).unwrap_or(u32::MAX);
                frame = Some(InFrame { header, end: cursor_at + header.frame_len as u64, ordinal });
                cursor_at = u64::from(position);
            }
        }
        Ok(Self { window, salt, position: cursor_at, frame, offset, address })
    }

    /// The next record, hole, or the end.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        match self.find()? {
            Found::End => Ok(Step::End),
            Found::Hole { from, until } => Ok(Step::Hole { from, until }),
            Found::Record { position, header } => {
                let (offset, address) = (self.offset, self.address);
                let frame = self.frame.as_mut().expect("a record stands in a frame");
                let producer = frame.header.producer.map(|producer| Producer {
                    seq: producer.seq.saturating_add(u64::from(frame.ordinal)),
                    ..producer
                });
                let time = Timestamp(frame.header.numbers.time_us);
                let part = Part { ordinal: frame.ordinal, count: frame.header.record_count };
                frame.ordinal += 1;
                self.position = position + header.record_len() as u64;
                self.offset += 1;
                let record = RecordView::trusted(self.window.get(position, header.record_len())?);
                self.address += record.address_bytes();
                Ok(Step::Record(LogRecord { offset, time, producer, part, record, address, position, patched: None }))
            }
        }
    }

    /// A record that was found before, verified again: its bytes may have been read anew. `None` where they do not verify
    /// any more. For one that goes backwards, not before `begin` in the file.
    pub fn again(&mut self, place: &Place, begin: u64) -> io::Result<Option<LogRecord<'_>>> {
        let Place { offset, time, producer, part, address, position, len } = *place;
        let bytes = self.window.get_back(position, len, begin)?;
        let record = RecordView::verify(bytes, self.salt);
        Ok(record.map(|record| LogRecord { offset, time, producer, part, record, address, position, patched: None }))
    }

    fn find(&mut self) -> io::Result<Found> {
        loop {
            match self.frame {
                Some(frame) if frame.ordinal < frame.header.record_count => {
                    return Ok(match self.sound_record(frame, self.position)? {
                        Some(header) => Found::Record { position: self.position, header },
                        None => self.skip_damaged_record(frame)?,
                    });
                }
                Some(frame) => {
                    self.position = frame.end;
                    self.frame = None;
                }
                None if self.position >= self.window.limit => return Ok(Found::End),
                None => {
                    if let Some(hole) = self.enter_frame()? {
                        return Ok(hole);
                    }
                }
            }
        }
    }

    /// Goes into the frame at the position, or past it where it holds no records; a hole where there is none.
    fn enter_frame(&mut self) -> io::Result<Option<Found>> {
        let position = self.position;
        let bytes = self.window.get(position, HEADER_LEN + PRODUCER_LEN)?;
        let header = Header::verify(bytes, self.salt, position).ok();
        match header.filter(|header| position + header.frame_len as u64 <= self.window.limit) {
            Some(header) if header.kind == Kind::Data => {
                self.position = position + header.records_at() as u64;
                self.offset = header.numbers.base_offset;
                self.frame = Some(InFrame { header, end: position + header.frame_len as u64, ordinal: 0 });
                Ok(None)
            }
            Some(header) => {
                self.position = position + header.frame_len as u64;
                Ok(None)
            }
            None => self.skip_damaged_frames().map(Some),
        }
    }

    fn sound_record(&mut self, frame: InFrame, position: u64) -> io::Result<Option<RecordHeader>> {
        let room = usize::try_from(frame.end - TRAILER_LEN as u64 - position).unwrap_or(0);
        let peeked = RecordHeader::peek(self.window.get(position, RECORD_HEADER_LEN.min(room))?);
        let Some(header) = peeked.filter(|header| header.record_len() <= room) else {
            return Ok(None);
        };
        let bytes = self.window.get(position, header.record_len())?;
        if broken::is(Broken::NoChecksum) {
            return Ok(Some(header));
        }
        Ok(RecordView::verify(bytes, self.salt).map(|record| record.header))
    }

    /// One record where its length still leads to the next one, else the rest of the frame.
    fn skip_damaged_record(&mut self, mut frame: InFrame) -> io::Result<Found> {
        let from = self.offset;
        let room = usize::try_from(frame.end - TRAILER_LEN as u64 - self.position).unwrap_or(0);
        let peeked = RecordHeader::peek(self.window.get(self.position, RECORD_HEADER_LEN.min(room))?);
        if let Some(damaged) = peeked.filter(|header| header.record_len() < room) {
            let next = self.position + damaged.record_len() as u64;
            let rest = InFrame { ordinal: frame.ordinal + 1, ..frame };
            if self.leads_to_the_end(rest, next)? && self.sound_record(rest, next)?.is_some() {
                frame.ordinal += 1;
                self.frame = Some(frame);
                self.position = next;
                self.offset += 1;
                self.address += 20 + u64::from(damaged.alloc_len);
                return Ok(Found::Hole { from, until: Some(from + 1) });
            }
        }
        self.position = frame.end;
        self.frame = None;
        self.offset = frame.header.numbers.base_offset + u64::from(frame.header.record_count);
        Ok(Found::Hole { from, until: Some(self.offset) })
    }

    /// Whether from this position on the lengths of the records that are still to come lead exactly to the frame's end. A
    /// damaged length may lead to a sound record that is not the next one, and only their number tells.
    fn leads_to_the_end(&mut self, frame: InFrame, mut position: u64) -> io::Result<bool> {
        let end = frame.end - TRAILER_LEN as u64;
        for _ in frame.ordinal..frame.header.record_count {
            let room = usize::try_from(end - position).unwrap_or(0);
            let peeked = RecordHeader::peek(self.window.get(position, RECORD_HEADER_LEN.min(room))?);
            let Some(header) = peeked.filter(|header| header.record_len() <= room) else { return Ok(false) };
            position += header.record_len() as u64;
        }
        Ok(frame.ordinal < frame.header.record_count && position == end)
    }

    /// Up to the next frame that verifies.
    fn skip_damaged_frames(&mut self) -> io::Result<Found> {
        let from = self.offset;
        let next = scan::find_frame(&mut self.window, self.salt, self.position + scan::STEP)?;
        let Some((position, header)) = next else {
            self.position = self.window.limit;
            return Ok(Found::Hole { from, until: None });
        };
        self.position = position;
        self.offset = header.numbers.base_offset;
        Ok(Found::Hole { from, until: Some(self.offset) })
    }
}
