//! Any export can be imported, and gives the same bytes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use logstore_api::frame::{Meta, Producer};
use logstore_api::namespace::Rotation;
use logstore_api::{NamespaceConfig, NamespaceName, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::StoppedRoot;
use super::export::line::{ExportEnd, GapLine, Head, LogBegin, LogEnd, Mark, ProducerLine, Record, VERSION};
use super::export::{Json, Lines, export};
use super::import::import;
use super::walk::Missing;
use crate::disk::RealDisk;

/// Something in a log.
#[derive(Clone, Debug)]
enum Item {
    /// Records that are appended together.
    Frame { records: Vec<Content>, producer: Option<(u128, u32)>, after_us: i64 },
    /// Records that are gone.
    Gap { why: Missing, count: u64, more_bytes: u64 },
}

#[derive(Clone, Debug)]
struct Content {
    data: Vec<u8>,
    meta: Meta,
    reserve: u32,
}

#[derive(Clone, Debug)]
struct LogPlan {
    start: u64,
    address: u64,
    items: Vec<Item>,
    /// Producers of which only the next number is known.
    older: Vec<(u128, u64)>,
}

fn content() -> impl Strategy<Value = Content> {
    let data = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        3 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => (0usize..40_000).prop_map(|len| vec![b'x'; len]),
    ];
    let text = || prop_oneof!["[a-z]{0,5}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..4)];
    let indices = prop::option::of(any::<i64>()).prop_map(|value| value.map(|value| (1, value)).into_iter().collect());
    let meta = (indices, prop::option::of(text()), prop::collection::vec(text(), 0..4))
        .prop_map(|(indices, key, tags)| Meta { indices, key, tags });
    (data, meta, 0u32..9).prop_map(|(data, meta, reserve)| Content { data, meta, reserve })
}

fn item() -> impl Strategy<Value = Item> {
    let producer = prop::option::of((1u128..4, 0u32..3));
    let frame = (prop::collection::vec(content(), 1..4), producer, 0i64..3)
        .prop_map(|(records, producer, after_us)| Item::Frame { records, producer, after_us });
    let why = prop::sample::select(missing());
    let gap = (why, 1u64..5, 0u64..100).prop_map(|(why, count, more_bytes)| Item::Gap { why, count, more_bytes });
    prop_oneof![6 => frame, 1 => gap]
}

/// What a log can say of offsets without a record.
fn missing() -> Vec<Missing> {
    vec![Missing::Damaged, Missing::Erased]
}

fn log() -> impl Strategy<Value = LogPlan> {
    let begin = prop_oneof![Just((0, 0)), (1u64..9, 0u64..999)];
    let older = prop::collection::btree_map(10u128..13, 1u64..99, 0..3);
    (begin, prop::collection::vec(item(), 0..9), older).prop_map(|((start, address), items, older)| LogPlan {
        start,
        address,
        items,
        older: older.into_iter().collect(),
    })
}

/// Writes the export that such a log gives.
fn write(lines: &mut dyn Lines, partition: u32, plan: &LogPlan, indices: &[String]) -> u64 {
    let LogPlan { start, address, items, older } = plan;
    lines.mark(&Mark::Log(LogBegin { partition, start: *start, address: *address })).unwrap();
    let mut producers: BTreeMap<u128, (u32, u64, Timestamp)> =
        older.iter().map(|(id, next)| (*id, (7, *next, Timestamp(5)))).collect();
    let (mut next, mut records_count, mut time, mut last_gap) =
        (*start, 0, Timestamp(1_000_000), Some(Missing::Damaged));
    for (number, item) in items.iter().enumerate() {
        // Of gaps that touch, the address behind them tells what all of them take.
        let touches = last_gap.is_some() || matches!(items.get(number + 1), Some(Item::Gap { .. }));
        match item {
            Item::Gap { why, .. } if last_gap == Some(*why) => {}
            Item::Gap { why, count, more_bytes } => {
                let least = if *why == Missing::Erased { count * 20 } else { 0 };
                // Where the log's first record stands is known, and not what gaps before it take.
                let more_bytes = if records_count > 0 && !touches { *more_bytes } else { 0 };
                let (from, until, address_bytes) = (next, next + count, least + more_bytes);
                lines.mark(&Mark::Gap(GapLine { partition, from, until, why: *why, address_bytes })).unwrap();
                (next, last_gap) = (until, Some(*why));
            }
            Item::Frame { records, producer, after_us } => {
                time = Timestamp(time.0 + after_us);
                for (ordinal, Content { data, meta, reserve }) in records.iter().enumerate() {
                    let producer = producer.map(|(id, epoch)| {
                        let known = producers.entry(id).or_insert((epoch, 0, time));
                        let seq = known.1;
                        *known = (known.0.max(epoch), seq + 1, time);
                        Producer { id, seq, epoch }
                    });
                    let alloc = u32::try_from(data.len()).unwrap() + reserve;
                    let (data, meta, with_previous) = (data.clone(), meta.clone(), ordinal > 0);
                    let record = Record { partition, offset: next, time, with_previous, data, meta, alloc, producer };
                    lines.record(&record.to_line(indices)).unwrap();
                    next += 1;
                    records_count += 1;
                }
                last_gap = None;
            }
        }
    }
    let producer = |(id, (epoch, next_seq, time)): (u128, (u32, u64, Timestamp))| ProducerLine {
        id: Uuid::from_u128(id),
        epoch,
        next_seq,
        time,
    };
    let producers = producers.into_iter().map(producer).collect();
    lines.mark(&Mark::LogEnd(LogEnd { partition, end: next, records: records_count, producers })).unwrap();
    records_count
}

fn text_of(name: &NamespaceName, logs: &[LogPlan]) -> Vec<u8> {
    let config = NamespaceConfig {
        partitions: u32::try_from(logs.len()).unwrap(),
        rotation: Rotation { max_segment_bytes: Some(65_536), ..Rotation::default() },
        ..NamespaceConfig::default()
    };
    let mut lines = Json(Vec::new());
    let indices = config.indices.clone();
    lines.mark(&Mark::Export(Head { version: VERSION, namespace: name.clone(), config })).unwrap();
    let records = (0..).zip(logs).map(|(number, log)| write(&mut lines, number, log, &indices)).sum();
    lines.mark(&Mark::ExportEnd(ExportEnd { records })).unwrap();
    lines.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn an_import_gives_its_export_again(logs in prop::collection::vec(log(), 1..3)) {
        let name = NamespaceName::parse("orders").unwrap();
        let text = text_of(&name, &logs);
        let dir = tempfile::tempdir().unwrap();
        let root = StoppedRoot::take_or_make(Arc::new(RealDisk), &dir.path().join("root")).unwrap();
        if let Err(error) = import(&root, &mut &text[..], None, &mut |_| {}) {
            return Err(TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&text))));
        }
        let mut again = Json(Vec::new());
        export(&root.rehearse().unwrap(), &name, &mut again, &mut |_| {}).unwrap();
        prop_assert_eq!(String::from_utf8(again.0).unwrap(), String::from_utf8(text).unwrap());
    }
}
