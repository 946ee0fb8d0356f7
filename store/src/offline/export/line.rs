//! The lines of an export: one JSON object each, the same bytes for the same records.
//!
//! ```text
//! {"export":{"version":1,"namespace":"orders","config":{…}}}
//! {"log":{"partition":0,"start":5,"address":140}}                       for each partition, in order:
//! {"offset":5,"time":"…","partition":0,"data":"a"}                        a record
//! {"offset":6,"time":"…","partition":0,"with_previous":true,"data":"b"}   one that was appended together with it
//! {"gap":{"partition":0,"from":7,"until":9,"why":"damaged","address_bytes":48}}
//! {"log_end":{"partition":0,"end":9,"records":2,"producers":[…]}}
//! {"export_end":{"records":2}}
//! ```

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use logstore_api::frame::{Meta, Producer};
use logstore_api::record::ProducerInfo;
use logstore_api::{NamespaceConfig, NamespaceName, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::producers::Remembered;
use crate::offline::walk::Missing;

/// Version of the lines' form.
pub const VERSION: u32 = 1;

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The first line.
    Export(Head),
    /// A partition begins.
    Log(LogBegin),
    /// Offsets without a record.
    Gap(GapLine),
    /// A partition ends.
    LogEnd(LogEnd),
    /// The last line: without it the export is cut.
    ExportEnd(ExportEnd),
}

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of the lines' form.
    pub version: u32,
    /// The namespace.
    pub namespace: NamespaceName,
    /// Its configuration.
    pub config: NamespaceConfig,
}

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogBegin {
    /// The partition.
    pub partition: u32,
    /// The first offset that is still there.
    pub start: u64,
    /// Its address in rochefort's file.
    pub address: u64,
}

/// Offsets without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapLine {
    /// The partition.
    pub partition: u32,
    /// The first of them.
    pub from: u64,
    /// The first offset behind them.
    pub until: u64,
    /// Why there is no record.
    pub why: Missing,
    /// Bytes that they take in rochefort's file.
    pub address_bytes: u64,
}

/// Where a partition ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnd {
    /// The partition.
    pub partition: u32,
    /// The offset that comes next.
    pub end: u64,
    /// Records in the export.
    pub records: u64,
    /// Producers that are remembered, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<ProducerLine>,
}

/// A producer that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerLine {
    /// Its id.
    pub id: Uuid,
    /// Its epoch.
    pub epoch: u32,
    /// The sequence number that comes next.
    pub next_seq: u64,
    /// Server time of its last records.
    pub time: Timestamp,
}

/// The end of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEnd {
    /// Records in all partitions.
    pub records: u64,
}

/// A record, as it stands on a line. Of each pair of fields one is there: the second holds base64 of what is no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    offset: u64,
    time: Timestamp,
    partition: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    with_previous: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_b64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_b64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags_b64: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    indices: BTreeMap<String, i64>,
    /// Left out where it is the length of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alloc: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<ProducerInfo>,
}

/// A record with all that an export says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Server time of its append.
    pub time: Timestamp,
    /// It was appended together with the record before it.
    pub with_previous: bool,
    /// The payload.
    pub data: Vec<u8>,
    /// What it carries beside it.
    pub meta: Meta,
    /// Bytes reserved.
    pub alloc: u32,
    /// Who produced it.
    pub producer: Option<Producer>,
}

/// A field of a record's line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl Record {
    /// The line of a record in a namespace with these indices.
    #[must_use]
    pub fn to_line(&self, indices: &[String]) -> RecordLine {
        let Self { partition, offset, time, with_previous, data, meta, alloc, producer } = self;
        let Meta { indices: values, key, tags } = meta;
        let (data_text, data_b64) = text_or_base64(data);
        let (key, key_b64) = key.as_deref().map_or((None, None), text_or_base64);
        let text: Option<Vec<String>> = tags.iter().map(|tag| String::from_utf8(tag.clone()).ok()).collect();
        let (tags, tags_b64) = match text {
            _ if tags.is_empty() => (None, None),
            Some(text) => (Some(text), None),
            None => (None, Some(tags.iter().map(|tag| BASE64.encode(tag)).collect())),
        };
        RecordLine {
            offset: *offset,
            time: *time,
            partition: *partition,
            with_previous: *with_previous,
            data: data_text,
            data_b64,
            key,
            key_b64,
            tags,
            tags_b64,
            indices: values.iter().map(|(number, value)| (index_name(indices, *number), *value)).collect(),
            alloc: (*alloc as usize != data.len()).then_some(*alloc),
            producer: producer.map(|Producer { id, seq, epoch }| ProducerInfo { id: Uuid::from_u128(id), epoch, seq }),
        }
    }
}

