//! Appends: alone and in batches, over HTTP and without.

use std::fmt::Write as _;

use logstore_api::{Durability, MEDIA_ENVELOPES};

use super::Operation;
use crate::connection::Connection;
use crate::store::{Store, directory, record};

/// Records in a batch.
pub(super) const BATCH_RECORDS: u64 = 1000;

/// Lone appends that are acknowledged when they are written.
pub(super) fn http_written() -> Operation {
    http("?durability=written", "", &record(0))
}

/// Lone appends that are acknowledged when they are on the disk.
pub(super) fn http_synced() -> Operation {
    http("?durability=synced", "", &record(0))
}

/// Batches of lines.
pub(super) fn lines() -> Operation {
    let body: Vec<u8> = (0..BATCH_RECORDS).flat_map(|number| [record(number), vec![b'\n']].concat()).collect();
    http("?split=lines&durability=written", "", &body)
}

/// Batches of envelopes with a tag.
pub(super) fn envelopes() -> Operation {
    let mut body = String::new();
    for number in 0..BATCH_RECORDS {
        let _ = writeln!(body, r#"{{"data":"{}","tags":["common"]}}"#, record(number).escape_ascii());
    }
    let headers = format!("Content-Type: {MEDIA_ENVELOPES}\r\n");
    http("?durability=written", &headers, body.as_bytes())
}

fn http(query: &str, headers: &str, body: &[u8]) -> Operation {
    let mut connection = Connection::open();
    let append = connection.rehearse("POST", query, headers, body);
    Box::new(move || connection.repeat(&append))
}

/// The same as [`http_written`] without HTTP.
pub(super) fn engine_written() -> Operation {
    engine(Durability::Written)
}

/// The same as [`http_synced`] without HTTP.
pub(super) fn engine_synced() -> Operation {
    engine(Durability::Synced)
}

fn engine(durability: Durability) -> Operation {
    let (root, data) = (directory(), record(0));
    let store = Store::open(root.path());
    Box::new(move || {
        let _root = &root;
        store.append(&data, durability);
    })
}
