//! The engine: which namespace a request means, what it may do there, and the life of namespaces.
//!
//! ```text
//! engine → root (lock, node id, orderly stop) · registry (names → namespaces) · fences (writers' reigns)
//!        → namespace (configuration, state) → log::Partition
//! ```

pub mod batch;
pub mod escape;
pub mod fences;
pub mod floor;
pub mod housekeeping;
pub mod indices;
pub mod namespace;
pub mod partitions;
pub mod placement;
pub mod quarantine;
pub mod registry;
pub mod root;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use logstore_api::config::StoreConfig;
use logstore_api::fence::{FenceAnswer, FenceRequest, PartitionTail};
use logstore_api::limits::WRITER_LABEL_BYTES_MAX;
use logstore_api::namespace::{NamespaceList, PutNamespace};
use logstore_api::status::{DiskStatus, LogsStatus, StoreStatus};
use logstore_api::{Code, NamespaceName, Problem};
use uuid::Uuid;

use self::fences::Fences;
use self::namespace::Namespace;
use self::registry::Registry;
use self::root::{CleanMarks, Root};
use crate::disk::Disk;
use crate::limits;
use crate::log::find::{FindLimits, Finding};
use crate::log::place;
use crate::log::sync::{SyncPool, Unsynced};
use crate::metrics::Metrics;
use crate::space::SpaceGauge;

/// A store's data and what serves it. All calls may touch the disk, unless they say otherwise.
#[derive(Debug)]
pub struct Engine {
    /// Id of this store.
    pub node: Uuid,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Room on the disk.
    pub space: Arc<SpaceGauge>,
    config: RwLock<StoreConfig>,
    registry: Registry,
    fences: Fences,
    sync_pool: Arc<SyncPool>,
    root: Root,
    started: Instant,
}

/// Why a store does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] root::RootError),
    /// A thread could not be started.
    #[error("failed to start threads: {0}")]
    Threads(std::io::Error),
    /// The kind of the data and the configuration contradict each other.
    #[error(
        "the data in {root} was written with ordered: {found}, the configuration says ordered: {wanted}; this cannot be changed, use another root"
    )]
    Ordered {
        /// The root.
        root: String,
        /// What the data says.
        found: bool,
        /// What the configuration says.
        wanted: bool,
    },
}

impl Engine {
    /// Opens a root. Namespaces are listed; their logs are opened on first use.
    pub fn start(disk: Arc<dyn Disk>, path: PathBuf, config: StoreConfig) -> Result<Arc<Self>, StartError> {
        let sync_pool = SyncPool::start().map_err(StartError::Threads)?;
        Self::start_with(disk, path, config, Arc::new(sync_pool))
    }

    /// The same with threads for syncs that were started before.
    pub fn start_with(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        config: StoreConfig,
        sync_pool: Arc<SyncPool>,
    ) -> Result<Arc<Self>, StartError> {
        let metrics = Metrics::new();
        let (root, clean) = Root::open(disk, path, config.ordered)?;
        let found = root.node.ordered;
        if found != config.ordered {
            let root = root.path.display().to_string();
            return Err(StartError::Ordered { root, found, wanted: config.ordered });
        }
        let fences = Fences::load(Arc::clone(&root.disk), root.path.join("fences")).map_err(root::RootError::Fences)?;
        let space = Arc::new(SpaceGauge::new(Arc::clone(&root.disk), root.path.clone(), root.only_reads));
        sync_pool.unsynced().set_interval(config.sync.interval_ms);
        let home = namespace::Home {
            disk: Arc::clone(&root.disk),
            root: root.path.clone(),
            ordered: config.ordered,
            space: Arc::clone(&space),
            sync_pool: Arc::clone(&sync_pool),
            metrics: Arc::clone(&metrics),
            finding: Finding::new(FindLimits::default()),
        };
        let registry = Registry::load(home, &clean, &fences)?;
        metrics.namespaces.set(i64::try_from(registry.count()).unwrap_or(i64::MAX));
        metrics.show_space(&space);
        let node = root.node.id;
        Ok(Arc::new(Self {
            node,
            metrics,
            space,
            config: RwLock::new(config),
            registry,
            fences,
            sync_pool,
            root,
            started: Instant::now(),
        }))
    }

