//! Conditions of requests: what is not known is refused by name, and what is known counts.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Connection, Store};
use serde_json::json;

const ORDERS: &str = "/v1/namespaces/orders";

/// `PATCH` with `If-None-Match: *` was applied, and `PUT` with `If-Match` too, as if nothing had been said.
#[test]
fn a_condition_that_a_call_does_not_know_changes_nothing() {
    let store = Store::new();
    store.append(b"x");
    let before = store.get(ORDERS).json();
    let all = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"];
    for (method, path, body, known) in [
        ("POST", "/records", "x", json!([])),
        ("PATCH", "/records/0?at=0", "y", json!(["If-Match"])),
        ("DELETE", "/records/0", "", json!(["If-Match"])),
        ("PUT", "", r#"{"state":"read_only"}"#, json!(["If-None-Match"])),
        ("DELETE", "", "", json!([])),
        ("POST", "/trim", r#"{"before":1}"#, json!([])),
        ("POST", "/seal", "", json!([])),
    ] {
        for name in all.iter().filter(|name| !known.as_array().unwrap().contains(&json!(name))) {
            let answer = store.send(method, &format!("{ORDERS}{path}"), &[(name, "*")], body.as_bytes());
            assert_eq!(answer.problem(), (400, "invalid_argument".into()), "{method} {path} {name}");
            let problem = answer.json();
            assert_eq!((&problem["field"], &problem["expected"]), (&json!(name), &known), "{method} {path}");
        }
    }
    assert_eq!(store.get(ORDERS).json(), before);
    assert_eq!(store.texts("start"), ["x"]);
}

#[test]
fn a_record_is_read_only_in_the_state_that_is_named() {
    let store = Store::new();
    store.append(b"x");
    let record = format!("{ORDERS}/records/0");
    let tag = store.get(&record).header("etag").unwrap().to_owned();
    let status = |headers: &[(&str, &str)]| store.send("GET", &record, headers, b"").status;
    assert_eq!((status(&[("If-Match", &tag)]), status(&[("If-Match", "*")])), (200, 200));
    assert_eq!(status(&[("If-Match", &format!("\"nope\", {tag}"))]), 200);
    assert_eq!(status(&[("If-Match", &tag), ("If-None-Match", &tag)]), 304);
    let refused = store.send("GET", &record, &[("If-Match", "\"nope\"")], b"");
    assert_eq!(
        (refused.problem(), &refused.json()["field"]),
        ((412, "precondition_failed".into()), &json!("If-Match"))
    );
    for value in [&format!("W/{tag}"), "", "\u{fc}"] {
        assert_eq!(status(&[("If-Match", value)]), 412, "{value:?}");
    }
    assert_eq!(status(&[("If-Match", "\"nope\""), ("If-None-Match", &tag)]), 412, "it comes first");
    let mut connection = Connection::open(store.address);
    connection.write(format!("HEAD {record} HTTP/1.1\r\nHost: t\r\nIf-Match: \"nope\"\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(connection.head().unwrap().status, 412);
    let patched = store.send("PATCH", &format!("{record}?at=0"), &[("If-Match", &tag)], b"y");
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(status(&[("If-Match", &tag)]), 412);
    assert_eq!(status(&[("If-Match", patched.header("etag").unwrap())]), 200);
}
