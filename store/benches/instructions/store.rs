//! A store in this process, on real files and without threads of its own: what they would do is done by the caller.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use logstore_api::config::StoreConfig;
use logstore_api::namespace::PutNamespace;
use logstore_api::{Durability, NamespaceConfig, NamespaceName, Timestamp};
use logstore_store::disk::{PooledDisk, RealDisk};
use logstore_store::engine::Engine;
use logstore_store::engine::batch::{Attributes, Batch, Ready};
use logstore_store::engine::namespace::Namespace;
use logstore_store::limits::open_files_max;
use logstore_store::log::Partition;
use logstore_store::log::sync::SyncPool;
use logstore_store::log::work::Work;
use tempfile::TempDir;

/// The namespace of all cases.
pub(crate) const NAMESPACE: &str = "orders";
const RECORD_BYTES: usize = 100;

/// A store with one namespace.
pub(crate) struct Store {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sync_pool: Arc<SyncPool>,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) partition: Arc<Partition>,
}

/// A directory beside the build, which goes with the value.
pub(crate) fn directory() -> TempDir {
    std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The data of a record: text, and no two are the same.
pub(crate) fn record(number: u64) -> Vec<u8> {
    let mut data = vec![b'x'; RECORD_BYTES - 10];
    data.extend_from_slice(format!("{number:010}").as_bytes());
    data
}

impl Store {
    /// Opens the root as `logstore serve` does; the log too, which is recovered where the last store was not stopped.
    pub(crate) fn open(root: &Path) -> Self {
        let disk = Arc::new(PooledDisk::new(Arc::new(RealDisk), open_files_max()));
        let sync_pool = Arc::new(SyncPool::by_hand());
        let (config, root) = (StoreConfig::default(), PathBuf::from(root));
        let engine = Engine::start_with(disk, root, config, Arc::clone(&sync_pool)).unwrap();
        let name = NamespaceName::parse(NAMESPACE).unwrap();
        let put = PutNamespace { config: NamespaceConfig::default(), internal: None };
        let namespace = engine.get(&name).or_else(|_| engine.put(&name, put, false).map(|(_, made)| made)).unwrap();
        let partition = Arc::clone(namespace.partition(0).unwrap());
        Self { engine, sync_pool, namespace, partition }
    }

    /// Appends one record, at its level when this returns.
    pub(crate) fn append(&self, data: &[u8], durability: Durability) {
        let mut batch = Batch::new(None, self.namespace.salt(), data.len());
        batch.push(data, Attributes::default()).unwrap();
        self.append_batch(batch, durability);
    }

    /// Appends batches of records that are only written, each with the attributes that `attributes` gives it.
    pub(crate) fn fill(&self, records: u64, batch_records: u64, attributes: impl Fn(u64) -> Attributes) {
        for begin in (0..records).step_by(usize::try_from(batch_records).unwrap()) {
            let mut batch = Batch::new(None, self.namespace.salt(), 0);
            for number in begin..begin + batch_records {
                batch.push(&record(number), attributes(number)).unwrap();
            }
            self.append_batch(batch, Durability::Written);
        }
    }

    fn append_batch(&self, batch: Batch, durability: Durability) {
        let Ready { draft, producer } = batch.finish().unwrap();
        let work = |reply| Work::Append { draft, producer, expect_offset: None, durability, reply };
        let answer = self.partition.submit(work);
        do_jobs(&self.sync_pool);
        answer.blocking_recv().unwrap().unwrap();
    }

    /// Begins a new segment, and gives those before it their side files.
    pub(crate) fn seal(&self) {
        self.partition.seal().unwrap();
        self.partition.tend(Timestamp::now());
    }
}

/// Does what threads for syncs would do, until there is nothing left.
pub(crate) fn do_jobs(sync_pool: &SyncPool) {
    while sync_pool.is_busy() {
        sync_pool.take_waiting().into_iter().for_each(|job| job());
    }
}
