//! One namespace: its configuration on the disk, and its log, opened on first use.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use logstore_api::fence::Reign;
use logstore_api::frame::Salt;
use logstore_api::namespace::{Hole, NamespaceEntry, NamespaceInfo, Ownership};
use logstore_api::{Code, NamespaceConfig, NamespaceName, NamespaceState, Problem};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::escape::directory_name;
use crate::disk::Disk;
use crate::document;
use crate::log::Partition;
use crate::log::recovery::{CleanMark, Site};
use crate::log::shared::Context;
use crate::log::sync::SyncPool;
use crate::metrics::Metrics;
use crate::space::SpaceGauge;

/// Version of the configuration document.
const VERSION: u32 = 1;
const DOCUMENT_MAX: usize = 1024 * 1024;
const CONFIG_FILE: &str = "config";

/// Where namespaces live, and what they live on.
#[derive(Clone, Debug)]
pub struct Home {
    /// The seam to the files.
    pub disk: Arc<dyn Disk>,
    /// The store's root.
    pub root: PathBuf,
    /// Writers place frames.
    pub ordered: bool,
    /// Room on the disk.
    pub space: Arc<SpaceGauge>,
    /// Threads for syncs.
    pub sync_pool: Arc<SyncPool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Home {
    /// The directory of all namespaces.
    #[must_use]
    pub fn namespaces_dir(&self) -> PathBuf {
        self.root.join("ns")
    }

    /// The directory of one.
    #[must_use]
    pub fn dir(&self, name: &NamespaceName) -> PathBuf {
        self.namespaces_dir().join(directory_name(name))
    }
}

/// What is kept of a namespace beside its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    version: u32,
    /// Its true name.
    pub name: NamespaceName,
    /// Public id of this life of the name.
    pub incarnation: Uuid,
    /// Seed of its checksums. Text, because JSON readers round numbers of this size.
    salt: String,
    /// What users configured.
    pub config: NamespaceConfig,
    /// Who declared it.
    pub owner: Option<Ownership>,
}

impl Document {
    /// A new one.
    #[must_use]
    pub fn new(
        name: NamespaceName,
        incarnation: Uuid,
        salt: Salt,
        config: NamespaceConfig,
        owner: Option<Ownership>,
    ) -> Self {
        Self { version: VERSION, name, incarnation, salt: salt.0.to_string(), config, owner }
    }

    /// Reads it from a namespace's directory.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Self> {
        let bytes = disk.read(&dir.join(CONFIG_FILE), DOCUMENT_MAX)?;
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let document: Self = document::decode(&bytes).map_err(|error| invalid(error.to_string()))?;
        if document.version > VERSION {
            return Err(invalid(format!("version {} is of a newer release", document.version)));
        }
        document.salt.parse::<u64>().map_err(|error| invalid(format!("salt: {error}")))?;
        Ok(document)
    }

    /// Writes it into a namespace's directory.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk.replace(&dir.join(CONFIG_FILE), &document::encode(self))
    }

    /// Seed of its checksums.
    #[must_use]
    pub fn salt(&self) -> Salt {
        Salt(self.salt.parse().unwrap_or(Salt::WIRE.0))
    }
}

/// A namespace that exists.
#[derive(Debug)]
pub struct Namespace {
    home: Home,
    name: NamespaceName,
    dir: PathBuf,
    document: RwLock<Document>,
    salt: Salt,
    reign_at_start: Option<Reign>,
    clean: Option<CleanMark>,
    partition: OnceLock<Arc<Partition>>,
    /// Held while the log is opened; true once the namespace is gone, whose directory may then be another's.
    retired: Mutex<bool>,
    /// One change of the configuration at a time.
    configuring: Mutex<()>,
}

impl Namespace {
    /// A namespace whose document was read or written just before.
    #[must_use]
    pub fn new(home: Home, document: Document, reign: Option<Reign>, clean: Option<CleanMark>) -> Self {
        let (name, salt) = (document.name.clone(), document.salt());
        let dir = home.dir(&name);
        Self {
            home,
            name,
            dir,
            document: RwLock::new(document),
            salt,
            reign_at_start: reign,
            clean,
            partition: OnceLock::new(),
            retired: Mutex::new(false),
            configuring: Mutex::default(),
        }
    }

