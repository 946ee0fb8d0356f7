//! `logstore export` and `logstore import` on the files of stopped stores.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::path::{Path, PathBuf};

use common::{Start, Store, contents, run, run_on};
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records?partition=1";
const PRODUCER: &str = "0d6a7a3e-92b5-4a94-8f61-3c1b8b1a0001";

fn send(store: &Store, path: &str, producer: Option<&str>, body: &[u8]) -> Value {
    let mut headers = vec![("Content-Type", "application/vnd.logstore.records+ndjson")];
    headers.extend([("Producer-Id", PRODUCER), ("Producer-Epoch", "3")].iter().filter(|_| producer.is_some()));
    headers.extend(producer.map(|seq| ("Producer-Seq", seq)));
    let answer = store.send("POST", path, &headers, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// A store with everything that a record can have, in two partitions, the first of which was trimmed.
fn stopped() -> Store {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 2, "rotation": {"max_segment_bytes": 65536}}));
    for number in 0..9 {
        let body = json!({"data": format!("{number} {}", "x".repeat(20_000)), "alloc": 20_100 + number}).to_string();
        send(&store, "/v1/namespaces/orders/records?partition=0", None, body.as_bytes());
    }
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"before": 4, "partition": 0}"#).status, 200);
    let batch = [
        json!({"data": "one", "key": "k", "tags": ["a", "ü b"]}),
        json!({"data": "", "tags": ["a"], "alloc": 9}),
        json!({"data_b64": "/wA="}),
    ];
    let batch = batch.iter().map(|record| format!("{record}\n")).collect::<String>();
    send(&store, RECORDS, Some("0"), batch.as_bytes());
    send(&store, RECORDS, None, b"{\"data\": \"alone\"}\n{\"data\": \"with\"}\n");
    send(&store, RECORDS, Some("3"), b"{\"data\": \"four\"}\n");
    assert!(store.stop().success());
    store
}

fn export(root: &Path) -> String {
    let (code, text, stderr) = run_on(root, &["export", "--namespace", "orders"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    text
}

fn import(root: &Path, more: &[&str], text: &str) -> (i32, String) {
    let root = root.display().to_string();
    let (code, stdout, stderr) = run(&[&["import", "--root", &root], more].concat(), text.as_bytes());
    (code, String::from_utf8(stdout).unwrap() + &stderr)
}

fn new_root(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("root")
}

#[test]
fn an_import_gives_the_same_export_again_and_a_store_goes_on_with_it() {
    let store = stopped();
    let before = contents(&store);
    let text = export(&store.root);
    assert!(contents(&store) == before, "an export changes nothing");
    let dir = tempfile::tempdir().unwrap();
    let root = new_root(&dir);
    assert_eq!(import(&root, &["--new-root"], &text), (0, "imported 11 records into \"orders\"\n".to_owned()));
    assert_eq!(export(&root), text);
    let (code, verified, _) = run_on(&root, &["verify"]);
    assert!(
        code == 0 && verified.starts_with("the next start would") || verified.starts_with("verified"),
        "{verified}"
    );
    let (old, new) = (Store::on(&store.root, &Start::default()), Store::on(&root, &Start::default()));
    for partition in 0..2 {
        let path = format!("/v1/namespaces/orders/records?meta=all&partition={partition}&from=start");
        assert_eq!(new.get(&path).text(), old.get(&path).text());
    }
    let again = send(&new, RECORDS, Some("3"), b"{\"data\": \"four\"}\n");
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &json!(5)));
    let next = send(&new, RECORDS, Some("4"), b"{\"data\": \"five\"}\n");
    assert_eq!((&next["duplicate"], &next["offset"]), (&json!(false), &json!(6)));
    let info = new.get("/v1/namespaces/orders").json();
    assert_eq!((&info["partitions"][0]["start"], &info["partitions"][0]["end"]), (&json!(4), &json!(9)));
    assert_ne!(info["incarnation"], old.get("/v1/namespaces/orders").json()["incarnation"], "a life of its own");
}

