//! Making a namespace from an export: in an engine beside the others, under a name that a start would clear away, and
//! under its own name only when everything was read back. A crash leaves all or nothing.

mod scratch;

use std::io::{BufRead, Read};
use std::sync::Arc;

use logstore_api::frame::{FrameBuilder, Kind, Meta, NewRecord, Producer, Salt};
use logstore_api::limits::{BATCH_RECORDS_MAX, FRAME_BYTES_MAX, META_BYTES_MAX, RECORD_BYTES_MAX};
use logstore_api::namespace::PutNamespace;
use logstore_api::{NamespaceName, Timestamp};

use self::scratch::Scratch;
use super::export::digest::Digest;
use super::export::line::{GapLine, Head, InvalidField, Line, LogBegin, LogEnd, Mark, Record, VERSION};
use super::export::{Lines as _, export};
use super::root::{OfflineError, StoppedRoot};
use super::verify::{Severity, verify};
use super::walk::Missing;
use crate::engine::Engine;
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::state::{LogState, Tail};

/// The longest line: JSON writes a byte of text as up to six.
const LINE_BYTES_MAX: usize = 6 * (RECORD_BYTES_MAX + META_BYTES_MAX) + 4096;
/// Records that are erased again at once, in one frame.
const ERASED_AT_ONCE: u64 = 1024;

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The namespace.
    pub name: NamespaceName,
    /// Records.
    pub records: u64,
    /// Offsets that have none.
    pub missing: u64,
}

/// Makes a namespace from an export, with the export's name or another; `progress` is told of bytes read.
pub fn import(
    root: &StoppedRoot,
    input: &mut dyn BufRead,
    name: Option<NamespaceName>,
    progress: &mut dyn FnMut(u64),
) -> Result<Imported, OfflineError> {
    let mut lines = Input { input, number: 0, bytes: 0, progress };
    let Head { version: _, namespace, config } = lines.head()?;
    let name = name.unwrap_or(namespace);
    let scratch = Scratch::make(root, &name)?;
    let imported = {
        let engine = scratch.start()?;
        let put = PutNamespace { config, internal: None };
        let (_, namespace) = engine.put(&name, put, true).map_err(|problem| lines.wrong(problem.detail))?;
        let imported =
            Filling { lines: &mut lines, namespace: &namespace, digest: Digest::default(), records: 0, missing: 0 }
                .run();
        stop(engine, imported)?
    };
    check(&scratch, &name, &imported)?;
    let Filled { records, missing, .. } = imported;
    scratch.keep()?;
    Ok(Imported { name, records, missing })
}

/// Everything is on the disk when this returns, also after a failure: nothing touches the files any more.
fn stop<T>(engine: Arc<Engine>, result: Result<T, OfflineError>) -> Result<T, OfflineError> {
    engine.stop();
    result
}

/// Reads back what was written.
fn check(scratch: &Scratch<'_>, name: &NamespaceName, filled: &Filled) -> Result<(), OfflineError> {
    let root = scratch.take()?;
    let findings = verify(&root, Some(name), |_, _| {})?;
    let mut digest = Digest::default();
    export(&root.rehearse()?, name, &mut digest, &mut |_| {})?;
    if findings.count(Severity::Damage) == 0 && digest.value() == filled.digest {
        return Ok(());
    }
    Err(OfflineError::Refused(format!(
        "what was written does not read back as it was given, so nothing was imported ({} records were read)",
        filled.records
    )))
}

