//! Namespaces: their configuration, as users write it, and their description, as the store answers it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{
    INDEX_NAME_BYTES_MAX, INDICES_MAX, PARTITIONS_MAX, RECORD_BYTES_MAX, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
};
use crate::{NamespaceName, Timestamp};

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After the write: survives the end of the process, not a power loss.
    Written,
    /// After `fdatasync`: survives a power loss.
    #[default]
    Synced,
}

/// What a namespace takes part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceState {
    /// Append and read.
    #[default]
    Active,
    /// Read only.
    ReadOnly,
    /// Neither append nor read; it can still be described, configured and deleted.
    Closed,
}

/// When the active segment is sealed and a new one begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// At this size in bytes; 256 MiB where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_segment_bytes: Option<u64>,
    /// At this age of its first record, in seconds; never by age where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_segment_age_seconds: Option<u64>,
}

/// When old records go away. Whole segments go, so more than asked may stay for a while, never less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Records older than this, in seconds, may go; none by age where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// The oldest records may go while more than this is on disk; none by size where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

/// What a namespace may use. What is left out is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Bytes of log files, all partitions together; appends beyond it are refused with 429 until retention or a trim
    /// has made room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Bytes of one record, where less than the store's own limit is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_record_bytes: Option<u64>,
    /// Bytes of records per second, all partitions together; a second's worth may come at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_append_bytes_per_second: Option<u64>,
}

/// The whole configuration of a namespace: what is left out is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceConfig {
    /// Independent logs in the namespace, each with an order of its own; fixed when it is created.
    pub partitions: u32,
    /// What it takes part in.
    pub state: NamespaceState,
    /// When an append is acknowledged, where the request does not say.
    pub durability: Durability,
    /// Names of the values that records may carry and be found by; names can be added behind the others, not removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indices: Vec<String>,
    /// When segments end.
    pub rotation: Rotation,
    /// When records go.
    pub retention: Retention,
    /// What it may use.
    #[serde(skip_serializing_if = "Quota::is_none")]
    pub quota: Quota,
}

impl Default for NamespaceConfig {
    fn default() -> Self {
        Self {
            partitions: 1,
            state: NamespaceState::default(),
            durability: Durability::default(),
            indices: Vec::new(),
            rotation: Rotation::default(),
            retention: Retention::default(),
            quota: Quota::default(),
        }
    }
}

/// A value in a namespace's configuration that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {got}; expected {expected}")]
pub struct InvalidConfig {
    /// Path of the field, in the wire's names.
    pub field: &'static str,
    /// What would be accepted.
    pub expected: String,
    /// What was there.
    pub got: String,
}

