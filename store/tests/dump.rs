//! `logstore dump` on the files of a stopped store.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Store, run, run_on};
use serde_json::{Value, json};

fn stopped() -> Store {
    let mut store = Store::new();
    for number in 0..5 {
        store.append(format!("record {number}").as_bytes());
    }
    store.post("/v1/namespaces/orders/records?split=lines&tag=t", b"one\ntwo");
    store.post("/v1/namespaces/orders/trim", br#"{"before": 2}"#);
    assert!(store.stop().success());
    store
}

fn entries(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const DUMP: [&str; 4] = ["dump", "--json", "--namespace", "orders"];

#[test]
fn frames_are_printed_with_what_they_hold_but_not_the_salt() {
    let store = stopped();
    let (code, text, stderr) = run_on(&store.root, &DUMP);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let entries = entries(&text);
    assert_eq!((&entries[0]["is"], &entries[0]["base_frame"]), (&json!("segment"), &json!(0)));
    let kinds: Vec<_> = entries[1..].iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "data", "data", "data", "data", "data", "data", "trim", "snapshot"]);
    assert_eq!((&entries[7]["record_count"], &entries[7]["base_offset"]), (&json!(2), &json!(5)));
    assert_eq!(entries[7]["records"][1]["data_len"], 3);
    assert_eq!(entries[8]["body"], json!({"before": 2}));
    assert_eq!(entries[9]["body"]["trim_start"], 2);
    let config = std::fs::read_to_string(store.root.join("ns/orders/config")).unwrap();
    let salt = config.split("\"salt\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (_, plain, _) = run_on(&store.root, &["dump", "--namespace", "orders", "--records"]);
    assert!(
        plain.contains(" trim frame 6 offset 7 ") && plain.contains("record data 3 alloc 3 meta 4 sound"),
        "{plain}"
    );
    assert!(!text.contains(&salt) && !plain.contains(&salt));
}

#[test]
fn damage_is_printed_with_what_is_sound_of_it_and_the_rest_behind_it() {
    let store = stopped();
    let path = store.logs("orders")[0].clone();
    let file = path.display().to_string();
    let whole = std::fs::read(&path).unwrap();
    let batch = entries(&run_on(&store.root, &DUMP).1)[7].clone();
    let second = usize::try_from(batch["records"][1]["position"].as_u64().unwrap()).unwrap();
    let mut damaged = whole.clone();
    damaged[second + 20] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let (code, stdout, _) = run(&["dump", &file, "--json"], b"");
    let found = entries(std::str::from_utf8(&stdout).unwrap());
    let damage = &found[7];
    assert_eq!((code, &damage["is"], &damage["from"]), (1, &json!("damage"), &batch["position"]));
    let sound: Vec<_> = damage["header"]["records"].as_array().unwrap().iter().map(|r| r["sound"].clone()).collect();
    assert_eq!(sound, [true, false]);
    assert_eq!(found[8]["kind"], "trim");
    damaged[20] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let (code, _, stderr) = run(&["dump", &file], b"");
    assert!(code == 1 && stderr.contains("give the root and the namespace"), "{stderr}");
    let (code, text, _) = run_on(&store.root, &["dump", "--namespace", "orders"]);
    assert!(code == 1 && text.contains("its header does not verify") && text.contains(" trim frame 6 "), "{text}");
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let (code, stdout, _) = run(&["dump", &file], b"");
    assert!(code == 1 && String::from_utf8(stdout).unwrap().contains("nothing sound follows"));
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    for arguments in [&["dump"][..], &["dump", "file", "--root", "x", "--namespace", "a"], &["dump", "--root", "x"]] {
        assert_eq!(run(arguments, b"").0, 2, "{arguments:?}");
    }
}