/// The lines of an export.
struct Input<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Input<'_> {
    /// The next line; an input that ends before its last line is cut.
    fn next(&mut self) -> Result<Line, OfflineError> {
        let mut line = Vec::new();
        let max = LINE_BYTES_MAX as u64 + 1;
        (&mut *self.input).take(max).read_until(b'\n', &mut line).map_err(OfflineError::files("read the export"))?;
        if line.is_empty() {
            let what = "the export ends here, without its last line; it is cut";
            return Err(OfflineError::Refused(format!("line {}: {what}", self.number + 1)));
        }
        self.number += 1;
        self.bytes += line.len() as u64;
        (self.progress)(self.bytes);
        if line.len() > LINE_BYTES_MAX {
            return Err(self.wrong(format!("it has more than {LINE_BYTES_MAX} bytes")));
        }
        Line::parse(&line).map_err(|what| self.wrong(what))
    }

    fn head(&mut self) -> Result<Head, OfflineError> {
        match self.next()? {
            Line::Mark(Mark::Export(head)) if head.version == VERSION => Ok(head),
            Line::Mark(Mark::Export(Head { version, .. })) => {
                Err(self
                    .wrong(format!("field export.version: {version} is of another release; this one reads {VERSION}")))
            }
            _ => Err(self.wrong("field export: an export begins with it")),
        }
    }

    fn end(&mut self) -> Result<(), OfflineError> {
        let rest = self.input.fill_buf().map_err(OfflineError::files("read the export"))?;
        if rest.is_empty() { Ok(()) } else { Err(self.wrong("something follows behind export_end")) }
    }

    /// A refusal that names the line that was read last.
    fn wrong(&self, what: impl std::fmt::Display) -> OfflineError {
        OfflineError::Refused(format!("line {}: {what}; nothing was imported", self.number))
    }

    fn invalid(&self, InvalidField { field, what }: &InvalidField) -> OfflineError {
        self.field(field, what)
    }

    fn field(&self, field: &str, what: impl std::fmt::Display) -> OfflineError {
        self.wrong(format_args!("field {field}: {what}"))
    }
}

/// A namespace that is being filled.
struct Filling<'a, 'b> {
    lines: &'a mut Input<'b>,
    namespace: &'a Arc<Namespace>,
    digest: Digest,
    records: u64,
    missing: u64,
}

/// What a namespace was filled with.
#[derive(Debug)]
struct Filled {
    digest: u128,
    records: u64,
    missing: u64,
}

impl Filling<'_, '_> {
    fn run(mut self) -> Result<Filled, OfflineError> {
        for number in 0..self.namespace.partition_count() {
            self.partition(number)?;
        }
        match self.lines.next()? {
            Line::Mark(Mark::ExportEnd(end)) if end.records == self.records => {}
            Line::Mark(Mark::ExportEnd(end)) => {
                let what = format!("it says {}, but {} came", end.records, self.records);
                return Err(self.lines.field("export_end.records", what));
            }
            _ => return Err(self.lines.field("export_end", "it comes behind the last partition")),
        }
        self.lines.end()?;
        let Self { digest, records, missing, .. } = self;
        Ok(Filled { digest: digest.value(), records, missing })
    }

    fn partition(&mut self, number: u32) -> Result<(), OfflineError> {
        let partition = Arc::clone(self.namespace.partition(number)?);
        let (salt, indices) = (self.namespace.salt(), self.namespace.config().indices);
        let mark = match self.lines.next()? {
            Line::Mark(Mark::Log(begin)) if begin.partition == number => begin,
            _ => return Err(self.lines.field("log.partition", format!("partition {number} comes next"))),
        };
        self.take_mark(&Mark::Log(mark))?;
        let mut log = Log::begin(partition, number, mark, salt);
        loop {
            match self.lines.next()? {
                Line::Record(line) => {
                    let record = line.into_record(&indices).map_err(|invalid| self.lines.invalid(&invalid))?;
                    // As an export writes it, however it was written here.
                    self.digest.record(&record.to_line(&indices)).map_err(OfflineError::files("import"))?;
                    log.record(record).map_err(|invalid| self.lines.invalid(&invalid))?;
                    self.records += 1;
                }
                Line::Mark(Mark::Gap(gap)) => {
                    self.take_mark(&Mark::Gap(gap))?;
                    log.gap(gap).map_err(|invalid| self.lines.invalid(&invalid))?;
                    self.missing += gap.until - gap.from;
                }
                Line::Mark(Mark::LogEnd(end)) => {
                    log.end(&end).map_err(|invalid| self.lines.invalid(&invalid))?;
                    return self.take_mark(&Mark::LogEnd(end));
                }
                Line::Mark(_) => {
                    return Err(self.lines.field("log_end", format!("partition {number} has not ended yet")));
                }
            }
        }
    }

