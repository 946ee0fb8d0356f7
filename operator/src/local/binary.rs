//! The `logstore` binary: the one that was named, else the one beside our own, else the first on PATH.

use std::path::{Path, PathBuf};

/// Name of the binary.
const NAME: &str = "logstore";

/// There is no binary to run.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// The one that was named is not there.
    #[error("there is no file {}; name the logstore binary with --logstore", .0.display())]
    NotThere(PathBuf),
    /// None was named, and none was found.
    #[error(
        "there is no logstore beside {} and none on PATH; build it (cargo build --bin logstore), \
         or name it with --logstore",
        .0.display()
    )]
    NotFound(PathBuf),
}

/// Finds the binary, with its absolute path.
///
/// # Errors
/// When there is none.
pub async fn find(named: Option<&Path>) -> Result<PathBuf, BinaryError> {
    if let Some(named) = named {
        return absolute(named).await.ok_or_else(|| BinaryError::NotThere(named.to_owned()));
    }
    let ourselves = std::env::current_exe().unwrap_or_default();
    let beside = ourselves.parent().map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in beside.into_iter().chain(std::env::split_paths(&path)) {
        if let Some(found) = absolute(&folder.join(NAME)).await {
            return Ok(found);
        }
    }
    Err(BinaryError::NotFound(ourselves))
}

async fn absolute(path: &Path) -> Option<PathBuf> {
    let is_file = tokio::fs::metadata(path).await.is_ok_and(|found| found.is_file());
    if is_file { tokio::fs::canonicalize(path).await.ok() } else { None }
}
