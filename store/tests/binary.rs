//! Appends in the binary form.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Store};
use logstore_api::record::binary::Entry;
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";

fn send(store: &Store, query: &str, body: &[u8]) -> Answer {
    store.send("POST", &format!("{RECORDS}{query}"), &[("Content-Type", "application/vnd.logstore.frames")], body)
}

fn body(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    records.iter().for_each(|(meta, data)| Entry { meta: meta.as_bytes(), data }.push_to(&mut body));
    body
}

#[test]
fn records_are_stored_with_their_metadata_as_one_batch() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"indices": ["price"]}));
    let meta = r#"{"key":"k","tags":["a","b"],"indices":{"price":7},"alloc":9}"#;
    let answer = send(&store, "", &body(&[("", b"\0\xff\n"), (meta, b"second"), ("{}", b"")]));
    assert_eq!((answer.status, &answer.json()["count"]), (200, &json!(3)));
    let lines = store.get(&format!("{RECORDS}?meta=all")).lines();
    assert_eq!(lines[0]["data_b64"], "AP8K");
    let second = &lines[1];
    let found = (&second["key"], &second["tags"], &second["indices"], &second["alloc"], &second["data"]);
    assert_eq!(found, (&json!("k"), &json!(["a", "b"]), &json!({"price": 7}), &json!(9), &json!("second")));
    assert_eq!(lines[2]["data"], "");
    assert!(lines.iter().all(|line| line["time"] == lines[0]["time"]), "one batch has one time");
}

#[test]
fn a_body_that_is_not_understood_names_the_byte_and_stores_nothing() {
    let store = Store::new();
    let first = body(&[("{}", b"first")]);
    let behind_first = |bytes: &[u8]| [&first, bytes].concat();
    let cases = [
        (first[..first.len() - 1].to_vec(), 0),
        (behind_first(b"\x01"), first.len()),
        (behind_first(&[0, 0, 0, 0, 1, 0, 0, 0]), first.len()),
        (behind_first(&[0xff; 8]), first.len()),
        (behind_first(&body(&[("nonsense", b"")])), first.len()),
        (behind_first(&body(&[(r#"{"data":"x"}"#, b"x")])), first.len()),
        (behind_first(&body(&[(r#"{"tagz":[]}"#, b"x")])), first.len()),
    ];
    for (bytes, byte) in cases {
        let answer = send(&store, "", &bytes);
        assert_eq!(answer.problem(), (400, "malformed_body".into()), "{bytes:?}");
        assert_eq!(answer.json()["byte"], byte, "{bytes:?}");
    }
    assert_eq!(send(&store, "", b"").problem(), (400, "malformed_body".into()));
    assert_eq!(send(&store, "?tag=x", &first).problem(), (400, "invalid_argument".into()));
    assert_eq!(send(&store, "?split=lines", &first).problem(), (400, "invalid_argument".into()));
    let undeclared = send(&store, "", &body(&[(r#"{"indices":{"price":1}}"#, b"x")]));
    assert_eq!((undeclared.problem().1.as_str(), &undeclared.json()["byte"]), ("no_such_index", &json!(0)));
    assert_eq!(store.get("/v1/namespaces").json(), json!({"namespaces": []}), "nothing was created either");
}
