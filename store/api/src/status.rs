//! What a store says about itself: the answer of `GET /v1/status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A store as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Id of the store: random, for ever.
    pub node: Uuid,
    /// The release it runs.
    pub version: String,
    /// Since the process has opened its root.
    pub uptime_seconds: u64,
    /// Writers place frames: it is one of several copies.
    pub ordered: bool,
    /// How many namespaces it has.
    pub namespaces: u64,
    /// The disk that holds its root.
    pub disk: DiskStatus,
    /// The logs of all namespaces.
    pub logs: LogsStatus,
    /// The bounds in force, by name; the unit is part of the name.
    pub limits: BTreeMap<String, u64>,
}

/// Room on a disk, as of the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Appends are refused; everything else goes on.
    pub full: bool,
}

/// How many logs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsStatus {
    /// Open and served.
    pub open: u64,
    /// Being opened, which verifies them: 503 `recovering`.
    pub recovering: u64,
    /// Of the open ones, those that take no appends after a failed write or sync: 503 `frozen`.
    pub frozen: u64,
}
