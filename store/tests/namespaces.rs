//! Namespaces over HTTP: names, configuration, lists, and what bad input does.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Start, Store};
use serde_json::json;

#[test]
fn a_namespace_is_created_configured_listed_described_and_deleted() {
    let store = Store::new();
    let created = store.send("PUT", "/v1/namespaces/orders", &[("If-None-Match", "*")], b"{}");
    assert_eq!(created.status, 201);
    let again = store.send("PUT", "/v1/namespaces/orders", &[("If-None-Match", "*")], b"{}");
    assert_eq!(again.problem(), (409, "namespace_exists".into()));
    let config = json!({"durability": "written", "retention": {"max_age_seconds": 60}, "rotation": {"max_segment_bytes": 1_000_000}});
    let configured = store.put("/v1/namespaces/orders", &config);
    assert_eq!(configured.status, 200);
    let mut described = store.get("/v1/namespaces/orders").json();
    assert_eq!(described["incarnation"], created.json()["incarnation"]);
    described.as_object_mut().unwrap().remove("incarnation");
    let expected = json!({
        "name": "orders", "state": "active",
        "config": {"partitions": 1, "state": "active", "durability": "written",
                   "rotation": {"max_segment_bytes": 1_000_000}, "retention": {"max_age_seconds": 60}},
        "partitions": [{"partition": 0, "start": 0, "end": 0, "durable_end": 0, "bytes": 0, "segments": 0}],
    });
    assert_eq!(described, expected);
    assert_eq!(store.put("/v1/namespaces/orders", &described["config"]).json()["config"], expected["config"]);
    assert_eq!(
        store.put("/v1/namespaces/orders", &json!({})).json()["config"]["retention"],
        json!({}),
        "the body is all of it"
    );
    let store = store.crash(&Start::default());
    assert_eq!(store.get("/v1/namespaces/orders").json()["config"]["durability"], "synced");
    assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").status, 204);
    assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").problem(), (404, "namespace_not_found".into()));
    assert!(!store.files().iter().any(|path| path.to_string_lossy().contains("orders")));
}

#[test]
fn lists_are_in_byte_order_and_in_pages() {
    let store = Store::new();
    for name in ["b", "a%2Fx", "a", "B", "%C3%BC"] {
        assert_eq!(store.put(&format!("/v1/namespaces/{name}"), &json!({})).status, 201);
    }
    let names = |path: &str| -> (Vec<String>, Option<String>) {
        let list = store.get(path).json();
        let names =
            list["namespaces"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned());
        (names.collect(), list["next"].as_str().map(str::to_owned))
    };
    assert_eq!(names("/v1/namespaces"), (["B", "a", "a/x", "b", "ü"].map(String::from).to_vec(), None));
    assert_eq!(names("/v1/namespaces?limit=2"), (["B", "a"].map(String::from).to_vec(), Some("a".into())));
    assert_eq!(names("/v1/namespaces?limit=2&after=a"), (["a/x", "b"].map(String::from).to_vec(), Some("b".into())));
    assert_eq!(names("/v1/namespaces?prefix=a"), (["a", "a/x"].map(String::from).to_vec(), None));
    assert_eq!(store.get("/v1/namespaces?prefx=a").problem(), (400, "unknown_parameter".into()));
}

#[test]
fn names_that_tools_mangle_are_refused_and_nothing_lands_outside_the_root() {
    let store = Store::new();
    let long = "n".repeat(250);
    for name in ["%zz", "%2e%2e", ".%2e", "a%2F..%2Fb", "%2E", "..%2F..%2Fescape", "a%00b", "%0a", "%ff", long.as_str()]
    {
        for (method, path) in [
            ("PUT", format!("/v1/namespaces/{name}")),
            ("GET", format!("/v1/namespaces/{name}")),
            ("POST", format!("/v1/namespaces/{name}/records")),
        ] {
            let answer = store.send(method, &path, &[], b"");
            assert_eq!(answer.problem(), (400, "invalid_argument".into()), "{method} {path}");
        }
        let rochefort = store.post(&format!("/append?namespace={name}"), b"x");
        // A pair that cannot be decoded is left out, as Go does it.
        let expected = if name == "%zz" { 200 } else { 400 };
        assert_eq!(rochefort.status, expected, "{name}: {rochefort:?}");
    }
    for name in ["a%2Fb", "..a", "%20", "%22", "con", "%F0%9F%98%80", &"n".repeat(249), &"%2F".repeat(249)] {
        assert_eq!(store.post(&format!("/v1/namespaces/{name}/records"), b"x").status, 200, "{name}");
    }
    let beside = store.root.parent().unwrap().read_dir().unwrap().count();
    assert_eq!(beside, 1, "only the root");
    assert_eq!(store.get("/v1/namespaces").json()["namespaces"].as_array().unwrap().len(), 9);
}

#[test]
fn bad_configurations_name_the_field_and_change_nothing() {
    let store = Store::new();
    for (config, field) in [
        (json!({"partitions": 0}), "partitions"),
        (json!({"partitions": 65}), "partitions"),
        (json!({"retention": {"max_age": 5}}), "retention.max_age"),
        (json!({"retention": {"max_bytes": -1}}), "retention.max_bytes"),
        (json!({"durability": "safe"}), "durability"),
        (json!({"retentoin": {"max_bytes": 1}}), "retentoin"),
        (json!({"indices": ["Price"]}), "indices"),
        (json!({"quota": {"max_record_bytes": 0}}), "quota.max_record_bytes"),
        (json!({"quota": {"max_append_bytes_per_second": 0}}), "quota.max_append_bytes_per_second"),
        (json!({"quota": {"max_bytes": 10}}), "quota.max_bytes"),
        (json!({"rotation": {"max_segment_bytes": 10}}), "rotation.max_segment_bytes"),
        (json!({"retention": {"max_bytes": 10}}), "retention.max_bytes"),
    ] {
        let answer = store.put("/v1/namespaces/orders", &config);
        assert_eq!(answer.problem(), (400, "invalid_argument".into()), "{config}");
        assert_eq!(answer.json()["field"], field, "{config}");
    }
    for (body, code) in [("{", "malformed_body"), ("[]", "malformed_body"), (r#"{"state":"open"}"#, "invalid_argument")]
    {
        assert_eq!(
            store.send("PUT", "/v1/namespaces/orders", &[], body.as_bytes()).problem(),
            (400, code.into()),
            "{body}"
        );
    }
    assert_eq!(store.get("/v1/namespaces").json(), json!({"namespaces": []}));
}

#[test]
fn without_auto_create_an_append_creates_nothing() {
    let config = json!({"auto_create": false, "namespace_defaults": {"durability": "written"}});
    let store = Store::with(&Start { config: Some(config), ..Start::default() });
    assert_eq!(store.post("/v1/namespaces/orders/records", b"x").problem(), (404, "namespace_not_found".into()));
    assert_eq!(store.post("/append?namespace=orders", b"x").status, 404);
    assert_eq!(store.put("/v1/namespaces/orders", &json!({})).json()["config"]["durability"], "written");
    assert_eq!(store.append(b"x"), 0);
}

#[test]
fn the_configuration_file_is_followed() {
    let start = Start { config: Some(json!({"auto_create": false})), ..Start::default() };
    let store = Store::with(&start);
    let path = store.root.with_extension("config.json");
    std::fs::write(&path, "auto_create: maybe").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(store.post("/v1/namespaces/orders/records", b"x").status, 404, "the last good one stays");
    std::fs::write(&path, "auto_create: true").unwrap();
    common::eventually("the new configuration", || store.post("/v1/namespaces/orders/records", b"x").status == 200);
}
