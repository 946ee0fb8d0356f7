//! Appending over HTTP: forms of bodies, whole or not at all, tags, levels, producers.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Store};
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";
const ENVELOPES: (&str, &str) = ("Content-Type", "application/vnd.logstore.records+ndjson");

#[test]
fn one_body_is_one_record_and_the_answer_says_all_of_it() {
    let store = Store::new();
    let answer = store.post(RECORDS, b"hello");
    let mut body = answer.json();
    assert!(body["time"].as_str().unwrap().ends_with('Z'));
    body.as_object_mut().unwrap().remove("time");
    let expected = json!({"offset": 0, "count": 1, "partition": 0, "end": 1, "durable_end": 1, "durability": "synced", "duplicate": false});
    assert_eq!((answer.status, body), (200, expected));
    assert_eq!(answer.header("location"), Some("/v1/namespaces/orders/records/0"));
    assert!(answer.header("logstore-node").is_some() && answer.header("logstore-request-id").is_some());
    assert_eq!(store.post(RECORDS, b"").json()["offset"], 1, "an empty body is an empty record");
    let binary: Vec<u8> = (0..=255).collect();
    let path = store.post("/v1/namespaces/a%2Fb%20%C3%BC/records", &binary).header("location").unwrap().to_owned();
    assert_eq!(path, "/v1/namespaces/a%2Fb%20%C3%BC/records/0");
    assert_eq!(store.get(&path).body, binary);
}

#[test]
fn lines_become_one_batch() {
    let store = Store::new();
    let answer = store.post(&format!("{RECORDS}?split=lines&tag=a&tag=b%20c&key=k"), b"one\n\nthree\r\nfour").json();
    assert_eq!((&answer["offset"], &answer["count"], &answer["end"]), (&json!(0), &json!(4), &json!(4)));
    assert_eq!(store.texts("start"), ["one", "", "three", "four"]);
    let envelope = &store.get(RECORDS).lines()[3];
    assert_eq!((&envelope["tags"], &envelope["key"]), (&json!(["a", "b c"]), &json!("k")));
    assert_eq!(store.post(&format!("{RECORDS}?split=lines"), b"").problem(), (400, "malformed_body".into()));
    assert_eq!(store.post(&format!("{RECORDS}?split=words"), b"x").problem(), (400, "invalid_argument".into()));
}

#[test]
fn envelopes_are_stored_whole_or_not_at_all() {
    let store = Store::new();
    let send = |body: &str| store.send("POST", RECORDS, &[ENVELOPES], body.as_bytes());
    let answer = send("{\"data\":\"one\",\"tags\":[\"t\"],\"key\":\"k\",\"alloc\":10}\n{\"data_b64\":\"/wA=\"}\n");
    assert_eq!(answer.json()["count"], 2);
    let envelopes = store.get(&format!("{RECORDS}?meta=all")).lines();
    assert_eq!(envelopes[0]["alloc"], 10);
    assert_eq!((&envelopes[1]["data_b64"], &envelopes[1]["partition"]), (&json!("/wA="), &json!(0)));
    for (body, line) in [
        ("{\"data\":\"x\"}\n{\"data\":1}\n", 2),
        ("{\"data\":\"x\"}\n\n", 2),
        ("{\"data\":\"x\",\"tag\":[]}\n", 1),
        ("{\"data\":\"x\",\"data_b64\":\"\"}", 1),
        ("{\"data\":\"x\"}\n{\"data\":\"y\"}\n{}", 3),
        ("nonsense", 1),
    ] {
        let answer = send(body);
        assert_eq!(answer.problem(), (400, "malformed_body".into()), "{body}");
        assert_eq!(answer.json()["line"], line, "{body}");
    }
    assert_eq!(send("{\"data\":\"x\",\"indices\":{\"price\":5}}").problem(), (422, "no_such_index".into()));
    assert_eq!(store.post(&format!("{RECORDS}?index.price=5"), b"x").problem(), (422, "no_such_index".into()));
    let many: String = (0..65).map(|tag| format!("\"{tag}\",")).collect();
    let tagged = format!("{{\"data\":\"x\",\"tags\":[{}]}}", many.trim_end_matches(','));
    assert_eq!(send(&tagged).problem(), (422, "too_many_tags".into()));
    assert_eq!(store.get(RECORDS).lines().len(), 2, "nothing of these was written");
}

