//! Records in the form that a reader wants.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use logstore_api::Problem;
use logstore_api::frame::Meta;
use logstore_api::record::binary::Entry;
use logstore_api::record::{Envelope, MissingRecord, ProducerInfo};
use serde::Serialize;
use uuid::Uuid;

use super::request::Request;
use crate::engine::namespace::Namespace;
use crate::http::accept::Form;
use crate::log::Partition;
use crate::log::cursor::LogRecord;

/// Prints records of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printer {
    /// The form.
    pub form: Form,
    /// With everything that is known of them.
    pub all_meta: bool,
    /// Where they are from.
    pub partition: u32,
    /// Names of the namespace's indices, by number.
    pub indices: Vec<String>,
}

impl Printer {
    /// For what a read asks.
    #[must_use]
    pub fn new(request: &Request, namespace: &Namespace, partition: &Partition) -> Self {
        let Request { form, all_meta, .. } = *request;
        Self { form, all_meta, partition: partition.number(), indices: namespace.indices() }
    }

    /// Puts a record behind the others.
    pub fn print(&self, body: &mut Vec<u8>, record: &LogRecord<'_>) {
        match self.form {
            Form::Octets => body.extend_from_slice(record.data()),
            Form::Text => {
                body.extend_from_slice(record.data());
                body.push(b'\n');
            }
            Form::Envelopes => {
                let envelope = Envelope::of(record.offset, record.time, record.data());
                line(body, &self.with_meta(envelope, record));
            }
            Form::Frames if !record.has_meta() && !self.all_meta => {
                Entry::push_with(body, record.data(), |meta| plain_envelope(meta, record));
            }
            Form::Frames => {
                let envelope = Envelope::without_payload(record.offset, record.time);
                entry(body, &self.with_meta(envelope, record), record.data());
            }
            Form::Events => event(body, record.offset, record.data()),
        }
    }

    /// Says in the place of a record why there is none.
    pub fn print_missing(&self, body: &mut Vec<u8>, offset: u64, error: Problem) {
        let missing = MissingRecord { offset, error };
        match self.form {
            Form::Frames => entry(body, &missing, b""),
            _ => line(body, &missing),
        }
    }

    fn with_meta(&self, mut envelope: Envelope, record: &LogRecord<'_>) -> Envelope {
        let Meta { indices, key, tags } = record.meta();
        envelope.key = key.map(text_or_base64);
        envelope.tags = tags.into_iter().map(text_or_base64).collect();
        let named = named_indices(&self.indices, indices);
        envelope.indices = named.map(|(name, value)| (name.to_owned(), value)).collect();
        if self.all_meta {
            envelope.alloc = Some(u64::from(record.alloc_len()));
            envelope.partition = Some(self.partition);
            envelope.producer = record.producer.map(|producer| ProducerInfo {
                id: Uuid::from_u128(producer.id),
                epoch: producer.epoch,
                seq: producer.seq,
            });
        }
        envelope
    }
}

/// Values of indices with the names that the namespace has given them.
pub fn named_indices(names: &[String], values: Vec<(u8, i64)>) -> impl Iterator<Item = (&str, i64)> {
    values.into_iter().filter_map(|(number, value)| Some((names.get(usize::from(number))?.as_str(), value)))
}

fn line(body: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(&mut *body, value);
    body.push(b'\n');
}

fn entry(body: &mut Vec<u8>, meta: &impl Serialize, data: &[u8]) {
    Entry::push_with(body, data, |body| {
        let _ = serde_json::to_writer(body, meta);
    });
}

/// The envelope of a record that is nothing but a payload, which most are: as [`Envelope`] is written, at a fifth of its cost.
fn plain_envelope(body: &mut Vec<u8>, record: &LogRecord<'_>) {
    let _ = write!(body, r#"{{"offset":{},"time":"{}"}}"#, record.offset, record.time);
}

/// A record as an event. A line of the data is a line of the event; a carriage return would be read as the end of one,
/// and bytes that are no text cannot stand there.
fn event(body: &mut Vec<u8>, offset: u64, data: &[u8]) {
    body.extend_from_slice(format!("id: {offset}\n").as_bytes());
    match std::str::from_utf8(data) {
        Ok(text) if !text.contains('\r') => data_lines(body, text),
        _ => {
            body.extend_from_slice(b"event: record_b64\n");
            data_lines(body, &BASE64.encode(data));
        }
    }
    body.push(b'\n');
}

/// An error as an event, behind which the reader's next request goes on.
pub fn error_event(body: &mut Vec<u8>, resume_behind: Option<u64>, error: &Problem) {
    if let Some(offset) = resume_behind {
        body.extend_from_slice(format!("id: {offset}\n").as_bytes());
    }
    body.extend_from_slice(b"event: error\n");
    data_lines(body, &serde_json::to_string(error).unwrap_or_default());
    body.push(b'\n');
}

fn data_lines(body: &mut Vec<u8>, text: &str) {
    for line in text.split('\n') {
        body.extend_from_slice(b"data: ");
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
}

/// Keys and tags are text; bytes that a dialect stored and that are none are shown as base64.
pub fn text_or_base64(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| BASE64.encode(error.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(data: &[u8]) -> String {
        let mut body = Vec::new();
        event(&mut body, 7, data);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn events_are_lines_as_the_specification_has_them() {
        assert_eq!(printed(b"one"), "id: 7\ndata: one\n\n");
        assert_eq!(printed(b""), "id: 7\ndata: \n\n");
        assert_eq!(printed(b"one\ntwo\n"), "id: 7\ndata: one\ndata: two\ndata: \n\n");
        assert_eq!(printed(b" : id: 9"), "id: 7\ndata:  : id: 9\n\n");
        assert_eq!(printed(b"one\r\ntwo"), "id: 7\nevent: record_b64\ndata: b25lDQp0d28=\n\n");
        assert_eq!(printed(b"\xff\0"), "id: 7\nevent: record_b64\ndata: /wA=\n\n");
    }
}
