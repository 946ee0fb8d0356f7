//! What a selection brings is what looking at every record brings: across segments, restarts, and side files that are
//! missing or damaged.

use std::path::PathBuf;
use std::time::Duration;

use logstore_api::config::StoreConfig;
use logstore_api::frame::{FrameBuilder, Kind, Meta, NewRecord, Salt};
use logstore_api::namespace::{PutNamespace, Rotation};
use logstore_api::{Code, Durability, NamespaceConfig, NamespaceName, Problem, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::disk::{Disk, Open, RealDisk};
use crate::engine::Engine;
use crate::engine::namespace::Namespace;
use crate::log::Partition;
use crate::log::find::{FindLimits, Finding};
use crate::log::quota::Usage;
use crate::log::recovery::Site;
use crate::log::shared::Context;
use crate::log::sync::SyncPool;
use crate::log::work::{Done, What, Work};
use crate::metrics::Metrics;
use crate::space::SpaceGauge;

/// A store with one namespace in segments of the smallest size, and what is in it.
struct Log {
    engine: Arc<Engine>,
    dir: tempfile::TempDir,
    metas: Vec<Meta>,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = start(&dir);
        let rotation = Rotation { max_segment_bytes: Some(64 * 1024), max_segment_age_seconds: None };
        let config = NamespaceConfig { rotation, ..NamespaceConfig::default() };
        engine.put(&name(), PutNamespace { config, internal: None }, true).unwrap();
        Self { engine, dir, metas: Vec::new() }
    }

    fn namespace(&self) -> Arc<Namespace> {
        self.engine.get(&name()).unwrap()
    }

    fn partition(&self) -> Arc<Partition> {
        Arc::clone(self.namespace().partition(0).unwrap())
    }

    fn append(&mut self, metas: &[Meta], data: &[u8]) -> Result<(), Problem> {
        let mut builder = FrameBuilder::new(Kind::Data, None, self.namespace().salt());
        metas.iter().for_each(|meta| builder.push(&NewRecord { data, alloc: 0, meta: meta.clone() }));
        let draft = builder.finish();
        let work =
            |reply| Work::Append { draft, producer: None, expect_offset: None, durability: Durability::Written, reply };
        match self.partition().submit(work).blocking_recv().unwrap() {
            Ok(Done { what: What::Appended { offset, .. }, .. }) => {
                assert_eq!(offset, Some(self.metas.len() as u64));
                self.metas.extend_from_slice(metas);
                Ok(())
            }
            Ok(other) => panic!("{other:?}"),
            Err(problem) => Err(*problem),
        }
    }

    fn restart(self, orderly: bool) -> Self {
        let Self { engine, dir, metas } = self;
        if orderly {
            engine.stop();
        }
        drop(engine);
        Self { engine: start(&dir), dir, metas }
    }

    fn side_files(&self) -> Vec<PathBuf> {
        let dir = self.dir.path().join("root/ns/orders/0");
        let mut names = RealDisk.list(&dir).unwrap();
        names.sort();
        names.retain(|name| !name.ends_with(".log") && name.contains('.'));
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    /// Flips a bit of a side file, or removes it.
    fn harm(&self, which: usize, at: usize, remove: bool) {
        let files = self.side_files();
        let Some(path) = files.get(which % files.len().max(1)) else { return };
        if remove {
            return RealDisk.remove_file(path).unwrap();
        }
        let file = RealDisk.open(path, Open::Write).unwrap();
        let at = at as u64 % file.size().unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        byte[0] ^= 0x10;
        file.write_at(&[std::io::IoSlice::new(&byte)], at).unwrap();
    }

    /// Offsets that a selection brings, in pages of `page` records, each with the time that `time` says.
    fn select(&self, query: &Query) -> Vec<u64> {
        let Query { selection, range, direction, page, time } = query;
        let (mut left, mut offsets) = (*range, Vec::new());
        loop {
            let before = offsets.len();
            let deadline = Instant::now() + *time;
            let selected = self.partition().select(selection, left, *direction, deadline, |record| {
                assert_eq!(record.meta(), self.metas[usize::try_from(record.offset).unwrap()]);
                offsets.push(record.offset);
                if offsets.len() - before == *page { Flow::Stop } else { Flow::Continue }
            });
            let Selected { next, damaged, begins_at } = selected.unwrap();
            assert_eq!((damaged, begins_at), (None, None));
            let gone_on = match direction {
                Direction::Up => std::mem::replace(&mut left.from, next) < next,
                Direction::Down => std::mem::replace(&mut left.until, next) > next,
            };
            if left.from >= left.until {
                return offsets;
            }
            assert!(gone_on, "each page gets on");
        }
    }

    fn look_at_each(&self, query: &Query) -> Vec<u64> {
        let Query { selection: Selection { tags, index }, range, direction, .. } = query;
        let fits = |offset: &u64| {
            let Meta { tags: given, indices, .. } = &self.metas[usize::try_from(*offset).unwrap()];
            let value = |number| indices.iter().find(|(index, _)| *index == number).map(|(_, value)| *value);
            tags.as_ref().is_none_or(|tags| tags.fits(given))
                && index.is_none_or(|IndexRange { number, min, max }| {
                    value(number).is_some_and(|value| (min..=max).contains(&value))
                })
        };
        let mut offsets: Vec<u64> = (range.from..range.until).filter(fits).collect();
        if *direction == Direction::Down {
            offsets.reverse();
        }
        offsets
    }
}

fn start(dir: &tempfile::TempDir) -> Arc<Engine> {
    Engine::start(Arc::new(RealDisk), dir.path().join("root"), StoreConfig::default()).unwrap()
}

fn name() -> NamespaceName {
    NamespaceName::parse("orders").unwrap()
}

#[derive(Clone, Debug)]
struct Query {
    selection: Selection,
    range: Range,
    direction: Direction,
    page: usize,
    time: Duration,
}

#[derive(Clone, Debug)]
enum Act {
    Append { metas: Vec<Meta>, data_len: usize },
    Tend,
    Restart { orderly: bool },
    Harm { which: usize, at: usize, remove: bool },
    Ask { selection: Selection, ends: (u64, u64), down: bool, page: usize, in_time: bool },
}

fn tag() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => (0u8..4).prop_map(|tag| vec![b'a' + tag]), 1 => (0u32..500).prop_map(|tag| tag.to_string().into_bytes())]
}

