//! One namespace: its configuration on the disk, what its state allows, and its logs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use logstore_api::fence::Reign;
use logstore_api::frame::Salt;
use logstore_api::limits::PARTITIONS_MAX;
use logstore_api::namespace::{NamespaceEntry, NamespaceInfo, Ownership};
use logstore_api::{Code, Durability, NamespaceConfig, NamespaceName, NamespaceState, Problem};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::escape::directory_name;
use super::partitions::{NotOpen, Partitions};
use super::root::NamespaceMarks;
use crate::disk::Disk;
use crate::document;
use crate::limits;
use crate::log::Partition;
use crate::log::find::Finding;
use crate::log::quota::Usage;
use crate::log::recovery::{CleanMark, Site};
use crate::log::shared::Context;
use crate::log::sync::SyncPool;
use crate::metrics::Metrics;
use crate::space::SpaceGauge;

/// Version of the configuration document.
const VERSION: u32 = 1;
/// More than the configuration document ever has.
pub const DOCUMENT_MAX: usize = 1024 * 1024;
/// Its name in the directory of a namespace.
pub const CONFIG_FILE: &str = "config";

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
    /// Memory for finding records.
    pub finding: Arc<Finding>,
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

    /// How many logs it has.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.config.partitions.clamp(1, PARTITIONS_MAX)
    }

    /// Seed of its checksums.
    #[must_use]
    pub fn salt(&self) -> Salt {
        Salt(self.salt.parse().unwrap_or(Salt::WIRE.0))
    }
}

/// What a namespace asks of its records before they reach a log.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Seed of the checksums.
    pub salt: Salt,
    /// How many partitions there are.
    pub partitions: u32,
    /// Names of the indices, by their numbers.
    pub indices: Vec<String>,
    /// Bytes of one record, where its quota says less than the store does.
    pub max_record_bytes: Option<u64>,
}

impl Rules {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &NamespaceConfig, salt: Salt) -> Self {
        let NamespaceConfig { partitions, indices, quota, .. } = config;
        Self { salt, partitions: *partitions, indices: indices.clone(), max_record_bytes: quota.max_record_bytes }
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
    partitions: Partitions,
    usage: Arc<Usage>,
    /// What its appends may have in flight.
    in_flight: Arc<Semaphore>,
    /// Counts appends that leave the partition to the store.
    turns: AtomicU32,
    /// One change of the configuration at a time.
    configuring: Mutex<()>,
}

impl Namespace {
    /// A namespace whose document was read or written just before.
    #[must_use]
    pub fn new(home: Home, document: Document, reign: Option<Reign>, marks: &NamespaceMarks) -> Self {
        let (name, salt) = (document.name.clone(), document.salt());
        let partitions = Partitions::new(document.partition_count(), marks);
        let usage = Arc::new(Usage::new(partitions.count()));
        let dir = home.dir(&name);
        Self {
            home,
            name,
            dir,
            document: RwLock::new(document),
            salt,
            reign_at_start: reign,
            partitions,
            usage,
            in_flight: limits::namespace_budget(),
            turns: AtomicU32::new(0),
            configuring: Mutex::default(),
        }
    }

    /// The same namespace after a removal that failed; its logs are opened and verified again.
    #[must_use]
    pub fn born_again(&self) -> Self {
        // A fence opens all logs, so each one that is open knows the reign in force.
        let opened = self.partitions.all_opened().next();
        let reign = opened.map_or_else(|| self.reign_at_start.clone(), |partition| partition.reign());
        Self::new(self.home.clone(), self.document(), reign, &NamespaceMarks::default())
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

    /// The level of appends that name none.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.with_document(|document| document.config.durability)
    }

