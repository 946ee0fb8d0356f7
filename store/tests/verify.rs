//! `logstore verify` on the files of a stopped store.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::process::{Command, Output};

use common::{Start, Store};
use serde_json::json;

fn verify(root: &std::path::Path, more: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(common::binary()).args(["verify", "--root"]).arg(root).args(more).output().unwrap();
    (status.code().unwrap(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn stopped() -> Store {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    for number in 0..12 {
        store.append(format!("record {number} {}", "x".repeat(20_000)).as_bytes());
    }
    store.post("/v1/namespaces/other/records?split=lines&tag=t", b"a\nb");
    assert!(store.stop().success());
    store
}

#[test]
fn sound_files_are_sound_and_nothing_is_changed() {
    let store = stopped();
    let before: Vec<_> = store.files().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let (code, text) = verify(&store.root, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("verified 14 records in "), "{text}");
    assert_eq!(verify(&store.root, &["--namespace", "other"]).1.split(" in ").next(), Some("verified 2 records"));
    assert_eq!(verify(&store.root, &["--namespace", "nope"]).0, 1);
    let after: Vec<_> = store.files().into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    assert!(before == after);
}

#[test]
fn every_sampled_flipped_byte_is_found() {
    let store = stopped();
    let path = store.logs("orders")[1].clone();
    let bytes = std::fs::read(&path).unwrap();
    for at in (64..bytes.len()).step_by(997).chain([64, bytes.len() - 1]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).unwrap();
        let (code, text) = verify(&store.root, &[]);
        assert!(code == 1 && text.contains("damage: ") && text.contains("do"), "byte {at}: {text}");
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(verify(&store.root, &[]).0, 0);
    std::fs::remove_file(&path).unwrap();
    let (code, text) = verify(&store.root, &[]);
    assert!(code == 1 && text.contains("are missing before this segment"), "{text}");
}

#[test]
fn a_torn_tail_and_damaged_side_files_are_notes() {
    let store = stopped();
    let logs = store.logs("orders");
    let last = logs.last().unwrap();
    let bytes = std::fs::read(last).unwrap();
    std::fs::write(last, &bytes[..bytes.len() - 3]).unwrap();
    let index = logs[0].with_extension("idx");
    std::fs::write(&index, b"nonsense").unwrap();
    let (code, text) = verify(&store.root, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("note: ") && text.contains("torn tail"), "{text}");
    let len = bytes.len() - 3;
    let cut = format!("the next start would cut ns/orders/0/{} from {len} to ", last.file_name().unwrap().display());
    assert!(text.contains(&cut) && text.contains("the next start would keep what is cut off"), "{text}");
    assert_eq!(std::fs::read(last).unwrap().len(), len, "only looked at");
    let again = Store::on(&store.root, &Start::default());
    assert_eq!(again.texts("start").len(), 12, "only the checkpoint was torn");
}

#[test]
fn a_running_store_and_a_folder_that_is_none_are_refused() {
    let store = Store::new();
    let (code, text) = verify(&store.root, &[]);
    assert!(code == 1 && text.contains("a store is running"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = verify(dir.path(), &[]);
    assert!(code == 2 && text.contains("is no root of a store"), "{text}");
}

#[test]
fn json_says_the_same_of_each_partition() {
    let store = stopped();
    let (code, text) = verify(&store.root, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["sound"], &report["total"]["records"]), (0, &json!(true), &json!(14)));
    let orders = &report["namespaces"][0]["partitions"][0];
    assert_eq!((&orders["first_offset"], &orders["end"], &orders["records"]), (&json!(0), &json!(12), &json!(12)));
    assert_eq!((&report["faults"], &report["at_start"]), (&json!([]), &json!([])));
    let path = store.logs("orders")[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, text) = verify(&store.root, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((code, &report["sound"], &report["faults"][0]["severity"]), (1, &json!(false), &json!("damage")));
}

#[test]
fn damaged_documents_are_told_and_the_rest_is_looked_through() {
    let store = stopped();
    for (name, code, what) in [
        ("CLEAN", 0, "the mark of an orderly stop cannot be read"),
        ("node", 1, "is damaged or of another program"),
        ("ns/orders/config", 1, "the namespace's configuration cannot be read"),
    ] {
        let path = store.root.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (found, text) = verify(&store.root, &[]);
        assert!(found == code && text.contains(what) && text.contains("verified "), "{name}: {text}");
        std::fs::write(&path, &whole).unwrap();
    }
}

/// `verify` did not look at what CLEAN tells: with the last segment gone it found nothing, and the next start made a hole.
#[test]
fn what_an_orderly_stop_has_told_and_is_gone_is_told() {
    let damaged = |store: &Store, what: &str, more: &[&str]| {
        let (code, text) = verify(&store.root, more);
        assert!(code == 1 && text.contains(what), "{what}: {text}");
        let (code, text) = verify(&store.root, &[more, &["--json"]].concat());
        let report: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((code, &report["sound"]), (1, &json!(false)), "{what}");
        assert!(report["faults"].to_string().contains(what), "{what}: {report}");
    };
    let store = stopped();
    let logs = store.logs("orders");
    let last = logs.last().unwrap();
    let bytes = std::fs::read(last).unwrap();
    let first = verify(&store.root, &["--json"]).1;
    assert!(first.contains("\"sound\":true"), "{first}");
    std::fs::remove_file(last).unwrap();
    let (_, text) = verify(&store.root, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let end = report["namespaces"][0]["partitions"][0]["end"].as_u64().unwrap();
    damaged(&store, &format!("records {end} to 12 are gone"), &[]);
    assert_eq!(verify(&store.root, &["--namespace", "other"]).0, 0);
    std::fs::write(last, &bytes[..70]).unwrap();
    damaged(&store, &format!("records {end} to 12 are gone"), &[]);
    logs.iter().for_each(|log| std::fs::remove_file(log).unwrap());
    damaged(&store, "records 0 to 12 are gone", &["--namespace", "orders"]);
    std::fs::remove_dir_all(store.root.join("ns/orders/0")).unwrap();
    damaged(&store, "records 0 to 12 are gone", &[]);
    damaged(&store, "the partition's directory is missing", &[]);
    std::fs::remove_dir_all(store.root.join("ns/orders")).unwrap();
    for more in [&[] as &[&str], &["--namespace", "orders"]] {
        damaged(&store, "records 0 to 12 are gone", more);
        damaged(&store, "the directory of namespace ", more);
    }
    assert_eq!(verify(&store.root, &["--namespace", "other"]).0, 0);
}
