//! Reading newest first, and from times.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store, damage};
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";

fn offsets(answer: &Answer) -> Vec<u64> {
    answer.lines().iter().map(|record| record["offset"].as_u64().unwrap()).collect()
}

fn read(store: &Store, query: &str) -> (Vec<u64>, u64) {
    let answer = store.get(&format!("{RECORDS}?{query}"));
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    (offsets(&answer), answer.header("logstore-next").unwrap().parse().unwrap())
}

/// Small segments, so that there are some; every third append is a batch, some have a producer.
fn filled(count: u64) -> Store {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    let mut next = 0;
    let (id, mut seq) = ("00000000000000000000000000000007", 0);
    while next < count {
        let lines = if next % 3 == 0 { 7.min(count - next) } else { 1 };
        let body: Vec<String> = (0..lines).map(|line| format!("record {} {}", next + line, "x".repeat(1000))).collect();
        let sequence = seq.to_string();
        let producer = [("Producer-Id", id), ("Producer-Epoch", "0"), ("Producer-Seq", sequence.as_str())];
        let headers = if next % 2 == 0 { &producer[..] } else { &[] };
        let answer = store.send("POST", &format!("{RECORDS}?split=lines"), headers, body.join("\n").as_bytes());
        assert_eq!(answer.json()["offset"], next, "{answer:?}");
        seq += if headers.is_empty() { 0 } else { lines };
        next += lines;
    }
    store
}

#[test]
fn pages_newest_first_give_every_record_once() {
    let store = filled(300);
    assert!(store.logs("orders").len() > 3);
    let mut all = Vec::new();
    let mut until = String::new();
    loop {
        let (page, next) = read(&store, &format!("order=desc&limit=37{until}"));
        all.extend(page);
        if next == 0 {
            break;
        }
        // What is appended meanwhile comes before the pages that are read, and moves none of them.
        store.append(b"news");
        until = format!("&until={next}");
    }
    assert_eq!(all, (0..300).rev().collect::<Vec<_>>());
    let (asc, desc) = (
        store.get(&format!("{RECORDS}?from=90&until=200&meta=all")),
        store.get(&format!("{RECORDS}?from=90&until=200&meta=all&order=desc")),
    );
    let mut reversed = desc.lines();
    reversed.reverse();
    assert_eq!(reversed, asc.lines());
}

#[test]
fn newest_first_keeps_to_the_range_the_limits_and_the_forms() {
    let store = filled(20);
    assert_eq!(read(&store, "order=desc&from=15"), (vec![19, 18, 17, 16, 15], 15));
    assert_eq!(read(&store, "order=desc&until=3"), (vec![2, 1, 0], 0));
    assert_eq!(read(&store, "order=desc&from=-3"), (vec![19, 18, 17], 17));
    assert_eq!(read(&store, "order=desc&from=5&until=9&limit=2"), (vec![8, 7], 7));
    assert_eq!(read(&store, "order=desc&from=9&until=5"), (vec![], 9));
    assert_eq!(read(&store, "order=desc&from=end"), (vec![], 20));
    assert_eq!(read(&store, "order=desc&until=99&limit=1"), (vec![19], 19));
    assert_eq!(read(&store, "order=desc&max_bytes=2500"), (vec![19, 18], 18));
    assert_eq!(read(&store, "order=desc&max_bytes=0"), (vec![19], 19), "one record is always sent");
    assert_eq!(store.get(&format!("{RECORDS}?order=desc&from=21")).problem(), (416, "beyond_end".into()));
    assert_eq!(store.get(&format!("{RECORDS}?order=desc&wait=1s")).problem(), (400, "invalid_argument".into()));
    let text = store.send("GET", &format!("{RECORDS}?order=desc&limit=2"), &[("Accept", "text/plain")], b"");
    assert!(text.text().starts_with("record 19 ") && text.text().contains("\nrecord 18 "));
    store.put("/v1/namespaces/empty", &json!({}));
    let empty = store.get("/v1/namespaces/empty/records?order=desc");
    assert_eq!((empty.status, empty.text(), empty.header("logstore-next")), (200, "", Some("0")));
}

#[test]
fn newest_first_ends_where_a_trim_has_left_the_log() {
    let store = filled(30);
    store.post("/v1/namespaces/orders/trim", br#"{"before":12}"#);
    assert_eq!(read(&store, "order=desc&limit=100").1, 12);
    assert_eq!(store.get(&format!("{RECORDS}?order=desc&from=11")).problem(), (410, "trimmed".into()));
    assert_eq!(read(&store, "order=desc&until=12"), (vec![], 12));
}

#[test]
fn damage_is_told_to_who_reads_newest_first_and_the_rest_is_served() {
    let mut store = Store::new();
    for number in 0..8 {
        store.append(format!("record {number}").as_bytes());
    }
    store = store.restart(&Start::default());
    damage(&store.logs("orders")[0], &[b"record 3", b"record 4", b"record 7"]);
    let told = |query: &str| {
        let answer = store.get(&format!("{RECORDS}?order=desc{query}"));
        assert_eq!(answer.problem(), (410, "damaged".into()));
        let problem = answer.json();
        ["from", "until", "next"].map(|name| problem[name].as_u64().unwrap())
    };
    assert_eq!(told(""), [7, 8, 7]);
    assert_eq!(read(&store, "order=desc&until=7"), (vec![6, 5], 5));
    assert_eq!(told("&until=5"), [3, 5, 3]);
    assert_eq!(read(&store, "order=desc&until=3"), (vec![2, 1, 0], 0));
}

#[test]
fn a_read_begins_and_ends_at_times() {
    let store = filled(120);
    let times: Vec<String> = store
        .get(&format!("{RECORDS}?limit=1000"))
        .lines()
        .iter()
        .map(|record| record["time"].as_str().unwrap().to_owned())
        .collect();
    for pick in [0, 1, 40, 77, 119] {
        let time = &times[pick];
        let first = times.iter().position(|of| of >= time).unwrap() as u64;
        assert_eq!(read(&store, &format!("from=time:{time}&limit=2")).0[0], first);
        assert_eq!(read(&store, &format!("until=time:{time}")).1, first);
        assert_eq!(
            read(&store, &format!("until=time:{time}&order=desc&limit=1&from=0")).0,
            (0..first).rev().take(1).collect::<Vec<_>>()
        );
    }
    assert_eq!(read(&store, "from=time:1999-01-01T00:00:00Z&limit=1").0, [0]);
    assert_eq!(read(&store, "from=time:2999-01-01T00:00:00Z"), (vec![], 120));
    assert_eq!(read(&store, "until=time:2999-01-01T00:00:00%2B01:00").1, 120);
    store.post("/v1/namespaces/orders/trim", br#"{"before":50}"#);
    assert_eq!(read(&store, &format!("from=time:{}&limit=1", times[3])).0, [50], "the first that is still there");
    let store = store.restart(&Start::default());
    assert_eq!(
        read(&store, &format!("from=time:{}&limit=1", times[110])).0[0],
        times.iter().position(|of| *of >= times[110]).unwrap() as u64
    );
}
