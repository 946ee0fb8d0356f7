//! Reads: one record, many by their offsets, and pages.

use std::fmt::Write as _;
use std::hint::black_box;

use logstore_store::engine::batch::Attributes;
use logstore_store::log::cursor::LogRecord;
use logstore_store::log::read::{Flow, Range};

use super::Operation;
use crate::connection::Connection;

/// Records in a page.
pub(super) const PAGE_RECORDS: u64 = 10_000;
/// Records that are asked for by their offsets at once.
pub(super) const MANY: u64 = 1000;
/// Records in each batch of the log that is read.
const BATCH_RECORDS: u64 = 100;
/// Has no divisor in common with the number of records: its multiples are all offsets, in an order far from theirs.
const STRIDE: u64 = 7919;

/// A log of as many records as a page has, in batches.
fn filled() -> Connection {
    let connection = Connection::open();
    connection.store.fill(PAGE_RECORDS, BATCH_RECORDS, |_| Attributes::default());
    connection
}

/// The same request on a connection, again and again.
pub(super) fn repeated(mut connection: Connection, method: &str, path: &str, headers: &str, body: &[u8]) -> Operation {
    let exchange = connection.rehearse(method, path, headers, body);
    Box::new(move || connection.repeat(&exchange))
}

/// One record.
pub(super) fn one() -> Operation {
    repeated(filled(), "GET", "/5050", "", b"")
}

/// Many by their offsets.
pub(super) fn many() -> Operation {
    let mut body = String::from(r#"{"offsets":["#);
    for number in 0..MANY {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(body, "{comma}{}", number * STRIDE % PAGE_RECORDS);
    }
    body.push_str("]}");
    repeated(filled(), "POST", "/get", "", body.as_bytes())
}

/// A page of envelopes.
pub(super) fn envelopes() -> Operation {
    page("")
}

/// A page of lines.
pub(super) fn text() -> Operation {
    page("Accept: text/plain\r\n")
}

fn page(headers: &str) -> Operation {
    let query = format!("?from=0&limit={PAGE_RECORDS}");
    repeated(filled(), "GET", &query, headers, b"")
}

/// The records of a page without HTTP.
pub(super) fn engine() -> Operation {
    let connection = filled();
    Box::new(move || {
        let mut count = 0;
        let range = Range { from: 0, until: PAGE_RECORDS };
        let sink = |record: &LogRecord<'_>| {
            black_box(record);
            count += 1;
            Flow::Continue
        };
        connection.store.partition.read(range, sink).unwrap();
        assert_eq!(count, PAGE_RECORDS);
    })
}
