//! Reading: pages for the comparison, and a reader that follows a log while it is being written.

use std::net::SocketAddr;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::common::Connection;
use super::load::NAMESPACES;
use super::oracle::{FOLLOWED, Oracle};

/// Records of a page.
const PAGE: usize = 20_000;

/// What a reader saw before a kill: hashes of records, from an offset on.
pub(crate) struct Seen {
    pub(crate) from: u64,
    pub(crate) records: Vec<u64>,
}

#[derive(Deserialize)]
struct Envelope {
    offset: u64,
    data: String,
}

/// Records from an offset on; an error where the store is gone.
pub(crate) fn read_page(
    connection: &mut Connection,
    namespace: usize,
    from: u64,
) -> std::io::Result<Vec<(u64, String)>> {
    let path = format!("/v1/namespaces/{}/records?limit={PAGE}&from={from}", NAMESPACES[namespace].0);
    let answer = connection.send("GET", &path, &[], b"")?;
    if answer.status == 503 {
        return Err(std::io::ErrorKind::ConnectionAborted.into());
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let envelope = |line| serde_json::from_str(line).map(|Envelope { offset, data }| (offset, data)).unwrap();
    Ok(answer.text().lines().map(envelope).collect())
}

/// Reads what comes until the store is gone.
pub(crate) fn follow(address: SocketAddr, oracle: &Oracle) -> Seen {
    let mut seen = Seen { from: oracle.followed_from(), records: Vec::new() };
    let Ok(mut connection) = Connection::try_open(address) else { return seen };
    while let Ok(page) = read_page(&mut connection, FOLLOWED, seen.from + seen.records.len() as u64) {
        for (offset, data) in page {
            assert_eq!(offset, seen.from + seen.records.len() as u64);
            seen.records.push(xxh3_64(data.as_bytes()));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    seen
}
