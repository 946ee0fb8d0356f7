//! Files that an earlier version has written are read by this one. What is in them: `fixtures/README.md`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::path::{Path, PathBuf};

use common::{Start, Store, eventually, run, run_on};
use serde_json::{Value, json};

/// What this version writes. Another form on the disk gets a directory of its own beside the others.
const CURRENT: &str = "v1";
const PRODUCER: &str = "0d6a7a3e-92b5-4a94-8f61-3c1b8b1a0001";
const ENVELOPES: (&str, &str) = ("Content-Type", "application/vnd.logstore.records+ndjson");

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every root of every version, with the export that it gives.
fn all() -> Vec<(PathBuf, String)> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.is_dir());
        paths.sort();
        paths
    };
    let roots = list(&fixtures()).iter().flat_map(|version| list(version)).collect::<Vec<_>>();
    assert!(roots.len() >= 3);
    roots
        .into_iter()
        .map(|dir| (dir.join("root"), std::fs::read_to_string(dir.join("export.ndjson")).unwrap()))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// A later version may say more than an earlier one, but nothing else.
fn says_at_least(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| says_at_least(found, value)))
        }
        _ => found == expected,
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_export(root: &Path, expected: &str) {
    let (code, text, stderr) = run_on(root, &["export", "--namespace", "orders"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{}", root.display());
    let (found, expected) = (lines(&text), lines(expected));
    assert_eq!(found.len(), expected.len(), "{}", root.display());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(says_at_least(found, expected), "{}: {found} is not {expected}", root.display());
    }
}

fn start_of(root: &Path) -> Start {
    let node = std::fs::read_to_string(root.join("node")).unwrap();
    let ordered = lines(node.lines().next().unwrap())[0]["ordered"].as_bool().unwrap();
    Start { config: Some(json!({ "ordered": ordered })), ..Start::default() }
}

/// The records of all partitions, as a reader gets them.
fn read(store: &Store, partitions: u64) -> Vec<Value> {
    let path =
        |partition| format!("/v1/namespaces/orders/records?meta=all&from=start&limit=100000&partition={partition}");
    (0..partitions).flat_map(|partition| store.get(&path(partition)).lines()).collect()
}

#[test]
fn files_of_every_version_are_verified_read_and_gone_on_with() {
    for (committed, expected) in all() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        copy(&committed, &root);
        let (code, verified, _) = run_on(&root, &["verify"]);
        assert_eq!(code, 0, "{}: {verified}", committed.display());
        check_export(&root, &expected);
        let export = lines(&expected);
        let records: Vec<_> = export.iter().filter(|line| line.get("offset").is_some()).collect();
        let partitions = export[0]["export"]["config"]["partitions"].as_u64().unwrap();
        let start = start_of(&root);
        let store = Store::on(&root, &start);
        let found = read(&store, partitions);
        assert_eq!(found.len(), records.len(), "{}", committed.display());
        for (found, expected) in found.iter().zip(records) {
            let mut expected = expected.clone();
            expected.as_object_mut().unwrap().remove("with_previous");
            assert!(says_at_least(found, &expected), "{found} is not {expected}");
        }
        if start.config.as_ref().unwrap()["ordered"] == true {
            continue;
        }
        let again = store.send(
            "POST",
            "/v1/namespaces/orders/records?partition=1",
            &producer("0"),
            b"{\"data\":\"one\"}\n{\"data\":\"two\"}\n",
        );
        assert_eq!(again.json()["duplicate"], true, "producers are remembered: {again:?}");
        let path = "/v1/namespaces/orders/records?partition=1";
        let appended = store.send("POST", path, &[ENVELOPES], br#"{"data":"of this version"}"#).json();
        let store = store.restart(&start).crash(&start);
        let after = read(&store, partitions);
        assert_eq!(after.len(), found.len() + 1);
        assert_eq!((&after[..found.len()], &after[found.len()]["offset"]), (&found[..], &appended["offset"]));
    }
}

fn producer(seq: &'static str) -> [(&'static str, &'static str); 4] {
    [ENVELOPES, ("Producer-Id", PRODUCER), ("Producer-Epoch", "3"), ("Producer-Seq", seq)]
}

/// Writes the fixtures of this version, where there are none: `UPDATE_FIXTURES=1 cargo test -p logstore-store --test
/// fixtures`. Those that are there stay as they are.
#[test]
fn fixtures_of_this_version_are_there() {
    let version = fixtures().join(CURRENT);
    let write = std::env::var_os("UPDATE_FIXTURES").is_some();
    for (name, make) in [("clean", clean as fn() -> Store), ("torn", torn), ("ordered", ordered), ("changed", changed)]
    {
        let dir = version.join(name);
        if dir.exists() || !write {
            assert!(
                dir.join("export.ndjson").exists(),
                "{} is missing; write it with UPDATE_FIXTURES=1",
                dir.display()
            );
            continue;
        }
        let store = make();
        copy(&store.root, &dir.join("root"));
        std::fs::remove_file(dir.join("root/LOCK")).unwrap();
        let (code, text, stderr) = run_on(&store.root, &["export", "--namespace", "orders"]);
        assert_eq!(code, 0, "{stderr}");
        std::fs::write(dir.join("export.ndjson"), text).unwrap();
    }
}

/// Two partitions with everything that a record can have, in several segments.
fn filled() -> Store {
    let store = Store::new();
    let config = json!({"partitions": 2, "rotation": {"max_segment_age_seconds": 1}});
    assert_eq!(store.put("/v1/namespaces/orders", &config).status, 201);
    let send = |partition: u32, headers: &[(&str, &str)], body: &[Value]| {
        let path = format!("/v1/namespaces/orders/records?partition={partition}");
        let body: String = body.iter().map(|record| format!("{record}\n")).collect();
        assert_eq!(store.send("POST", &path, headers, body.as_bytes()).status, 200);
    };
    for round in 0..3_usize {
        for number in 0..10 {
            let (key, tags) = (format!("key {number}"), json!([format!("tag-{}", number % 3), "ü, b"]));
            send(0, &[ENVELOPES], &[json!({"data": format!("{round} {number}"), "key": key, "tags": tags})]);
        }
        let batch = [json!({"data": "x", "alloc": 50}), json!({"data": ""}), json!({"data_b64": "/wA="})];
        send(0, &[ENVELOPES], &batch);
        if round == 0 {
            send(1, &producer("0"), &[json!({"data": "one"}), json!({"data": "two"})]);
        }
        let logs = store.logs("orders");
        eventually("a new segment", || store.logs("orders").len() > logs.len());
        eventually("side files", || logs.iter().all(|log| log.with_extension("seal").exists()));
    }
    send(1, &producer("2"), &[json!({"data": "three"})]);
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"before": 5, "partition": 0}"#).status, 200);
    store
}

