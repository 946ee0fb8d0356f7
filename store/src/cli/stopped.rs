//! What the commands on a stopped store share: which root, how to wait, how to end.

use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::{Exit, Failure};
use crate::disk::RealDisk;
use crate::offline::{OfflineError, StoppedRoot};

/// The root of a store that is not running.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RootArgs {
    /// The root directory of a store that is not running
    #[arg(long, value_name = "DIR")]
    pub(super) root: PathBuf,
}

impl RootArgs {
    pub(super) fn take(&self) -> Result<StoppedRoot, OfflineError> {
        StoppedRoot::take(Arc::new(RealDisk), &self.root)
    }

    pub(super) fn take_or_make(&self) -> Result<StoppedRoot, OfflineError> {
        StoppedRoot::take_or_make(Arc::new(RealDisk), &self.root)
    }
}

impl From<OfflineError> for Failure {
    fn from(error: OfflineError) -> Self {
        let exit = match &error {
            OfflineError::NoRoot(_) => Exit::Usage,
            _ => Exit::Refused,
        };
        Self::new(exit, error.to_string())
    }
}

/// Runs what touches files on a thread where that holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|error| Failure::new(Exit::Refused, error.to_string()))?
}

/// A bar on standard error, where that is a terminal.
pub(super) fn progress_bar(template: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How bytes out of a known number go by.
pub(super) const BYTES: &str = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// How bytes go by whose number is not known.
pub(super) const READ: &str = "{spinner} {bytes} {bytes_per_sec}";
/// How records go by.
pub(super) const RECORDS: &str = "{spinner} {human_pos} records {per_sec}";
