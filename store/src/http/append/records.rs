//! From a body to a frame of records.

use logstore_api::frame::{ALIGN, RECORD_HEADER_LEN};
use logstore_api::record::AppendEnvelope;
use logstore_api::record::binary::{self, Cut, ENTRY_HEADER_LEN, Entry};
use logstore_api::{Code, Problem};

use super::request::{Form, Request};
use crate::engine::batch::{Attributes, Batch, Ready};
use crate::engine::indices;
use crate::engine::namespace::{Rules, check_partition};
use crate::engine::placement::Placement;
use crate::http::object;

/// A batch in the making.
struct Making<'a> {
    rules: &'a Rules,
    batch: Batch,
    placement: Placement,
}

/// The records of a body, and the partition they go to; `None` leaves it to the store.
pub(super) fn batch(request: &Request, body: &[u8], rules: &Rules) -> Result<(Option<u32>, Ready), Problem> {
    if let Some(partition) = request.partition {
        check_partition(partition, rules.partitions)?;
    }
    let batch = Batch::new(request.producer, rules.salt, room(request.form, body));
    let batch = batch.with_max_record_bytes(rules.max_record_bytes);
    let mut making = Making { rules, batch, placement: Placement::new(rules.partitions, request.partition) };
    match request.form {
        Form::One => making.push_plain(request, [body])?,
        Form::Lines => making.push_plain(request, lines(body))?,
        Form::Envelopes => {
            for (number, line) in lines(body).enumerate() {
                making.push_envelope(line).map_err(|problem| at_line(problem, number + 1))?;
            }
        }
        Form::Binary => {
            let mut position = 0;
            for entry in binary::entries(body) {
                let entry = entry.map_err(|cut| malformed_binary(&cut))?;
                making.push_binary(entry).map_err(|problem| at_byte(problem, position))?;
                position += ENTRY_HEADER_LEN + entry.meta.len() + entry.data.len();
            }
        }
    }
    let Making { batch, placement, .. } = making;
    Ok((placement.choose(request.needs_one_partition())?, batch.finish()?))
}

/// About how many bytes the records of a body take in a frame, so that a large one is not moved while it grows.
fn room(form: Form, body: &[u8]) -> usize {
    match form {
        Form::One | Form::Lines | Form::Envelopes => body.len(),
        Form::Binary => body.len() + binary::entries(body).count() * (RECORD_HEADER_LEN + ALIGN - ENTRY_HEADER_LEN),
    }
}

impl Making<'_> {
    /// Records that are nothing but data; what is beside it stands in the query.
    fn push_plain<'b>(
        &mut self,
        request: &Request,
        records: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<(), Problem> {
        let named = request.indices.iter().map(|(name, value)| (name.as_str(), *value));
        let attributes = Attributes {
            key: request.key.clone(),
            tags: request.tags.clone(),
            indices: indices::numbered(&self.rules.indices, named)?,
            alloc: request.alloc,
        };
        self.placement.see(attributes.key.as_deref())?;
        records.into_iter().try_for_each(|data| self.batch.push(data, attributes.clone()))
    }

    fn push_envelope(&mut self, line: &[u8]) -> Result<(), Problem> {
        let mut envelope = parse_envelope(line)?;
        let data = envelope.take_payload().map_err(|error| malformed(&error))?;
        self.push(&data, envelope)
    }

    fn push_binary(&mut self, entry: Entry<'_>) -> Result<(), Problem> {
        let envelope = if entry.meta.is_empty() { AppendEnvelope::default() } else { parse_envelope(entry.meta)? };
        if envelope.data.is_some() || envelope.data_b64.is_some() {
            return Err(malformed(&"data stands behind the metadata, not in it"));
        }
        self.push(entry.data, envelope)
    }

    fn push(&mut self, data: &[u8], envelope: AppendEnvelope) -> Result<(), Problem> {
        let AppendEnvelope { data: _, data_b64: _, key, tags, indices, alloc } = envelope;
        self.placement.see(key.as_deref())?;
        let mut named = Vec::with_capacity(indices.len());
        for (name, value) in &indices {
            let value = value.as_i64().ok_or_else(|| no_integer(name, value))?;
            named.push((name.as_str(), value));
        }
        let indices = indices::numbered(&self.rules.indices, named)?;
        self.batch.push(data, Attributes { key, tags, indices, alloc })
    }
}

fn parse_envelope(json: &[u8]) -> Result<AppendEnvelope, Problem> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(malformed(&"it is no JSON object"));
    }
    let envelope: AppendEnvelope = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
    if !envelope.indices.is_empty() {
        // They came into a map; of all other members the parser knows that they are given twice.
        object::check_members_once(json).map_err(|error| malformed(&error))?;
    }
    Ok(envelope)
}

fn malformed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::MalformedBody, format!("the envelope is not understood: {error}; nothing was stored"))
}

fn no_integer(name: &str, value: &serde_json::Value) -> Problem {
    let expected = format!("a whole number from {} to {}", i64::MIN, i64::MAX);
    let detail = format!("indices.{name} is {value}; give {expected}; nothing was stored");
    let problem = Problem::new(Code::MalformedBody, detail).field(format!("indices.{name}"));
    problem.expected(expected).got(value.clone())
}

fn malformed_binary(cut: &Cut) -> Problem {
    let detail = format!("the body is not understood: {cut}; nothing was stored");
    Problem::new(Code::MalformedBody, detail).with("byte", cut.at)
}

fn at_line(problem: Problem, line: usize) -> Problem {
    let detail = format!("line {line}: {}", problem.detail);
    Problem { detail, ..problem }.with("line", line)
}

fn at_byte(problem: Problem, byte: usize) -> Problem {
    let detail = format!("the record at byte {byte}: {}", problem.detail);
    Problem { detail, ..problem }.with("byte", byte)
}

/// The lines of a body, without their ends (`\n` or `\r\n`). A last line without an end counts; nothing after a last
/// end does not.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_people_end_them() {
        let split = |body: &'static [u8]| lines(body).collect::<Vec<_>>();
        assert_eq!(split(b"a\nb\r\n\nc"), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(split(b"a\n"), [b"a"]);
        assert_eq!(split(b"\n"), [b""]);
        assert_eq!(split(b""), Vec::<&[u8]>::new());
    }
}