    /// Logs with records that wait for a sync in the background.
    fn unsynced(&self) -> &Arc<Unsynced> {
        self.sync_pool.unsynced()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> StoreConfig {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another configuration in force, where it may change while the store runs.
    ///
    /// # Errors
    /// Where it needs another root.
    pub fn reconfigure(&self, config: StoreConfig) -> Result<(), StartError> {
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        if config.ordered != current.ordered {
            let (found, wanted) = (current.ordered, config.ordered);
            return Err(StartError::Ordered { root: self.root.path.display().to_string(), found, wanted });
        }
        self.unsynced().set_interval(config.sync.interval_ms);
        *current = config;
        Ok(())
    }

    /// What the store is, and how it is. Touches no disk.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let namespaces = self.registry.all();
        let mut logs = LogsStatus::default();
        for namespace in &namespaces {
            logs.recovering += namespace.opening_count() as u64;
            for partition in namespace.all_opened() {
                logs.open += 1;
                logs.frozen += u64::from(partition.is_frozen());
            }
        }
        let (free, total) = self.space.free_and_total();
        StoreStatus {
            node: self.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            ordered: self.config().ordered,
            namespaces: namespaces.len() as u64,
            disk: DiskStatus { free, total, full: self.space.is_full() },
            logs,
            limits: limits::in_force(),
        }
    }

    /// Namespaces in byte order. Touches no disk.
    #[must_use]
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> NamespaceList {
        self.registry.list(prefix, after, limit)
    }

    /// All namespaces. Touches no disk.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.registry.all()
    }

    /// A namespace that exists. Touches no disk.
    pub fn get(&self, name: &NamespaceName) -> Result<Arc<Namespace>, Problem> {
        self.registry.get(name).ok_or_else(|| {
            if self.registry.is_broken(name) {
                return damaged_configuration(name);
            }
            let detail = format!("there is no namespace {:?}; create it with PUT /v1/namespaces/NAME", name.as_str());
            Problem::new(Code::NamespaceNotFound, detail).field("namespace").got(name.as_str())
        })
    }

    /// Whether a first append creates its namespace. Touches no disk.
    #[must_use]
    pub fn auto_creates(&self) -> bool {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        config.auto_create && !config.ordered
    }

    /// A namespace for an append, created where that is on.
    pub fn get_or_create(&self, name: &NamespaceName) -> Result<Arc<Namespace>, Problem> {
        match self.get(name) {
            // The append would be refused, and what is refused leaves nothing behind.
            Err(_) if self.auto_creates() && self.space.is_full() => {
                self.metrics.disk_full.inc();
                Err(self.space.refuse_append())
            }
            Err(_) if self.auto_creates() => {
                let config = self.config().namespace_defaults;
                match self.put_now(name, PutNamespace { config, internal: None }, true) {
                    Ok((_, namespace)) => Ok(namespace),
                    // Somebody was faster, perhaps with a configuration of their own.
                    Err(problem) if problem.is(Code::NamespaceExists) => self.get(name),
                    Err(problem) => Err(problem),
                }
            }
            result => result,
        }
    }

    /// Creates or configures a namespace; whether it was created.
    pub fn put(
        &self,
        name: &NamespaceName,
        put: PutNamespace,
        only_create: bool,
    ) -> Result<(bool, Arc<Namespace>), Problem> {
        if put.internal.is_none() && self.config().ordered {
            return Err(declared_elsewhere(name));
        }
        self.put_now(name, put, only_create)
    }

    fn put_now(
        &self,
        name: &NamespaceName,
        put: PutNamespace,
        only_create: bool,
    ) -> Result<(bool, Arc<Namespace>), Problem> {
        put.config.check().map_err(|invalid| {
            let detail = format!("{invalid}; nothing was changed");
            Problem::new(Code::InvalidArgument, detail).field(invalid.field).expected(invalid.expected).got(invalid.got)
        })?;
        if self.registry.is_broken(name) {
            return Err(damaged_configuration(name));
        }
        let reign = self.fences.reign(name);
        let outcome = self.registry.put(name, put, only_create, reign);
        self.metrics.namespaces.set(i64::try_from(self.registry.count()).unwrap_or(i64::MAX));
        outcome
    }

