//! Two real copies and the writer: one order, takeovers, rivals, copies that are killed and come back.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Start, Store};
use logstore_api::NamespaceName;
use logstore_client::{Record, Writer, WriterOptions};
use serde_json::json;

fn ordered() -> Start {
    Start { config: Some(json!({"ordered": true})), ..Start::default() }
}

/// Two copies with the namespace `orders`, as an operator makes them.
fn copies() -> [Store; 2] {
    let copies = [Store::with(&ordered()), Store::with(&ordered())];
    let internal = json!({"owner": "local/events", "revision": 1, "incarnation": uuid::Uuid::new_v4(), "salt": "42"});
    for copy in &copies {
        assert_eq!(copy.put("/v1/namespaces/orders", &json!({"internal": internal})).status, 201);
    }
    copies
}

fn url(store: &Store) -> String {
    format!("http://{}", store.address)
}

fn client(store: &Store) -> logstore_client::Store {
    logstore_client::Store::new(&url(store)).unwrap()
}

/// The bytes of all frames: the same on both copies, or they are no copies.
fn frames(store: &Store) -> Vec<u8> {
    store.get("/v1/frames?namespace=orders&from=0").body
}

fn append(copies: [&Store; 2], arguments: &[&str], lines: &str) -> Output {
    let mut command = Command::new(common::binary());
    command.args(["append", "orders"]).args(arguments);
    for copy in copies {
        command.args(["--server", &url(copy)]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let feeding = std::thread::spawn(move || {
        let _ = stdin.write_all(lines.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output
}

fn numbered(count: usize) -> (String, Vec<String>) {
    let lines: Vec<String> = (0..count).map(|number| format!("record {number}")).collect();
    (lines.iter().map(|line| format!("{line}\n")).collect(), lines)
}

#[test]
fn both_copies_hold_the_same_records_at_the_same_offsets() {
    let [a, b] = copies();
    let (text, lines) = numbered(500);
    let output = append([&a, &b], &["--batch", "7"], &text);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "appended 500 records at offsets 0..499 to 2 copies\n");
    assert_eq!((a.texts("start"), b.texts("start")), (lines.clone(), lines));
    assert_eq!(frames(&a), frames(&b));
    let again = append([&b, &a], &[], "the order of the servers does not matter\n");
    assert!(again.status.success(), "{again:?}");
    assert_eq!(frames(&a), frames(&b));
    assert_eq!(a.texts("-1"), ["the order of the servers does not matter"]);
}

#[test]
fn a_copy_that_is_killed_in_the_middle_gets_what_it_misses() {
    let [a, b] = copies();
    let (text, lines) = numbered(20_000);
    let address = b.address;
    let root: PathBuf = b.root.clone();
    let (output, _b_again) = std::thread::scope(|scope| {
        let appending = scope.spawn(|| append([&a, &b], &["--batch", "20", "--offsets"], &text));
        common::eventually("the first records", || {
            a.get("/v1/fence?namespace=orders").json()["partitions"][0]["next_frame"].as_u64() > Some(20)
        });
        b.signal("-KILL");
        std::thread::sleep(Duration::from_millis(300));
        // The same address, as a restarted process has it.
        let mut command = Command::new(common::binary());
        command.args(["serve", "--listen", &address.to_string(), "--root"]).arg(&root);
        command.arg("--config").arg(root.with_extension("config.json")).env("LOGSTORE_LOG", "warn");
        let again = Process(command.stdout(Stdio::null()).spawn().unwrap());
        (appending.join().unwrap(), again)
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(a.texts("start"), lines);
    assert_eq!(frames(&a), frames(&b), "b answers at the same address");
    let acknowledged: usize = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(acknowledged, 20_000);
}

/// Ended when it goes out of scope.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_the_loser_stops_and_names_the_winner() {
    let [a, b] = copies();
    let name = NamespaceName::parse("orders").unwrap();
    let stores = || vec![client(&a), client(&b)];
    let first = Writer::open(stores(), name.clone(), WriterOptions::default()).await.unwrap();
    first.append(&[Record::new("of the first")]).await.unwrap();
    let second = Writer::open(stores(), name.clone(), WriterOptions::default()).await.unwrap();
    let winner = second.reign().clone();
    let error = first.append(&[Record::new("too late")]).await.unwrap_err().to_string();
    assert!(error.contains(&winner.writer.to_string()) || error.contains(&winner.label), "{error}");
    assert!(first.append(&[Record::new("never")]).await.is_err(), "it stays stopped");
    second.append(&[Record::new("of the second")]).await.unwrap();
    second.close().await.unwrap();
    let texts = a.texts("start");
    assert_eq!(
        (texts.first().map(String::as_str), texts.last().map(String::as_str)),
        (Some("of the first"), Some("of the second"))
    );
    assert!(!texts.iter().any(|text| text == "never"));
    assert_eq!(frames(&a), frames(&b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_brings_the_shorter_copy_to_the_longer() {
    let [a, b] = copies();
    let name = NamespaceName::parse("orders").unwrap();
    let writer = Writer::open(vec![client(&a), client(&b)], name.clone(), WriterOptions::default()).await.unwrap();
    writer.append(&[Record::new("on both")]).await.unwrap();
    b.signal("-STOP");
    // It reaches one copy and is acknowledged by none.
    let pending = writer.submit(&[Record::new("on one")]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop((pending, writer));
    b.signal("-CONT");
    let next = Writer::open(vec![client(&a), client(&b)], name, WriterOptions::default()).await.unwrap();
    next.append(&[Record::new("next")]).await.unwrap();
    next.close().await.unwrap();
    assert_eq!(frames(&a), frames(&b));
    assert_eq!(a.texts("start"), b.texts("start"));
    assert_eq!(a.texts("-1"), ["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_holds_on_both_copies() {
    let [a, b] = copies();
    let name = NamespaceName::parse("orders").unwrap();
    let writer = Writer::open(vec![client(&a), client(&b)], name, WriterOptions::default()).await.unwrap();
    writer.append(&["one", "two", "three"].map(Record::new)).await.unwrap();
    writer.trim(2).await.unwrap();
    writer.append(&[Record::new("four")]).await.unwrap();
    writer.close().await.unwrap();
    for copy in [a, b] {
        assert_eq!(copy.texts("start"), ["three", "four"]);
        assert_eq!(copy.crash(&ordered()).texts("start"), ["three", "four"], "what was confirmed is shown again");
    }
}

#[test]
fn while_a_copy_is_away_nothing_is_acknowledged_and_the_command_says_which() {
    let [a, mut b] = copies();
    assert!(b.stop().success());
    let output = append([&a, &b], &["--timeout", "2s"], "x\n");
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&b.address.to_string()), "{stderr}");
    assert_eq!(a.texts("start"), Vec::<String>::new());
}