fn value() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -50i64..50, 1 => any::<i64>()]
}

fn expression() -> impl Strategy<Value = Expression> {
    tag().prop_map(Expression::Tag).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Expression::Not(Box::new(inner))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expression::And),
            proptest::collection::vec(inner, 2..4).prop_map(Expression::Or),
        ]
    })
}

fn act() -> impl Strategy<Value = Act> {
    let meta = (proptest::collection::vec(tag(), 0..4), proptest::option::of(value()), any::<bool>()).prop_map(
        |(tags, value, other)| Meta {
            indices: value.map(|value| (u8::from(other), value)).into_iter().collect(),
            key: None,
            tags,
        },
    );
    let index = (0u8..3, value(), 0i64..60);
    let index = index.prop_map(|(number, min, len)| IndexRange { number, min, max: min.saturating_add(len) });
    let selection = (proptest::option::of(expression()), proptest::option::of(index))
        .prop_map(|(tags, index)| Selection { tags, index });
    prop_oneof![
        10 => (proptest::collection::vec(meta, 1..400), 0usize..40)
            .prop_map(|(metas, data_len)| Act::Append { metas, data_len }),
        3 => Just(Act::Tend),
        2 => any::<bool>().prop_map(|orderly| Act::Restart { orderly }),
        3 => (any::<usize>(), any::<usize>(), any::<bool>())
            .prop_map(|(which, at, remove)| Act::Harm { which, at, remove }),
        12 => (selection, any::<(u64, u64)>(), any::<bool>(), 1usize..400, any::<bool>())
            .prop_map(|(selection, ends, down, page, in_time)| Act::Ask { selection, ends, down, page, in_time }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_selection_brings_what_looking_at_each_record_brings(acts in proptest::collection::vec(act(), 20..60)) {
        let mut log = Log::new();
        for act in acts {
            match act {
                Act::Append { metas, data_len } => log.append(&metas, &vec![b'x'; data_len]).unwrap(),
                Act::Tend => log.partition().tend(Timestamp::now()),
                Act::Restart { orderly } => log = log.restart(orderly),
                Act::Harm { which, at, remove } => log.harm(which, at, remove),
                Act::Ask { selection, ends: (a, b), down, page, in_time } => {
                    let end = log.metas.len() as u64;
                    let (a, b) = (a % (end + 1), b % (end + 1));
                    let query = Query {
                        selection,
                        range: Range { from: a.min(b), until: a.max(b) },
                        direction: if down { Direction::Down } else { Direction::Up },
                        page,
                        time: if in_time { Duration::from_secs(60) } else { Duration::ZERO },
                    };
                    prop_assert_eq!(log.select(&query), log.look_at_each(&query), "{:?}", query);
                }
            }
        }
    }
}

fn tagged(tag: &str) -> Meta {
    Meta { tags: vec![tag.as_bytes().to_vec()], ..Meta::default() }
}

fn all_with(log: &Log, tag: &str, direction: Direction) -> Query {
    Query {
        selection: Selection { tags: Some(Expression::Tag(tag.as_bytes().to_vec())), index: None },
        range: Range { from: 0, until: log.metas.len() as u64 },
        direction,
        page: usize::MAX,
        time: Duration::from_secs(60),
    }
}

/// A log of a few sealed segments, in which every record has one of two tags, and every hundredth a third one.
fn sealed_log() -> Log {
    let mut log = Log::new();
    for number in 0..3000 {
        let mut meta = tagged(if number % 2 == 0 { "even" } else { "odd" });
        if number % 100 == 7 {
            meta.tags.push(b"rare".to_vec());
            meta.indices.push((0, number));
        }
        log.append(&[meta], &[b'x'; 40]).unwrap();
    }
    log.partition().tend(Timestamp::now());
    log
}

#[test]
fn each_side_file_that_is_harmed_costs_no_record_and_is_made_again() {
    let log = sealed_log();
    let files = log.side_files();
    assert!(files.iter().filter(|path| path.extension().unwrap() == "tags").count() > 3);
    let whole: Vec<Vec<u8>> =
        files.iter().map(|path| (&RealDisk as &dyn Disk).read(path, usize::MAX).unwrap()).collect();
    let mut log = log;
    for number in 0..files.len() {
        for remove in [false, true] {
            log.harm(number, 1000 * number, remove);
            log = log.restart(number % 2 == 0);
            for direction in [Direction::Up, Direction::Down] {
                let query = all_with(&log, "rare", direction);
                assert_eq!(log.select(&query), log.look_at_each(&query), "{}", files[number].display());
            }
            log.partition().tend(Timestamp::now());
            let again = (&RealDisk as &dyn Disk).read(&files[number], usize::MAX).unwrap();
            // What is harmed and not asked for stays as it is until it is.
            assert!(again == whole[number] || !remove, "{}", files[number].display());
        }
        log.harm(number, 0, true);
        log = log.restart(false);
        log.partition().tend(Timestamp::now());
        let there = log.side_files();
        assert!(files.iter().all(|path| there.contains(path)));
    }
}

/// A log of its own, so that its bounds can be small.
fn bounded(dir: &tempfile::TempDir, limits: FindLimits) -> (Arc<Partition>, Arc<Finding>) {
    let (disk, finding): (Arc<dyn Disk>, _) = (Arc::new(RealDisk), Finding::new(limits));
    let site = Site {
        disk: Arc::clone(&disk),
        number: 0,
        dir: dir.path().to_owned(),
        quarantine: dir.path().join("quarantine"),
        label: "bounded".to_owned(),
        salt: Salt(7),
        ordered: false,
        finding: Arc::clone(&finding),
    };
    let context = Context {
        site,
        space: Arc::new(SpaceGauge::new(disk, dir.path().to_owned(), false)),
        sync_pool: Arc::new(SyncPool::start().unwrap()),
        metrics: Metrics::new(),
        usage: Arc::new(Usage::new(1)),
    };
    (Arc::new(Partition::open(context, NamespaceConfig::default(), None, None).unwrap()), finding)
}

fn append_tags(partition: &Arc<Partition>, tags: &[String]) -> Result<Done, Box<Problem>> {
    let mut builder = FrameBuilder::new(Kind::Data, None, Salt(7));
    let meta = Meta { tags: tags.iter().map(|tag| tag.clone().into_bytes()).collect(), ..Meta::default() };
    builder.push(&NewRecord { data: b"", alloc: 0, meta });
    let draft = builder.finish();
    let work =
        |reply| Work::Append { draft, producer: None, expect_offset: None, durability: Durability::Written, reply };
    partition.submit(work).blocking_recv().unwrap()
}

#[test]
fn new_tags_are_refused_where_a_segment_has_too_many_and_known_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, _) = bounded(&dir, FindLimits { segment_tags: 100, ..FindLimits::default() });
    let tags = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("tag {number}")).collect::<Vec<_>>();
    for number in 0..10 {
        append_tags(&partition, &tags(number * 10..number * 10 + 10)).unwrap();
    }
    let problem = append_tags(&partition, &tags(99..101)).unwrap_err();
    assert!(problem.is(Code::TooManyTags), "{problem:?}");
    append_tags(&partition, &tags(40..60)).unwrap();
    append_tags(&partition, &[]).unwrap();
    assert_eq!(partition.published().borrow().end, 12, "what was refused has left nothing behind");
}