impl RecordLine {
    /// The record of a line in a namespace with these indices.
    ///
    /// # Errors
    /// Names the field that cannot be taken.
    pub fn into_record(self, indices: &[String]) -> Result<Record, InvalidField> {
        let Self { offset, time, partition, with_previous, data, data_b64, key, key_b64, tags, tags_b64, .. } = self;
        let data = one_of("data", data.map(String::into_bytes), data_b64.map(|text| decode("data_b64", &text)))?;
        let data = data.ok_or_else(|| invalid("data", "a record needs data or data_b64"))?;
        let key = one_of("key", key.map(String::into_bytes), key_b64.map(|text| decode("key_b64", &text)))?;
        let text = tags.map(|tags| tags.into_iter().map(String::into_bytes).collect());
        let decoded = tags_b64.map(|tags| tags.iter().map(|tag| decode("tags_b64", tag)).collect());
        let tags = one_of("tags", text, decoded)?.unwrap_or_default();
        let values: Result<Vec<_>, _> =
            self.indices.iter().map(|(name, value)| Ok((index_number(indices, name)?, *value))).collect();
        let mut values = values?;
        values.sort_unstable();
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let alloc = self.alloc.unwrap_or(len);
        if alloc < len {
            return Err(invalid("alloc", format!("{alloc} is less than the {len} bytes of the payload")));
        }
        let producer = self.producer.map(|ProducerInfo { id, epoch, seq }| Producer { id: id.as_u128(), seq, epoch });
        let meta = Meta { indices: values, key, tags };
        Ok(Record { partition, offset, time, with_previous, data, meta, alloc, producer })
    }
}

impl From<&Remembered> for ProducerLine {
    fn from(known: &Remembered) -> Self {
        let Remembered { id, epoch, next_seq, last_time } = *known;
        Self { id: Uuid::from_u128(id), epoch, next_seq, time: last_time }
    }
}

impl From<&ProducerLine> for Remembered {
    fn from(line: &ProducerLine) -> Self {
        let ProducerLine { id, epoch, next_seq, time } = *line;
        Self { id: id.as_u128(), epoch, next_seq, last_time: time }
    }
}

/// A line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Record(Box<RecordLine>),
    /// Anything else.
    Mark(Mark),
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// Names the field that is missing, unknown or of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if value.get("offset").is_some() {
            return serde_path_to_error::deserialize(value).map(Self::Record).map_err(|error| describe(&error));
        }
        serde_path_to_error::deserialize(value).map(Self::Mark).map_err(|error| describe(&error))
    }
}

fn describe(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("field {path}: {}", error.inner()),
    }
}

fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

fn one_of<T>(
    field: &'static str,
    text: Option<T>,
    decoded: Option<Result<T, InvalidField>>,
) -> Result<Option<T>, InvalidField> {
    match (text, decoded) {
        (Some(_), Some(_)) => Err(invalid(field, format!("both {field} and {field}_b64 are given; give one of them"))),
        (text, None) => Ok(text),
        (None, Some(decoded)) => decoded.map(Some),
    }
}

fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, InvalidField> {
    BASE64.decode(text).map_err(|error| invalid(field, format!("it is not base64: {error}")))
}

fn invalid(field: &'static str, what: impl Into<String>) -> InvalidField {
    InvalidField { field, what: what.into() }
}

/// The name of an index; one that the configuration does not name keeps its number.
fn index_name(indices: &[String], number: u8) -> String {
    indices.get(usize::from(number)).cloned().unwrap_or_else(|| format!("#{number}"))
}

fn index_number(indices: &[String], name: &str) -> Result<u8, InvalidField> {
    let position = indices.iter().position(|index| index == name).and_then(|position| u8::try_from(position).ok());
    position
        .or_else(|| name.strip_prefix('#')?.parse().ok())
        .ok_or_else(|| invalid("indices", format!("the configuration has no index {name:?}")))
}
