//! The entries of `spec.namespaces`, with what they fall back to.

use kube::KubeSchema;
use logstore_api::limits::SEGMENT_BYTES_DEFAULT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What holds for namespaces that do not say it themselves.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::defaults_keep_a_segment(), validation = rules::defaults_keep_until_a_segment_ends())]
pub struct NamespaceDefaults {
    /// When segments end.
    #[serde(default)]
    pub rotation: Rotation,

    /// When old records go. Left out: never.
    #[serde(default)]
    pub retention: Retention,

    /// When an append is acknowledged.
    #[serde(default)]
    pub durability: Durability,

    /// What each namespace may use. Left out: no more than the volume gives.
    #[serde(default)]
    pub quota: Quota,
}

/// A namespace that the stores shall have.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::entry_keeps_a_segment(), validation = rules::entry_keeps_until_a_segment_ends())]
pub struct NamespaceEntry {
    /// 1 to 249 bytes of UTF-8 without control characters; no part between slashes is "." or "..".
    #[schemars(length(min = 1, max = 249))]
    #[x_kube(
        validation = rules::namespace_name_is_short(),
        validation = rules::namespace_name_is_printable(),
        validation = rules::namespace_name_has_no_dot_part()
    )]
    pub name: String,

    /// Independent logs in it, each with an order of its own, so that several readers can share the work. Cannot be
    /// changed later.
    #[serde(default = "one")]
    #[schemars(with = "i64", range(min = 1, max = 64))]
    #[x_kube(validation = rules::partitions_stay())]
    pub partitions: u32,

    /// Names of the 64-bit integers that records may carry and be found by. Names can be added behind the others, not
    /// removed.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    #[x_kube(
        validation = rules::indices_have_names(),
        validation = rules::indices_are_named_once(),
        validation = rules::indices_are_only_added()
    )]
    pub indices: Vec<String>,

    /// What it takes part in.
    #[serde(default)]
    pub state: State,

    /// What becomes of the data when this entry goes away: Retain closes the namespace and keeps it, Delete deletes it.
    #[serde(default)]
    pub when_removed: WhenRemoved,

    /// When segments end. Replaces namespaceDefaults.rotation as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Rotation")]
    pub rotation: Option<Rotation>,

    /// When old records go. Replaces namespaceDefaults.retention as a whole; {} keeps records for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Retention")]
    pub retention: Option<Retention>,

    /// When an append is acknowledged. Left out: as namespaceDefaults.durability says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Durability")]
    pub durability: Option<Durability>,

    /// What it may use. Replaces namespaceDefaults.quota as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quota")]
    pub quota: Option<Quota>,
}

/// What a namespace may use, on each copy.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Bytes of log files; appends beyond it are refused until retention or a trim has made room. Left out: as much as
    /// the volume gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 65536))]
    pub max_bytes: Option<u64>,

    /// Bytes of one record. Left out: 16 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 16777216))]
    pub max_record_bytes: Option<u64>,

    /// Bytes of records per second; a second's worth may come at once. Left out: as many as the store can take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1))]
    pub max_append_bytes_per_second: Option<u64>,
}

/// When the active segment is sealed and a new one begun.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// At this size in bytes.
    #[serde(default = "default_segment_bytes")]
    #[schemars(with = "i64", range(min = 65536, max = 2147483648_u64))]
    pub max_segment_bytes: u64,

    /// At this age of its first record, in seconds. Left out: never by age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 3153600000_u64))]
    pub max_segment_age_seconds: Option<u64>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_segment_bytes: default_segment_bytes(), max_segment_age_seconds: None }
    }
}

/// When old records go. Whole segments go, so more than asked may stay for a while, never less.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Records older than this, in seconds, may go. Left out: none by age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 3153600000_u64))]
    pub max_age_seconds: Option<u64>,

    /// The oldest records may go while more than this is on disk. Left out: none by size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 65536))]
    pub max_bytes: Option<u64>,
}

/// What a namespace takes part in.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Append and read.
    #[default]
    Active,
    /// Read only.
    ReadOnly,
    /// Neither append nor read.
    Closed,
}

/// What becomes of a namespace's data when its entry goes away.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenRemoved {
    /// Stays, closed.
    #[default]
    Retain,
    /// Goes.
    Delete,
}

/// When an append is acknowledged.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// After fdatasync: survives a power loss.
    #[default]
    Synced,
    /// After the write: survives the end of the process, not a power loss.
    Written,
}

fn one() -> u32 {
    1
}

fn default_segment_bytes() -> u64 {
    SEGMENT_BYTES_DEFAULT
}
