//! The root directory: one process in it, one id for it, and the mark of an orderly stop.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logstore_api::NamespaceName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::disk::{self, Disk, DiskFile};
use crate::document;
use crate::log::recovery::CleanMark;

/// Version of the directory's layout.
const LAYOUT: u32 = 1;
/// How long a start waits for a process that still has the lock: one that was killed lets go at once, one that drains
/// needs its time.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Documents in the root are small.
const DOCUMENT_MAX: usize = 256 * 1024 * 1024;

/// The orderly ends of all logs.
pub type CleanMarks = BTreeMap<NamespaceName, NamespaceMarks>;

/// The orderly ends of a namespace's logs, by their numbers; `None` for one that was not marked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredMarks")]
pub struct NamespaceMarks(Vec<Option<CleanMark>>);

/// What may stand in the document: earlier releases had one log per namespace.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredMarks {
    Each(Vec<Option<CleanMark>>),
    First(Option<CleanMark>),
}

impl From<StoredMarks> for NamespaceMarks {
    fn from(stored: StoredMarks) -> Self {
        match stored {
            StoredMarks::Each(marks) => Self(marks),
            StoredMarks::First(mark) => Self(vec![mark]),
        }
    }
}

impl NamespaceMarks {
    /// The marks of partitions 0, 1, ….
    #[must_use]
    pub fn new(marks: Vec<Option<CleanMark>>) -> Self {
        Self(marks)
    }

    /// The mark of one.
    #[must_use]
    pub fn of(&self, partition: u32) -> Option<&CleanMark> {
        self.0.get(usize::try_from(partition).ok()?)?.as_ref()
    }

    /// All marks, with the numbers of their partitions.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &CleanMark)> {
        (0..).zip(&self.0).filter_map(|(number, mark)| Some((number, mark.as_ref()?)))
    }
}

/// A root that this process has for itself.
#[derive(Debug)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// The seam to its files.
    pub disk: Arc<dyn Disk>,
    /// What it is.
    pub node: Node,
    /// The disk was read-only when it was taken: it is only read, until a restart.
    pub only_reads: bool,
    /// Held as long as the process lives.
    _lock: Arc<dyn DiskFile>,
}

/// The identity of a root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Random, for ever.
    pub id: Uuid,
    /// Version of the directory's layout.
    pub layout: u32,
    /// Writers place frames here.
    pub ordered: bool,
}

/// Why a root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be made or written.
    #[error("failed to use {path} as the root; give a directory that this user may write")]
    Unusable {
        /// The root.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There is none yet, and no room to make one.
    #[error("there is no room to make a root at {path}; free some, or give another root")]
    NoRoom {
        /// The root.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another store ({holder}); stop it, or give another root")]
    InUse {
        /// The root.
        path: String,
        /// What is known of the other.
        holder: String,
    },
    /// Its documents are not understood.
    #[error("{path} is damaged or of another program: {reason}; restore it from a backup, or give another root")]
    Foreign {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Written by a newer release.
    #[error("{path} has layout {found}; this release reads up to {LAYOUT}. Use a newer release")]
    Newer {
        /// The root.
        path: String,
        /// The layout found.
        found: u32,
    },
    /// The writers' reigns cannot be read.
    #[error("failed to read the fences: {0}")]
    Fences(io::Error),
    /// The namespaces cannot be listed, or what is left of one cannot be removed.
    #[error("failed to list the namespaces: {path}: {why}")]
    Namespaces {
        /// The directory or the file.
        path: String,
        /// Why.
        why: io::Error,
    },
}

impl Root {
    /// Takes the root, made where there is none; the marks of the last orderly stop, which hold no longer on the disk.
    pub fn open(disk: Arc<dyn Disk>, path: PathBuf, ordered: bool) -> Result<(Self, CleanMarks), RootError> {
        let unusable = |source: io::Error| cannot_use(&path, source);
        let made = create_dirs(&*disk, &path);
        let only_reads = is_read_only(&*disk, &path, &made);
        if only_reads {
            tracing::warn!(root = %path.display(), "the disk is read-only: records are read and none are taken, until a restart on a disk that can be written");
        } else {
            made.map_err(unusable)?;
        }
        let lock = take_lock(&*disk, &path, only_reads)?;
        if !only_reads {
            create_dirs(&*disk, &path.join("ns")).map_err(unusable)?;
        }
        let node = load_node(&*disk, &path, ordered)?;
        let marks = take_clean_marks(&*disk, &path).map_err(unusable)?;
        Ok((Self { path, disk, node, only_reads, _lock: lock }, marks))
    }

    /// Says that everything is on the disk and nothing will be written any more.
    pub fn mark_clean(&self, marks: &CleanMarks) -> io::Result<()> {
        self.disk.replace(&self.path.join("CLEAN"), &document::encode(marks))
    }
}

/// Whether nothing can be written. ext4 that has found an error says so in each call alone.
fn is_read_only(disk: &dyn Disk, path: &Path, made: &io::Result<()>) -> bool {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    made.as_ref().is_err_and(refused) || disk.space(path).is_ok_and(|space| space.read_only)
}

fn cannot_use(path: &Path, source: io::Error) -> RootError {
    let path = path.display().to_string();
    // One that is there needs no room: this is the making of one.
    if disk::is_full(&source) { RootError::NoRoom { path, source } } else { RootError::Unusable { path, source } }
}

fn create_dirs(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error)?;
            create_dirs(disk, parent)?;
            disk.create_dir(path)?;
        }
        result => result?,
    }
    match path.parent() {
        Some(parent) if parent != Path::new("") => disk.sync_dir(parent),
        _ => disk.sync_dir(Path::new(".")),
    }
}

