//! Appending to one store so that a retry stores nothing twice.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use logstore_api::record::{AppendAnswer, AppendEnvelope};
use logstore_api::{Durability, NamespaceName};
use uuid::Uuid;

use crate::error::{Error, Outcome, chain};
use crate::patience::{Patience, Retries};
use crate::records::{self, InvalidRecords, Record};
use crate::store::{AppendOptions, Payload, ProducerSequence, Store};

/// How a producer appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerOptions {
    /// Where the records go; may be left out where there is one partition, or all records of a batch have one key.
    pub partition: Option<u32>,
    /// When an append is acknowledged; as the namespace says where left out.
    pub durability: Option<Durability>,
    /// How long to go on while the store is away.
    pub retries: Retries,
}

/// Why a batch was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// Over a bound; nothing was sent.
    #[error(transparent)]
    Invalid(#[from] InvalidRecords),
    /// Nothing was stored.
    #[error("not appended")]
    Refused(#[source] Error),
    /// It may have been stored or not. The same records again find out.
    #[error("it is not known whether it was appended")]
    Unknown(#[source] Error),
}

/// An idempotent producer: an identity, and a sequence that counts its records.
#[derive(Debug)]
pub struct Producer {
    store: Store,
    name: NamespaceName,
    options: ProducerOptions,
    sequence: ProducerSequence,
}

impl Producer {
    /// A producer with a new random identity. Nothing is sent yet.
    #[must_use]
    pub fn new(store: Store, name: NamespaceName, options: ProducerOptions) -> Self {
        Self { store, name, options, sequence: ProducerSequence { id: Uuid::new_v4(), epoch: 0, seq: 0 } }
    }

    /// Appends a batch, whole or not at all, and tries again while the store is away.
    ///
    /// After [`ProduceError::Unknown`] only the same records may follow: others would meet the sequence of these.
    ///
    /// # Errors
    /// [`ProduceError`] says what is known of the outcome.
    pub async fn append(&mut self, records: &[Record]) -> Result<AppendAnswer, ProduceError> {
        records::check(records)?;
        let payload = payload(records);
        let options = AppendOptions {
            partition: self.options.partition,
            durability: self.options.durability,
            producer: Some(self.sequence),
            ..AppendOptions::default()
        };
        let answer = self.send(&payload, &options).await?;
        self.sequence.seq += records.len() as u64;
        Ok(answer)
    }

    async fn send(&self, payload: &Payload, options: &AppendOptions) -> Result<AppendAnswer, ProduceError> {
        let mut patience = Patience::new(self.options.retries);
        let mut may_be_stored = false;
        loop {
            let begun = Instant::now();
            let error = match self.store.append(&self.name, payload, options).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.into_error(),
            };
            // A later refusal says nothing of an earlier attempt.
            may_be_stored |= error.outcome() == Outcome::Unknown;
            if !patience.is_troubled() && error.is_transient() {
                tracing::warn!(namespace = %self.name, error = chain(&error), "cannot append, trying again");
            }
            let wait = if error.is_transient() { patience.next_wait(begun, error.retry_after()).ok() } else { None };
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None if may_be_stored => return Err(ProduceError::Unknown(error)),
                None => return Err(ProduceError::Refused(error)),
            }
        }
    }
}

/// The smallest form that carries the records as they are.
fn payload(records: &[Record]) -> Payload {
    match records {
        [record] if record.is_plain() => Payload::One(record.data.clone()),
        _ if records.iter().all(is_line) => {
            let mut lines = Vec::with_capacity(records.iter().map(|record| record.data.len() + 1).sum());
            for record in records {
                lines.extend_from_slice(&record.data);
                lines.push(b'\n');
            }
            Payload::Lines(lines.into())
        }
        _ => Payload::Envelopes(records.iter().map(envelope).collect()),
    }
}

/// Whether a record survives being sent as a line: a carriage return at its end would pass for a part of the line end.
fn is_line(record: &Record) -> bool {
    record.is_plain() && !record.data.contains(&b'\n') && record.data.last() != Some(&b'\r')
}

fn envelope(record: &Record) -> AppendEnvelope {
    let Record { data, alloc, key, tags, indices } = record;
    let (data, data_b64) = match std::str::from_utf8(data) {
        Ok(text) if escaped_len(text) <= base64_len(text.len()) => (Some(text.to_owned()), None),
        _ => (None, Some(BASE64.encode(data))),
    };
    AppendEnvelope {
        data,
        data_b64,
        key: key.clone(),
        tags: tags.clone(),
        indices: indices.iter().map(|(name, value)| (name.clone(), (*value).into())).collect(),
        alloc: (*alloc > 0).then_some(*alloc),
    }
}

/// Bytes that JSON makes of a text. A large record must not outgrow the bound on a body by being text.
fn escaped_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

fn base64_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(payloads: &[&'static [u8]]) -> Vec<Record> {
        payloads.iter().map(|payload| Record::new(*payload)).collect()
    }

    #[test]
    fn payloads_are_sent_in_the_smallest_form_that_keeps_them() {
        assert_eq!(payload(&records(&[b"a\nb"])), Payload::One("a\nb".into()));
        assert_eq!(payload(&records(&[b"a", b"", b"\xff"])), Payload::Lines(b"a\n\n\xff\n".as_slice().into()));
        for odd in [records(&[b"a\nb", b"c"]), records(&[b"a\r", b"c"])] {
            assert!(matches!(payload(&odd), Payload::Envelopes(_)), "{odd:?}");
        }
        let tagged = Record { tags: vec!["t".to_owned()], ..Record::new("a") };
        assert!(matches!(payload(&[tagged]), Payload::Envelopes(_)));
    }

    #[test]
    fn an_envelope_is_text_only_where_that_is_no_longer_than_base64() {
        assert_eq!(envelope(&Record::new("plain")).data.as_deref(), Some("plain"));
        assert_eq!(envelope(&Record::new(vec![1_u8; 99])).data, None);
        assert_eq!(envelope(&Record::new(b"\xff".as_slice())).data_b64.as_deref(), Some("/w=="));
    }
}
