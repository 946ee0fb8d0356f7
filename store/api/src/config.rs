//! The store's configuration: what operator or `local` write and the store reads (`--config`).
//!
//! Between our own parts it is versioned and tolerant: a store ignores fields that it does not know, so that versions
//! can mix while a rollout goes on.

use serde::{Deserialize, Serialize};

use crate::NamespaceConfig;
use crate::limits::{SYNC_INTERVAL_MS_DEFAULT, SYNC_INTERVAL_MS_MAX, SYNC_INTERVAL_MS_MIN};

/// The version that this release writes, and the highest that it reads.
pub const VERSION: u32 = 1;

/// A store's configuration. An empty document is a store that runs alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreConfig {
    /// Version of this document's form.
    pub version: u32,
    /// Namespaces have writers of their own, who place frames on several copies in one order; plain appends are refused
    /// with 421. Fixed for the life of the data.
    pub ordered: bool,
    /// A first append creates its namespace. Has no effect where `ordered`.
    pub auto_create: bool,
    /// Stands in a namespace's configuration where the request says nothing.
    pub namespace_defaults: NamespaceConfig,
    /// How soon the bytes of an erased record are gone from the files. The work begins after half of it.
    #[serde(skip_serializing_if = "is_default_erase_within")]
    pub erase_within_seconds: u64,
    /// What goes by itself, over all namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub retention: StoreRetention,
    /// When records that nobody waits for reach the disk.
    #[serde(skip_serializing_if = "is_default")]
    pub sync: StoreSync,
}

/// What goes by itself, over all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreRetention {
    /// While less of the disk is free, the oldest sealed segments go first, of those namespaces that have a retention
    /// of their own; the others keep everything. Off where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_bytes: Option<u64>,
}

/// When records that nobody waits for reach the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreSync {
    /// Records that were appended with `durability=written` are synced after at most so many milliseconds: what a
    /// power loss may take.
    pub interval_ms: u64,
}

impl Default for StoreSync {
    fn default() -> Self {
        Self { interval_ms: SYNC_INTERVAL_MS_DEFAULT }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_default_erase_within(seconds: &u64) -> bool {
    *seconds == ERASE_WITHIN_SECONDS_DEFAULT
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A day.
const ERASE_WITHIN_SECONDS_DEFAULT: u64 = 24 * 60 * 60;

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            version: VERSION,
            ordered: false,
            auto_create: true,
            namespace_defaults: NamespaceConfig::default(),
            erase_within_seconds: ERASE_WITHIN_SECONDS_DEFAULT,
            retention: StoreRetention::default(),
            sync: StoreSync::default(),
        }
    }
}

/// Why a store cannot run with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStoreConfig {
    /// Written by a newer release in a form that this one does not read.
    #[error("version is {0}; this store reads up to {VERSION}")]
    Version(u32),
    /// A default that no namespace can have.
    #[error("namespace_defaults: {0}")]
    NamespaceDefaults(crate::namespace::InvalidConfig),
    /// A time that would never sync, or do nothing else.
    #[error("sync.interval_ms is {0}; give {SYNC_INTERVAL_MS_MIN} to {SYNC_INTERVAL_MS_MAX}")]
    SyncInterval(u64),
}

impl StoreConfig {
    /// Checks what the types alone do not.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), InvalidStoreConfig> {
        if self.version > VERSION {
            return Err(InvalidStoreConfig::Version(self.version));
        }
        let interval_ms = self.sync.interval_ms;
        if !(SYNC_INTERVAL_MS_MIN..=SYNC_INTERVAL_MS_MAX).contains(&interval_ms) {
            return Err(InvalidStoreConfig::SyncInterval(interval_ms));
        }
        self.namespace_defaults.check().map_err(InvalidStoreConfig::NamespaceDefaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_newer_release_are_ignored() {
        let config: StoreConfig = serde_json::from_str(r#"{"version": 1, "ordered": true, "peers": []}"#).unwrap();
        assert_eq!(config, StoreConfig { ordered: true, ..StoreConfig::default() });
        assert_eq!(config.check(), Ok(()));
        let slow = StoreConfig { sync: StoreSync { interval_ms: 60_001 }, ..StoreConfig::default() };
        assert_eq!(slow.check(), Err(InvalidStoreConfig::SyncInterval(60_001)));
        assert_eq!(StoreConfig { version: 2, ..config }.check(), Err(InvalidStoreConfig::Version(2)));
    }
}