    fn take_mark(&mut self, mark: &Mark) -> Result<(), OfflineError> {
        self.digest.mark(mark).map_err(OfflineError::files("import"))
    }
}

/// A log that is being filled.
struct Log {
    partition: Arc<Partition>,
    number: u32,
    salt: Salt,
    next: u64,
    last_time: Timestamp,
    records: u64,
    /// What came last, where it was a gap.
    after_gap: Option<Missing>,
    frame: Option<Frame>,
}

/// Records that were appended together, as far as they have come.
struct Frame {
    builder: FrameBuilder,
    time: Timestamp,
    producer: Option<Producer>,
}

type Taken = Result<(), InvalidField>;

fn invalid(field: &'static str, what: impl Into<String>) -> InvalidField {
    InvalidField { field, what: what.into() }
}

impl Log {
    fn begin(partition: Arc<Partition>, number: u32, mark: LogBegin, salt: Salt) -> Self {
        let LogBegin { partition: _, start, address } = mark;
        if start > 0 || address > 0 {
            let tail = Tail { next_offset: start, address_sum: address, ..Tail::default() };
            let state = LogState { tail, trim_start: start, ..LogState::default() };
            partition.load(|writer, shared| writer.begin_at(shared, state));
        }
        let (last_time, after_gap) = (Timestamp(i64::MIN), None);
        Self { partition, number, salt, next: start, last_time, records: 0, after_gap, frame: None }
    }

    fn record(&mut self, record: Record) -> Taken {
        let Record { partition, offset, time, with_previous, data, meta, alloc, producer } = record;
        self.must_be_here(partition, "partition")?;
        if offset != self.next {
            return Err(invalid("offset", format!("{offset} does not follow; {} comes next", self.next)));
        }
        if time < self.last_time {
            return Err(invalid("time", format!("{time} is before that of the record before, {}", self.last_time)));
        }
        check_sizes(data.len(), alloc, &meta)?;
        if with_previous {
            self.must_join(time, producer)?;
        } else {
            self.flush("offset")?;
        }
        let salt = self.salt;
        let frame = self.frame.get_or_insert_with(|| Frame {
            builder: FrameBuilder::new(Kind::Data, producer, salt),
            time,
            producer,
        });
        frame.builder.push(&NewRecord { data: &data, alloc, meta });
        if frame.builder.record_count() as usize > BATCH_RECORDS_MAX || frame.builder.frame_len() > FRAME_BYTES_MAX {
            let what = format!("together they are more than {BATCH_RECORDS_MAX} records or {FRAME_BYTES_MAX} bytes");
            return Err(invalid("with_previous", what));
        }
        (self.next, self.last_time, self.after_gap) = (offset + 1, time, None);
        self.records += 1;
        Ok(())
    }

    fn must_be_here(&self, partition: u32, field: &'static str) -> Taken {
        if partition == self.number {
            return Ok(());
        }
        Err(invalid(field, format!("{partition} stands among the records of partition {}", self.number)))
    }

    fn must_join(&self, time: Timestamp, producer: Option<Producer>) -> Taken {
        let Some(frame) = &self.frame else {
            return Err(invalid("with_previous", "no record comes before it that it could have been appended with"));
        };
        if time != frame.time {
            return Err(invalid(
                "time",
                format!("{time} is not that of the record it was appended with, {}", frame.time),
            ));
        }
        let count = u64::from(frame.builder.record_count());
        if producer != frame.producer.map(|first| Producer { seq: first.seq.saturating_add(count), ..first }) {
            return Err(invalid("producer", "it does not continue that of the record it was appended with"));
        }
        Ok(())
    }

