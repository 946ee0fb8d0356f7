//! Changing records over HTTP: bytes replaced inside a reservation, and records erased.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store, eventually};
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";

fn with_records() -> Store {
    let store = Store::new();
    assert_eq!(store.post(&format!("{RECORDS}?alloc=10&tag=a"), b"hello").status, 200);
    store.append(b"other");
    store
}

fn patch(store: &Store, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    store.send("PATCH", &format!("{RECORDS}/{target}"), headers, body)
}

fn erase(store: &Store, target: &str) -> Answer {
    store.send("DELETE", &format!("{RECORDS}/{target}"), &[], b"")
}

#[test]
fn bytes_are_replaced_inside_the_reservation() {
    let store = with_records();
    let answer = patch(&store, "0?at=0&durability=written", &[], b"J");
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut json = answer.json();
    assert!(json["time"].take().is_string());
    let expected = json!({"offset": 0, "partition": 0, "data_len": 5, "end": 2, "durable_end": json["durable_end"], "durability": "written", "time": null});
    assert_eq!(json, expected);
    assert_eq!(patch(&store, "0?at=end", &[], b"!").json()["durability"], "synced");
    assert_eq!(store.get(&format!("{RECORDS}/0")).text(), "Jello!");
    assert_eq!(patch(&store, "0?at=9", &[], b"x").json()["data_len"], 10);
    assert_eq!(store.get(&format!("{RECORDS}/0")).body, b"Jello!\0\0\0x");
    assert_eq!(store.texts("start"), ["Jello!\0\0\0x", "other"]);
    let envelope = &store.get(&format!("{RECORDS}?meta=all")).lines()[0];
    assert_eq!((&envelope["alloc"], &envelope["tags"]), (&json!(10), &json!(["a"])));
    assert_eq!(store.get("/get?namespace=orders&offset=0").body, b"Jello!\0\0\0x", "in rochefort's words too");
    let store = store.crash(&Start::default());
    assert_eq!(store.texts("start"), ["Jello!\0\0\0x", "other"]);
}

#[test]
fn refused_patches_say_why_and_change_nothing() {
    let store = with_records();
    let over = patch(&store, "0?at=end", &[], b"123456");
    assert_eq!(over.problem(), (422, "reservation_exceeded".into()));
    assert_eq!((&over.json()["expected"], &over.json()["got"]), (&json!(10), &json!(11)));
    for (target, expected) in [
        ("0", (400, "invalid_argument")),
        ("0?at=-1", (400, "invalid_argument")),
        ("0?at=x", (400, "invalid_argument")),
        ("0?at=0&at=1", (400, "invalid_argument")),
        ("0?at=0&form=1", (400, "unknown_parameter")),
        ("0?at=0&partition=7", (404, "partition_not_found")),
        ("0?at=18446744073709551615", (422, "reservation_exceeded")),
        ("2?at=0", (404, "record_not_found")),
        ("x?at=0", (400, "invalid_argument")),
    ] {
        let problem = patch(&store, target, &[], b"y").problem();
        assert_eq!((problem.0, problem.1.as_str()), expected, "{target}");
    }
    let path = "/v1/namespaces/unknown/records/0?at=0";
    assert_eq!(store.send("PATCH", path, &[], b"y").problem(), (404, "namespace_not_found".into()));
    let too_large = vec![b'y'; 16 * 1024 * 1024 + 1];
    assert_eq!(patch(&store, "0?at=0", &[], &too_large).problem(), (413, "record_too_large".into()));
    assert_eq!(store.texts("start"), ["hello", "other"]);
    store.post("/v1/namespaces/orders/trim", br#"{"before":1}"#);
    assert_eq!(patch(&store, "0?at=0", &[], b"y").problem(), (410, "trimmed".into()));
    assert_eq!(erase(&store, "0").problem(), (410, "trimmed".into()));
    store.put("/v1/namespaces/orders", &json!({"state": "read_only"}));
    assert_eq!(patch(&store, "1?at=0", &[], b"y").problem(), (403, "namespace_read_only".into()));
    assert_eq!(store.texts("start"), ["other"]);
}

#[test]
fn a_tag_names_one_state_of_a_record() {
    let store = with_records();
    let etag = || store.get(&format!("{RECORDS}/0")).header("etag").unwrap().to_owned();
    let first = etag();
    let patched = patch(&store, "0?at=end", &[("If-Match", &first)], b"!");
    assert_eq!(patched.header("etag"), Some(etag().as_str()));
    assert_ne!(first, etag());
    assert_eq!(patch(&store, "0?at=end", &[("If-Match", &first)], b"!").problem(), (412, "precondition_failed".into()));
    assert_eq!(patch(&store, "0?at=end", &[("If-Match", "*")], b"!").status, 200);
    let (before, after) = (etag(), etag());
    assert_eq!(before, after);
    let cached = store.send("GET", &format!("{RECORDS}/0"), &[("If-None-Match", &before)], b"");
    assert_eq!(cached.status, 304);
    patch(&store, "0?at=0", &[], b"h");
    assert_eq!(store.send("GET", &format!("{RECORDS}/0"), &[("If-None-Match", &before)], b"").status, 200);
    let store = store.crash(&Start::default());
    let same = store.get(&format!("{RECORDS}/0"));
    assert_eq!(patch(&store, "0?at=0", &[("If-Match", same.header("etag").unwrap())], b"H").status, 200);
    assert_eq!(store.texts("start")[0], "Hello!!");
}

#[test]
fn an_erased_record_is_hidden_at_once_and_for_ever() {
    let store = with_records();
    store.append(b"last");
    patch(&store, "1?at=0", &[], b"O");
    let answer = erase(&store, "1");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["time"].is_string());
    assert_eq!(answer.json()["durable_end"], 3, "{answer:?}");
    let again = erase(&store, "1?durability=written");
    assert_eq!((again.status, again.json().get("time")), (200, None));
    let gone = store.get(&format!("{RECORDS}/1"));
    assert_eq!((gone.problem(), &gone.json()["next"]), ((410, "erased".into()), &json!(2)));
    assert_eq!(patch(&store, "1?at=0", &[], b"x").problem(), (410, "erased".into()));
    let read = store.get(&format!("{RECORDS}?from=1"));
    assert_eq!(read.lines().len(), 1);
    assert_eq!((&read.lines()[0]["offset"], read.header("logstore-next")), (&json!(2), Some("3")));
    assert_eq!(erase(&store, "3").problem(), (404, "record_not_found".into()));
    let store = store.crash(&Start::default());
    assert_eq!(store.get(&format!("{RECORDS}/1")).problem(), (410, "erased".into()));
    assert_eq!(store.texts("start"), ["hello", "last"]);
    assert_eq!(store.append(b"next"), 3, "offsets are not given again");
}

