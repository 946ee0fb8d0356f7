//! `logstore repair` on the files of a stopped store.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::path::Path;

use common::{Start, Store, contents, eventually, run_on};
use serde_json::json;

fn stopped() -> Store {
    let mut store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"rotation": {"max_segment_bytes": 65536}}));
    for number in 0..12 {
        store.append(format!("record {number} {}", "x".repeat(20_000)).as_bytes());
    }
    let logs = store.logs("orders");
    eventually("side files", || logs[..logs.len() - 1].iter().all(|log| log.with_extension("seal").exists()));
    assert!(store.stop().success());
    store
}

fn change(path: &Path, act: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    act(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn headers_tails_and_side_files_are_mended_and_what_was_there_is_kept() {
    let store = stopped();
    let sound = run_on(&store.root, &["export", "--namespace", "orders"]).1;
    let logs = store.logs("orders");
    change(&logs[0], |bytes| bytes[20] ^= 1);
    change(&logs[1].with_extension("idx"), |bytes| bytes[3] ^= 1);
    std::fs::remove_file(logs[2].with_extension("seal")).unwrap();
    change(logs.last().unwrap(), |bytes| bytes.truncate(bytes.len() - 3));
    let before = contents(&store);
    let (code, planned, stderr) = run_on(&store.root, &["repair"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for what in [
        "change ns/orders/0/00000000000000000000.log",
        ".idx",
        ".seal",
        "cut ns/orders/0/",
        "keep what is cut off",
        "--yes",
    ] {
        assert!(planned.contains(what), "{what}: {planned}");
    }
    assert!(contents(&store) == before, "nothing is done unasked");
    let (code, done, stderr) = run_on(&store.root, &["repair", "--yes"]);
    assert!(code == 0 && done.contains("done; "), "{done} {stderr}");
    assert_eq!(std::fs::read_dir(store.root.join("quarantine")).unwrap().count(), 2, "a header and a tail");
    let (code, verified, _) = run_on(&store.root, &["verify"]);
    assert!(code == 0 && verified.starts_with("verified 12 records"), "{verified}");
    assert_eq!(run_on(&store.root, &["export", "--namespace", "orders"]).1, sound);
    assert_eq!(run_on(&store.root, &["repair"]).1, "nothing to mend\n");
    let again = Store::on(&store.root, &Start::default());
    assert_eq!((again.texts("start").len(), again.append(b"more")), (12, 12));
}

#[test]
fn damaged_records_stay_damaged_and_the_rest_is_mended() {
    let store = stopped();
    let logs = store.logs("orders");
    change(&logs[0], |bytes| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    });
    std::fs::remove_file(logs[1].with_extension("seal")).unwrap();
    let (code, _, stderr) = run_on(&store.root, &["repair", "--yes"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(logs[1].with_extension("seal").exists());
    let (code, verified, _) = run_on(&store.root, &["verify"]);
    assert!(code == 1 && verified.matches("do not verify").count() == 1 && !verified.contains("note: "), "{verified}");
}

#[test]
fn a_namespace_that_is_not_there_is_refused() {
    let store = stopped();
    let before = contents(&store);
    let (code, _, stderr) = run_on(&store.root, &["repair", "--yes", "--namespace", "nope"]);
    assert!(code == 1 && stderr.contains("there is no namespace \"nope\""), "{stderr}");
    assert!(contents(&store) == before);
}

#[test]
fn a_damaged_configuration_is_made_again_with_the_salt_of_the_segments() {
    let store = stopped();
    let sound = run_on(&store.root, &["export", "--namespace", "orders"]).1;
    let config = store.root.join("ns/orders/config");
    let given = store.root.with_extension("given.json");
    let repair = |more: &[&str]| {
        let given = given.display().to_string();
        run_on(&store.root, &[&["repair", "--namespace", "orders", "--config", &given], more].concat())
    };
    std::fs::write(&given, r#"{"rotation": {"max_segment_bytes": 65536}}"#).unwrap();
    let (code, _, stderr) = repair(&["--yes"]);
    assert!(code == 1 && stderr.contains("can be read"), "{stderr}");
    change(&config, |bytes| bytes[3] ^= 1);
    assert_eq!(run_on(&store.root, &["verify"]).0, 1);
    std::fs::write(&given, r#"{"partitions": 2}"#).unwrap();
    let (code, _, stderr) = repair(&["--yes"]);
    assert!(code == 1 && stderr.contains("partitions is 2"), "{stderr}");
    std::fs::write(&given, r#"{"rotations": 2}"#).unwrap();
    assert_eq!(repair(&[]).0, 2);
    std::fs::write(&given, r#"{"rotation": {"max_segment_bytes": 65536}}"#).unwrap();
    let before = contents(&store);
    let (code, planned, _) = repair(&[]);
    assert!(code == 0 && planned.starts_with("write ns/orders/config\n"), "{planned}");
    assert!(contents(&store) == before);
    let incarnation = "0d6a7a3e-92b5-4a94-8f61-3c1b8b1a0001";
    let (code, done, stderr) = repair(&["--yes", "--incarnation", incarnation]);
    assert!(code == 0 && done.contains("done; "), "{stderr}");
    assert_eq!(run_on(&store.root, &["export", "--namespace", "orders"]).1, sound);
    assert_eq!(run_on(&store.root, &["verify"]).0, 0);
    let again = Store::on(&store.root, &Start::default());
    assert_eq!(again.get("/v1/namespaces/orders").json()["incarnation"], incarnation);
    assert_eq!(again.append(b"more"), 12);
}

/// Without its configuration a namespace was no matter for repair: "nothing to mend", and 0, where verify ended with 1.
#[test]
fn a_namespace_that_only_its_configuration_can_mend_is_named() {
    let store = stopped();
    std::fs::remove_file(store.root.join("ns/orders/config")).unwrap();
    for more in [&[] as &[&str], &["--namespace", "orders"], &["--yes"], &["--namespace", "orders", "--yes"]] {
        let (code, said, stderr) = run_on(&store.root, &[&["repair"], more].concat());
        assert!(code == 1 && !said.contains("nothing to mend") && !said.contains("done"), "{more:?}: {said}");
        assert!(
            stderr.contains("the configuration of namespace \"orders\", ns/orders/config, cannot be read"),
            "{stderr}"
        );
        assert!(stderr.contains("--namespace \"orders\" --config FILE writes it again"), "{stderr}");
    }
    let given = store.root.with_extension("given.json");
    std::fs::write(&given, "{}").unwrap();
    let given = given.display().to_string();
    let (code, said, stderr) = run_on(&store.root, &["repair", "--namespace", "orders", "--config", &given, "--yes"]);
    assert!(code == 0 && said.contains("done; "), "{said} {stderr}");
    assert_eq!(run_on(&store.root, &["repair"]).0, 0);
    std::fs::rename(store.root.join("ns/orders"), store.root.join("ns/other")).unwrap();
    let (code, _, stderr) = run_on(&store.root, &["repair"]);
    assert!(
        code == 1 && stderr.contains("ns/other holds namespace \"orders\", whose directory is ns/orders"),
        "{stderr}"
    );
}
