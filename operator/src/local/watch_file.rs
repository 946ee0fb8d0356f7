//! Watches the resource's file by looking at what is in it: editors replace, rename and rewrite files in every way, and
//! network file systems tell nobody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How often it is looked. A change counts when two looks in a row have seen the same: it may be half written.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Larger than any resource that a cluster would take.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A call failed.
    #[error("failed to read {}: {why}; put it back", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it failed. As text, so that two failures can be compared.
        why: String,
    },
    /// Larger than any resource may be.
    #[error("{} has more than {FILE_BYTES_MAX} bytes; is it a LogStore?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not text.
    #[error("{} is not UTF-8 text; is it a LogStore?", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// What is in the file.
pub type Content = Result<String, FileError>;

/// Reads the file.
///
/// # Errors
/// When it cannot be read, or can be no resource.
pub async fn read(path: &Path) -> Content {
    let failed = |error: std::io::Error| FileError::Io { path: path.to_owned(), why: error.to_string() };
    let file = fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText { path: path.to_owned() })
}

/// Says what is in the file each time that has changed from `known`, for ever.
pub(super) async fn watch(path: PathBuf, mut known: Content, changes: mpsc::Sender<Content>) {
    let mut last = known.clone();
    loop {
        sleep(LOOK_EVERY).await;
        let content = read(&path).await;
        if content == last && content != known {
            known = content.clone();
            if changes.send(content.clone()).await.is_err() {
                return;
            }
        }
        last = content;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_told_once_and_a_lost_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.yaml");
        fs::write(&path, "one").await.unwrap();
        let (send, mut changes) = mpsc::channel(1);
        let watching = tokio::spawn(watch(path.clone(), read(&path).await, send));
        fs::write(&path, "two").await.unwrap();
        assert_eq!(changes.recv().await, Some(Ok("two".to_owned())));
        fs::remove_file(&path).await.unwrap();
        let lost = changes.recv().await.unwrap().unwrap_err().to_string();
        assert!(lost.contains("store.yaml") && lost.contains("put it back"), "{lost}");
        fs::write(&path, "two").await.unwrap();
        assert_eq!(changes.recv().await, Some(Ok("two".to_owned())));
        assert!(changes.try_recv().is_err());
        watching.abort();
    }

    #[tokio::test]
    async fn what_can_be_no_resource_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.yaml");
        fs::write(&path, vec![b'a'; 2 * 1024 * 1024 + 1]).await.unwrap();
        assert!(matches!(read(&path).await, Err(FileError::TooLarge { .. })));
        fs::write(&path, b"\xff").await.unwrap();
        assert!(matches!(read(&path).await, Err(FileError::NotText { .. })));
        assert!(matches!(read(folder.path()).await, Err(FileError::Io { .. })));
    }
}