    /// The same namespace after a removal that failed; its log is opened and verified again.
    #[must_use]
    pub fn born_again(&self) -> Self {
        let reign = self.partition.get().map_or_else(|| self.reign_at_start.clone(), |partition| partition.reign());
        Self::new(self.home.clone(), self.document(), reign, None)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &NamespaceName {
        &self.name
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Seed of its checksums.
    #[must_use]
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Public id of this life of the name.
    #[must_use]
    pub fn incarnation(&self) -> Uuid {
        self.with_document(|document| document.incarnation)
    }

    /// What users configured.
    #[must_use]
    pub fn config(&self) -> NamespaceConfig {
        self.with_document(|document| document.config.clone())
    }

    /// What is kept of it beside its log.
    #[must_use]
    pub fn document(&self) -> Document {
        self.with_document(Document::clone)
    }

    fn with_document<T>(&self, look: impl FnOnce(&Document) -> T) -> T {
        look(&self.document.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it takes appends, by its state.
    pub fn check_append(&self) -> Result<(), Problem> {
        match self.with_document(|document| document.config.state) {
            NamespaceState::Active => Ok(()),
            NamespaceState::ReadOnly => Err(self.state_problem(Code::NamespaceReadOnly, "read-only")),
            NamespaceState::Closed => Err(self.state_problem(Code::NamespaceClosed, "closed")),
        }
    }

    /// Whether it can be read, by its state.
    pub fn check_read(&self) -> Result<(), Problem> {
        match self.with_document(|document| document.config.state) {
            NamespaceState::Active | NamespaceState::ReadOnly => Ok(()),
            NamespaceState::Closed => Err(self.state_problem(Code::NamespaceClosed, "closed")),
        }
    }

    fn state_problem(&self, code: Code, state: &str) -> Problem {
        let detail = format!("namespace {:?} is {state}; set its state to active to go on", self.name.as_str());
        Problem::new(code, detail).field("state")
    }

    /// Refuses what has to go through a writer.
    pub fn check_unordered(&self) -> Result<(), Problem> {
        if !self.home.ordered {
            return Ok(());
        }
        let detail = format!(
            "namespace {:?} is written to several copies in one order; append with `logstore append --server A --server B`, or the library, not to one copy",
            self.name.as_str()
        );
        Err(Problem::new(Code::NotTheWriter, detail).field("namespace").got(self.name.as_str()))
    }

    /// Its log, where it is open. Touches no disk.
    #[must_use]
    pub fn opened(&self) -> Option<&Arc<Partition>> {
        self.partition.get()
    }

    /// Its log, opened and verified if it was not.
    pub fn partition(&self) -> Result<&Arc<Partition>, Problem> {
        if let Some(partition) = self.partition.get() {
            return Ok(partition);
        }
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partition) = self.partition.get() {
            return Ok(partition);
        }
        if *retired {
            let detail = format!("namespace {:?} was deleted just now", self.name.as_str());
            return Err(Problem::new(Code::NamespaceNotFound, detail).field("namespace").got(self.name.as_str()));
        }
        let partition = self.open_partition().map_err(|error| self.internal("open the log", &error))?;
        let partition = self.partition.get_or_init(|| Arc::new(partition));
        // It may have been configured while the log was being opened.
        partition.configure(self.config());
        Ok(partition)
    }

    /// Ends the namespace. When this returns nothing touches its directory any more.
    pub fn retire(&self) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        *retired = true;
        if let Some(partition) = self.partition.get() {
            partition.retire();
        }
    }

    fn open_partition(&self) -> io::Result<Partition> {
        let Home { disk, root, ordered, space, sync_pool, metrics } = self.home.clone();
        let label = format!("{}-0", directory_name(&self.name));
        let site = Site {
            disk,
            dir: self.dir.join("0"),
            quarantine: root.join("quarantine"),
            label,
            salt: self.salt,
            ordered,
        };
        let context = Context { site, space, sync_pool, metrics };
        Partition::open(context, self.config(), self.reign_at_start.clone(), self.clean.as_ref())
    }

    /// Puts another configuration in force: on the disk first.
    pub fn configure(&self, config: NamespaceConfig, owner: Option<Ownership>) -> Result<(), Problem> {
        let _one_at_a_time = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.document();
        let new = Document { config, owner, ..current.clone() };
        if new == current {
            return Ok(());
        }
        new.write(&*self.home.disk, &self.dir).map_err(|error| self.internal("write the configuration", &error))?;
        let config = new.config.clone();
        *self.document.write().unwrap_or_else(PoisonError::into_inner) = new;
        if let Some(partition) = self.partition.get() {
            partition.configure(config);
        }
        Ok(())
    }

    /// Ends its log in an orderly way; the mark of it. One that was not opened is as it was.
    #[must_use]
    pub fn close(&self) -> Option<CleanMark> {
        match self.partition.get() {
            Some(partition) => partition.close(),
            None => self.clean.clone(),
        }
    }

    /// A line of a list. Touches no disk.
    #[must_use]
    pub fn entry(&self) -> NamespaceEntry {
        self.with_document(|document| NamespaceEntry {
            name: self.name.clone(),
            incarnation: document.incarnation,
            state: document.config.state,
            owner: document.owner.clone(),
        })
    }

    /// The whole description.
    pub fn describe(&self) -> Result<NamespaceInfo, Problem> {
        let partition = self.partition()?;
        let holes = partition.holes().into_iter().map(|(from, until)| Hole { partition: 0, from, until }).collect();
        let Document { incarnation, config, owner, .. } = self.document();
        Ok(NamespaceInfo {
            name: self.name.clone(),
            incarnation,
            state: config.state,
            config,
            owner,
            partitions: vec![partition.describe()],
            holes,
        })
    }

    /// Our own fault: details go to the log, not to the caller.
    #[must_use]
    pub fn internal(&self, what: &str, error: &io::Error) -> Problem {
        if crate::disk::is_full(error) {
            return Problem::new(Code::DiskFull, format!("there is no room to {what}; free some and try again"));
        }
        tracing::error!(namespace = self.name.as_str(), %error, "failed to {what}");
        Problem::new(Code::Internal, format!("failed to {what}; the store's log says why"))
    }
}
