//! Values of declared indices: appended, stored by number, shown by name.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Start, Store};
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";
const ENVELOPES: (&str, &str) = ("Content-Type", "application/vnd.logstore.records+ndjson");

fn declared(indices: &[&str]) -> Store {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"indices": indices})).status, 201);
    store
}

#[test]
fn values_come_back_by_name_after_a_crash_and_after_more_names_were_declared() {
    let store = declared(&["price", "size"]);
    assert_eq!(store.post(&format!("{RECORDS}?index.size=9223372036854775807&index.price=-5"), b"x").status, 200);
    let envelopes = "{\"data\":\"y\",\"indices\":{\"size\":-9223372036854775808}}\n{\"data\":\"z\"}";
    assert_eq!(store.send("POST", RECORDS, &[ENVELOPES], envelopes.as_bytes()).status, 200);
    assert_eq!(store.post(&format!("{RECORDS}?split=lines&index.price=3"), b"a\nb").status, 200);
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"indices": ["price", "size", "age"]})).status, 200);
    let store = store.crash(&Start::default());
    assert_eq!(store.post(&format!("{RECORDS}?index.age=7"), b"c").status, 200);
    let shown: Vec<_> = store.get(RECORDS).lines().into_iter().map(|mut envelope| envelope["indices"].take()).collect();
    let expected = [
        json!({"price": -5, "size": i64::MAX}),
        json!({"size": i64::MIN}),
        json!(null),
        json!({"price": 3}),
        json!({"price": 3}),
        json!({"age": 7}),
    ];
    assert_eq!(shown, expected);
    let record = store.get(&format!("{RECORDS}/0"));
    assert_eq!(
        (record.header("logstore-index-price"), record.header("logstore-index-size")),
        (Some("-5"), Some("9223372036854775807"))
    );
}

#[test]
fn names_are_added_behind_and_never_taken_away() {
    let store = declared(&["price", "size"]);
    for indices in [json!(["size", "price"]), json!(["price"]), json!([]), json!(["age", "price", "size"])] {
        let answer = store.put("/v1/namespaces/orders", &json!({"indices": indices}));
        assert_eq!(answer.problem(), (409, "config_conflict".into()), "{indices}");
        assert_eq!(answer.json()["field"], "indices");
    }
    assert_eq!(store.get("/v1/namespaces/orders").json()["config"]["indices"], json!(["price", "size"]));
}

#[test]
fn what_is_no_value_of_a_declared_index_is_refused_by_name_and_nothing_is_stored() {
    let store = declared(&["price"]);
    let undeclared = store.post(&format!("{RECORDS}?index.prize=5"), b"x");
    assert_eq!(undeclared.problem(), (422, "no_such_index".into()));
    assert_eq!(
        (&undeclared.json()["field"], &undeclared.json()["expected"]),
        (&json!("indices.prize"), &json!(["price"]))
    );
    for value in ["", "1.0", "five", "9223372036854775808", "+1"] {
        let answer = store.post(&format!("{RECORDS}?index.price={value}"), b"x");
        assert_eq!(answer.problem(), (400, "invalid_argument".into()), "{value:?}");
        assert_eq!(answer.json()["field"], "index.price");
    }
    assert_eq!(store.post(&format!("{RECORDS}?index.price=1&index.price=2"), b"x").problem().0, 400);
    for value in ["1.0", "\"5\"", "null", "9223372036854775808", "1e3"] {
        let body = format!("{{\"data\":\"x\"}}\n{{\"data\":\"x\",\"indices\":{{\"price\":{value}}}}}");
        let answer = store.send("POST", RECORDS, &[ENVELOPES], body.as_bytes());
        assert_eq!(answer.problem(), (400, "malformed_body".into()), "{value}");
        assert_eq!((&answer.json()["line"], &answer.json()["field"]), (&json!(2), &json!("indices.price")));
    }
    let undeclared = store.send("POST", RECORDS, &[ENVELOPES], b"{\"data\":\"x\",\"indices\":{\"prize\":1}}");
    assert_eq!(undeclared.problem(), (422, "no_such_index".into()));
    assert!(store.texts("start").is_empty());
}
