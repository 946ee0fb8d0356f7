//! The store's configuration: what operator or `local` write and the store reads (`--config`).
//!
//! Between our own parts it is versioned and tolerant: a store ignores fields that it does not know, so that versions
//! can mix while a rollout goes on.

use serde::{Deserialize, Serialize};

use crate::NamespaceConfig;

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
    pub erase_within_seconds: u64,
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
        assert_eq!(StoreConfig { version: 2, ..config }.check(), Err(InvalidStoreConfig::Version(2)));
    }
}
