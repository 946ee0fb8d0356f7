//! The engine on real files, with faults.

mod start;

mod damage;
mod durability;
mod room;

mod change;
mod names;
mod places;
mod segments;
mod writers;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use logstore_api::config::StoreConfig;
use logstore_api::frame::Producer;
use logstore_api::namespace::{PutNamespace, Rotation};
use logstore_api::{Durability, NamespaceConfig, NamespaceName, Problem};

use super::batch::{Attributes, Batch};
use super::namespace::Namespace;
use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::log::partition::Queued;
use crate::log::read::{Flow, Range};
use crate::log::work::{Done, What, Work};

/// A store on real files, with faults to switch on. Stopping it is the test's matter: a drop is a crash of the process.
struct Store {
    engine: Arc<Engine>,
    disk: FaultyDisk,
    dir: Arc<tempfile::TempDir>,
}

impl Store {
    fn new() -> Self {
        Self::start(FaultyDisk::default(), Arc::new(tempfile::tempdir().unwrap()), StoreConfig::default())
    }

    fn start(disk: FaultyDisk, dir: Arc<tempfile::TempDir>, config: StoreConfig) -> Self {
        let engine = Engine::start(Arc::new(disk.clone()), dir.path().join("root"), config).unwrap();
        Self { engine, disk, dir }
    }

    fn restart(self) -> Self {
        let Self { engine, disk, dir } = self;
        let config = engine.config();
        drop(engine);
        Self::start(disk, dir, config)
    }

    fn namespace(&self, name: &str) -> Arc<Namespace> {
        self.engine.get_or_create(&NamespaceName::parse(name).unwrap()).unwrap()
    }

    fn configured(&self, name: &str, config: NamespaceConfig) -> Arc<Namespace> {
        let name = NamespaceName::parse(name).unwrap();
        self.engine.put(&name, PutNamespace { config, internal: None }, false).unwrap().1
    }

    /// Log files of the namespace `orders`, oldest first.
    fn segments(&self) -> Vec<std::path::PathBuf> {
        let dir = self.dir.path().join("root/ns/orders/0");
        let mut names: Vec<_> = (&self.disk as &dyn Disk).list(&dir).unwrap();
        names.retain(|name| name.ends_with(".log"));
        names.sort();
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    fn read_file(&self, path: &std::path::Path) -> Vec<u8> {
        (&self.disk as &dyn Disk).read(path, usize::MAX).unwrap()
    }

    fn write_file(&self, path: &std::path::Path, bytes: &[u8]) {
        (&self.disk as &dyn Disk).replace(path, bytes).unwrap();
    }

    fn quarantine(&self) -> Vec<Vec<u8>> {
        let dir = self.dir.path().join("root/quarantine");
        let names = (&self.disk as &dyn Disk).list(&dir).unwrap_or_default();
        names.into_iter().map(|name| self.read_file(&dir.join(name))).collect()
    }
}

fn submit(namespace: &Namespace, records: &[&[u8]], level: Durability) -> Answered {
    submit_as(None, namespace, records, level)
}

type Answered = tokio::sync::oneshot::Receiver<Result<Done, Box<Problem>>>;

fn submit_as(producer: Option<Producer>, namespace: &Namespace, records: &[&[u8]], level: Durability) -> Answered {
    enqueue_as(producer, namespace, records, level).lead()
}

fn enqueue_as(producer: Option<Producer>, namespace: &Namespace, records: &[&[u8]], level: Durability) -> Queued {
    let mut batch = Batch::new(producer, namespace.salt(), 0);
    for record in records {
        batch.push(record, Attributes::default()).unwrap();
    }
    let ready = batch.finish().unwrap();
    let work = |reply| Work::Append {
        draft: ready.draft,
        producer: ready.producer,
        expect_offset: None,
        durability: level,
        reply,
    };
    namespace.partition(0).unwrap().enqueue(None, work)
}

/// Appends as one and the same producer.
fn append_as_producer(namespace: &Namespace, seq: u64, record: &[u8]) -> Result<Done, Problem> {
    let producer = Some(Producer { id: 9, seq, epoch: 1 });
    submit_as(producer, namespace, &[record], Durability::Synced).blocking_recv().unwrap().map_err(|problem| *problem)
}

fn append(namespace: &Namespace, records: &[&[u8]]) -> Result<u64, Problem> {
    match submit(namespace, records, Durability::Synced).blocking_recv().unwrap() {
        Ok(Done { what: What::Appended { offset, .. }, .. }) => Ok(offset.unwrap()),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(*problem),
    }
}

fn read_all(namespace: &Namespace) -> Vec<(u64, Vec<u8>)> {
    let (records, damaged) = read(namespace, 0);
    assert_eq!(damaged, None);
    records
}

type Records = Vec<(u64, Vec<u8>)>;
type Damaged = Option<(u64, u64)>;

/// Records from an offset on, and the hole that ended them.
fn read(namespace: &Namespace, from: u64) -> (Records, Damaged) {
    let partition = namespace.partition(0).unwrap();
    let published = *partition.published().borrow();
    let mut records = Vec::new();
    let range = Range { from: from.max(published.start), until: published.end };
    let ended = partition
        .read(range, |record| {
            records.push((record.offset, record.data().to_vec()));
            Flow::Continue
        })
        .unwrap();
    (records, ended.damaged_until.map(|until| (ended.next, until)))
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(|number| (number, format!("record {number}").into_bytes())).collect()
}

fn append_numbered(namespace: &Namespace, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(append(namespace, &[format!("record {number}").as_bytes()]), Ok(number));
    }
}

fn small_segments() -> NamespaceConfig {
    let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
    NamespaceConfig { rotation, ..NamespaceConfig::default() }
}

/// The files of a store that still runs, elsewhere.
fn copy_of(store: &Store) -> Arc<tempfile::TempDir> {
    let copy = tempfile::tempdir().unwrap();
    let from = store.dir.path().join("root");
    let status = std::process::Command::new("cp").arg("-r").arg(&from).arg(copy.path()).status().unwrap();
    assert!(status.success());
    Arc::new(copy)
}

fn name(name: &str) -> NamespaceName {
    NamespaceName::parse(name).unwrap()
}
