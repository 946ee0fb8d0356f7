//! A log against a model of it that is a few vectors: random operations, and after each the log has to be what the model
//! says. What fails is made as short as it can be before it is shown. `PROPTEST_CASES=10000` runs it for longer.

#![allow(clippy::unwrap_used, reason = "a test from outside")]

#[path = "common/local.rs"]
mod local;

use std::collections::HashMap;
use std::sync::Arc;

use local::{Append, append, engine, work};
use logstore_api::config::StoreConfig;
use logstore_api::limits::PRODUCER_FRAMES_MAX;
use logstore_api::namespace::{PutNamespace, Retention, Rotation};
use logstore_api::{NamespaceConfig, NamespaceName, Problem, Timestamp};
use logstore_store::disk::memory::MemoryDisk;
use logstore_store::engine::Engine;
use logstore_store::engine::namespace::Namespace;
use logstore_store::log::Partition;
use logstore_store::log::read::{Flow, Range};
use logstore_store::log::work::{What, Work};
use proptest::prelude::*;
use proptest::sample::Index;

const PARTITIONS: u32 = 2;
const PRODUCERS: u128 = 3;

#[derive(Clone, Debug)]
enum Operation {
    Append {
        records: Vec<Record>,
        from: Option<Identified>,
        tagged: bool,
    },
    Read {
        from: Index,
        until: Index,
        most: usize,
        backward: bool,
    },
    Time {
        of: Index,
    },
    Trim {
        before: Index,
    },
    Tend,
    /// Keep at most this many bytes from now on.
    Retain {
        bytes: Option<u64>,
    },
    Stop,
    Kill,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    len: usize,
    fill: u8,
    alloc: Option<u32>,
}

/// An append of a producer: what comes next of it, or something else.
#[derive(Clone, Copy, Debug)]
struct Identified {
    id: u128,
    what: Sequence,
}

#[derive(Clone, Copy, Debug)]
enum Sequence {
    Next,
    /// The frame that was stored so many before the last one.
    Again(usize),
    /// Other records under the sequence of the last frame.
    Conflict,
    Gap,
}

fn record() -> impl Strategy<Value = Record> {
    let len = prop_oneof![6 => 0..200_usize, 2 => 3_000..9_000_usize, 1 => 20_000..40_000_usize];
    (len, any::<u8>(), proptest::option::weighted(0.2, 40_000..50_000_u32)).prop_map(|(len, fill, alloc)| Record {
        len,
        fill,
        alloc,
    })
}

fn identified() -> impl Strategy<Value = Identified> {
    let what = prop_oneof![
        4 => Just(Sequence::Next),
        2 => (0..5_usize).prop_map(Sequence::Again),
        1 => Just(Sequence::Conflict),
        1 => Just(Sequence::Gap),
    ];
    (0..PRODUCERS, what).prop_map(|(id, what)| Identified { id, what })
}

fn operation() -> impl Strategy<Value = Operation> {
    let records =
        prop_oneof![3 => proptest::collection::vec(record(), 1), 2 => proptest::collection::vec(record(), 1..30)];
    prop_oneof![
        12 => (records, proptest::option::of(identified()), any::<bool>())
            .prop_map(|(records, from, tagged)| Operation::Append { records, from, tagged }),
        6 => (any::<Index>(), any::<Index>(), 1..50_usize, any::<bool>())
            .prop_map(|(from, until, most, backward)| Operation::Read { from, until, most, backward }),
        1 => any::<Index>().prop_map(|of| Operation::Time { of }),
        1 => any::<Index>().prop_map(|before| Operation::Trim { before }),
        2 => Just(Operation::Tend),
        1 => proptest::option::of(70_000..300_000_u64).prop_map(|bytes| Operation::Retain { bytes }),
        1 => Just(Operation::Stop),
        2 => Just(Operation::Kill),
    ]
}

/// What a record has to be when it is read.
#[derive(Clone, PartialEq)]
struct Kept {
    data: Vec<u8>,
    alloc: u32,
    tags: Vec<Vec<u8>>,
    producer: Option<(u128, u64)>,
    time: Timestamp,
}

/// A partition as it should be.
#[derive(Default)]
struct Model {
    start: u64,
    records: Vec<Kept>,
    /// Stored frames of each producer, newest last: sequence, records, offset.
    producers: HashMap<u128, Vec<(u64, Append, u64)>>,
}

impl Model {
    fn end(&self) -> u64 {
        self.records.len() as u64
    }

    fn next_seq(&self, id: u128) -> u64 {
        self.producers
            .get(&id)
            .and_then(|frames| frames.last())
            .map_or(0, |(seq, frame, _)| seq + frame.records.len() as u64)
    }