impl NamespaceConfig {
    /// Checks the values that their types alone do not.
    ///
    /// # Errors
    /// Names the first field with a value out of its range.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let Self { partitions, state: _, durability: _, indices, rotation, retention, quota } = self;
        let refuse = |field, expected: String, got: u64| Err(InvalidConfig { field, expected, got: got.to_string() });
        if !(1..=PARTITIONS_MAX).contains(partitions) {
            return refuse("partitions", format!("1 to {PARTITIONS_MAX}"), u64::from(*partitions));
        }
        check_indices(indices)?;
        quota.check()?;
        if let Some(bytes) = rotation.max_segment_bytes
            && !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
        {
            let expected = format!("{SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes");
            return refuse("rotation.max_segment_bytes", expected, bytes);
        }
        for (field, seconds) in [
            ("rotation.max_segment_age_seconds", rotation.max_segment_age_seconds),
            ("retention.max_age_seconds", retention.max_age_seconds),
        ] {
            if seconds == Some(0) {
                return refuse(field, "at least 1 second".to_owned(), 0);
            }
        }
        if let Some(bytes) = retention.max_bytes
            && bytes < self.max_segment_bytes()
        {
            let expected = format!("at least rotation.max_segment_bytes ({})", self.max_segment_bytes());
            return refuse("retention.max_bytes", expected, bytes);
        }
        if let (Some(retention), Some(rotation)) = (retention.max_age_seconds, rotation.max_segment_age_seconds)
            && retention < rotation
        {
            let expected = format!("at least rotation.max_segment_age_seconds ({rotation})");
            return refuse("retention.max_age_seconds", expected, retention);
        }
        Ok(())
    }

    /// Checks that this configuration can follow `current`: partitions stay, and names of indices are only added.
    ///
    /// # Errors
    /// Names the first field that cannot be changed so.
    pub fn check_follows(&self, current: &Self) -> Result<(), InvalidConfig> {
        if self.partitions != current.partitions {
            let (expected, got) = (current.partitions.to_string(), self.partitions.to_string());
            return Err(InvalidConfig { field: "partitions", expected, got });
        }
        if !self.indices.starts_with(&current.indices) {
            let expected = format!("{:?}, and new names behind them", current.indices);
            return Err(InvalidConfig { field: "indices", expected, got: format!("{:?}", self.indices) });
        }
        Ok(())
    }

    /// The size in bytes at which a segment ends.
    #[must_use]
    pub fn max_segment_bytes(&self) -> u64 {
        self.rotation.max_segment_bytes.unwrap_or(SEGMENT_BYTES_DEFAULT)
    }
}

impl Quota {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let Self { max_bytes, max_record_bytes, max_append_bytes_per_second } = self;
        let refuse = |field, expected: String, got: u64| Err(InvalidConfig { field, expected, got: got.to_string() });
        if let Some(bytes) = max_bytes.filter(|bytes| *bytes < SEGMENT_BYTES_MIN) {
            return refuse("quota.max_bytes", format!("at least {SEGMENT_BYTES_MIN} bytes"), bytes);
        }
        if let Some(bytes) = max_record_bytes.filter(|bytes| *bytes == 0 || *bytes > RECORD_BYTES_MAX as u64) {
            return refuse("quota.max_record_bytes", format!("1 to {RECORD_BYTES_MAX} bytes"), bytes);
        }
        if *max_append_bytes_per_second == Some(0) {
            return refuse("quota.max_append_bytes_per_second", "at least 1 byte".to_owned(), 0);
        }
        Ok(())
    }
}

/// Whether an index can be called so: a letter first, then letters, digits, `-` and `_`. All letters are lower case,
/// because the name stands in a header too.
#[must_use]
pub fn is_index_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
        && name.len() <= INDEX_NAME_BYTES_MAX
}

fn check_indices(indices: &[String]) -> Result<(), InvalidConfig> {
    if indices.len() > INDICES_MAX {
        let (expected, got) = (format!("at most {INDICES_MAX} names"), format!("{} names", indices.len()));
        return Err(InvalidConfig { field: "indices", expected, got });
    }
    for (number, name) in indices.iter().enumerate() {
        if !is_index_name(name) {
            let expected =
                format!("lower-case letters, digits, - and _, a letter first, at most {INDEX_NAME_BYTES_MAX} in all");
            return Err(InvalidConfig { field: "indices", expected, got: format!("{name:?}") });
        }
        if indices[..number].contains(name) {
            let got = format!("{name:?} twice");
            return Err(InvalidConfig { field: "indices", expected: "each name once".to_owned(), got });
        }
    }
    Ok(())
}

/// What becomes of a namespace's data when its entry leaves the `LogStore`. The store keeps it, because the entry
/// cannot be asked any more when it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenRemoved {
    /// Stays, closed.
    #[default]
    Retain,
    /// Goes.
    Delete,
}

/// Who declared a namespace: kept by the store beside the configuration, so that the operator knows its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The declaring `LogStore`, as `namespace/name`.
    pub owner: String,
    /// The declaration's revision: what the owner counts up with each change. Lower ones are refused.
    pub revision: u64,
    /// What becomes of the data when the declaration goes.
    #[serde(default)]
    pub when_removed: WhenRemoved,
}