#[test]
fn producers_of_records_that_are_gone_are_still_known() {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 2}));
    send(&store, RECORDS, Some("0"), b"{\"data\": \"a\"}\n{\"data\": \"b\"}\n");
    assert_eq!(store.post("/v1/namespaces/orders/trim", br#"{"before": 2, "partition": 1}"#).status, 200);
    assert!(store.stop().success());
    let text = export(&store.root);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(import(&new_root(&dir), &["--new-root"], &text).0, 0);
    assert_eq!(export(&new_root(&dir)), text);
    let new = Store::on(&new_root(&dir), &Start::default()).crash(&Start::default());
    assert_eq!(send(&new, RECORDS, Some("0"), b"{\"data\": \"a\"}\n{\"data\": \"b\"}\n")["duplicate"], true);
    let next = send(&new, RECORDS, Some("2"), b"{\"data\": \"c\"}\n");
    assert_eq!((&next["duplicate"], &next["offset"]), (&json!(false), &json!(2)));
}

#[test]
fn damage_becomes_a_hole_that_stays_one() {
    let store = stopped();
    let path = store.logs("orders").pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, text, stderr) = run_on(&store.root, &["export", "--namespace", "orders"]);
    assert!(code == 1 && stderr.contains("1 records are damaged and left out; 10 are exported"), "{stderr}");
    let gap = r#"{"gap":{"partition":0,"from":7,"until":8,"why":"damaged","address_bytes":20127}}"#;
    assert!(text.contains(gap), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let root = new_root(&dir);
    let (code, said) = import(&root, &["--new-root"], &text);
    assert!(code == 0 && said.contains("imported 10 records"), "{said}");
    assert_eq!(run_on(&root, &["export", "--namespace", "orders"]).1, text);
    let (code, verified, _) = run_on(&root, &["verify"]);
    assert!(code == 0 && verified.contains("records 7 to 8 are missing for good"), "{verified}");
    let new = Store::on(&root, &Start::default());
    assert_eq!(new.get("/v1/namespaces/orders/records/7?partition=0").status, 410);
    assert_eq!(new.get("/v1/namespaces/orders/records/8?partition=0").status, 200);
}

#[test]
fn what_exists_is_not_touched_and_another_name_can_be_given() {
    let store = stopped();
    let text = export(&store.root);
    let before = contents(&store);
    let (code, said) = import(&store.root, &[], &text);
    assert!(code == 1 && said.contains("namespace \"orders\" exists"), "{said}");
    assert!(contents(&store) == before);
    assert_eq!(import(&store.root, &["--namespace", "Copy"], &text).0, 0);
    let (_, copy, _) = run_on(&store.root, &["export", "--namespace", "Copy"]);
    assert_eq!(copy, text.replacen("\"namespace\":\"orders\"", "\"namespace\":\"Copy\"", 1));
    assert_eq!(export(&store.root), text);
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = import(&new_root(&dir), &[], &text);
    assert!(code == 2 && said.contains("is no root of a store") && said.contains("--new-root"), "{said}");
    let mut copies = Store::ordered();
    let _ = copies.stop();
    assert!(import(&copies.root, &[], &text).1.contains("a writer fills"));
}

#[test]
fn lines_that_are_wrong_are_named_with_their_field_and_leave_nothing() {
    let store = stopped();
    let text = export(&store.root);
    let line_of = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() + 1;
    let dir = tempfile::tempdir().unwrap();
    let root = new_root(&dir);
    let (alone, with) = (line_of("\"alone\""), line_of("\"with\""));
    let cases: Vec<(String, String)> = vec![
        (
            text.replacen("\"data\":\"alone\"", "\"date\":\"alone\"", 1),
            format!("line {alone}: field date: unknown field"),
        ),
        (text.replacen("\"data\":\"alone\"", "\"data\":7", 1), format!("line {alone}: field data: invalid type")),
        (text.replacen("\"alloc\":9", "\"alloc\":-9", 1), "field alloc: invalid value".to_owned()),
        (text.replacen("\"epoch\":3", "\"epoch\":\"x\"", 1), "field producer.epoch: invalid type".to_owned()),
        (text.replacen("\"offset\":4,", "\"offset\":14,", 2), "field offset: 14 does not follow".to_owned()),
        (text.replacen("/wA=", "!", 1), "field data_b64: it is not base64".to_owned()),
        (
            text.replacen("\"data\":\"alone\"", "\"data\":\"alone\",\"indices\":{\"price\":1}", 1),
            format!("line {alone}: field indices: the configuration has no index \"price\""),
        ),
        (
            text.replacen("\"data\":\"with\"", "\"data\":\"with\",\"alloc\":1", 1),
            format!("line {with}: field alloc: 1 is less than the 4 bytes"),
        ),
        (
            text.replacen("\"version\":1", "\"version\":2", 1),
            "line 1: field export.version: 2 is of another release".to_owned(),
        ),
        (text.replacen("\"partitions\":2", "\"partitions\":0", 1), "line 1: partitions is 0".to_owned()),
        (text.replacen("{\"export_end\"", "{\"end\"", 1), "unknown variant `end`".to_owned()),
        (text.lines().take(4).map(|line| format!("{line}\n")).collect(), "line 5: the export ends here".to_owned()),
        (
            text.replacen("\"export_end\":{\"records\":11", "\"export_end\":{\"records\":12", 1),
            "it says 12, but 11 came".to_owned(),
        ),
        (format!("{text}more\n"), "something follows behind export_end".to_owned()),
        ("nonsense".to_owned(), "line 1: expected".to_owned()),
        (String::new(), "line 1: the export ends here".to_owned()),
    ];
    for (wrong, what) in cases {
        let (code, said) = import(&root, &["--new-root"], &wrong);
        assert!(code == 1 && said.contains(&what), "{what:?}: {said}");
        assert_eq!(std::fs::read_dir(root.join("ns")).unwrap().count(), 0, "{what}");
    }
    assert_eq!(import(&root, &["--new-root"], &text).0, 0, "and the whole is taken");
}

#[test]
fn plain_forms_hold_the_payloads() {
    let store = stopped();
    let one = ["export", "--namespace", "orders", "--partition", "1", "--format"];
    let root = store.root.display().to_string();
    let plain = |form: &str| run(&[&[one[0], "--root", &root], &one[1..], &[form]].concat(), b"").1;
    assert_eq!(plain("raw"), b"one\xff\x00alonewithfour");
    let kaf = b"KAF_DB|v1|0\nKAF_MSG|1|3\none\nKAF_MSG|2|0\n\nKAF_MSG|3|2\n\xff\x00\nKAF_MSG|4|5\nalone\nKAF_MSG|5|4\nwith\nKAF_MSG|6|4\nfour";
    assert_eq!(plain("kaf"), kaf);
    let (code, _, stderr) = run_on(&store.root, &["export", "--namespace", "orders", "--format", "kaf"]);
    assert!(code == 1 && stderr.contains("say which"), "{stderr}");
    assert_eq!(run_on(&store.root, &one[..5]).0, 1, "lines hold all partitions");
}

#[test]
fn patched_records_are_exported_as_they_are_read_and_erased_ones_as_gaps() {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 2}));
    let batch = ["a", "b", "c", "d"].map(|text| json!({"data": text, "alloc": 30}).to_string() + "\n").concat();
    send(&store, RECORDS, Some("0"), batch.as_bytes());
    let patched = store.send("PATCH", "/v1/namespaces/orders/records/0?partition=1&at=end", &[], b"fter");
    assert_eq!(patched.status, 200, "{patched:?}");
    let erased = store.send("DELETE", "/v1/namespaces/orders/records/2?partition=1", &[], b"");
    assert_eq!(erased.status, 200, "{erased:?}");
    assert!(store.stop().success());
    let text = export(&store.root);
    assert!(text.contains(r#""data":"after""#) && !text.contains(r#""data":"c""#), "{text}");
    assert!(text.contains(r#"{"gap":{"partition":1,"from":2,"until":3,"why":"erased","address_bytes":50}}"#), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let root = new_root(&dir);
    let (code, said) = import(&root, &["--new-root"], &text);
    assert_eq!((code, said.as_str()), (0, "imported 3 records into \"orders\", and 1 offsets without one\n"));
    assert_eq!(export(&root), text);
    assert_eq!(run_on(&root, &["verify"]).0, 0);
    let new = Store::on(&root, &Start::default());
    let erased = new.get("/v1/namespaces/orders/records/2?partition=1");
    assert_eq!(erased.problem(), (410, "erased".to_owned()));
    assert_eq!(send(&new, RECORDS, Some("4"), b"{\"data\": \"e\"}\n")["offset"], 4);
}