    /// The append that an operation means.
    fn append(&self, records: &[Record], from: Option<Identified>, tagged: bool) -> Append {
        let alloc = records.iter().find_map(|record| record.alloc).map(u64::from);
        let data = records.iter().map(|record| vec![record.fill; record.len]).collect();
        let tags = if tagged { vec!["tag".to_owned(), format!("{}", self.end() % 7)] } else { Vec::new() };
        let append = Append { records: data, alloc, tags, ..Append::default() };
        let Some(Identified { id, what }) = from else { return append };
        let frames = self.producers.get(&id).map(Vec::as_slice).unwrap_or_default();
        let next = self.next_seq(id);
        match what {
            Sequence::Again(back) if !frames.is_empty() => frames[frames.len() - 1 - back % frames.len()].1.clone(),
            Sequence::Conflict if !frames.is_empty() => {
                let seq = frames[frames.len() - 1].0;
                Append { producer: Some((id, seq)), records: vec![b"conflict".to_vec(); records.len() + 40], ..append }
            }
            Sequence::Gap => Append { producer: Some((id, next + 1)), ..append },
            _ => Append { producer: Some((id, next)), ..append },
        }
    }

    /// What the log has to answer: the offset, or the code of an error.
    fn judge(&self, append: &Append) -> Result<Option<u64>, &'static str> {
        let Some((id, seq)) = append.producer else { return Ok(Some(self.end())) };
        let next = self.next_seq(id);
        let frames = self.producers.get(&id).map(Vec::as_slice).unwrap_or_default();
        let remembered = &frames[frames.len().saturating_sub(PRODUCER_FRAMES_MAX)..];
        match remembered.iter().find(|(known, _, _)| *known == seq) {
            _ if seq == next => Ok(Some(self.end())),
            _ if seq > next && frames.is_empty() => Err("unknown_producer"),
            _ if seq > next => Err("sequence_gap"),
            Some((_, known, offset)) if known.records == append.records => Ok(Some(*offset)),
            Some(_) => Err("identity_conflict"),
            None => Ok(None),
        }
    }

    /// Takes a stored frame in; a duplicate changes nothing.
    fn store(&mut self, append: &Append, offset: Option<u64>, times: &[Timestamp]) {
        if offset != Some(self.end()) {
            return;
        }
        let tags: Vec<Vec<u8>> = append.tags.iter().map(|tag| tag.clone().into_bytes()).collect();
        for (index, (data, time)) in append.records.iter().zip(times).enumerate() {
            let alloc = u32::try_from(append.alloc.unwrap_or(0).max(data.len() as u64)).unwrap();
            let producer = append.producer.map(|(id, seq)| (id, seq + index as u64));
            self.records.push(Kept { data: data.clone(), alloc, tags: tags.clone(), producer, time: *time });
        }
        if let Some((id, seq)) = append.producer {
            self.producers.entry(id).or_default().push((seq, append.clone(), offset.unwrap()));
        }
    }
}

/// The store, and how it should be.
struct Test {
    disk: MemoryDisk,
    engine: Option<Arc<Engine>>,
    models: Vec<Model>,
    config: NamespaceConfig,
}

impl Test {
    fn new() -> Self {
        let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
        let config = NamespaceConfig { rotation, partitions: PARTITIONS, ..NamespaceConfig::default() };
        let mut test = Self {
            disk: MemoryDisk::default(),
            engine: None,
            models: (0..PARTITIONS).map(|_| Model::default()).collect(),
            config,
        };
        test.start();
        test.configure();
        test
    }

    fn start(&mut self) {
        self.engine = Some(engine(&self.disk, StoreConfig::default()).unwrap());
    }

    fn configure(&self) {
        let put = PutNamespace { config: self.config.clone(), internal: None };
        self.engine.as_ref().unwrap().put(&NamespaceName::parse("orders").unwrap(), put, false).unwrap();
    }

    fn namespace(&self) -> Arc<Namespace> {
        self.engine.as_ref().unwrap().get(&NamespaceName::parse("orders").unwrap()).unwrap()
    }

    fn partition(&self, number: u32) -> Arc<Partition> {
        Arc::clone(self.namespace().partition(number).unwrap())
    }

