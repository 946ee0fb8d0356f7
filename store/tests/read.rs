//! Reading over HTTP: places, limits, waiting, forms, single records.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::time::{Duration, Instant};

use common::{Connection, Store};
use logstore_api::record::binary;
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records";

fn filled(count: usize) -> Store {
    let store = Store::new();
    for number in 0..count {
        store.append(format!("record {number}").as_bytes());
    }
    store
}

#[test]
fn a_read_begins_where_it_is_told() {
    let store = filled(5);
    let from = |from: &str| store.texts(from).first().cloned();
    assert_eq!(from("start"), Some("record 0".into()));
    assert_eq!(from("0"), Some("record 0".into()));
    assert_eq!(from("3"), Some("record 3".into()));
    assert_eq!(from("-2"), Some("record 3".into()));
    assert_eq!(from("-99"), Some("record 0".into()));
    assert_eq!(from("end"), None);
    assert_eq!(from("5"), None, "the end itself is an empty read");
    let beyond = store.get(&format!("{RECORDS}?from=6"));
    assert_eq!((beyond.problem(), &beyond.json()["end"]), ((416, "beyond_end".into()), &json!(5)));
    for bad in ["-", "x", "1.5", "+1", "time:now", "99999999999999999999"] {
        assert_eq!(store.get(&format!("{RECORDS}?from={bad}")).problem(), (400, "invalid_argument".into()), "{bad}");
    }
}

#[test]
fn headers_say_where_to_go_on() {
    let store = filled(5);
    let answer = store.get(&format!("{RECORDS}?from=1&limit=2"));
    let header = |name| answer.header(name).unwrap().to_owned();
    assert_eq!(
        ["logstore-next", "logstore-end", "logstore-durable-end", "logstore-start"].map(header),
        ["3", "5", "5", "0"]
    );
    assert_eq!(answer.lines().len(), 2);
    assert_eq!(store.get(&format!("{RECORDS}?from=1&until=4")).header("logstore-next"), Some("4"));
    let page = store.get(&format!("{RECORDS}?max_bytes=17"));
    assert_eq!((page.lines().len(), page.header("logstore-next")), (2, Some("2")));
    let least = store.get(&format!("{RECORDS}?max_bytes=0"));
    assert_eq!(least.lines().len(), 1, "one record is always sent");
    assert_eq!(store.get(&format!("{RECORDS}?limit=100001")).problem(), (400, "invalid_argument".into()));
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let store = filled(1);
    for parameter in ["limitt=1", "tag=a", "offset=3"] {
        let answer = store.get(&format!("{RECORDS}?{parameter}"));
        assert_eq!(answer.problem(), (400, "unknown_parameter".into()));
        assert_eq!(answer.json()["field"], parameter.split('=').next().unwrap());
    }
    assert_eq!(store.get("/v1/namespaces/orders/groups").problem(), (404, "no_such_path".into()));
    assert_eq!(store.post("/v1/namespaces/orders/archive", b"{}").problem(), (404, "no_such_path".into()));
    assert_eq!(store.send("PUT", &format!("{RECORDS}/0"), &[], b"x").problem(), (405, "method_not_allowed".into()));
    assert_eq!(store.send("GET", RECORDS, &[("Accept", "text/html")], b"").problem(), (406, "not_acceptable".into()));
    assert_eq!(store.get("/v1/namespaces/a/b/records").problem(), (404, "no_such_path".into()));
}

