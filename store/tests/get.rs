//! Many records by their offsets.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store, damage};
use logstore_api::record::binary;
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records";

fn filled(count: usize) -> Store {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    for number in 0..count {
        store.append(format!("record {number} {}", "x".repeat(2_000)).as_bytes());
    }
    store
}

fn get(store: &Store, query: &str, offsets: &[u64]) -> Answer {
    store.post(&format!("{RECORDS}/get{query}"), json!({ "offsets": offsets }).to_string().as_bytes())
}

/// Offset, and the beginning of the payload or the code of the error.
fn brief(entry: &Value) -> (u64, String) {
    let text = match entry["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => entry["data"].as_str().unwrap().split(" x").next().unwrap().to_owned(),
    };
    (entry["offset"].as_u64().unwrap(), text)
}

fn entries(answer: &Answer) -> Vec<(u64, String)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.lines().iter().map(brief).collect()
}

fn records(offsets: &[u64]) -> Vec<(u64, String)> {
    offsets.iter().map(|offset| (*offset, format!("record {offset}"))).collect()
}

#[test]
fn records_come_in_the_order_asked_for_and_as_often() {
    let store = filled(100);
    assert!(store.logs("orders").len() > 2);
    let wanted = [99, 0, 50, 0, 51, 52, 7, 99];
    let answer = get(&store, "", &wanted);
    assert_eq!(entries(&answer), records(&wanted));
    assert_eq!((answer.header("logstore-end"), answer.header("logstore-partition")), (Some("100"), Some("0")));
    assert_eq!(entries(&get(&store, "", &[])), []);
    let all: Vec<u64> = (0..100).rev().collect();
    assert_eq!(entries(&get(&store, "", &all)), records(&all));
    let store = store.restart(&Start::default());
    assert_eq!(entries(&get(&store, "?meta=all", &wanted)), records(&wanted));
}

#[test]
fn what_cannot_be_had_is_told_in_its_place() {
    let store = filled(40);
    damage(&store.logs("orders")[0], &[b"record 20"]);
    store.post("/v1/namespaces/orders/trim", br#"{"before":5}"#);
    let answer = get(&store, "", &[39, 40, 20, 4, 21, u64::MAX, 4]);
    let expected = [
        (39, "record 39"),
        (40, "record_not_found"),
        (20, "damaged"),
        (4, "trimmed"),
        (21, "record 21"),
        (u64::MAX, "record_not_found"),
        (4, "trimmed"),
    ];
    assert_eq!(entries(&answer), expected.map(|(offset, text)| (offset, text.to_owned())));
    let damaged = &answer.lines()[2]["error"];
    assert_eq!([&damaged["status"], &damaged["next"]], [&json!(410), &json!(21)]);
}

#[test]
fn what_does_not_fit_any_more_is_named_and_can_be_asked_for_again() {
    let store = filled(10);
    let mut wanted: Vec<u64> = vec![9, 3, 3, 5, 1];
    let mut got = Vec::new();
    while !wanted.is_empty() {
        let (fit, full): (Vec<_>, Vec<_>) = entries(&get(&store, "?max_bytes=4100", &wanted))
            .into_iter()
            .partition(|(_, text)| text != "batch_too_large");
        assert!(!fit.is_empty() && fit.len() <= 2, "{fit:?}");
        got.extend(fit);
        wanted = full.into_iter().map(|(offset, _)| offset).collect();
    }
    got.sort();
    assert_eq!(got, records(&[1, 3, 3, 5, 9]));
    assert_eq!(entries(&get(&store, "?max_bytes=0", &[2, 2]))[0], (2, "record 2".into()), "one record is always sent");
}

#[test]
fn entries_come_in_binary_too() {
    let store = filled(3);
    store.post(RECORDS, b"\xff\x00");
    let frames = [("Accept", "application/vnd.logstore.frames")];
    let body = json!({"offsets": [3, 9, 0], "partition": 0}).to_string();
    let answer = store.send("POST", &format!("{RECORDS}/get"), &frames, body.as_bytes());
    let entries: Vec<_> = binary::entries(&answer.body).map(Result::unwrap).collect();
    let metas: Vec<Value> = entries.iter().map(|entry| serde_json::from_slice(entry.meta).unwrap()).collect();
    assert_eq!((entries[0].data, &metas[0]["offset"]), (&b"\xff\x00"[..], &json!(3)));
    assert_eq!((entries[1].data, &metas[1]["error"]["code"]), (&b""[..], &json!("record_not_found")));
    assert!(entries[2].data.starts_with(b"record 0 "));
}

#[test]
fn a_call_that_is_wrong_is_refused_by_name() {
    let store = filled(1);
    let call = |body: &str| store.post(&format!("{RECORDS}/get"), body.as_bytes());
    assert_eq!(call("[0]").problem(), (400, "malformed_body".into()));
    assert_eq!(call(r#"{"offset":[0]}"#).problem(), (400, "malformed_body".into()));
    assert_eq!(call(r#"{"offsets":[-1]}"#).problem(), (400, "malformed_body".into()));
    let many = get(&store, "", &vec![0; 100_001]);
    assert_eq!((many.problem(), &many.json()["field"]), ((413, "batch_too_large".into()), &json!("offsets")));
    assert_eq!(get(&store, "?limit=1", &[0]).problem(), (400, "unknown_parameter".into()));
    let text = store.send("POST", &format!("{RECORDS}/get"), &[("Accept", "text/plain")], br#"{"offsets":[0]}"#);
    assert_eq!(text.problem(), (406, "not_acceptable".into()));
    assert_eq!(
        store.post("/v1/namespaces/none/records/get", br#"{"offsets":[0]}"#).problem(),
        (404, "namespace_not_found".into())
    );
}
