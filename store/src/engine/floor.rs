//! The floor under the free room of the disk: below it the oldest segments of the whole store go first.
//!
//! Only namespaces that have a retention of their own give any: whoever has set none wants to keep everything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use logstore_api::Timestamp;

use super::Engine;
use crate::log::Partition;

/// Segments that go at once, at most; the rest follows when the disk has been looked at again.
const DROPS_MAX: usize = 64;

/// Removes segments, oldest first over all logs, until so much is free or nothing more may go.
pub fn keep_free(engine: &Engine, min_free: u64) {
    engine.space.look();
    let (free, _) = engine.space.free_and_total();
    if free >= min_free {
        return;
    }
    let mut missing = min_free - free;
    let partitions = open_partitions(engine);
    let mut oldest: BinaryHeap<Reverse<(Timestamp, usize)>> =
        partitions.iter().enumerate().filter_map(|(number, partition)| of(partition, number)).collect();
    for _ in 0..DROPS_MAX {
        let Some(Reverse((_, number))) = oldest.pop() else { break };
        let bytes = partitions[number].drop_oldest();
        if bytes > 0 {
            engine.metrics.dropped_for_room.inc();
        }
        oldest.extend(of(&partitions[number], number));
        missing = missing.saturating_sub(bytes);
        if missing == 0 {
            break;
        }
    }
    engine.space.look();
}

fn open_partitions(engine: &Engine) -> Vec<Arc<Partition>> {
    engine.namespaces().iter().flat_map(|namespace| namespace.all_opened().cloned().collect::<Vec<_>>()).collect()
}

fn of(partition: &Partition, number: usize) -> Option<Reverse<(Timestamp, usize)>> {
    partition.oldest_for_room().map(|last_time| Reverse((last_time, number)))
}
