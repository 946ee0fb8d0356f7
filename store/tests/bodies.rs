//! JSON bodies are objects: an array, a string, a number or null is refused, and nothing happens.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Start, Store};
use serde_json::json;
use uuid::Uuid;

const ORDERS: &str = "/v1/namespaces/orders";

/// A store with two records.
fn filled() -> Store {
    let store = Store::new();
    store.append(b"a");
    store.append(b"b");
    store
}

fn assert_no_object(answer: &Answer, example: &str) {
    assert_eq!(answer.problem(), (400, "malformed_body".into()), "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("expected a JSON object at line 1 column"), "{detail}");
    assert!(detail.ends_with(example), "{detail}");
    assert_eq!(answer.json()["line"], 1);
}

/// `[0,1]` was taken for `{"partition":0,"before":1}`, and the first record was gone.
#[test]
fn an_array_trims_nothing() {
    let store = filled();
    for body in ["[0,1]", "[null,1]", "1", "\"1\"", "null"] {
        let answer = store.post(&format!("{ORDERS}/trim"), body.as_bytes());
        assert_no_object(&answer, r#"send {"partition":0,"before":OFFSET}"#);
    }
    assert_eq!(store.texts("start"), ["a", "b"]);
    assert_eq!(store.get(ORDERS).json()["partitions"][0]["start"], 0);
    assert_eq!(store.post(&format!("{ORDERS}/trim"), b"").problem(), (400, "malformed_body".into()));
}

#[test]
fn an_array_seals_nothing_and_an_empty_body_does() {
    let store = filled();
    let segments = || store.get(ORDERS).json()["partitions"][0]["segments"].clone();
    for body in ["[0]", "[]", "null"] {
        assert_no_object(&store.post(&format!("{ORDERS}/seal"), body.as_bytes()), r#"send {"partition":0}"#);
    }
    assert_eq!(segments(), 1);
    assert_eq!(store.post(&format!("{ORDERS}/seal"), b" \n").json()["sealed"], true);
    assert_eq!(segments(), 2);
}

#[test]
fn an_array_gets_no_records() {
    let store = filled();
    for body in ["[[0,1]]", "[[0,1],0]", "[0,1]"] {
        let answer = store.post(&format!("{ORDERS}/records/get"), body.as_bytes());
        assert_no_object(&answer, r#"send {"offsets":[0,1]}"#);
    }
    assert_eq!(store.post(&format!("{ORDERS}/records/get"), b"").problem(), (400, "malformed_body".into()));
}

#[test]
fn an_array_fences_nobody() {
    let store = Store::with(&Start { config: Some(json!({"ordered": true})), ..Start::default() });
    let internal = json!({"owner": "local/events", "revision": 1, "incarnation": Uuid::new_v4(), "salt": "42"});
    assert_eq!(store.put(ORDERS, &json!({"internal": internal})).status, 201);
    let reign = json!({"epoch": 1, "writer": Uuid::new_v4(), "label": "test"});
    let fence = |body: serde_json::Value| store.post("/v1/fence", body.to_string().as_bytes());
    let example = r#"send {"namespace":NAME,"reign":{"epoch":1,"writer":UUID,"label":TEXT}}"#;
    assert_no_object(&fence(json!(["orders", reign, 0])), example);
    assert_eq!(store.get("/v1/fence?namespace=orders").json()["reign"], json!(null));
    assert_eq!(store.post("/v1/fence", b"").problem(), (400, "malformed_body".into()));
    assert_eq!(fence(json!({"namespace": "orders", "reign": reign})).status, 200);
}

/// The last of two members counted, in a configuration and among the indices of an envelope.
#[test]
fn members_that_are_given_twice_are_refused() {
    let store = Store::new();
    let put = |body: &str| store.send("PUT", ORDERS, &[], body.as_bytes());
    for body in [
        r#"{"durability":"synced","durability":"written"}"#,
        r#"{"quota":{"max_bytes":1,"max_bytes":2}}"#,
        r#"{"quota":{"max_bytes":1},"quota":{}}"#,
    ] {
        let answer = put(body);
        assert_eq!(answer.problem(), (400, "malformed_body".into()), "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("duplicate field `"), "{answer:?}");
    }
    assert_eq!(store.get("/v1/namespaces").json(), json!({"namespaces": []}));
    assert_eq!(put(r#"{"indices":["p","q"]}"#).status, 201);
    let append = |envelope: &str| {
        let headers = [("Content-Type", "application/vnd.logstore.records+ndjson")];
        store.send("POST", &format!("{ORDERS}/records"), &headers, envelope.as_bytes())
    };
    let twice = append(r#"{"data":"x","indices":{"p":1,"p":2}}"#);
    assert_eq!((twice.problem(), &twice.json()["line"]), ((400, "malformed_body".into()), &json!(1)), "{twice:?}");
    assert_eq!(append(r#"{"data":"x","data":"y"}"#).problem(), (400, "malformed_body".into()));
    assert_eq!(append(r#"{"data":"x","indices":{"p":1,"q":2}}"#).json()["offset"], 0);
    for (path, body) in [("trim", r#"{"before":1,"before":1}"#), ("records/get", r#"{"offsets":[0],"offsets":[0]}"#)] {
        let answer = store.post(&format!("{ORDERS}/{path}"), body.as_bytes());
        assert_eq!(answer.problem(), (400, "malformed_body".into()), "{path}");
    }
}

#[test]
fn an_array_configures_nothing_and_an_empty_body_is_the_default() {
    let store = Store::new();
    let put = |body: &str| store.send("PUT", ORDERS, &[], body.as_bytes());
    for body in ["[]", "[2]", "7", "null"] {
        assert_no_object(&put(body), r#"send {"durability":"synced"}"#);
    }
    assert_eq!(store.get("/v1/namespaces").json(), json!({"namespaces": []}));
    let created = put("");
    assert_eq!((created.status, &created.json()["config"]["partitions"]), (201, &json!(1)));
}
