//! Records as users send and receive them.

pub mod binary;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Durability, Problem, Timestamp};

/// One record of an append, a JSON object on a line of its own. Exactly one of `data` and `data_b64` is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendEnvelope {
    /// The payload, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The payload, as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_b64: Option<String>,
    /// A key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Values of the namespace's declared indices.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub indices: serde_json::Map<String, serde_json::Value>,
    /// Bytes to reserve for the payload; at least its length where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alloc: Option<u64>,
}

/// Why an envelope holds no payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// Neither form is there.
    #[error("an envelope needs data or data_b64")]
    Missing,
    /// Both forms are there.
    #[error("an envelope has data and data_b64; give one of them")]
    Both,
    /// Not base64.
    #[error("data_b64 is not base64: {0}")]
    NotBase64(String),
}

impl AppendEnvelope {
    /// Takes the payload's bytes out.
    ///
    /// # Errors
    /// Where neither or both forms are there, or one cannot be decoded.
    pub fn take_payload(&mut self) -> Result<Vec<u8>, InvalidPayload> {
        match (self.data.take(), self.data_b64.take()) {
            (Some(text), None) => Ok(text.into_bytes()),
            (None, Some(encoded)) => {
                BASE64.decode(encoded).map_err(|error| InvalidPayload::NotBase64(error.to_string()))
            }
            (None, None) => Err(InvalidPayload::Missing),
            (Some(_), Some(_)) => Err(InvalidPayload::Both),
        }
    }
}

/// One record of a read, a JSON object on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Its number in the partition.
    pub offset: u64,
    /// Server time of its append.
    pub time: Timestamp,
    /// The payload, where it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The payload as base64, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_b64: Option<String>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its values in the namespace's indices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indices: BTreeMap<String, i64>,
    /// Bytes reserved for the payload (`meta=all`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alloc: Option<u64>,
    /// Its partition (`meta=all`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Who produced it, where it had an identity (`meta=all`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<ProducerInfo>,
}

impl Envelope {
    /// An envelope of a payload alone.
    #[must_use]
    pub fn of(offset: u64, time: Timestamp, payload: &[u8]) -> Self {
        let (data, data_b64) = match std::str::from_utf8(payload) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(BASE64.encode(payload))),
        };
        Self { data, data_b64, ..Self::without_payload(offset, time) }
    }

    /// An envelope whose payload stands elsewhere, as in the binary form.
    #[must_use]
    pub fn without_payload(offset: u64, time: Timestamp) -> Self {
        let (data, data_b64, key, tags, indices) = (None, None, None, Vec::new(), BTreeMap::new());
        Self { offset, time, data, data_b64, key, tags, indices, alloc: None, partition: None, producer: None }
    }

    /// The payload's bytes.
    ///
    /// # Errors
    /// Where neither or both forms are there, or one cannot be decoded.
    pub fn payload(&self) -> Result<Vec<u8>, InvalidPayload> {
        let (data, data_b64) = (self.data.clone(), self.data_b64.clone());
        AppendEnvelope { data, data_b64, ..AppendEnvelope::default() }.take_payload()
    }
}

/// Body of `POST /v1/namespaces/{ns}/records/get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetRequest {
    /// The records wanted, in any order; the answer has the same.
    pub offsets: Vec<u64>,
    /// The partition; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
}

/// Stands in the place of a record that cannot be had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissingRecord {
    /// The offset that was asked for.
    pub offset: u64,
    /// Why there is no record.
    pub error: Problem,
}

/// A producer's identity beside a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerInfo {
    /// Its id.
    pub id: Uuid,
    /// Its epoch.
    pub epoch: u32,
    /// Sequence number of this record.
    pub seq: u64,
}

/// Answer of an append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendAnswer {
    /// Of the first record. Missing only for a duplicate that is too old to be remembered with its offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Records appended.
    pub count: u64,
    /// The partition.
    pub partition: u32,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// What was waited for.
    pub durability: Durability,
    /// Server time of the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The same producer sequence was stored before; nothing was written now.
    pub duplicate: bool,
}

/// Answer of `GET …/durable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurableAnswer {
    /// The partition.
    pub partition: u32,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
}

/// Answer of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchAnswer {
    /// The record.
    pub offset: u64,
    /// The partition.
    pub partition: u32,
    /// Length of its payload now.
    pub data_len: u64,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// What was waited for.
    pub durability: Durability,
    /// Server time of the patch.
    pub time: Timestamp,
}

/// Answer of an erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseAnswer {
    /// The record.
    pub offset: u64,
    /// The partition.
    pub partition: u32,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// What was waited for.
    pub durability: Durability,
    /// Server time of the erasure; missing where the record was erased before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_are_not_text_travel_as_base64() {
        let text = Envelope::of(1, Timestamp(0), "ü".as_bytes());
        assert_eq!((text.data.as_deref(), &text.data_b64), (Some("ü"), &None));
        let binary = Envelope::of(1, Timestamp(0), &[0xff, 0]);
        assert_eq!((binary.data.as_deref(), binary.data_b64.as_deref()), (None, Some("/wA=")));
        assert_eq!(binary.payload(), Ok(vec![0xff, 0]));
    }

    #[test]
    fn an_envelope_has_one_payload() {
        let take = |json: &str| serde_json::from_str::<AppendEnvelope>(json).unwrap().take_payload();
        assert_eq!(take(r#"{"data": ""}"#), Ok(vec![]));
        assert_eq!(take(r#"{"data_b64": "/wA="}"#), Ok(vec![0xff, 0]));
        assert_eq!(take("{}"), Err(InvalidPayload::Missing));
        assert_eq!(take(r#"{"data": "", "data_b64": ""}"#), Err(InvalidPayload::Both));
        assert!(matches!(take(r#"{"data_b64": "!"}"#), Err(InvalidPayload::NotBase64(_))));
    }
}
