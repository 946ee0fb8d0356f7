//! `logstore cat` on the files of a stopped store.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Store, contents, run_on};
use serde_json::{Value, json};

fn stopped() -> Store {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    for number in 0..9 {
        store.append(format!("record {number} {}", "x".repeat(20_000)).as_bytes());
    }
    store.post("/v1/namespaces/orders/records?split=lines&tag=t&key=k", b"one\ntwo\nthree");
    assert!(store.stop().success());
    store
}

fn offsets(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["offset"].as_u64().unwrap()).collect()
}

#[test]
fn records_are_printed_as_a_store_would_answer_them_and_nothing_is_changed() {
    let store = stopped();
    let before = contents(&store);
    let (code, text, stderr) = run_on(&store.root, &["cat", "--namespace", "orders"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(offsets(&text), (0..12).collect::<Vec<_>>());
    let (_, two, _) = run_on(&store.root, &["cat", "--namespace", "orders", "--from", "10", "--limit", "1"]);
    let record: Value = serde_json::from_str(&two).unwrap();
    assert_eq!((&record["data"], &record["tags"], &record["key"]), (&json!("two"), &json!(["t"]), &json!("k")));
    assert_eq!((&record["partition"], &record["alloc"]), (&json!(0), &json!(3)));
    let range = ["cat", "--namespace", "orders", "--from", "9", "--until", "11", "--format"];
    assert_eq!(run_on(&store.root, &[&range[..], &["text"]].concat()).1, "one\ntwo\n");
    assert_eq!(run_on(&store.root, &[&range[..], &["raw"]].concat()).1, "onetwo");
    assert!(contents(&store) == before);
    let again = Store::on(&store.root, &common::Start::default());
    assert_eq!(again.get("/v1/namespaces/orders/records?meta=all").text(), text, "the same as a running store's");
}

#[test]
fn damaged_records_are_left_out_and_told() {
    let store = stopped();
    let path = store.logs("orders")[1].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, text, stderr) = run_on(&store.root, &["cat", "--namespace", "orders"]);
    assert_eq!(offsets(&text), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]);
    assert!(code == 1 && stderr.contains("records 4 to 5 of partition 0 are damaged"), "{code} {stderr}");
    let last = store.logs("orders").pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 300]).unwrap();
    let before = contents(&store);
    let (_, text, _) = run_on(&store.root, &["cat", "--namespace", "orders", "--from", "5"]);
    assert!(offsets(&text).starts_with(&[5, 6]), "{text}");
    assert!(contents(&store) == before, "the torn tail is still there");
}

#[test]
fn what_cannot_be_had_is_refused() {
    let store = stopped();
    let (code, _, stderr) = run_on(&store.root, &["cat", "--namespace", "nope"]);
    assert!(code == 1 && stderr.contains("there is no namespace \"nope\""), "{stderr}");
    let (code, _, stderr) = run_on(&store.root, &["cat", "--namespace", "orders", "--partition", "1"]);
    assert!(code == 1 && stderr.contains("--partition is 1"), "{stderr}");
    let running = Store::on(&store.root, &common::Start::default());
    let (code, _, stderr) = run_on(&running.root, &["cat", "--namespace", "orders"]);
    assert!(code == 1 && stderr.contains("a store is running"), "{stderr}");
}
