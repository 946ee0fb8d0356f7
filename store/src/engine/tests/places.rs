//! Many records at once: the disk is told of their places.

use super::*;
use crate::log::each::Each;

#[test]
fn the_disk_is_told_of_each_place_that_is_read_and_of_no_more_than_fits_the_answer() {
    let store = Store::new();
    let namespace = store.namespace("orders");
    // Frames of one record, and one of many, whose head stands far before its last records.
    for _ in 0..100 {
        append(&namespace, &[&[b'x'; 3_000]]).unwrap();
    }
    append(&namespace, &[&[b'y'; 3_000][..]; 100]).unwrap();
    let partition = namespace.partition(0).unwrap();
    let offsets = [3, 40, 41, 90, 150, 195];
    let plan = partition.plan_each(&offsets).unwrap();
    let faults = &store.disk.faults;
    plan.announce(usize::MAX);
    let announced = faults.announced.lock().unwrap().split_off(0);
    faults.reads.lock().unwrap().clear();
    let mut read = Vec::new();
    partition
        .read_each(&plan, |offset, each| {
            assert!(matches!(each, Each::Record(_)), "{each:?}");
            read.push(offset);
            Flow::Continue
        })
        .unwrap();
    assert_eq!(read, offsets);
    for (from, until) in faults.reads.lock().unwrap().iter().copied() {
        let is_told = announced.iter().any(|(begin, end)| *begin <= from && until <= *end);
        assert!(is_told, "{from} to {until} of {announced:?}");
    }
    plan.announce(0);
    assert_eq!(faults.announced.lock().unwrap().len(), 1);
}
