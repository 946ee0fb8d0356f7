//! Where the stores of a `LogStore` listen that `logstore-operator local` runs, so that the command line finds them by
//! the resource's file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File in the state folder that holds [`Endpoints`] as JSON; it is there while `local` runs.
pub const ENDPOINTS_FILE: &str = "endpoints.json";

/// The addresses of a running `LogStore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// `metadata.name` of the resource.
    pub name: String,
    /// One for each copy, in order.
    pub copies: Vec<CopyEndpoint>,
    /// Where the status is served.
    pub status: String,
}

/// The addresses of one copy's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyEndpoint {
    /// The copy's name: `a`, `b`, …
    pub name: String,
    /// The HTTP API.
    pub url: String,
    /// `/livez`, `/readyz`, `/metrics`.
    pub admin: String,
    /// The store's process id.
    pub pid: u32,
}

/// The state folder that `local` uses for a resource in `file`, unless told otherwise: beside the file.
#[must_use]
pub fn state_dir(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(".logstore").join(name)
}
