//! How long it takes to find one record in ten thousand, by tag and by a range of an index, against reading all of them.

use std::fmt::Write as _;
use std::time::Instant;

use super::report::{Figure, Report};
use super::servers::{Server, scratch};
use super::{ROUNDS, median};

/// Records, unless `RECORDS` says another number.
const RECORDS_DEFAULT: u64 = 2_000_000;
const BATCH_RECORDS: u64 = 20_000;
const RECORD_BYTES: usize = 100;
/// One record in so many is looked for.
const RARITY: u64 = 10_000;
const PAGE_RECORDS: u64 = 100_000;

/// Fills a store, and asks it in rounds.
pub(crate) fn measure(report: &mut Report) {
    let records: u64 = std::env::var("RECORDS").map_or(RECORDS_DEFAULT, |count| count.parse().unwrap());
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let server = Server::store(&dir.path().join("store"));
    server.put_namespace("data", r#"{"durability":"written","indices":["number"]}"#);
    fill(&server, records);
    let (middle, few) = (records / 2, records / RARITY);
    let range = format!("index=number&min={middle}&max={}", middle + few - 1);
    let (mut scans, mut tags, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        eprintln!("find: round {} of {ROUNDS}", round + 1);
        for (query, expected, times) in
            [("", records, &mut scans), ("tags=rare", few, &mut tags), (&*range, few, &mut ranges)]
        {
            let begun = Instant::now();
            assert_eq!(read(&server, query, records), expected, "{query}");
            times.push(begun.elapsed());
        }
    }
    let [scan, tag, range] = [&mut scans, &mut tags, &mut ranges].map(|times| median(times).as_secs_f64() * 1e3);
    let about = format!("{records} records of {RECORD_BYTES} B");
    report.add(Figure::new(format!("{about}: reading all"), format!("{scan:.0} ms"), ""));
    report.add(Figure::new(format!("{about}: the {few} with a tag"), format!("{tag:.2} ms"), ""));
    report.add(Figure::new(format!("{about}: the {few} in a range of an index"), format!("{range:.2} ms"), ""));
    report.ratio("reading all / finding one in 10,000 by tag", scan / tag, "≥ 100 at 10 million records");
    report.ratio("reading all / finding one in 10,000 by index", scan / range, "≥ 100 at 10 million records");
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
