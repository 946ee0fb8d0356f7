//! Tables that are written as side files and read back, whole and damaged.

use std::collections::{BTreeMap, BTreeSet};

use logstore_api::Timestamp;
use logstore_api::frame::Meta;
use proptest::prelude::*;

use super::columns::{ColumnBlocks, InRange, MemoryColumn};
use super::ordinals::{Blocks, Direction, List, Ordinals};
use super::postings::MemoryList;
use super::side::{SideSite, damaged_files};
use super::*;
use crate::disk::{Disk, Open, RealDisk};
use crate::log::index::{Entries, Entry};

const BASE: u64 = 7;
const LOG_BYTES: u64 = 999;

fn site(dir: &tempfile::TempDir, limits: FindLimits) -> SideSite {
    let log_path = dir.path().join("00000000000000000007.log");
    SideSite { disk: Arc::new(RealDisk), finding: Finding::new(limits), log_path, seed: 0x1234_5678 }
}

fn tables(metas: &BTreeMap<u32, Meta>) -> Tables {
    let mut tables = Tables::new(BASE);
    for ((ordinal, meta), number) in metas.iter().zip(0u32..) {
        let offset = BASE + u64::from(*ordinal);
        let position = 64 + number * 200;
        let entry = Entry {
            offset,
            frame_position: position,
            position,
            time: Timestamp(-5),
            payload_sum: offset * 3,
            address: offset * 23,
        };
        tables.index.note(entry);
        tables.note_meta(offset, meta);
    }
    tables
}

fn all(mut stream: impl Ordinals, direction: Direction) -> Vec<u32> {
    let (mut at, last) = if direction == Direction::Up { (0, u32::MAX) } else { (u32::MAX, 0) };
    let mut found = Vec::new();
    while let Some(ordinal) = stream.seek(at, last).unwrap() {
        found.push(ordinal);
        match direction.after(ordinal) {
            Some(after) => at = after,
            None => break,
        }
    }
    found
}

/// The ordinals of a tag, up and down, which must be the same.
fn with_tag(blocks: [Option<impl Blocks>; 2]) -> Vec<u32> {
    let [up, down] = blocks;
    let up = up.map_or_else(Vec::new, |blocks| all(List::new(blocks, Direction::Up), Direction::Up));
    let down = down.map_or_else(Vec::new, |blocks| all(List::new(blocks, Direction::Down), Direction::Down));
    assert!(up.iter().eq(down.iter().rev()));
    up
}

fn in_range(columns: [Option<impl ColumnBlocks>; 2], min: i64, max: i64) -> Vec<u32> {
    let [up, down] = columns;
    let stream = |column, direction| all(InRange::new(column, min, max, direction).unwrap(), direction);
    let up = up.map_or_else(Vec::new, |column| stream(column, Direction::Up));
    let down = down.map_or_else(Vec::new, |column| stream(column, Direction::Down));
    assert!(up.iter().eq(down.iter().rev()));
    up
}

