//! The bounds of a store: what is in flight, and what it says about itself.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::time::{Duration, Instant};

use common::{Answer, Connection, Store, eventually};
use serde_json::json;

const LARGEST: usize = 16 * 1024 * 1024;
const RECORDS: &str = "/v1/namespaces/orders/records";

/// A request that says how large it is, with so much of its body.
fn begin(store: &Store, method: &str, path: &str, declared: usize, sent: usize) -> Connection {
    let mut connection = Connection::open(store.address);
    let head = format!("{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {declared}\r\n\r\n");
    connection.write(&[head.as_bytes(), &vec![b'x'; sent]].concat()).unwrap();
    connection
}

/// An append that lacks a single byte: it holds its share until it is dropped.
fn hold(store: &Store, namespace: &str) -> Connection {
    begin(store, "POST", &format!("/v1/namespaces/{namespace}/records"), LARGEST, LARGEST - 1)
}

/// Requests that declared much and sent nothing held all the room of a namespace, and then of the store, as long as a
/// sender may be silent.
#[test]
fn who_declares_much_and_sends_nothing_keeps_nobody_from_appending() {
    let store = Store::new();
    store.append(b"x");
    let record = format!("{RECORDS}/0?at=0");
    let (get, mebibyte) = (format!("{RECORDS}/get"), 1024 * 1024);
    for (method, path, declared, count) in [
        ("POST", RECORDS, LARGEST, 3),
        ("POST", "/append?namespace=orders", LARGEST, 3),
        ("POST", "/getMulti?namespace=orders", LARGEST, 5),
        ("POST", "/v1/place", LARGEST, 5),
        ("POST", &get, 2 * mebibyte, 33),
        ("PATCH", &record, LARGEST, 5),
    ] {
        let silent: Vec<_> = (0..count).map(|_| begin(&store, method, path, declared, 0)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let answer = store.post(RECORDS, b"x");
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        drop(silent);
    }
}

/// The refusal came only after the ten seconds in which what still comes is discarded, and the share was held that long.
#[test]
fn a_body_that_is_too_large_is_refused_before_it_comes_and_holds_nothing() {
    let store = Store::new();
    store.append(b"x");
    let begun = Instant::now();
    let mut large: Vec<_> = (0..4).map(|_| begin(&store, "POST", RECORDS, 99_999_999, 10)).collect();
    store.append(b"x");
    for connection in &mut large {
        assert_eq!(connection.answer().unwrap().problem(), (413, "record_too_large".into()));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    store.append(b"x");
}

/// A sender that says all it has to say before it listens is heard out, and may go on with the connection.
#[test]
fn who_listens_only_behind_a_body_that_is_too_large_is_told_too() {
    let store = Store::new();
    let mut connection = Connection::open(store.address);
    let refused = connection.send("POST", RECORDS, &[], &vec![b'x'; 3 * LARGEST]).unwrap();
    assert_eq!(refused.problem(), (413, "record_too_large".into()));
    assert_eq!(connection.send("POST", RECORDS, &[], b"x").unwrap().status, 200);
}

/// A body in pieces, with and without its length, is the same whole.
#[test]
fn a_body_whose_share_grows_comes_whole() {
    let store = Store::new();
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    assert_eq!(store.post(RECORDS, &body).status, 200);
    let mut connection = Connection::open(store.address);
    let head = format!("POST {RECORDS} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write(head.as_bytes()).unwrap();
    for chunk in body.chunks(7_777) {
        connection.write(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).unwrap();
    }
    connection.write(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
    for offset in 0..2 {
        assert!(store.get(&format!("{RECORDS}/{offset}")).body == body, "{offset}");
    }
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