#[test]
fn a_log_whose_tags_take_too_much_memory_is_sealed_early() {
    let dir = tempfile::tempdir().unwrap();
    let (partition, finding) = bounded(&dir, FindLimits { tables_bytes: 50_000, ..FindLimits::default() });
    for number in 0..2_000 {
        append_tags(&partition, &[format!("tag {number}")]).unwrap();
        if number % 100 == 0 {
            partition.tend(Timestamp::now());
        }
        assert!(finding.tables_bytes() < 80_000, "{number}");
    }
    assert!(partition.describe().segments > 4);
    for number in [0, 999, 1_999] {
        let tags = Some(Expression::Tag(format!("tag {number}").into_bytes()));
        let range = Range { from: 0, until: 2_000 };
        let (deadline, mut found) = (Instant::now() + Duration::from_secs(60), Vec::new());
        let selection = Selection { tags, index: None };
        let selected = partition.select(&selection, range, Direction::Up, deadline, |record| {
            found.push(record.offset);
            Flow::Continue
        });
        assert_eq!((selected.unwrap().next, found), (2_000, vec![number]));
    }
}

#[test]
fn damage_is_told_where_a_record_that_fits_is_damaged_and_nowhere_else() {
    let log = sealed_log();
    let path = log.dir.path().join("root/ns/orders/0/00000000000000000000.log");
    let file = RealDisk.open(&path, Open::Write).unwrap();
    let bytes = (&RealDisk as &dyn Disk).read(&path, usize::MAX).unwrap();
    // The record at offset 107 is rare; 110 is not.
    let frames: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, four)| four == b"LSFR").map(|(at, _)| at).collect();
    let damage = |offset: usize| {
        // The first frame is the snapshot.
        let at = frames[offset + 1] + 60;
        file.write_at(&[std::io::IoSlice::new(&[bytes[at] ^ 1])], at as u64).unwrap();
    };
    damage(110);
    let rare = |direction| {
        let query = all_with(&log, "rare", direction);
        let mut offsets = Vec::new();
        let deadline = Instant::now() + query.time;
        let selected = log.partition().select(&query.selection, query.range, direction, deadline, |record| {
            offsets.push(record.offset);
            Flow::Continue
        });
        (selected.unwrap(), offsets)
    };
    assert_eq!(rare(Direction::Up).1.len(), 30, "none that fits is damaged");
    damage(107);
    let hole = Some(Range { from: 107, until: 108 });
    let (up, offsets) = rare(Direction::Up);
    assert_eq!((up.damaged, up.next, offsets), (hole, 107, vec![7]));
    let (down, offsets) = rare(Direction::Down);
    assert_eq!((down.damaged, down.next, offsets.len()), (hole, 108, 28));
}