#[test]
fn what_is_refused_creates_nothing() {
    let store = Store::new();
    let refused = [
        store.send("POST", "/v1/namespaces/new/records", &[ENVELOPES], b"nonsense"),
        store.post("/v1/namespaces/new/records?tga=x", b"x"),
        store.post("/v1/namespaces/new/records?partition=1", b"x"),
        store.post("/v1/namespaces/new/records?durability=safe", b"x"),
        store.send("POST", "/v1/namespaces/new/records", &[("Producer-Id", "1")], b"x"),
        store.get("/v1/namespaces/new/records"),
        store.get("/v1/namespaces/new/records/0"),
        store.get("/v1/namespaces/new"),
        store.post("/v1/namespaces/new/trim", br#"{"before":0}"#),
    ];
    let codes: Vec<String> = refused.iter().map(|answer| answer.problem().1).collect();
    assert_eq!(codes[0], "malformed_body");
    assert_eq!(codes[1], "unknown_parameter");
    assert_eq!(codes[2], "partition_not_found");
    assert_eq!(codes[3..5], ["invalid_argument", "invalid_argument"]);
    assert!(codes[5..].iter().all(|code| code == "namespace_not_found"), "{codes:?}");
    assert_eq!(store.get("/v1/namespaces").json(), json!({"namespaces": []}));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read_and_after() {
    let store = Store::new();
    let largest = vec![7; 16 * 1024 * 1024];
    assert_eq!(store.append(&largest), 0);
    assert_eq!(store.get(&format!("{RECORDS}/0")).body, largest);
    let larger = vec![7; 16 * 1024 * 1024 + 1];
    assert_eq!(store.post(RECORDS, &larger).problem(), (413, "record_too_large".into()));
    let mut connection = common::Connection::open(store.address);
    connection
        .write(format!("POST {RECORDS} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    for _ in 0..17 {
        connection.write(format!("{:x}\r\n", 1 << 20).as_bytes()).unwrap();
        connection.write(&larger[..1 << 20]).unwrap();
        connection.write(b"\r\n").unwrap();
    }
    connection.write(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.answer().unwrap().problem(), (413, "record_too_large".into()));
    let lines = b"\n".repeat(100_001);
    assert_eq!(store.post(&format!("{RECORDS}?split=lines"), &lines).problem(), (413, "batch_too_large".into()));
    assert_eq!(store.post(&format!("{RECORDS}?alloc=16777217"), b"x").problem(), (413, "record_too_large".into()));
    assert_eq!(store.append(b"small"), 1, "nothing of these was written");
}

fn produce(store: &Store, id: &str, epoch: &str, seq: &str, body: &[u8]) -> Answer {
    let headers = [("Producer-Id", id), ("Producer-Epoch", epoch), ("Producer-Seq", seq)];
    store.send("POST", &format!("{RECORDS}?split=lines"), &headers, body)
}

#[test]
fn a_retry_with_an_identity_is_stored_once_across_crashes() {
    const ID: &str = "6b2f5c0e-8c3f-4b57-9f0d-0a4a5f1c9e11";
    const SAME: &str = "6b2f5c0e8c3f4b579f0d0a4a5f1c9e11";
    let store = Store::new();
    assert_eq!(produce(&store, ID, "1", "0", b"a\nb\nc").json()["offset"], 0);
    assert_eq!(produce(&store, ID, "1", "3", b"d").json()["offset"], 3);
    let again = produce(&store, SAME, "1", "0", b"a\nb\nc").json();
    assert_eq!((&again["offset"], &again["count"], &again["duplicate"]), (&json!(0), &json!(3), &json!(true)));
    let store = store.crash(&common::Start::default());
    assert_eq!(produce(&store, ID, "1", "3", b"d").json()["duplicate"], true);
    assert_eq!(produce(&store, ID, "1", "3", b"D").problem(), (409, "identity_conflict".into()));
    assert_eq!(produce(&store, ID, "1", "0", b"a").problem(), (409, "identity_conflict".into()));
    let gap = produce(&store, ID, "1", "9", b"x");
    assert_eq!((gap.problem().1.as_str(), &gap.json()["expected"]), ("sequence_gap", &json!(4)));
    assert_eq!(produce(&store, ID, "2", "4", b"e").json()["offset"], 4);
    assert_eq!(produce(&store, ID, "1", "5", b"f").problem(), (403, "producer_fenced".into()));
    let stranger = "00000000000000000000000000000001";
    assert_eq!(produce(&store, stranger, "0", "7", b"x").problem(), (409, "unknown_producer".into()));
    assert_eq!(store.texts("start"), ["a", "b", "c", "d", "e"]);
    let producer = &store.get(&format!("{RECORDS}?meta=all&from=1&limit=1")).lines()[0]["producer"];
    assert_eq!(*producer, json!({"id": ID, "epoch": 1, "seq": 1}));
}

#[test]
fn a_namespace_takes_only_what_its_state_allows() {
    let store = Store::new();
    store.append(b"one");
    store.put("/v1/namespaces/orders", &json!({"state": "read_only"}));
    assert_eq!(store.post(RECORDS, b"x").problem(), (403, "namespace_read_only".into()));
    assert_eq!(store.texts("start"), ["one"]);
    store.put("/v1/namespaces/orders", &json!({"state": "closed"}));
    assert_eq!(store.post(RECORDS, b"x").problem(), (403, "namespace_closed".into()));
    assert_eq!(store.get(RECORDS).problem(), (403, "namespace_closed".into()));
    assert_eq!(store.get("/v1/namespaces/orders").json()["state"], "closed");
    store.put("/v1/namespaces/orders", &json!({}));
    assert_eq!(store.append(b"two"), 1);
}

#[test]
fn the_level_is_the_requests_then_the_namespaces() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"durability": "written"}));
    assert_eq!(store.post(RECORDS, b"x").json()["durability"], "written");
    let synced = store.post(&format!("{RECORDS}?durability=synced"), b"x").json();
    assert_eq!((&synced["durability"], &synced["durable_end"]), (&json!("synced"), &json!(2)));
    store.post(RECORDS, b"x");
    common::eventually("the background sync", || {
        store.get("/v1/namespaces/orders").json()["partitions"][0]["durable_end"] == 3
    });
}
