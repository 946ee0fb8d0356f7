//! A plain append: what is sent, how, and what may come back.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use logstore_api::record::AppendEnvelope;
use logstore_api::{Durability, MEDIA_ENVELOPES, NamespaceName, header};
use uuid::Uuid;

use crate::error::{Error, Outcome};
use crate::http::Call;
use crate::query::{Query, durability_text, namespace_path};

/// Media type of a body that is one record, or lines.
const MEDIA_OCTETS: &str = "application/octet-stream";

/// What is appended.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// One record.
    One(Bytes),
    /// Each line, without its line end, is a record; one atomic batch.
    Lines(Bytes),
    /// Each envelope is a record; one atomic batch.
    Envelopes(Vec<AppendEnvelope>),
}

/// What an append asks for beside its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// Tags of each record.
    pub tags: Vec<String>,
    /// Key of each record.
    pub key: Option<String>,
    /// Bytes to reserve for each payload.
    pub alloc: Option<u64>,
    /// Values of the namespace's indices, by their names, of each record.
    pub indices: Vec<(String, i64)>,
    /// Append only where the first record gets this offset.
    pub expect_offset: Option<u64>,
    /// Where it goes; where left out, the key's hash says, or the store takes one after the other.
    pub partition: Option<u32>,
    /// When the append is acknowledged; as the namespace says where left out.
    pub durability: Option<Durability>,
    /// Makes the append idempotent.
    pub producer: Option<ProducerSequence>,
}

/// A producer's identity on one append: the same one again stores nothing again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSequence {
    /// The producer.
    pub id: Uuid,
    /// A higher epoch fences a lower one.
    pub epoch: u32,
    /// Sequence number of the first record; the next append begins behind the last one.
    pub seq: u64,
}

/// Why an append was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was stored.
    #[error("not appended")]
    Refused(#[source] Error),
    /// It may have been stored or not: send it again with the same [`ProducerSequence`], if it had one.
    #[error("it is not known whether it was appended")]
    Unknown(#[source] Error),
}

impl AppendError {
    /// Sorts an error by what is known of the outcome.
    pub(crate) fn new(error: Error) -> Self {
        match error.outcome() {
            Outcome::NotDone => Self::Refused(error),
            Outcome::Unknown => Self::Unknown(error),
        }
    }

    /// What happened.
    #[must_use]
    pub fn error(&self) -> &Error {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
        }
    }

    /// What happened, without what is known of the outcome.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
        }
    }
}

/// The request of an append.
pub(super) fn call(name: &NamespaceName, payload: &Payload, options: &AppendOptions) -> Call {
    let AppendOptions { tags, key, alloc, indices, expect_offset, partition, durability, producer } = options;
    let mut query = Query::default()
        .with_some("key", key.as_deref())
        .with_some("alloc", *alloc)
        .with_some("partition", *partition)
        .with_some("expect_offset", *expect_offset)
        .with_some("durability", durability.map(durability_text));
    for tag in tags {
        query = query.with("tag", tag);
    }
    for (name, value) in indices {
        query = query.with(&format!("index.{name}"), value);
    }
    let mut call = Call::new(Method::POST, namespace_path(name, "/records"));
    if let Some(producer) = producer {
        call = with_producer(call, *producer);
    }
    match payload {
        Payload::One(data) => call.query(query).body(MEDIA_OCTETS, data.clone()),
        Payload::Lines(lines) => call.query(query.with("split", "lines")).body(MEDIA_OCTETS, lines.clone()),
        Payload::Envelopes(envelopes) => call.query(query).body(MEDIA_ENVELOPES, ndjson(envelopes)),
    }
}

fn with_producer(call: Call, producer: ProducerSequence) -> Call {
    let ProducerSequence { id, epoch, seq } = producer;
    let id = HeaderValue::from_str(&id.to_string()).expect("a UUID is hexadecimal digits and hyphens");
    call.header(HeaderName::from_static(header::PRODUCER_ID), id)
        .header(HeaderName::from_static(header::PRODUCER_EPOCH), epoch.into())
        .header(HeaderName::from_static(header::PRODUCER_SEQ), seq.into())
}

fn ndjson(envelopes: &[AppendEnvelope]) -> Bytes {
    let mut body = Vec::new();
    for envelope in envelopes {
        serde_json::to_writer(&mut body, envelope).expect("an envelope is JSON, and a vector takes it");
        body.push(b'\n');
    }
    body.into()
}