    /// Removes a namespace with its data; only in this incarnation, where one is named.
    pub fn delete(&self, name: &NamespaceName, incarnation: Option<Uuid>) -> Result<(), Problem> {
        let namespace = self.get(name)?;
        match incarnation {
            None if self.config().ordered => return Err(declared_elsewhere(name)),
            Some(wanted) if wanted != namespace.incarnation() => {
                let detail = format!("the namespace is in incarnation {}, not {wanted}", namespace.incarnation());
                return Err(Problem::new(Code::PreconditionFailed, detail)
                    .field("incarnation")
                    .got(wanted.to_string()));
            }
            _ => {}
        }
        self.registry.delete(&namespace)?;
        self.metrics.namespaces.set(i64::try_from(self.registry.count()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Where a namespace's logs end, and whose reign is in force.
    pub fn look(&self, name: &NamespaceName) -> Result<FenceAnswer, Problem> {
        let namespace = self.get(name)?;
        self.must_be_ordered(name)?;
        let tails = namespace.all_partitions()?.into_iter().map(|partition| partition.tail());
        self.fence_answer(&namespace, tails)
    }

    /// Puts a writer's reign in force: on the disk first, then in the log.
    pub fn fence(&self, request: FenceRequest) -> Result<FenceAnswer, Problem> {
        let FenceRequest { namespace: name, reign, revision } = request;
        let namespace = self.get(&name)?;
        self.must_be_ordered(&name)?;
        if reign.label.len() > WRITER_LABEL_BYTES_MAX {
            let detail = format!("reign.label has {} bytes; give at most {WRITER_LABEL_BYTES_MAX}", reign.label.len());
            return Err(Problem::new(Code::InvalidArgument, detail).field("reign.label"));
        }
        // All of them before the promise: one that is opened later would not know of it.
        let partitions = namespace.all_partitions()?;
        self.fences.raise(&name, &reign, revision)?;
        let tails = partitions.into_iter().map(|partition| partition.fence(reign.clone()));
        let answer = self.fence_answer(&namespace, tails)?;
        match self.fences.reign(&name) {
            Some(current) if current.writer != reign.writer => Err(place::fenced(&current, reign.epoch)),
            _ => Ok(answer),
        }
    }

    fn fence_answer(
        &self,
        namespace: &Namespace,
        tails: impl Iterator<Item = std::io::Result<PartitionTail>>,
    ) -> Result<FenceAnswer, Problem> {
        let tails: Result<Vec<_>, _> = tails.collect();
        Ok(FenceAnswer {
            node: self.node,
            incarnation: namespace.incarnation(),
            reign: self.fences.reign(namespace.name()),
            durability: namespace.durability(),
            partitions: tails.map_err(|error| namespace.internal("read the log", &error))?,
        })
    }

    fn must_be_ordered(&self, name: &NamespaceName) -> Result<(), Problem> {
        if self.config().ordered {
            return Ok(());
        }
        let detail = format!(
            "this store orders {:?} by itself, so no writer can fence it; append to it, or run the store with ordered: true",
            name.as_str()
        );
        Err(Problem::new(Code::InvalidArgument, detail).field("namespace").got(name.as_str()))
    }

    /// Takes no more work, syncs everything and writes the mark of an orderly stop.
    pub fn stop(&self) {
        if self.root.only_reads {
            return;
        }
        let mut marks = CleanMarks::default();
        for namespace in self.registry.all() {
            marks.insert(namespace.name().clone(), namespace.close());
        }
        if let Err(error) = self.root.mark_clean(&marks) {
            tracing::warn!(%error, "failed to write the mark of an orderly stop; the next start verifies the logs");
        }
    }
}

fn damaged_configuration(name: &NamespaceName) -> Problem {
    let detail = format!(
        "the configuration of namespace {:?} is damaged on disk; its records are untouched. The store's log names the file: restore it from a backup and restart",
        name.as_str()
    );
    Problem::new(Code::Damaged, detail).field("namespace").got(name.as_str())
}

fn declared_elsewhere(name: &NamespaceName) -> Problem {
    let detail = format!(
        "this store is one of several copies; declare {:?} in the LogStore (spec.namespaces), so that all copies have it",
        name.as_str()
    );
    Problem::new(Code::NotTheWriter, detail).field("namespace").got(name.as_str())
}

#[cfg(test)]
mod tests;