/// Stopped in an orderly way.
fn clean() -> Store {
    let mut store = filled();
    assert!(store.stop().success());
    store
}

/// Killed, with a frame that was not written whole.
fn torn() -> Store {
    let mut store = filled();
    let path = "/v1/namespaces/orders/records?partition=0";
    assert_eq!(store.send("POST", path, &[ENVELOPES], br#"{"data":"torn"}"#).status, 200);
    store.signal("-KILL");
    store.wait();
    let last = store.logs("orders").pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 13]).unwrap();
    store
}

/// Records that were patched and erased, before and behind the end of their segment.
fn changed() -> Store {
    let mut store = filled();
    let record = |offset: u64, more: &str| format!("/v1/namespaces/orders/records/{offset}?partition=0{more}");
    for (offset, at, bytes) in [(10, "2", &b"patched"[..]), (10, "end", b"!"), (23, "0", b"y")] {
        let answer = store.send("PATCH", &record(offset, &format!("&at={at}")), &[], bytes);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for offset in [7, 24, 36] {
        assert_eq!(store.send("DELETE", &record(offset, ""), &[], b"").status, 200);
    }
    assert!(store.stop().success());
    store
}

/// One of two copies, with a writer's reign.
fn ordered() -> Store {
    let [mut store, other] = [Store::ordered(), Store::ordered()];
    let internal = json!({"owner": "local/events", "revision": 1, "incarnation": PRODUCER, "salt": "42"});
    for copy in [&store, &other] {
        assert_eq!(copy.put("/v1/namespaces/orders", &json!({"internal": internal})).status, 201);
    }
    let servers = format!("http://{},http://{}", store.address, other.address);
    for text in ["one\ntwo\n", "three\n"] {
        assert_eq!(run(&["append", "orders", "--server", &servers, "--tag", "t"], text.as_bytes()).0, 0);
    }
    let path = "/v1/namespaces/orders/records";
    eventually("what is confirmed", || store.get(path).lines().len() == 3);
    assert!(store.stop().success());
    store
}