#[test]
fn forms_are_negotiated() {
    let store = filled(2);
    let form = |accept: &str| store.send("GET", RECORDS, &[("Accept", accept)], b"");
    assert_eq!(form("text/plain").text(), "record 0\nrecord 1\n");
    assert_eq!(form("application/octet-stream").text(), "record 0record 1");
    assert_eq!(form("*/*").lines().len(), 2);
    let frames = form("application/vnd.logstore.frames");
    let entries: Vec<_> = binary::entries(&frames.body).map(Result::unwrap).collect();
    assert_eq!(entries.iter().map(|entry| entry.data).collect::<Vec<_>>(), [b"record 0", b"record 1"]);
    let meta: Value = serde_json::from_slice(entries[1].meta).unwrap();
    assert_eq!(meta, json!({"offset": 1, "time": meta["time"]}));
    assert_eq!(frames.header("logstore-partition"), Some("0"));
    assert_eq!(form("text/plain").header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn a_long_poll_is_answered_when_something_comes_or_the_time_is_over() {
    let store = filled(1);
    let begun = Instant::now();
    assert_eq!(store.get(&format!("{RECORDS}?from=1&wait=200ms")).text(), "");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let mut waiting = Connection::open(store.address);
    waiting.write(format!("GET {RECORDS}?from=end&wait=60s HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    store.append(b"news");
    assert_eq!(waiting.answer().unwrap().lines()[0]["data"], "news");
    assert_eq!(store.get(&format!("{RECORDS}?wait=61s")).problem(), (400, "invalid_argument".into()));
    assert_eq!(store.get(&format!("{RECORDS}?from=9&wait=1s")).problem(), (416, "beyond_end".into()));
}

#[test]
fn one_record_is_its_bytes_with_the_rest_in_headers() {
    let store = Store::new();
    store.post(&format!("{RECORDS}?tag=%C3%BC&tag=b&key=k"), b"0123456789");
    let path = format!("{RECORDS}/0");
    let answer = store.get(&path);
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    assert_eq!(answer.header("logstore-tags"), Some(r#"["\u00fc","b"]"#));
    assert_eq!(answer.header("logstore-key"), Some(r#""k""#));
    assert!(answer.header("logstore-time").is_some());
    let etag = answer.header("etag").unwrap();
    assert_eq!(store.send("GET", &path, &[("If-None-Match", etag)], b"").status, 304);
    let part = store.send("GET", &path, &[("Range", "bytes=2-4")], b"");
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "234", Some("bytes 2-4/10")));
    assert_eq!(store.send("GET", &path, &[("Range", "bytes=10-")], b"").status, 416);
    assert_eq!(store.get(&format!("{RECORDS}/1")).problem(), (404, "record_not_found".into()));
    assert_eq!(store.get(&format!("{RECORDS}/x")).problem(), (400, "invalid_argument".into()));
}

#[test]
fn a_trim_is_at_once_and_its_files_follow() {
    let store = filled(5);
    let trim = |body: &str| store.post("/v1/namespaces/orders/trim", body.as_bytes());
    assert_eq!(trim(r#"{"partition":0,"before":3}"#).json(), json!({"partition": 0, "start": 3, "end": 5}));
    assert_eq!(trim(r#"{"before":1}"#).json()["start"], 3, "never backwards");
    assert_eq!(store.texts("start"), ["record 3", "record 4"]);
    let gone = store.get(&format!("{RECORDS}?from=2"));
    assert_eq!((gone.problem(), &gone.json()["start"]), ((410, "trimmed".into()), &json!(3)));
    assert_eq!(store.get(&format!("{RECORDS}/2")).problem(), (410, "trimmed".into()));
    assert_eq!(trim(r#"{"before":6}"#).problem(), (416, "beyond_end".into()));
    assert_eq!(trim(r#"{"befor":6}"#).problem(), (400, "malformed_body".into()));
    let store = store.crash(&common::Start::default());
    assert_eq!(store.texts("start"), ["record 3", "record 4"]);
    assert_eq!(store.append(b"next"), 5);
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_is_410_for_that_record_and_the_rest_is_served() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    let padding = "x".repeat(20_000);
    for number in 0..10 {
        store.append(format!("record {number} {padding}").as_bytes());
    }
    let sealed = store.logs("orders")[0].clone();
    let mut bytes = std::fs::read(&sealed).unwrap();
    let at = bytes.windows(8).position(|window| window == b"record 1").unwrap();
    bytes[at + 5_000] ^= 1;
    std::fs::write(&sealed, bytes).unwrap();
    assert_eq!(store.get(&format!("{RECORDS}?from=0")).header("logstore-next"), Some("1"));
    let damaged = store.get(&format!("{RECORDS}?from=1"));
    assert_eq!(damaged.problem(), (410, "damaged".into()));
    let problem = damaged.json();
    assert_eq!([&problem["from"], &problem["until"], &problem["next"]], [&json!(1), &json!(2), &json!(2)]);
    assert_eq!(store.get(&format!("{RECORDS}/1")).problem(), (410, "damaged".into()));
    assert_eq!(store.texts("2").len(), 8);
    assert_eq!(store.get("/v1/namespaces/orders").json()["holes"], json!([{"partition": 0, "from": 1, "until": 2}]));
    assert_eq!(store.append(b"next"), 10);
}
