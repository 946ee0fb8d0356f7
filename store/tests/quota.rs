//! Quotas: what a namespace may store, in all, in one record, and in a second.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Store};
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records";

fn with(config: &Value) -> Store {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/orders", config).status, 201);
    store
}

fn exceeded(answer: &Answer, field: &str) -> u64 {
    assert_eq!(answer.problem(), (429, "quota_exceeded".into()));
    assert_eq!((&answer.json()["field"], &answer.json()["retry"]), (&json!(field), &json!("later")));
    answer.header("retry-after").expect("when to try again").parse().unwrap()
}

#[test]
fn a_full_namespace_refuses_appends_until_a_trim_has_made_room() {
    let quota = json!({"max_bytes": 200_000});
    let store = with(&json!({"partitions": 2, "quota": quota, "rotation": {"max_segment_bytes": 65_536}}));
    let record = vec![b'x'; 30_000];
    let append = |partition: u32| store.post(&format!("{RECORDS}?partition={partition}"), &record);
    let mut stored = 0;
    let refused = loop {
        match append(stored % 2) {
            answer if answer.status == 200 => stored += 1,
            answer => break answer,
        }
    };
    assert!((5..=6).contains(&stored), "{stored} records of 30,000 bytes in 200,000");
    assert!(exceeded(&refused, "quota.max_bytes") >= 1);
    exceeded(&append(0), "quota.max_bytes");
    exceeded(&append(1), "quota.max_bytes");
    assert_eq!(store.get(&format!("{RECORDS}?partition=0")).lines().len(), 3, "reads go on");
    assert_eq!(store.post("/v1/namespaces/other/records", &record).status, 200, "others go on");
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"partition":1,"before":3}"#).status, 200);
    assert_eq!(append(0).status, 200, "what one partition gives back another may take");
}

#[test]
fn a_record_over_the_quota_is_refused_by_its_name() {
    let store = with(&json!({"quota": {"max_record_bytes": 1000}, "indices": ["price"]}));
    assert_eq!(store.post(RECORDS, &[b'x'; 1000]).status, 200);
    let large = store.post(RECORDS, &[b'x'; 1001]);
    assert_eq!(large.problem(), (413, "record_too_large".into()));
    assert_eq!((&large.json()["field"], &large.json()["expected"]), (&json!("quota.max_record_bytes"), &json!(1000)));
    assert_eq!(store.post(&format!("{RECORDS}?alloc=1001"), b"x").problem().0, 413, "reserved bytes count");
    let lines = [&[b'x'; 999][..], b"\n", &[b'x'; 1001]].concat();
    assert_eq!(store.post(&format!("{RECORDS}?split=lines"), &lines).problem().0, 413);
    assert_eq!(store.post("/append?namespace=orders", &[b'x'; 1001]).status, 413, "in every dialect");
    assert_eq!(store.texts("start").len(), 1);
}

#[test]
fn what_is_appended_in_a_second_is_bounded() {
    // So little that no test machine refills it between two requests.
    let store = with(&json!({"quota": {"max_append_bytes_per_second": 100}}));
    assert_eq!(
        store.post(RECORDS, &[b'x'; 20_000]).status,
        200,
        "one larger than a second's worth goes when all is there"
    );
    let refused = store.post(RECORDS, b"x");
    let seconds = exceeded(&refused, "quota.max_append_bytes_per_second");
    assert!((100..=200).contains(&seconds), "19,900 bytes too many take 200 s to make up for, not {seconds}");
    assert_eq!(store.texts("start").len(), 1);
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"before":1}"#).status, 200);
    assert_eq!(store.put("/v1/namespaces/orders", &json!({})).status, 200);
    assert_eq!(store.post(RECORDS, b"x").status, 200, "a quota that is taken away holds nobody back");
}

/// Each patch of a whole payload is as many bytes more in the log's files.
#[test]
fn patches_count_and_what_makes_room_goes_on() {
    let store = with(&json!({"quota": {"max_bytes": 200_000}}));
    assert_eq!(store.post(&format!("{RECORDS}?alloc=30000"), b"x").status, 200);
    let patch = || store.send("PATCH", &format!("{RECORDS}/0?at=0"), &[], &[b'y'; 30_000]);
    let patched = (0..10).take_while(|_| patch().status == 200).count();
    assert!((5..=6).contains(&patched), "{patched} patches of 30,000 bytes in 200,000");
    exceeded(&patch(), "quota.max_bytes");
    let rochefort = store.post("/append?namespace=orders", &[b'x'; 30_000]);
    assert_eq!((rochefort.status, rochefort.header("retry-after")), (429, Some("5")), "in every dialect");
    assert_eq!(store.send("DELETE", &format!("{RECORDS}/0"), &[], b"").status, 200);
    assert_eq!(store.put("/v1/namespaces/orders", &json!({})).status, 200);
    assert_eq!(store.post(RECORDS, b"x").status, 200);
}

#[test]
fn patches_take_their_part_of_a_seconds_worth() {
    let store = with(&json!({"quota": {"max_append_bytes_per_second": 100}}));
    assert_eq!(store.post(&format!("{RECORDS}?alloc=20000"), b"x").status, 200);
    let patch = |body: &[u8]| store.send("PATCH", &format!("{RECORDS}/0?at=0"), &[], body);
    // A full bucket is needed for it, and one byte of that was taken.
    common::eventually("there is a second's worth", || patch(&[b'y'; 20_000]).status == 200);
    assert!(exceeded(&patch(b"z"), "quota.max_append_bytes_per_second") >= 100);
    assert_eq!(patch(b"").status, 429, "whoever has taken too much waits");
}