fn arbitrary_metas() -> impl Strategy<Value = BTreeMap<u32, Meta>> {
    let tag = prop_oneof![
        4 => (0u8..5).prop_map(|tag| vec![b'a' + tag]),
        2 => "[ab]{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..255),
    ];
    let value = prop_oneof![any::<i64>(), 0i64..20, Just(i64::MIN), Just(i64::MAX)];
    let meta = (proptest::collection::vec(tag, 0..4), proptest::collection::vec((0u8..3, value), 0..3));
    let meta = meta.prop_map(|(tags, indices)| Meta { indices, key: None, tags });
    // Dense runs as well as far leaps.
    proptest::collection::vec((meta, prop_oneof![4 => Just(1u32), 1 => 1u32..100_000]), 0..2500).prop_map(|metas| {
        let mut ordinal = 0;
        metas
            .into_iter()
            .map(|(meta, step)| {
                ordinal += step;
                (ordinal, meta)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn side_files_hold_what_the_tables_held(metas in arbitrary_metas(), sorted: bool, min: i64, max in 0i64..25) {
        let mut metas = metas;
        if sorted {
            let mut values: Vec<i64> = metas.values().filter_map(|meta| meta.indices.first()).map(|one| one.1).collect();
            values.sort_unstable();
            let mut values = values.into_iter();
            for meta in metas.values_mut() {
                meta.indices.truncate(1);
                meta.indices.iter_mut().for_each(|one| *one = (0, values.next().unwrap()));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        // Too little memory for all pages, so that they come and go.
        let site = site(&dir, FindLimits { cache_bytes: 20_000, ..FindLimits::default() });
        let tables = tables(&metas);
        let list = site.write(&tables, LOG_BYTES).unwrap();
        let files = site.open(LOG_BYTES).unwrap();
        prop_assert!(files.fit(&list));
        prop_assert!(site.open(LOG_BYTES + 1).is_err(), "of another length of log");
        prop_assert_eq!(damaged_files(&RealDisk, &site.log_path, site.seed, Some(&list)), Vec::<&str>::new());

        let mut names: BTreeSet<Vec<u8>> = metas.values().flat_map(|meta| meta.tags.clone()).collect();
        names.extend([b"absent".to_vec(), vec![0xff; 255], vec![]]);
        let entries = tables.index.encode().len() / crate::log::index::ENTRY_LEN;
        let tables = Arc::new(RwLock::new(tables));
        for name in &names {
            let expected: Vec<u32> =
                metas.iter().filter(|(_, meta)| meta.tags.contains(name)).map(|(ordinal, _)| *ordinal).collect();
            let memory = with_tag([(); 2].map(|()| MemoryList::find(&tables, name)));
            prop_assert_eq!(&memory, &expected);
            let file = with_tag([(); 2].map(|()| files.tags.as_ref().and_then(|tags| tags.find(name).unwrap())));
            prop_assert_eq!(&file, &expected);
        }
        for (index, min, max) in [(0u8, min, i64::MAX), (0, 0, max), (0, i64::MIN, i64::MAX), (1, 3, 3), (2, min, -min.max(-5)), (9, 0, 9)] {
            let value = |meta: &Meta| meta.indices.iter().find(|one| one.0 == index).map(|one| one.1);
            let fits = |meta: &Meta| value(meta).is_some_and(|value| (min..=max).contains(&value));
            let expected: Vec<u32> = metas.iter().filter(|(_, meta)| fits(meta)).map(|(ordinal, _)| *ordinal).collect();
            let memory = in_range([(); 2].map(|()| MemoryColumn::find(&tables, index)), min, max);
            prop_assert_eq!(&memory, &expected);
            let file = |()| files.columns.as_ref().and_then(|columns| columns.find(index).unwrap());
            prop_assert_eq!(&in_range([(); 2].map(file), min, max), &expected);
        }
        let loaded = site.load(BASE, LOG_BYTES).unwrap();
        prop_assert_eq!(&loaded.index, &tables::read(&tables).index);
        let list_of = |tables: &Tables| tables.tags.sorted().iter().map(|(tag, list)| (tag.to_vec(), list.to_vec())).collect::<Vec<_>>();
        prop_assert_eq!(list_of(&loaded), list_of(&tables::read(&tables)));
        for number in 0..entries as u64 {
            let before = |entry: &Entry| entry.payload_sum <= number * 50;
            let [file, memory]: [&dyn Entries; 2] = [&files, &loaded.index];
            prop_assert_eq!(file.last_before(before).unwrap(), memory.last_before(before).unwrap());
        }
        prop_assert!(site.finding.cache.bytes() <= 20_000);
    }
}

#[test]
fn a_column_whose_values_fall_is_searched_whole() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(&dir, FindLimits::default());
    let meta = |ordinal: u32| Meta { indices: vec![(0, 5000 - i64::from(ordinal))], ..Meta::default() };
    let tables = tables(&(0..5000).map(|ordinal| (ordinal, meta(ordinal))).collect());
    site.write(&tables, LOG_BYTES).unwrap();
    let columns = site.open(LOG_BYTES).unwrap().columns.unwrap();
    let tables = Arc::new(RwLock::new(tables));
    for (min, max, expected) in [(10, 12, 4988..4991), (2500, 2500, 2500..2501), (4999, 9999, 0..2), (0, 0, 0..0)] {
        let expected: Vec<u32> = expected.collect();
        assert_eq!(in_range([(); 2].map(|()| MemoryColumn::find(&tables, 0)), min, max), expected);
        assert_eq!(in_range([(); 2].map(|()| columns.find(0).unwrap()), min, max), expected);
    }
}

#[test]
fn every_flipped_bit_of_a_side_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(&dir, FindLimits::default());
    let meta = |ordinal: u32| Meta {
        indices: vec![(0, i64::from(ordinal) * 10)],
        key: None,
        tags: vec![b"all".to_vec(), format!("one-{}", ordinal % 7).into_bytes()],
    };
    let list = site.write(&tables(&(0..140).map(|ordinal| (ordinal, meta(ordinal))).collect()), LOG_BYTES).unwrap();
    for extension in ["idx", "tags", "cols"] {
        let path = site.log_path.with_extension(extension);
        let bytes = (&RealDisk as &dyn Disk).read(&path, usize::MAX).unwrap();
        let write = |bytes: &[u8]| {
            let file = RealDisk.open(&path, Open::Create).unwrap();
            file.write_at(&[std::io::IoSlice::new(bytes)], 0).unwrap();
        };
        let file = RealDisk.open(&path, Open::Write).unwrap();
        let put = |at: usize, byte: u8| file.write_at(&[std::io::IoSlice::new(&[byte])], at as u64).unwrap();
        for (at, byte) in bytes.iter().enumerate() {
            for bit in 0..8 {
                put(at, byte ^ 1 << bit);
                assert!(site.load(BASE, LOG_BYTES).is_err(), "bit {bit} of byte {at} of .{extension}");
            }
            if at % 97 == 0 {
                assert_eq!(damaged_files(&RealDisk, &site.log_path, site.seed, Some(&list)), [extension]);
            }
            put(at, *byte);
        }
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            write(&bytes[..len]);
            assert!(site.load(BASE, LOG_BYTES).is_err(), ".{extension} cut to {len}");
        }
        write(&bytes);
        assert!(site.load(BASE, LOG_BYTES).is_ok());
    }
    let other = SideSite { seed: site.seed + 1, ..site.clone() };
    assert!(other.load(BASE, LOG_BYTES).is_err(), "of another segment");
}

/// A search goes on while the segment it reads is rewritten, and its side files with it.
#[test]
fn pages_of_a_later_file_of_the_same_name_are_not_taken_for_those_of_the_one_that_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (path, disk): (_, Arc<dyn Disk>) = (dir.path().join("file"), Arc::new(RealDisk));
    let identity = paged::Identity { magic: 1, seed: 2 };
    let footer = paged::Footer { log_bytes: LOG_BYTES, ..paged::Footer::default() };
    let write = |byte: u8| {
        let bytes = paged::encode(identity, &vec![byte; 40 * paged::PAGE_LEN], footer);
        disk.replace(&path, &bytes).unwrap();
    };
    write(1);
    let finding = Finding::new(FindLimits::default());
    let open = || paged::PagedFile::open(&disk, &finding, path.clone(), identity, LOG_BYTES).unwrap();
    let file = open();
    assert_eq!(file.array::<1>(0).unwrap(), [1]);
    write(2);
    assert!(file.array::<1>(30 * paged::PAGE_LEN as u64).is_err());
    assert_eq!(open().array::<1>(30 * paged::PAGE_LEN as u64).unwrap(), [2]);
}
