//! A store inside the test's process, without HTTP, on whatever disk.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use logstore_api::config::StoreConfig;
use logstore_api::frame::{Draft, Producer, Salt};
use logstore_api::{Durability, NamespaceName, Problem};
use logstore_store::disk::Disk;
use logstore_store::engine::batch::{Attributes, Batch};
use logstore_store::engine::namespace::Namespace;
use logstore_store::engine::{Engine, StartError};
use logstore_store::log::read::{Flow, Range};
use logstore_store::log::work::{Done, What, Work};

/// Where the data is.
pub const ROOT: &str = "/store";

/// Opens the root on a disk.
pub fn engine(disk: &(impl Disk + Clone + 'static), config: StoreConfig) -> Result<Arc<Engine>, StartError> {
    Engine::start(Arc::new(disk.clone()), PathBuf::from(ROOT), config)
}

/// A namespace, made where there is none.
pub fn namespace(engine: &Engine, name: &str) -> Arc<Namespace> {
    engine.get_or_create(&NamespaceName::parse(name).unwrap()).unwrap()
}

/// Records to append, all with the same attributes.
#[derive(Clone, Debug, Default)]
pub struct Append {
    pub records: Vec<Vec<u8>>,
    pub alloc: Option<u64>,
    pub tags: Vec<String>,
    pub key: Option<String>,
    /// Id and sequence of the first record.
    pub producer: Option<(u128, u64)>,
}

impl Append {
    pub fn of(records: &[&[u8]]) -> Self {
        Self { records: records.iter().map(|data| data.to_vec()).collect(), ..Self::default() }
    }

    fn attributes(&self) -> Attributes {
        Attributes { alloc: self.alloc, tags: self.tags.clone(), key: self.key.clone(), ..Attributes::default() }
    }

    fn producer(&self) -> Option<Producer> {
        self.producer.map(|(id, seq)| Producer { id, seq, epoch: 1 })
    }
}

/// The frame of an append, without its numbers.
pub fn draft(append: &Append, salt: Salt) -> Result<Draft, Problem> {
    let mut batch = Batch::new(append.producer(), salt, 0);
    for data in &append.records {
        batch.push(data, append.attributes())?;
    }
    Ok(batch.finish()?.draft)
}

/// Gives work to a log; what was done.
pub fn work(
    log: &Namespace,
    number: u32,
    work: impl FnOnce(logstore_store::log::work::Reply) -> Work,
) -> Result<What, Problem> {
    let answer = log.partition(number).unwrap().submit(work).blocking_recv().unwrap();
    answer.map(|Done { what, .. }| what).map_err(|problem| *problem)
}

/// Appends, at the level `written`; the offset of the first record, where it is known.
pub fn append(log: &Namespace, number: u32, append: &Append) -> Result<Option<u64>, Problem> {
    let draft = draft(append, log.salt())?;
    let (producer, durability) = (append.producer(), Durability::Written);
    match work(log, number, |reply| Work::Append { draft, producer, expect_offset: None, durability, reply })? {
        What::Appended { offset, .. } => Ok(offset),
        other => panic!("{other:?}"),
    }
}

/// Records by offset.
pub type Records = BTreeMap<u64, Vec<u8>>;
/// Ranges of offsets that cannot be had.
pub type Holes = Vec<(u64, u64)>;

/// All records of a log, and what cannot be had.
pub fn read_through(log: &Namespace) -> (Records, Holes) {
    let partition = log.partition(0).unwrap();
    let published = *partition.published().borrow();
    let (mut records, mut holes) = (Records::new(), Holes::new());
    let mut from = published.start;
    while from < published.end {
        let range = Range { from, until: published.end };
        let ended = partition
            .read(range, |record| {
                assert!(records.insert(record.offset, record.data().to_vec()).is_none(), "a record comes twice");
                Flow::Continue
            })
            .unwrap();
        assert_eq!(ended.begins_at, None);
        from = ended.damaged_until.unwrap_or(ended.next);
        assert!(from > range.from, "a read stands still at {from}: {ended:?}");
        holes.extend(ended.damaged_until.map(|until| (ended.next, until)));
    }
    (records, holes)
}

/// The same, read from the end to the beginning.
pub fn read_through_backward(log: &Namespace) -> (Records, Holes) {
    let partition = log.partition(0).unwrap();
    let published = *partition.published().borrow();
    let (mut records, mut holes) = (Records::new(), Holes::new());
    let mut until = published.end;
    while until > published.start {
        let range = Range { from: published.start, until };
        let ended = partition
            .read_backward(range, |record| {
                assert!(records.insert(record.offset, record.data().to_vec()).is_none(), "a record comes twice");
                Flow::Continue
            })
            .unwrap();
        assert!(!ended.is_trimmed);
        until = ended.damaged_from.unwrap_or(ended.next);
        assert!(until < range.until, "a read stands still at {until}: {ended:?}");
        holes.extend(ended.damaged_from.map(|from| (from, ended.next)));
    }
    (records, holes)
}
