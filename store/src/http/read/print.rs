//! Records in the form that a reader wants.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use logstore_api::record::{Envelope, ProducerInfo};
use uuid::Uuid;

use super::Request;
use crate::http::accept::Form;
use crate::log::cursor::LogRecord;

/// Puts a record behind the others.
pub fn print(body: &mut Vec<u8>, record: &LogRecord<'_>, partition: u32, request: &Request) {
    match request.form {
        Form::Octets => body.extend_from_slice(record.data()),
        Form::Text => {
            body.extend_from_slice(record.data());
            body.push(b'\n');
        }
        Form::Envelopes => {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut *body, &envelope(record, partition, request.all_meta));
            body.push(b'\n');
        }
    }
}

/// A record as JSON, with all that is known of it if asked.
pub fn envelope(record: &LogRecord<'_>, partition: u32, all_meta: bool) -> Envelope {
    let mut envelope = Envelope::of(record.offset, record.time, record.data());
    let meta = record.meta();
    envelope.key = meta.key.map(text_or_base64);
    envelope.tags = meta.tags.into_iter().map(text_or_base64).collect();
    if all_meta {
        envelope.alloc = Some(u64::from(record.alloc_len()));
        envelope.partition = Some(partition);
        envelope.producer = record.producer.map(|producer| ProducerInfo {
            id: Uuid::from_u128(producer.id),
            epoch: producer.epoch,
            seq: producer.seq,
        });
    }
    envelope
}

/// Keys and tags are text; bytes that a dialect stored and that are none are shown as base64.
pub fn text_or_base64(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| BASE64.encode(error.as_bytes()))
}