/// What the operator and the gateway add when they create or configure a namespace; users do not send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internal {
    /// Who declares it.
    #[serde(flatten)]
    pub ownership: Ownership,
    /// Public id of this life of the name, the same on every copy.
    pub incarnation: Uuid,
    /// Seed of all checksums, the same on every copy; secret, in no answer, not 0. Needed to create a namespace, ignored
    /// for one that exists in this incarnation. Written as a decimal string, because JSON readers round numbers of
    /// this size.
    #[serde(default, with = "decimal", skip_serializing_if = "Option::is_none")]
    pub salt: Option<u64>,
}

/// Body of `PUT /v1/namespaces/{ns}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PutNamespace {
    /// The configuration.
    #[serde(flatten)]
    pub config: NamespaceConfig,
    /// Only between our own parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<Internal>,
}

impl PutNamespace {
    /// Parses a body; `defaults` stands where the body says nothing. An empty body is an empty configuration.
    ///
    /// # Errors
    /// Names the field that is unknown or has a value of the wrong type.
    pub fn parse(body: &[u8], defaults: &NamespaceConfig) -> Result<Self, serde_json::Error> {
        // Not derived: serde lets unknown fields pass where a struct is flattened into another.
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let mut given: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)?;
        let internal = given.remove("internal").map(serde_json::from_value).transpose()?;
        let mut whole = serde_json::to_value(defaults)?;
        if let Some(whole) = whole.as_object_mut() {
            whole.extend(given);
        }
        Ok(Self { config: serde_json::from_value(whole)?, internal })
    }
}

/// Answer of `GET` and `PUT /v1/namespaces/{ns}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceInfo {
    /// Its name.
    pub name: NamespaceName,
    /// Public id of this life of the name.
    pub incarnation: Uuid,
    /// What it takes part in.
    pub state: NamespaceState,
    /// Its configuration.
    pub config: NamespaceConfig,
    /// Who declared it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Ownership>,
    /// Its logs.
    pub partitions: Vec<PartitionInfo>,
    /// Damaged ranges that were noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Hole>,
}

/// One partition of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionInfo {
    /// Its number, from 0.
    pub partition: u32,
    /// The first offset that is still there.
    pub start: u64,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
    /// Records before this offset survive a power loss.
    pub durable_end: u64,
    /// On disk, in bytes.
    pub bytes: u64,
    /// Files.
    pub segments: u64,
    /// Server time of the last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_of_last: Option<Timestamp>,
}

/// A damaged range of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// The partition.
    pub partition: u32,
    /// The first offset that cannot be had.
    pub from: u64,
    /// The first offset after the hole.
    pub until: u64,
}

/// Answer of `GET /v1/namespaces`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceList {
    /// In byte order of the names.
    pub namespaces: Vec<NamespaceEntry>,
    /// Where to go on (`after=`), where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NamespaceName>,
}

/// One line of a list. Ends and sizes are in the description: a list opens no log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceEntry {
    /// Its name.
    pub name: NamespaceName,
    /// Public id of this life of the name.
    pub incarnation: Uuid,
    /// What it takes part in.
    pub state: NamespaceState,
    /// Who declared it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Ownership>,
}

/// Body of `POST /v1/namespaces/{ns}/trim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrimRequest {
    /// The partition; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Records before this offset go.
    pub before: u64,
}

/// Answer of a trim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimAnswer {
    /// The partition.
    pub partition: u32,
    /// The first offset that is still there.
    pub start: u64,
    /// The offset that the next record gets.
    pub end: u64,
}

/// Body of `POST /v1/namespaces/{ns}/seal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealRequest {
    /// The partition; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
}

