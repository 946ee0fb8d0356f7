//! The state folder: what outlives a run, held by one run at a time.
//!
//! ```text
//! LOCK              held while a run goes on
//! accepted.json     the last spec that was followed, and its revision
//! store.json        the stores' configuration
//! endpoints.json    where the stores listen, while a run goes on
//! a/data/ b/data/   the data of each copy
//! ```

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use logstore_api::local::{ENDPOINTS_FILE, Endpoints};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::build::CopyName;
use crate::build::config_map;

/// The state folder, locked.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// The last spec that was followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Grows with each change of the spec: the stores refuse an older one.
    pub revision: u64,
    /// The whole document, as it was written.
    pub document: Value,
}

/// A state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another run holds it.
    #[error(
        "{} is in use by another `logstore-operator local`; stop that one, \
         or give this one a folder of its own with --state",
        .0.display()
    )]
    InUse(PathBuf),
    /// A call on a file failed.
    #[error("failed to {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file of ours that cannot be read.
    #[error(
        "failed to read {}: was it edited? Restore it, or choose another state folder with --state",
        .path.display()
    )]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

const ACCEPTED_FILE: &str = "accepted.json";
const LOCK_FILE: &str = "LOCK";

impl StateDir {
    /// Makes the folder where it is not there, and locks it.
    ///
    /// # Errors
    /// When another run holds it, or it cannot be made.
    pub async fn open(path: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(path).await.map_err(failed("create", path))?;
        let path = fs::canonicalize(path).await.map_err(failed("find", path))?;
        let lock_path = path.join(LOCK_FILE);
        let opened = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).await;
        let lock = opened.map_err(failed("open", &lock_path))?.into_std().await;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StateError::InUse(path)),
            Err(std::fs::TryLockError::Error(source)) => Err(failed("lock", &lock_path)(source)),
        }
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The data of a copy.
    #[must_use]
    pub fn data(&self, copy: CopyName) -> PathBuf {
        self.path.join(copy.to_string()).join("data")
    }

    /// The stores' configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join(config_map::FILE)
    }

    /// Makes the data folder of a copy where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_data(&self, copy: CopyName) -> Result<(), StateError> {
        let data = self.data(copy);
        fs::create_dir_all(&data).await.map_err(failed("create", &data))
    }

    /// The last spec that was followed; none on the first run.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn accepted(&self) -> Result<Option<Accepted>, StateError> {
        self.read(ACCEPTED_FILE).await
    }

    /// Keeps the spec that is followed from now on. When this returns, it survives a power loss: were the revision
    /// forgotten, the stores would refuse the next one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn accept(&self, accepted: &Accepted) -> Result<(), StateError> {
        self.write(ACCEPTED_FILE, accepted).await
    }

    /// Gives the stores their configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write_config(&self, json: &str) -> Result<(), StateError> {
        self.replace(config_map::FILE, json.as_bytes()).await
    }

    /// Where the stores of the last run listened, if it left that behind.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn endpoints(&self) -> Result<Option<Endpoints>, StateError> {
        self.read(ENDPOINTS_FILE).await
    }

    /// Says where the stores listen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write_endpoints(&self, endpoints: &Endpoints) -> Result<(), StateError> {
        self.write(ENDPOINTS_FILE, endpoints).await
    }

    /// Says that no store listens any more.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_endpoints(&self) -> Result<(), StateError> {
        let path = self.path.join(ENDPOINTS_FILE);
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.path.join(name);
        match fs::read(&path).await {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|source| StateError::Malformed { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    async fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let path = self.path.join(name);
        let json = serde_json::to_vec_pretty(value).map_err(|source| StateError::Malformed { path, source })?;
        self.replace(name, &json).await
    }

    /// Readers see the old file or the new one, whole, and so does the next run after a power loss.
    async fn replace(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        let new = self.path.join(format!("{name}.new"));
        let mut file = fs::File::create(&new).await.map_err(failed("create", &new))?;
        file.write_all(content).await.map_err(failed("write", &new))?;
        file.sync_all().await.map_err(failed("sync", &new))?;
        fs::rename(&new, &path).await.map_err(failed("replace", &path))?;
        let folder = fs::File::open(&self.path).await.map_err(failed("open", &self.path))?;
        folder.sync_all().await.map_err(failed("sync", &self.path))
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_held_by_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state");
        let held = StateDir::open(&path).await.unwrap();
        let error = StateDir::open(&path).await.unwrap_err();
        assert!(matches!(&error, StateError::InUse(_)) && error.to_string().contains("--state"), "{error}");
        drop(held);
        StateDir::open(&path).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_accepted_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).await.unwrap();
        assert_eq!(state.accepted().await.unwrap(), None);
        let accepted = Accepted { revision: 3, document: serde_json::json!({"spec": {}}) };
        state.accept(&accepted).await.unwrap();
        drop(state);
        let state = StateDir::open(folder.path()).await.unwrap();
        assert_eq!(state.accepted().await.unwrap(), Some(accepted));
        fs::write(folder.path().join(ACCEPTED_FILE), "{").await.unwrap();
        assert!(matches!(state.accepted().await, Err(StateError::Malformed { .. })));
    }

    #[tokio::test]
    async fn endpoints_are_gone_at_the_end_and_may_be_removed_twice() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).await.unwrap();
        let endpoints = Endpoints { name: "events".to_owned(), copies: Vec::new(), status: String::new() };
        state.write_endpoints(&endpoints).await.unwrap();
        assert_eq!(state.endpoints().await.unwrap(), Some(endpoints));
        state.remove_endpoints().await.unwrap();
        state.remove_endpoints().await.unwrap();
        assert_eq!(state.endpoints().await.unwrap(), None);
    }
}