fn take_lock(disk: &dyn Disk, root: &Path, only_reads: bool) -> Result<Arc<dyn DiskFile>, RootError> {
    let path = root.join("LOCK");
    let unusable = |source: io::Error| cannot_use(root, source);
    let begun = Instant::now();
    let mut said = false;
    loop {
        if let Some(lock) = disk.lock(&path).map_err(unusable)? {
            // For people: the lock itself is what holds. A full disk must not keep a store from starting.
            let holder = format!("pid {}", std::process::id());
            let wrote = lock.truncate(0).and_then(|()| lock.write_all_at(&mut [IoSlice::new(holder.as_bytes())], 0));
            return match wrote {
                Err(error) if !disk::is_full(&error) && !only_reads => Err(unusable(error)),
                _ => Ok(lock),
            };
        }
        let holder = disk.read(&path, 64).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        if begun.elapsed() >= LOCK_WAIT {
            return Err(RootError::InUse { path: root.display().to_string(), holder });
        }
        if !said {
            tracing::warn!(root = %root.display(), holder, wait = ?LOCK_WAIT, "another process still holds LOCK; waiting for it to end");
            said = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a root is; `None` where no store has ever used it.
pub fn read_node(disk: &dyn Disk, root: &Path) -> Result<Option<Node>, RootError> {
    let path = root.join("node");
    let node = match disk.read(&path, DOCUMENT_MAX) {
        Ok(bytes) => document::decode::<Node>(&bytes)
            .map_err(|error| RootError::Foreign { path: path.display().to_string(), reason: error.to_string() })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(cannot_use(root, source)),
    };
    if node.layout > LAYOUT {
        return Err(RootError::Newer { path: root.display().to_string(), found: node.layout });
    }
    Ok(Some(node))
}

fn load_node(disk: &dyn Disk, root: &Path, ordered: bool) -> Result<Node, RootError> {
    if let Some(node) = read_node(disk, root)? {
        return Ok(node);
    }
    let node = Node { id: Uuid::new_v4(), layout: LAYOUT, ordered };
    disk.replace(&root.join("node"), &document::encode(&node)).map_err(|source| cannot_use(root, source))?;
    Ok(node)
}

/// The marks of the last orderly stop; none where there was none.
pub fn read_clean_marks(disk: &dyn Disk, root: &Path) -> io::Result<Option<Result<CleanMarks, document::Malformed>>> {
    match disk.read(&root.join("CLEAN"), DOCUMENT_MAX) {
        Ok(bytes) => Ok(Some(document::decode(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the marks and removes them from the disk, before anything else changes there.
fn take_clean_marks(disk: &dyn Disk, root: &Path) -> io::Result<CleanMarks> {
    let Some(marks) = read_clean_marks(disk, root)? else { return Ok(CleanMarks::default()) };
    match disk.remove_file(&root.join("CLEAN")).and_then(|()| disk.sync_dir(root)) {
        // It stays true while nothing is written, and a log that was written does not fit it any more.
        Err(error) if disk::is_full(&error) => tracing::debug!(%error, "the mark of an orderly stop stays"),
        result => result?,
    }
    Ok(marks.unwrap_or_else(|error| {
        tracing::warn!(%error, "the mark of an orderly stop is damaged; the logs are verified");
        CleanMarks::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_releases_with_one_log_per_namespace_are_those_of_partition_0() {
        let mark = CleanMark { segment: 0, end: 9, checkpoint: 8, checksum: 7, next_frame: 6, next_offset: 5 };
        let name = NamespaceName::parse("orders").unwrap();
        let earlier = document::encode(&BTreeMap::from([(name.clone(), Some(mark.clone()))]));
        let marks: CleanMarks = document::decode(&earlier).unwrap();
        assert_eq!((marks[&name].of(0), marks[&name].of(1)), (Some(&mark), None));
        let none = document::encode(&BTreeMap::from([(name.clone(), None::<CleanMark>)]));
        assert_eq!(document::decode::<CleanMarks>(&none).unwrap()[&name].of(0), None);
        let several = CleanMarks::from([(name, NamespaceMarks::new(vec![None, Some(mark)]))]);
        assert_eq!(document::decode::<CleanMarks>(&document::encode(&several)).unwrap(), several);
    }
}
