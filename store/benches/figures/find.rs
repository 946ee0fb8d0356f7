//! How long it takes to find one record in ten thousand, by tag and by a range of an index, against reading all of them.

use std::fmt::Write as _;
use std::time::Instant;

use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};

const ROUNDS: usize = 3;
const ABOUT: &str = "Records of 100 B with a tag that all have, a tag that one in 10,000 has, and a number that grows, \
    whose index is sorted; read over one connection, in pages of 100,000 records. `RECORDS=n` takes another number of them.";

/// Records, unless `RECORDS` says another number.
const RECORDS_DEFAULT: u64 = 10_000_000;
const BATCH_RECORDS: u64 = 20_000;
const RECORD_BYTES: usize = 100;
/// One record in so many is looked for.
const RARITY: u64 = 10_000;
const PAGE_RECORDS: u64 = 100_000;

/// Fills a store, and asks it in rounds.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Finding records", ABOUT);
    let records: u64 = std::env::var("RECORDS").map_or(RECORDS_DEFAULT, |count| count.parse().unwrap());
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let server = Server::store(&dir.path().join("store"));
    server.put_namespace("data", r#"{"durability":"written","indices":["number"]}"#);
    fill(&server, records);
    let (middle, few) = (records / 2, records / RARITY);
    let range = format!("index=number&min={middle}&max={}", middle + few - 1);
    let timed = |query: &str, expected: u64| {
        let begun = Instant::now();
        assert_eq!(read(&server, query, records), expected, "{query}");
        begun.elapsed().as_secs_f64()
    };
    let [scan, tag, range] = rounds(
        "find",
        ROUNDS,
        [&mut || timed("", records), &mut || timed("tags=rare", few), &mut || timed(&range, few)],
    );
    section.tell("records", &records.to_string());
    let scan = section.time("reading all", &scan);
    let tag = section.time("those with a tag that 1 in 10,000 has", &tag);
    let range = section.time("those in a range of an index that has 1 in 10,000", &range);
    section.judge("reading all / by tag", scan / tag, "", Bound::AtLeast(100.0));
    section.judge("reading all / by index", scan / range, "", Bound::AtLeast(100.0));
    section
}

fn fill(server: &Server, records: u64) {
    let data = "x".repeat(RECORD_BYTES);
    for begin in (0..records).step_by(BATCH_RECORDS as usize) {
        if begin % (BATCH_RECORDS * 50) == 0 {
            eprintln!("find: wrote {begin} of {records} records");
        }
        let mut body = String::new();
        for number in begin..(begin + BATCH_RECORDS).min(records) {
            let tags = if number % RARITY == 0 { r#""common","rare""# } else { r#""common""# };
            let _ = writeln!(body, r#"{{"data":"{data}","tags":[{tags}],"indices":{{"number":{number}}}}}"#);
        }
        let kind = "Content-Type: application/vnd.logstore.records+ndjson\r\n";
        let answer = server.request_with("POST", "/v1/namespaces/data/records", kind, body.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Reads everything that fits, page by page; how many records that were.
fn read(server: &Server, query: &str, records: u64) -> u64 {
    let (mut from, mut count) = (0, 0);
    while from < records {
        let path = format!("/v1/namespaces/data/records?{query}&from={from}&limit={PAGE_RECORDS}&max_bytes=67108864");
        let answer = server.request_with("GET", &path, "Accept: text/plain\r\n", b"");
        let body_at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&answer[..body_at]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let next = head.lines().find_map(|line| line.strip_prefix("logstore-next: ")).unwrap();
        from = next.trim().parse().unwrap();
        count += ((answer.len() - body_at) / (RECORD_BYTES + 1)) as u64;
    }
    count
}
