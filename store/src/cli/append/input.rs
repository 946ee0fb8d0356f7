//! The lines of the input, as batches of records.
//!
//! A thread of its own reads them, because a read of a terminal or a pipe cannot be given up: the command ends without it.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use logstore_api::limits::{ENVELOPES_BYTES_MAX, RECORD_BYTES_MAX};
use logstore_api::record::AppendEnvelope;
use logstore_client::Record;
use tokio::sync::mpsc;

/// Bytes of lines in a batch, at most, but for a single longer line.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Batches that were read and not yet sent.
const BATCHES_AHEAD_MAX: usize = 4;
/// What one read brings, at most.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What a line is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The payload of a record with this key and these tags.
    Payload { key: Option<String>, tags: Vec<String> },
    /// A record as JSON.
    Envelope,
}

/// Records of consecutive lines, one each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first line, counted from 1.
    pub(super) first_line: u64,
    pub(super) records: Vec<Record>,
    /// What the lines take in the input.
    pub(super) bytes: u64,
}

impl Batch {
    /// The line behind the last one.
    pub(super) fn next_line(&self) -> u64 {
        self.first_line + self.records.len() as u64
    }
}

/// Why the input cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("failed to read the input after line {line}")]
    Read {
        line: u64,
        #[source]
        source: io::Error,
    },
    #[error("input line {line} is longer than {len_max} bytes")]
    TooLong { line: u64, len_max: usize },
    #[error("input line {line} is no envelope: {what}")]
    Malformed { line: u64, what: String },
}

/// The input, being read.
#[derive(Debug)]
pub(super) struct Input {
    batches: mpsc::Receiver<Result<Batch, InputError>>,
    /// Bytes in the whole of it, where that is known.
    pub(super) len: Option<u64>,
}

impl Input {
    /// Begins to read a file, or standard input where the path is `-`.
    pub(super) async fn open(path: &Path, shape: Shape, records_max: usize) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::start(io::stdin(), None, shape, records_max);
        }
        let file = tokio::fs::File::open(path).await?;
        let metadata = file.metadata().await?;
        let len = metadata.is_file().then_some(metadata.len());
        Self::start(file.into_std().await, len, shape, records_max)
    }

    fn start(
        reader: impl Read + Send + 'static,
        len: Option<u64>,
        shape: Shape,
        records_max: usize,
    ) -> io::Result<Self> {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let mut lines = Lines::new(reader, shape, records_max);
        std::thread::Builder::new().name("input".to_owned()).spawn(move || {
            while let Some(batch) = lines.next_batch() {
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { batches, len })
    }

    /// The next batch; none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Batch, InputError>> {
        self.batches.recv().await
    }

    /// Reads no more. What was read already still comes.
    pub(super) fn stop(&mut self) {
        self.batches.close();
    }
}

/// Cuts what a reader brings into batches. A batch ends early where the next line would have to be waited for.
#[derive(Debug)]
struct Lines<R> {
    reader: BufReader<R>,
    shape: Shape,
    records_max: usize,
    /// Lines that were read.
    line: u64,
    /// A line that did not fit the last batch.
    held: Option<Vec<u8>>,
    end: End,
}

#[derive(Debug)]
enum End {
    NotYet,
    /// To be told with the next batch.
    Failed(InputError),
    Reached,
}

impl<R: Read> Lines<R> {
    fn new(reader: R, shape: Shape, records_max: usize) -> Self {
        let reader = BufReader::with_capacity(READ_BYTES_MAX, reader);
        Self { reader, shape, records_max, line: 0, held: None, end: End::NotYet }
    }

    fn next_batch(&mut self) -> Option<Result<Batch, InputError>> {
        let mut batch = Batch { first_line: self.line + 1, records: Vec::new(), bytes: 0 };
        while self.wants_more(&batch) {
            if let Err(error) = self.take_line(&mut batch) {
                self.end = End::Failed(error);
            }
        }
        if !batch.records.is_empty() {
            return Some(Ok(batch));
        }
        match std::mem::replace(&mut self.end, End::Reached) {
            End::Failed(error) => Some(Err(error)),
            End::NotYet | End::Reached => None,
        }
    }

    fn wants_more(&self, batch: &Batch) -> bool {
        let is_empty = batch.records.is_empty();
        let has_room = batch.records.len() < self.records_max && self.held.is_none();
        matches!(self.end, End::NotYet) && (is_empty || (has_room && self.reader.buffer().contains(&b'\n')))
    }

    /// Takes the next line into the batch, or holds it back where it does not fit.
    fn take_line(&mut self, batch: &mut Batch) -> Result<(), InputError> {
        let Some(line) = self.next_line()? else {
            self.end = End::Reached;
            return Ok(());
        };
        let bytes = batch.bytes + line.len() as u64;
        if !batch.records.is_empty() && bytes > BATCH_BYTES_MAX as u64 {
            self.held = Some(line);
            return Ok(());
        }
        let record = self.record(&line)?;
        batch.records.push(record);
        batch.bytes = bytes;
        self.line += 1;
        Ok(())
    }

    /// The next line with its end.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        if let Some(line) = self.held.take() {
            return Ok(Some(line));
        }
        let len_max = match self.shape {
            Shape::Payload { .. } => RECORD_BYTES_MAX,
            Shape::Envelope => ENVELOPES_BYTES_MAX,
        };
        let mut line = Vec::new();
        let with_end = len_max as u64 + 2;
        let read = (&mut self.reader).take(with_end).read_until(b'\n', &mut line);
        read.map_err(|source| InputError::Read { line: self.line, source })?;
        if without_end(&line).len() > len_max {
            return Err(InputError::TooLong { line: self.line + 1, len_max });
        }
        Ok((!line.is_empty()).then_some(line))
    }

    fn record(&self, line: &[u8]) -> Result<Record, InputError> {
        let payload = without_end(line);
        match &self.shape {
            Shape::Payload { key, tags } => {
                Ok(Record { key: key.clone(), tags: tags.clone(), ..Record::new(payload.to_vec()) })
            }
            Shape::Envelope => {
                parse_envelope(payload).map_err(|what| InputError::Malformed { line: self.line + 1, what })
            }
        }
    }
}

/// A line ends with `\n` or `\r\n`, as in the HTTP API.
fn without_end(line: &[u8]) -> &[u8] {
    let Some(line) = line.strip_suffix(b"\n") else { return line };
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn parse_envelope(line: &[u8]) -> Result<Record, String> {
    // The line's number is told by whoever knows it.
    let no_json = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at column ");
    let mut envelope: AppendEnvelope = serde_json::from_slice(line).map_err(no_json)?;
    let data = envelope.take_payload().map_err(|error| error.to_string())?;
    let AppendEnvelope { data: _, data_b64: _, key, tags, indices, alloc } = envelope;
    let value = |(name, value): (String, serde_json::Value)| match value.as_i64() {
        Some(integer) => Ok((name, integer)),
        None => Err(format!("indices.{name} is {value}; give a whole number of 64 bits")),
    };
    let indices = indices.into_iter().map(value).collect::<Result<_, _>>()?;
    Ok(Record { data: data.into(), alloc: alloc.unwrap_or(0), key, tags, indices })
}

#[cfg(test)]
mod tests;
