//! Writing a namespace out: line by line with everything, so that an import makes it again; or as less than that.
//!
//! The lines say nothing that another export of the same records would not say: no time of the export, no id of the
//! store, no segments. So a log that was made from an export gives the same bytes again.

pub mod digest;
pub mod line;
pub mod plain;

use std::io::{self, Write};
use std::sync::Arc;

use logstore_api::NamespaceName;
use logstore_api::frame::build::ROCHEFORT_HEADER_LEN;

use self::line::{ExportEnd, GapLine, Head, LogBegin, LogEnd, Mark, Record, RecordLine, VERSION};
use super::root::{OfflineError, Rehearsal, quietly, whole_range};
use super::walk::{Gap, Missing, Piece, walk};
use crate::log::Partition;
use crate::log::cursor::LogRecord;
use crate::log::read::Flow;

/// Where lines go.
pub trait Lines {
    /// Takes a line that is no record.
    fn mark(&mut self, mark: &Mark) -> io::Result<()>;
    /// Takes a record.
    fn record(&mut self, record: &RecordLine) -> io::Result<()>;
}

/// Lines as JSON.
#[derive(Debug)]
pub struct Json<W: Write>(pub W);

impl<W: Write> Lines for Json<W> {
    fn mark(&mut self, mark: &Mark) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, mark)?;
        self.0.write_all(b"\n")
    }

    fn record(&mut self, record: &RecordLine) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Records.
    pub records: u64,
    /// Offsets of records that were erased.
    pub erased: u64,
    /// Offsets of records that cannot be read.
    pub damaged: u64,
}

/// Writes a whole namespace; `progress` is told of records.
pub fn export(
    rehearsal: &Rehearsal,
    name: &NamespaceName,
    lines: &mut dyn Lines,
    progress: &mut dyn FnMut(u64),
) -> Result<Exported, OfflineError> {
    let namespace = rehearsal.namespace(name)?;
    let config = namespace.config();
    let written = || OfflineError::files("write the export");
    let head = Head { version: VERSION, namespace: name.clone(), config: config.clone() };
    lines.mark(&Mark::Export(head)).map_err(written())?;
    let mut exported = Exported::default();
    for (number, partition) in rehearsal.partitions(&namespace, None)? {
        let log = LogExport::new(number, &config.indices, lines, &mut exported);
        quietly(|| log.run(&partition, progress)).map_err(written())?;
    }
    lines.mark(&Mark::ExportEnd(ExportEnd { records: exported.records })).map_err(written())?;
    Ok(exported)
}

/// The export of one partition.
struct LogExport<'a> {
    number: u32,
    indices: &'a [String],
    lines: &'a mut dyn Lines,
    exported: &'a mut Exported,
    /// Where the log begins; damage there is left out, for nothing before it can be had either.
    start: u64,
    /// The address behind the last record, once the first is written.
    address: Option<u64>,
    /// Gaps behind the last record: what they take is told by the record that follows.
    gaps: Vec<Gap>,
    /// The record before, where nothing is missing behind it: its offset and its number in its frame.
    previous: Option<(u64, u32)>,
    records: u64,
}

impl<'a> LogExport<'a> {
    fn new(number: u32, indices: &'a [String], lines: &'a mut dyn Lines, exported: &'a mut Exported) -> Self {
        let (start, address, gaps, previous, records) = (0, None, Vec::new(), None, 0);
        Self { number, indices, lines, exported, start, address, gaps, previous, records }
    }

    fn run(mut self, partition: &Arc<Partition>, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
        let range = whole_range(partition);
        self.start = range.from;
        walk(partition, range, |piece| {
            match piece {
                Piece::Record(record) => self.record(record)?,
                Piece::Gap(gap) => self.gap(gap),
            }
            progress(self.exported.records);
            Ok(Flow::Continue)
        })?;
        let state = partition.state();
        self.pass_gaps(state.tail.address_sum)?;
        let producers = state.producers.remembered().iter().map(Into::into).collect();
        let end = LogEnd { partition: self.number, end: range.until.max(self.start), records: self.records, producers };
        self.lines.mark(&Mark::LogEnd(end))
    }

    fn gap(&mut self, gap: Gap) {
        let count = gap.until - gap.from;
        match gap.why {
            Missing::Erased => self.exported.erased += count,
            Missing::Damaged => self.exported.damaged += count,
        }
        self.previous = None;
        match self.gaps.last_mut() {
            None if self.address.is_none() && gap.why == Missing::Damaged => self.start = gap.until,
            Some(last) if last.why == gap.why => last.until = gap.until,
            _ => self.gaps.push(gap),
        }
    }

    fn record(&mut self, record: &LogRecord<'_>) -> io::Result<()> {
        self.pass_gaps(record.address)?;
        let ordinal = record.part.ordinal;
        let with_previous =
            ordinal > 0 && self.previous == record.offset.checked_sub(1).map(|before| (before, ordinal - 1));
        let what = || format!("record {} of partition {} is of a newer release", record.offset, self.number);
        let meta = record.checked_meta().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, what()))?;
        let whole = Record {
            partition: self.number,
            offset: record.offset,
            time: record.time,
            with_previous,
            data: record.data().to_vec(),
            meta,
            alloc: record.alloc_len(),
            producer: record.producer,
        };
        self.lines.record(&whole.to_line(self.indices))?;
        self.address = Some(record.address + record.address_bytes());
        self.previous = Some((record.offset, ordinal));
        self.records += 1;
        self.exported.records += 1;
        Ok(())
    }

    /// Writes what is missing before a record, or the end, at this address; first of all that the log begins.
    fn pass_gaps(&mut self, address: u64) -> io::Result<()> {
        let gaps = std::mem::take(&mut self.gaps);
        let known: u64 = gaps.iter().map(erased_bytes).sum();
        let before = match self.address {
            Some(before) => before,
            None => {
                let (partition, start, address) = (self.number, self.start, address.saturating_sub(known));
                self.lines.mark(&Mark::Log(LogBegin { partition, start, address }))?;
                self.address = Some(address);
                address
            }
        };
        // What an erased record had reserved is told by the address of the record behind it.
        let mut rest = address.saturating_sub(before).saturating_sub(known);
        for (number, gap) in gaps.iter().enumerate() {
            let last = number + 1 == gaps.len();
            let address_bytes = erased_bytes(gap) + if last { std::mem::take(&mut rest) } else { 0 };
            let Gap { from, until, why } = *gap;
            self.lines.mark(&Mark::Gap(GapLine { partition: self.number, from, until, why, address_bytes }))?;
        }
        Ok(())
    }
}

/// What erased records take at least in rochefort's file.
pub fn erased_bytes(gap: &Gap) -> u64 {
    if gap.why == Missing::Erased { (gap.until - gap.from) * ROCHEFORT_HEADER_LEN } else { 0 }
}
