//! A start after a crash.

use logstore_api::Durability;

use super::Operation;
use crate::store::{Store, directory, record};

/// Records in the segment that is verified.
pub(super) const RECORDS: u64 = 5000;

/// Starts, and does not stop.
pub(super) fn start() -> Operation {
    let root = directory();
    let store = Store::open(root.path());
    (0..RECORDS).for_each(|number| store.append(&record(number), Durability::Written));
    drop(store);
    Box::new(move || {
        let store = Store::open(root.path());
        assert_eq!(store.partition.published().borrow().end, RECORDS);
    })
}
