//! The bounds of a store: what is in flight, and what it says about itself.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Connection, Store, eventually};
use serde_json::json;

const LARGEST: usize = 16 * 1024 * 1024;
const RECORDS: &str = "/v1/namespaces/orders/records";

/// An append that says it is so large and sends nothing: it holds its share until it is dropped.
fn hold(store: &Store, namespace: &str) -> Connection {
    let mut connection = Connection::open(store.address);
    let head =
        format!("POST /v1/namespaces/{namespace}/records HTTP/1.1\r\nHost: t\r\nContent-Length: {LARGEST}\r\n\r\n");
    connection.write(head.as_bytes()).unwrap();
    connection
}

#[test]
fn one_namespace_does_not_take_the_room_of_the_others_and_all_together_are_bounded() {
    let store = Store::new();
    let append = |namespace: &str| store.post(&format!("/v1/namespaces/{namespace}/records"), b"x");
    for namespace in ["a", "b", "c"] {
        assert_eq!(append(namespace).status, 200);
    }
    let of_a = [hold(&store, "a"), hold(&store, "a")];
    common::eventually("a's share to be taken", || append("a").status != 200);
    let busy = append("a");
    assert_eq!(busy.problem(), (429, "namespace_busy".into()));
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!(append("b").status, 200);
    let of_b = [hold(&store, "b"), hold(&store, "b")];
    common::eventually("the store's share to be taken", || append("c").status != 200);
    let overloaded = append("c");
    assert_eq!(overloaded.problem(), (503, "overloaded".into()));
    assert_eq!(overloaded.header("retry-after"), Some("1"));
    assert_eq!(store.get("/v1/namespaces/c/records").status, 200, "reads have a share of their own");
    drop((of_a, of_b));
    for namespace in ["a", "b", "c"] {
        common::eventually("room again", || append(namespace).status == 200);
    }
}

#[test]
fn a_store_says_what_it_is_and_what_bounds_it_has() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 3}));
    store.post("/v1/namespaces/orders/records?partition=2", b"x");
    let answer = store.get("/v1/status");
    let status: logstore_api::status::StoreStatus = serde_json::from_value(answer.json()).unwrap();
    assert_eq!(Some(status.node.to_string().as_str()), answer.header("logstore-node"));
    assert_eq!((status.version.as_str(), status.ordered, status.namespaces), (env!("CARGO_PKG_VERSION"), false, 1));
    assert!(status.disk.total >= status.disk.free && status.disk.total > 0 && !status.disk.full);
    assert_eq!((status.logs.open, status.logs.recovering, status.logs.frozen), (3, 0, 0));
    assert_eq!(status.limits["append_bytes_in_flight"], 64 * 1024 * 1024);
    assert_eq!(status.limits["namespace_append_bytes_in_flight"], 32 * 1024 * 1024);
    assert!(status.limits["connections"] > 0);
    assert_eq!(status.limits["record_bytes"], 16 * 1024 * 1024, "those of a request too");
    assert_eq!(store.get("/v1/status?x=1").problem(), (400, "unknown_parameter".into()));
}

/// Asks again and again, and takes nothing but the heads of the answers, until one is a refusal.
fn ask_until_refused(store: &Store, request: &[u8]) -> (Vec<Connection>, Answer) {
    let mut readers = Vec::new();
    loop {
        let mut reader = Connection::open(store.address);
        reader.write(request).unwrap();
        let head = reader.head().unwrap();
        if head.status != 200 {
            return (readers, head);
        }
        readers.push(reader);
        assert!(readers.len() < 24, "the answers take more than the store has for them");
    }
}

#[test]
fn answers_that_nobody_takes_are_bounded() {
    let store = Store::new();
    assert_eq!(store.post(RECORDS, &vec![b'x'; LARGEST]).status, 200);
    let record = format!("{RECORDS}/0");
    for path in [&record, "/get?namespace=orders&offset=0", &format!("{RECORDS}?max_bytes=16777216")] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: application/octet-stream\r\n\r\n");
        let (readers, refused) = ask_until_refused(&store, request.as_bytes());
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{path}");
        assert!(readers.len() >= 12, "{} readers of {path}", readers.len());
        drop(readers);
        eventually("their room is free again", || store.get(&record).status == 200);
    }
}

/// Where nothing can be had, the answer consists of problems; those take room too.
#[test]
fn an_answer_without_records_takes_room_too() {
    let store = Store::new();
    store.append(b"x");
    let body = serde_json::to_vec(&json!({"offsets": vec![u64::MAX; 100_000]})).unwrap();
    let head = format!("POST {RECORDS}/get HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
    let (readers, refused) = ask_until_refused(&store, &[head.as_bytes(), &body].concat());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(readers.len() < 8, "{} readers", readers.len());
    assert_eq!(store.get(RECORDS).status, 200, "a small answer finds room");
}
