//! A root that no store is using, held so that none begins to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::config::StoreConfig;
use logstore_api::{NamespaceName, Problem};

use crate::disk::dry::{Act, DryDisk};
use crate::disk::{Disk, DiskFile};
use crate::engine::namespace::Namespace;
use crate::engine::root::{Node, Root, RootError, read_node};
use crate::engine::{Engine, StartError};
use crate::log::Partition;
use crate::log::read::Range;

/// Why something cannot be done with a stopped root.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The directory is of something else.
    #[error("{0} is no root of a store: it has no directory ns")]
    NoRoot(String),
    /// A store is running on it.
    #[error("a store is running on {0}; stop it first, or take a copy of the files")]
    InUse(String),
    /// A file cannot be read or written.
    #[error("failed to {what}: {source}")]
    Files {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The root's own documents cannot be read.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A store would not start on it.
    #[error("a store would not start on these files: {0}")]
    Start(#[from] StartError),
    /// What a running store would answer.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// What was asked for cannot be done, for a reason of its own.
    #[error("{0}")]
    Refused(String),
}

impl OfflineError {
    /// An error of the files, met while doing something.
    pub fn files(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Files { what, source }
    }
}

impl From<Problem> for OfflineError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// A root whose lock this process has.
#[derive(Debug)]
pub struct StoppedRoot {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    lock: Arc<dyn DiskFile>,
}

/// A store's engine on a disk that notes what it would change.
#[derive(Debug)]
pub struct Rehearsal {
    /// The engine.
    pub engine: Arc<Engine>,
    disk: Arc<DryDisk>,
}

impl StoppedRoot {
    /// Takes a root; refused where a store is running on it.
    pub fn take(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, OfflineError> {
        let shown = path.display().to_string();
        if disk.list(&path.join("ns")).is_err() {
            return Err(OfflineError::NoRoot(shown));
        }
        match disk.lock(&path.join("LOCK")).map_err(OfflineError::files(format!("take the lock of {shown}")))? {
            Some(lock) => Ok(Self { path: path.to_owned(), disk, lock }),
            None => Err(OfflineError::InUse(shown)),
        }
    }

    /// Takes a root, made where there is none.
    pub fn take_or_make(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, OfflineError> {
        if disk.list(&path.join("ns")).is_err() {
            drop(Root::open(Arc::clone(&disk), path.to_owned(), false)?);
        }
        Self::take(disk, path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The seam to its files.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What the root is; `None` for one that never had a store.
    pub fn node(&self) -> Result<Option<Node>, RootError> {
        read_node(&*self.disk, &self.path)
    }

    /// The engine as a start would make it, without changing anything.
    pub fn rehearse(&self) -> Result<Rehearsal, OfflineError> {
        rehearse(&self.disk, &self.path)
    }

    /// Starts the engine for changes. The lock goes over to it.
    pub fn start(self) -> Result<Arc<Engine>, OfflineError> {
        let config = config(&*self.disk, &self.path)?;
        let Self { path, disk, lock } = self;
        drop(lock);
        Ok(Engine::start(disk, path, config)?)
    }
}

/// The same for a root of which this process has the lock already.
pub(super) fn rehearse(disk: &Arc<dyn Disk>, path: &Path) -> Result<Rehearsal, OfflineError> {
    let config = config(&**disk, path)?;
    let disk = Arc::new(DryDisk::new(Arc::clone(disk)));
    let engine = quietly(|| Engine::start(disk.clone(), path.to_owned(), config))?;
    Ok(Rehearsal { engine, disk })
}

fn config(disk: &dyn Disk, path: &Path) -> Result<StoreConfig, OfflineError> {
    let ordered = read_node(disk, path)?.is_some_and(|node| node.ordered);
    Ok(StoreConfig { ordered, ..StoreConfig::default() })
}

impl Rehearsal {
    /// A namespace of the root.
    pub fn namespace(&self, name: &NamespaceName) -> Result<Arc<Namespace>, OfflineError> {
        self.engine.get(name).map_err(|_| {
            let known = self.engine.namespaces().len();
            OfflineError::Refused(format!(
                "there is no namespace {:?} that can be read here; {known} others can",
                name.as_str()
            ))
        })
    }

    /// Its partitions, opened: this one, or all that were ever used.
    pub fn partitions(
        &self,
        namespace: &Namespace,
        only: Option<u32>,
    ) -> Result<Vec<(u32, Arc<Partition>)>, OfflineError> {
        let count = namespace.partition_count();
        if let Some(number) = only.filter(|number| *number >= count) {
            let name = namespace.name().as_str();
            let what = format!("--partition is {number}, but {name:?} has {count}, numbered from 0");
            return Err(OfflineError::Refused(what));
        }
        let open = |number| Ok((number, Arc::clone(quietly(|| namespace.partition(number))?)));
        (0..count).filter(|number| only.is_none_or(|only| only == *number)).map(open).collect()
    }

    /// What was noted so far.
    #[must_use]
    pub fn acts(&self) -> Vec<Act> {
        self.disk.acts()
    }
}

/// Runs without a word in the log: what is only rehearsed did not happen.
pub fn quietly<T>(act: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), act)
}

/// The offsets that a log has: also those that no writer has confirmed yet.
#[must_use]
pub fn whole_range(partition: &Arc<Partition>) -> Range {
    let until = partition.state().tail.next_offset;
    Range { from: partition.first_offset().min(until), until }
}
