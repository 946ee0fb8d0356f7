//! Waiting for the disk, and ending segments on demand.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::Store;
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";
const DURABLE: &str = "/v1/namespaces/orders/durable";

#[test]
fn what_was_only_written_is_brought_to_the_disk_for_whoever_waits() {
    let store = Store::new();
    for round in 0..50 {
        let offset = store.post(&format!("{RECORDS}?durability=written"), b"x").json()["offset"].as_u64().unwrap();
        assert_eq!(offset, round);
        let answer = store.get(&format!("{DURABLE}?after={offset}&wait=30s")).json();
        assert_eq!(answer, json!({"partition": 0, "durable_end": round + 1, "end": round + 1}));
    }
}

#[test]
fn who_waits_for_the_next_record_gets_it_and_who_does_not_wait_gets_what_is() {
    let store = Store::new();
    store.append(b"x");
    assert_eq!(store.get(&format!("{DURABLE}?after=1")).json(), json!({"partition": 0, "durable_end": 1, "end": 1}));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.get(&format!("{DURABLE}?after=1&wait=30s")).json());
        store.post(&format!("{RECORDS}?durability=written"), b"y");
        assert_eq!(waiting.join().unwrap(), json!({"partition": 0, "durable_end": 2, "end": 2}));
    });
}

#[test]
fn questions_that_have_no_answer_are_refused() {
    let store = Store::new();
    store.append(b"x");
    let beyond = store.get(&format!("{DURABLE}?after=2&wait=30s"));
    assert_eq!((beyond.problem(), &beyond.json()["end"]), ((416, "beyond_end".into()), &json!(1)));
    assert_eq!(store.get(DURABLE).json()["field"], "after");
    assert_eq!(store.get(&format!("{DURABLE}?after=0&wait=61s")).json()["field"], "wait");
    assert_eq!(store.get(&format!("{DURABLE}?after=0&partition=1")).problem().0, 404);
    assert_eq!(store.get("/v1/namespaces/nope/durable?after=0").problem(), (404, "namespace_not_found".into()));
}

#[test]
fn a_segment_ends_on_demand_and_an_empty_one_stays() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 2}));
    let seal = |body: &str| store.post("/v1/namespaces/orders/seal", body.as_bytes());
    assert_eq!(seal("{\"partition\":1}").json(), json!({"partition": 1, "sealed": false, "segments": 0, "end": 0}));
    for _ in 0..2 {
        store.post(&format!("{RECORDS}?partition=1"), b"x");
    }
    assert_eq!(seal("{\"partition\":1}").json(), json!({"partition": 1, "sealed": true, "segments": 2, "end": 2}));
    assert_eq!(seal("{\"partition\":1}").json(), json!({"partition": 1, "sealed": false, "segments": 2, "end": 2}));
    assert_eq!(seal("{}").problem(), (400, "invalid_argument".into()));
    assert_eq!(seal("{\"partition\":2}").problem(), (404, "partition_not_found".into()));
    assert_eq!(seal("{\"partitoin\":1}").problem(), (400, "malformed_body".into()));
    store.post(&format!("{RECORDS}?partition=1"), b"y");
    let store = store.crash(&common::Start::default());
    let texts: Vec<_> = store.get(&format!("{RECORDS}?partition=1")).lines();
    assert_eq!(texts.iter().map(|line| line["data"].as_str().unwrap()).collect::<Vec<_>>(), ["x", "x", "y"]);
    store.put("/v1/namespaces/orders", &json!({"partitions": 2, "state": "closed"}));
    assert_eq!(store.post("/v1/namespaces/orders/seal", b"{\"partition\":1}").problem().1, "namespace_closed");
}

#[test]
fn who_waits_hears_that_the_namespace_was_deleted() {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"indices": ["price"]})).status, 201);
    store.append(b"x");
    let waits = [
        format!("{RECORDS}?from=end&wait=60s"),
        format!("{RECORDS}?from=end&wait=60s&tags=a"),
        format!("{RECORDS}?index=price&max=7&wait=60s"),
        format!("{DURABLE}?after=1&wait=60s"),
    ];
    std::thread::scope(|scope| {
        let waiting = waits.map(|path| {
            let store = &store;
            scope.spawn(move || (store.get(&path), path))
        });
        // Whoever has not begun to wait by then is told the same.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").status, 204);
        for waiting in waiting {
            let (answer, path) = waiting.join().unwrap();
            assert_eq!(answer.problem(), (404, "namespace_not_found".into()), "{path}");
        }
    });
}