    /// Writes the records that were appended together.
    fn flush(&mut self, field: &'static str) -> Taken {
        let Some(Frame { builder, time, producer: _ }) = self.frame.take() else { return Ok(()) };
        let loaded = self.partition.load(|writer, shared| writer.load(shared, builder.finish(), time));
        loaded.map_err(|problem| invalid(field, problem.detail))
    }

    fn gap(&mut self, gap: GapLine) -> Taken {
        let GapLine { partition, from, until, why, address_bytes } = gap;
        self.must_be_here(partition, "gap.partition")?;
        if from != self.next || until <= from {
            return Err(invalid("gap.from", format!("{from} to {until} is no gap where {} comes next", self.next)));
        }
        if self.after_gap == Some(why) {
            return Err(invalid("gap.from", "it touches the gap before; give one for both"));
        }
        self.flush("gap")?;
        match why {
            Missing::Erased => self.erased(gap)?,
            Missing::Damaged if self.records == 0 && self.after_gap.is_none() => {
                let what = format!("a log does not begin with damage; give log.start {until}");
                return Err(invalid("gap.why", what));
            }
            Missing::Damaged => {
                self.partition.load(|writer, shared| writer.pass_over(shared, until - from, address_bytes))
            }
        }
        (self.next, self.after_gap) = (until, Some(why));
        Ok(())
    }

    /// Stubs in the place of records that were erased: their offsets answer as before.
    fn erased(&mut self, gap: GapLine) -> Taken {
        let GapLine { from, until, address_bytes, .. } = gap;
        let mut reserved =
            address_bytes.saturating_sub((until - from) * logstore_api::frame::build::ROCHEFORT_HEADER_LEN);
        let time = self.last_time.max(Timestamp(0));
        let mut next = from;
        while next < until {
            let count = (until - next).min(ERASED_AT_ONCE);
            let mut builder = FrameBuilder::new(Kind::Data, None, self.salt);
            for _ in 0..count {
                let alloc = u32::try_from(reserved.min(RECORD_BYTES_MAX as u64)).unwrap_or(0);
                reserved -= u64::from(alloc);
                builder.push_erased(alloc);
            }
            let loaded = self.partition.load(|writer, shared| writer.load(shared, builder.finish(), time));
            loaded.map_err(|problem| invalid("gap", problem.detail))?;
            next += count;
        }
        Ok(())
    }

    fn end(mut self, end: &LogEnd) -> Taken {
        let LogEnd { partition, end, records, producers } = end;
        self.flush("log_end")?;
        self.must_be_here(*partition, "log_end.partition")?;
        for (field, said, came) in [("log_end.end", *end, self.next), ("log_end.records", *records, self.records)] {
            if said != came {
                return Err(invalid(field, format!("it says {said}, but the lines before say {came}")));
            }
        }
        let remembered: Vec<_> = producers.iter().map(Into::into).collect();
        let ended = self.partition.load(|writer, shared| writer.end_load(shared, &remembered));
        ended.map_err(|problem| invalid("log_end", problem.detail))?;
        self.partition.seal_segments();
        Ok(())
    }
}

fn check_sizes(data_len: usize, alloc: u32, meta: &Meta) -> Taken {
    if data_len > RECORD_BYTES_MAX || alloc as usize > RECORD_BYTES_MAX {
        return Err(invalid("alloc", format!("a record takes at most {RECORD_BYTES_MAX} bytes")));
    }
    let mut encoded = Vec::new();
    meta.encode(&mut encoded);
    match Meta::decode(&encoded) {
        Ok(back) if back == *meta => Ok(()),
        _ => Err(invalid("tags", "key, tags or indices are more, or longer, than a record can carry")),
    }
}