#[test]
fn erased_bytes_and_their_tags_leave_the_files_while_the_store_serves() {
    let start = Start { config: Some(json!({"erase_within_seconds": 0})), ..Start::default() };
    let store = Store::with(&start);
    store.append(b"kept");
    assert_eq!(store.post(&format!("{RECORDS}?alloc=90&tag=SECRET-TAG&key=SECRET-KEY"), b"SECRET-BODY").status, 200);
    store.append(b"kept too");
    patch(&store, "1?at=end", &[], b"SECRET-PATCH");
    let stands = |secret: &str| {
        let bytes = secret.as_bytes();
        store.files().iter().any(|path| {
            let file = std::fs::read(path).unwrap_or_default();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
    };
    assert!(stands("SECRET-BODY") && stands("SECRET-TAG") && stands("SECRET-PATCH"));
    assert_eq!(erase(&store, "1").status, 200);
    eventually("no file holds the record", || {
        !["SECRET-BODY", "SECRET-TAG", "SECRET-KEY", "SECRET-PATCH"].into_iter().any(stands)
    });
    assert_eq!(erase(&store, "1").status, 200);
    assert_eq!(store.get(&format!("{RECORDS}/1")).problem(), (410, "erased".into()));
    assert_eq!(store.texts("start"), ["kept", "kept too"]);
    let store = store.crash(&start);
    assert_eq!(store.get(&format!("{RECORDS}/1")).problem(), (410, "erased".into()));
    assert_eq!(store.texts("start"), ["kept", "kept too"]);
}

#[test]
fn an_erasure_may_be_conditional() {
    let store = with_records();
    let etag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let first = etag(&store.get(&format!("{RECORDS}/0")));
    let second = etag(&patch(&store, "0?at=end", &[], b"!"));
    let erase = |tag: &str| store.send("DELETE", &format!("{RECORDS}/0"), &[("If-Match", tag)], b"");
    assert_eq!(erase(&first).problem(), (412, "precondition_failed".into()));
    assert_eq!(store.get(&format!("{RECORDS}/0")).text(), "hello!", "nothing was erased");
    assert_eq!(erase(&format!("{first}, {second}")).status, 200);
    let again = erase(&second);
    assert_eq!((again.status, again.json().get("time")), (200, None), "a retry finds it erased");
}

#[test]
fn a_page_that_was_kept_for_others_is_not_given_once_a_record_of_it_has_changed() {
    let store = with_records();
    let first = || store.get(&format!("{RECORDS}?wait=1s")).lines()[0]["data"].clone();
    assert_eq!(first(), "hello");
    assert_eq!(patch(&store, "0?at=0&durability=written", &[], b"J").status, 200);
    assert_eq!(first(), "Jello");
    assert_eq!(erase(&store, "0").status, 200);
    assert_eq!(first(), "other");
}

#[test]
fn a_page_that_was_made_ahead_is_not_given_once_a_record_of_it_is_erased() {
    let store = Store::new();
    let record = "x".repeat(100_000);
    for _ in 0..6 {
        store.append(record.as_bytes());
    }
    let page = |from: u64| {
        let answer = store.get(&format!("{RECORDS}?from={from}&max_bytes=100000"));
        answer.lines().iter().map(|line| line["offset"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!([page(0), page(1)], [[0], [1]]);
    // The store makes the next one meanwhile, because this reader reads on.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(erase(&store, "2").status, 200);
    assert_eq!([page(2), page(4)], [[3], [4]]);
}
