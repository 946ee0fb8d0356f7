//! What a record takes on the disk.

use std::path::Path;

use super::report::{Bound, Section};
use super::servers::{Server, scratch};
use super::tool::load_one;

const RECORD_BYTES: u64 = 100;
const RECORDS: u64 = 100_000;
const BATCH: u64 = 100;
const ABOUT: &str = "100,000 records of 100 B without key, tags and values: length of all files of the namespace, with what \
    is in them beside the records, by the payload.";

/// Lone records, those of producers, and batches.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Bytes on disk", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let root = dir.path().join("store");
    let store = Server::store(&root);
    let mut judge = |what: &str, namespace: &str, work: &str, most: f64| {
        let line = format!("{work} --namespace {namespace} --record-size {RECORD_BYTES} --durability written");
        load_one(store.address, &line);
        let bytes = bytes_below(&root.join("ns").join(namespace));
        section.judge(what, bytes as f64 / (RECORDS * RECORD_BYTES) as f64, "×", Bound::AtMost(most));
    };
    judge("lone records", "lone", &format!("append --operations {RECORDS}"), 1.8);
    judge("lone records of a producer", "producer", &format!("append --producer --operations {RECORDS}"), 2.1);
    let batches = RECORDS / BATCH;
    judge("batches of 100", "batches", &format!("batch --batch {BATCH} --operations {batches}"), 1.25);
    section
}

fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = entries
        .map(|entry| if entry.path().is_dir() { bytes_below(&entry.path()) } else { entry.metadata().unwrap().len() });
    bytes.sum()
}