    /// What it asks of its records.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.with_document(|document| Rules::of(&document.config, self.salt))
    }

    /// Names of its indices, by number.
    #[must_use]
    pub fn indices(&self) -> Vec<String> {
        self.with_document(|document| document.config.indices.clone())
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

    /// How many logs it has.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.partitions.count()
    }

    /// What its appends may have in flight.
    #[must_use]
    pub fn in_flight(&self) -> &Arc<Semaphore> {
        &self.in_flight
    }

    /// How many of its logs are being opened.
    #[must_use]
    pub fn opening_count(&self) -> usize {
        self.partitions.opening_count()
    }

    /// Refuses a partition that it does not have.
    pub fn check_partition(&self, number: u32) -> Result<(), Problem> {
        check_partition(number, self.partition_count())
    }

    /// The partition that a request means; where there are several it has to say which.
    pub fn partition_named(&self, number: Option<u32>) -> Result<u32, Problem> {
        match (number, self.partition_count()) {
            (Some(number), count) => check_partition(number, count).map(|()| number),
            (None, 1) => Ok(0),
            (None, count) => {
                let detail = format!(
                    "namespace {:?} has {count} partitions; say which with partition=0 to partition={}",
                    self.name.as_str(),
                    count - 1
                );
                let expected = format!("0 to {}", count - 1);
                Err(Problem::new(Code::InvalidArgument, detail).field("partition").expected(expected))
            }
        }
    }

    /// The partition of an append that leaves it to the store: one after the other.
    #[must_use]
    pub fn next_partition(&self) -> u32 {
        self.turns.fetch_add(1, Ordering::Relaxed) % self.partition_count()
    }

    /// A log, where it is open. Touches no disk.
    #[must_use]
    pub fn opened(&self, number: u32) -> Option<&Arc<Partition>> {
        self.partitions.opened(number)
    }

    /// All logs that are open. Touches no disk.
    pub fn all_opened(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.all_opened()
    }

    /// A log, opened and verified if it was not. Where somebody else is at that, this waits only for a while.
    pub fn partition(&self, number: u32) -> Result<&Arc<Partition>, Problem> {
        if let Some(partition) = self.partitions.opened(number) {
            return Ok(partition);
        }
        let opened = self.partitions.get_or_open(number, |clean| self.open_partition(number, clean));
        let partition = opened.map_err(|why| self.not_open(number, &why))?;
        // It may have been configured while the log was being opened.
        let _one_at_a_time = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        partition.configure(self.config());
        Ok(partition)
    }

    /// All logs, opened and verified if they were not.
    pub fn all_partitions(&self) -> Result<Vec<&Arc<Partition>>, Problem> {
        (0..self.partition_count()).map(|number| self.partition(number)).collect()
    }

    fn not_open(&self, number: u32, why: &NotOpen) -> Problem {
        match why {
            NotOpen::Missing => no_such_partition(number, self.partition_count()),
            NotOpen::Retired => {
                let detail = format!("namespace {:?} was deleted just now", self.name.as_str());
                Problem::new(Code::NamespaceNotFound, detail).field("namespace").got(self.name.as_str())
            }
            NotOpen::Opening => recovering(&self.name, number),
            NotOpen::Failed(error) => self.internal("open the log", error),
        }
    }

    /// Ends the namespace. When this returns nothing touches its directory any more.
    pub fn retire(&self) {
        self.partitions.retire();
    }

    fn open_partition(&self, number: u32, clean: Option<&CleanMark>) -> io::Result<Partition> {
        let Home { disk, root, ordered, space, sync_pool, metrics, finding } = self.home.clone();
        let site = Site {
            disk,
            number,
            dir: self.dir.join(number.to_string()),
            quarantine: root.join("quarantine"),
            label: format!("{}-{number}", directory_name(&self.name)),
            salt: self.salt,
            ordered,
            finding,
        };
        let usage = Arc::clone(&self.usage);
        let context = Context { site, space, sync_pool, metrics, usage };
        Partition::open(context, self.config(), self.reign_at_start.clone(), clean)
    }

    /// Puts another configuration in force: on the disk first.
    pub fn configure(&self, config: NamespaceConfig, owner: Option<Ownership>) -> Result<(), Problem> {
        let _one_at_a_time = self.configuring.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.document();
        config.check_follows(&current.config).map_err(|invalid| {
            let detail = format!("{invalid}; nothing was changed");
            let problem = Problem::new(Code::ConfigConflict, detail).field(invalid.field);
            problem.expected(invalid.expected).got(invalid.got)
        })?;
        let new = Document { config, owner, ..current.clone() };
        if new == current {
            return Ok(());
        }
        new.write(&*self.home.disk, &self.dir).map_err(|error| self.internal("write the configuration", &error))?;
        let config = new.config.clone();
        *self.document.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.partitions.all_opened().for_each(|partition| partition.configure(config.clone()));
        Ok(())
    }

    /// Ends its logs in an orderly way; the marks of it. One that was not opened is as it was.
    #[must_use]
    pub fn close(&self) -> NamespaceMarks {
        self.partitions.close()
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
        let partitions = self.all_partitions()?;
        let holes = partitions.iter().flat_map(|partition| partition.holes()).collect();
        let Document { incarnation, config, owner, .. } = self.document();
        Ok(NamespaceInfo {
            name: self.name.clone(),
            incarnation,
            state: config.state,
            config,
            owner,
            partitions: partitions.iter().map(|partition| partition.describe()).collect(),
            holes,
        })
    }

    /// Our own fault: details go to the log, not to the caller.
    #[must_use]
    pub fn internal(&self, what: &str, error: &io::Error) -> Problem {
        if let Some(problem) = self.home.space.refusal(what, error) {
            return problem;
        }
        tracing::error!(namespace = self.name.as_str(), %error, "failed to {what}");
        Problem::new(Code::Internal, format!("failed to {what}; the store's log says why"))
    }
}

/// Refuses a partition that does not exist among so many.
pub fn check_partition(number: u32, count: u32) -> Result<(), Problem> {
    if number < count { Ok(()) } else { Err(no_such_partition(number, count)) }
}

fn no_such_partition(number: u32, count: u32) -> Problem {
    let there_are = if count == 1 { "one, 0".to_owned() } else { format!("{count}, 0 to {}", count - 1) };
    let detail = format!("there is no partition {number}; the namespace has {there_are}");
    Problem::new(Code::PartitionNotFound, detail).field("partition").expected(format!("0 to {}", count - 1)).got(number)
}

/// The refusal of a log that is still being opened.
#[must_use]
pub fn recovering(name: &NamespaceName, number: u32) -> Problem {
    let detail = format!(
        "partition {number} of namespace {:?} is still being opened, which verifies what a crash may have torn; try again in a moment",
        name.as_str()
    );
    Problem::new(Code::Recovering, detail).field("namespace").got(name.as_str())
}