/// Answer of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealAnswer {
    /// The partition.
    pub partition: u32,
    /// Whether a segment was ended now; one without records and changes is not.
    pub sealed: bool,
    /// Files, the new one too.
    pub segments: u64,
    /// The offset that the next record gets, as readers see it.
    pub end: u64,
}

mod decimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => serializer.collect_str(number),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
        let defaults = NamespaceConfig {
            retention: Retention { max_age_seconds: Some(9), max_bytes: None },
            ..NamespaceConfig::default()
        };
        let put = PutNamespace::parse(br#"{"durability": "written"}"#, &defaults).unwrap();
        assert_eq!(put.config, NamespaceConfig { durability: Durability::Written, ..defaults.clone() });
        assert_eq!(put.internal, None);
        assert_eq!(PutNamespace::parse(b"", &defaults).unwrap().config, defaults);
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        for body in [r#"{"retentoin": {}}"#, r#"{"retention": {"on_expiry": "delete"}}"#, r#"{"archive": {}}"#] {
            let error = PutNamespace::parse(body.as_bytes(), &NamespaceConfig::default()).unwrap_err().to_string();
            assert!(error.starts_with("unknown field `"), "{error}");
        }
    }

    #[test]
    fn internal_fields_survive_the_wire() {
        let put = PutNamespace {
            config: NamespaceConfig::default(),
            internal: Some(Internal {
                ownership: Ownership { owner: "default/events".into(), revision: 3, when_removed: WhenRemoved::Delete },
                incarnation: Uuid::from_u128(7),
                salt: Some(u64::MAX),
            }),
        };
        let body = serde_json::to_vec(&put).unwrap();
        assert_eq!(PutNamespace::parse(&body, &NamespaceConfig::default()).unwrap(), put);
    }

    #[test]
    fn a_description_can_be_put_back() {
        let config = NamespaceConfig {
            retention: Retention { max_age_seconds: Some(5), max_bytes: Some(1 << 30) },
            ..NamespaceConfig::default()
        };
        let back: NamespaceConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn partitions_stay_and_indices_are_only_added() {
        let config = |partitions: u32, indices: &[&str]| NamespaceConfig {
            partitions,
            indices: indices.iter().map(|name| (*name).to_owned()).collect(),
            ..NamespaceConfig::default()
        };
        let field = |new: &NamespaceConfig, old: &NamespaceConfig| new.check_follows(old).map_err(|error| error.field);
        assert_eq!(field(&config(2, &["a", "b"]), &config(2, &["a"])), Ok(()));
        assert_eq!(field(&config(3, &["a"]), &config(2, &["a"])), Err("partitions"));
        for changed in [&["b"][..], &[], &["b", "a"]] {
            assert_eq!(field(&config(2, changed), &config(2, &["a"])), Err("indices"));
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let field = |config: serde_json::Value| {
            serde_json::from_value::<NamespaceConfig>(config).unwrap().check().unwrap_err().field
        };
        assert_eq!(field(json!({"partitions": 0})), "partitions");
        assert_eq!(field(json!({"partitions": 65})), "partitions");
        for indices in [json!([""]), json!(["Price"]), json!(["a b"]), json!(["a", "a"]), json!(["1"])] {
            assert_eq!(field(json!({ "indices": indices })), "indices");
        }
        assert_eq!(field(json!({"quota": {"max_bytes": 1}})), "quota.max_bytes");
        assert_eq!(field(json!({"quota": {"max_record_bytes": 0}})), "quota.max_record_bytes");
        assert_eq!(field(json!({"rotation": {"max_segment_bytes": 1}})), "rotation.max_segment_bytes");
        assert_eq!(field(json!({"retention": {"max_bytes": 1}})), "retention.max_bytes");
        assert_eq!(field(json!({"retention": {"max_age_seconds": 0}})), "retention.max_age_seconds");
        let short = json!({"retention": {"max_age_seconds": 5}, "rotation": {"max_segment_age_seconds": 6}});
        assert_eq!(field(short), "retention.max_age_seconds");
    }
}