    fn run(&mut self, number: u32, operation: &Operation) {
        let (partition, log) = (self.partition(number), self.namespace());
        let model = &mut self.models[number as usize];
        match operation {
            Operation::Append { records, from, tagged } => {
                let wanted = model.append(records, *from, *tagged);
                let expected = model.judge(&wanted);
                let answer = append(&log, number, &wanted);
                assert_eq!(answer.as_ref().copied().map_err(|problem: &Problem| problem.code.as_str()), expected);
                if let Ok(offset) = answer {
                    let range = Range { from: model.end(), until: partition.published().borrow().end };
                    let times: Vec<_> =
                        read(&partition, range, usize::MAX).into_iter().map(|(_, kept)| kept.time).collect();
                    model.store(&wanted, offset, &times);
                }
            }
            Operation::Read { from, until, most, backward } => model.read(&partition, from, until, *most, *backward),
            Operation::Time { of } => model.time(&partition, of),
            Operation::Trim { before } => {
                let before = before.index(model.records.len() + 1) as u64;
                let what = work(&log, number, |reply| Work::Trim { before, reply });
                assert_eq!(what, Ok(What::Trimmed { start: before.max(model.start) }));
                model.start = model.start.max(before);
            }
            Operation::Tend => partition.tend(Timestamp::now()),
            Operation::Retain { bytes } => {
                self.config.retention = Retention { max_bytes: *bytes, ..Retention::default() };
                self.configure();
            }
            Operation::Stop => self.engine.take().unwrap().stop(),
            Operation::Kill => self.engine = None,
        }
        drop((partition, log));
        if self.engine.is_none() {
            self.start();
        }
    }

    /// What must hold at any time.
    fn check(&mut self, whole: bool) {
        for number in 0..PARTITIONS {
            let partition = self.partition(number);
            let published = *partition.published().borrow();
            let model = &mut self.models[number as usize];
            let retains = self.config.retention.max_bytes.is_some();
            assert!(published.start == model.start || (published.start > model.start && retains), "{published:?}");
            model.start = published.start;
            assert_eq!(published.end, model.end());
            assert_eq!(partition.holes(), []);
            if whole {
                let range = Range { from: model.start, until: model.end() };
                model.same(range.from, read(&partition, range, usize::MAX));
            }
        }
    }
}

/// Records of a range, at most so many.
fn read(partition: &Partition, range: Range, most: usize) -> Vec<(u64, Kept)> {
    let mut records = Vec::new();
    let ended = partition.read(range, |record| take(&mut records, record, most)).unwrap();
    assert_eq!((ended.damaged_until, ended.begins_at), (None, None));
    assert_eq!(ended.next, range.from + records.len() as u64);
    records
}

fn take(records: &mut Vec<(u64, Kept)>, record: &logstore_store::log::cursor::LogRecord<'_>, most: usize) -> Flow {
    let kept = Kept {
        data: record.data().to_vec(),
        alloc: record.alloc_len(),
        tags: record.meta().tags,
        producer: record.producer.map(|producer| (producer.id, producer.seq)),
        time: record.time,
    };
    records.push((record.offset, kept));
    if records.len() == most { Flow::Stop } else { Flow::Continue }
}

impl Model {
    fn same(&self, from: u64, records: Vec<(u64, Kept)>) {
        for ((offset, kept), expected) in records.into_iter().zip(from..) {
            assert_eq!(offset, expected);
            assert!(kept == self.records[usize::try_from(offset).unwrap()], "offset {offset} is another record");
        }
    }

    fn read(&self, partition: &Partition, from: &Index, until: &Index, most: usize, backward: bool) {
        let place =
            |index: &Index| self.start + index.index(usize::try_from(self.end() - self.start).unwrap() + 1) as u64;
        let (from, until) = (place(from).min(place(until)), place(from).max(place(until)));
        let range = Range { from, until };
        let expected = usize::try_from(until - from).unwrap().min(most);
        if !backward {
            let records = read(partition, range, most);
            assert_eq!(records.len(), expected);
            return self.same(from, records);
        }
        let mut records = Vec::new();
        let ended = partition.read_backward(range, |record| take(&mut records, record, most)).unwrap();
        assert_eq!((ended.damaged_from, ended.is_trimmed, records.len()), (None, false, expected));
        assert_eq!(ended.next, until - expected as u64);
        records.reverse();
        self.same(until - expected as u64, records);
    }

    fn time(&self, partition: &Partition, of: &Index) {
        let there = &self.records[usize::try_from(self.start).unwrap()..];
        if there.is_empty() {
            return;
        }
        let time = there[of.index(there.len())].time;
        let first = there.iter().position(|kept| kept.time >= time).unwrap() as u64 + self.start;
        let found = partition.offset_at(time).unwrap();
        // What was trimmed may still stand in the files.
        assert!(found.is_some_and(|offset| offset.max(self.start) == first), "{found:?} {first}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn a_log_is_what_its_model_says(operations in proptest::collection::vec((0..PARTITIONS, operation()), 1..60)) {
        let mut test = Test::new();
        for (number, operation) in &operations {
            test.run(*number, operation);
            test.check(matches!(operation, Operation::Kill | Operation::Stop | Operation::Tend));
        }
        test.run(0, &Operation::Kill);
        test.check(true);
    }
}

/// Few here: `make test` says more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(24, |text| text.parse().unwrap())
}
