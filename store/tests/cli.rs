//! The command line against one real store.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use common::{Store, eventually, signal};

fn command(store: &Store, arguments: &[&str]) -> Command {
    let mut command = Command::new(common::binary());
    command.args(arguments).env("LOGSTORE_SERVER", format!("http://{}", store.address));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(store: &Store, arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child: Child = command(store, arguments).stdin(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments ends without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn lines_go_in_and_come_out() {
    let store = Store::new();
    let (code, stdout, _) = run(&store, &["append", "orders", "--tag", "t"], "one\n\nthree");
    assert_eq!((code, stdout.as_str()), (0, "appended 3 records at offsets 0..2 to 1 store\n"));
    let (_, stdout, _) = run(&store, &["append", "orders", "--offsets", "--batch", "2"], "a\nb\nc\n");
    assert_eq!(stdout, "3 2\n5 1\n");
    let read = |arguments: &[&str]| run(&store, &[&["read", "orders"], arguments].concat(), "").1;
    assert_eq!(read(&["--format", "text"]), "one\n\nthree\na\nb\nc\n");
    assert_eq!(read(&["--format", "raw", "--from", "-2"]), "bc");
    assert_eq!(read(&["--from", "4", "--limit", "1"]).matches("\"data\":\"b\"").count(), 1);
    assert!(read(&["--limit", "1"]).contains(r#""tags":["t"]"#));
    assert_eq!(read(&["--format", "text", "--tags", "t AND NOT u"]), "one\n\nthree\n");
    let (code, _, stderr) = run(&store, &["read", "orders", "--index", "price", "--min", "-5"], "");
    assert!(code != 0 && stderr.contains("no_such_index"), "{stderr}");
    let (_, listed, _) = run(&store, &["ls"], "");
    assert!(listed.lines().any(|line| line.starts_with("orders") && line.contains("active")), "{listed}");
}

#[test]
fn a_read_takes_order_times_and_a_level() {
    let store = Store::new();
    run(&store, &["append", "orders"], "a\nb\nc\nd\ne\n");
    let read = |arguments: &[&str]| run(&store, &[&["read", "orders", "--format", "raw"], arguments].concat(), "").1;
    assert_eq!(read(&["--order", "desc"]), "edcba");
    assert_eq!(read(&["--last", "3"]), "cde");
    assert_eq!(read(&["--last", "3", "--order", "desc", "--limit", "2"]), "ed");
    assert_eq!(read(&["--order", "desc", "--until", "2"]), "ba");
    assert_eq!(read(&["--from", "1", "--until", "3"]), "bc");
    assert_eq!(read(&["--since", "1h", "--level", "unconfirmed", "--partition", "0"]), "abcde");
    assert_eq!(read(&["--since", "2999-01-01T00:00:00Z"]), "");
    assert_eq!(read(&["--until", "2999-01-01T00:00:00Z", "--order", "desc"]), "edcba");
    assert_eq!(read(&["--until", "1h"]), "");
    for wrong in [
        &["--since", "noon"][..],
        &["--last", "1", "--from", "2"],
        &["--follow", "--order", "desc"],
        &["--follow", "--until", "3"],
        &["--level", "latest"],
    ] {
        assert_eq!(run(&store, &[&["read", "orders"], wrong].concat(), "").0, 2, "{wrong:?}");
    }
    let (code, _, stderr) = run(&store, &["read", "orders", "--partition", "7"], "");
    assert!(code == 1 && stderr.contains("partition_not_found"), "{code} {stderr}");
}

#[test]
fn failures_have_their_codes_and_name_what_is_wrong() {
    let store = Store::new();
    let (code, _, stderr) = run(&store, &["read", "nope"], "");
    assert!(code == 1 && stderr.contains("namespace_not_found"), "{code} {stderr}");
    assert_eq!(run(&store, &["append", "a/../b"], "x\n").0, 2);
    assert_eq!(run(&store, &["read", "orders", "--from", "middle"], "").0, 2);
    let (code, _, stderr) = run(&store, &["append", "orders", "--server", "127.0.0.1:1", "--timeout", "1s"], "x\n");
    assert!(code == 4 && stderr.contains("127.0.0.1:1"), "{code} {stderr}");
    let (code, _, stderr) = run(&store, &["append", "orders", "--file", "nowhere.yaml"], "x\n");
    assert!(code != 0 && stderr.contains("nowhere.yaml"), "{stderr}");
}

#[test]
fn an_open_pipe_is_sent_as_it_comes_and_followed_as_it_grows() {
    let store = Store::new();
    store.append(b"first");
    let mut reading = command(&store, &["read", "orders", "--follow", "--format", "text"]).spawn().unwrap();
    let mut lines = BufReader::new(reading.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    let mut appending = command(&store, &["append", "orders", "--offsets"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = appending.stdin.take().unwrap();
    for text in ["second", "third"] {
        writeln!(stdin, "{text}").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), text, "the pipe is still open");
    }
    drop(stdin);
    assert!(appending.wait().unwrap().success());
    reading.kill().unwrap();
    reading.wait().unwrap();
}

#[test]
fn an_append_that_is_told_to_end_tells_what_was_acknowledged() {
    let store = Store::new();
    for name in ["-INT", "-TERM"] {
        let mut child = command(&store, &["append", &name[1..]]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\ntwo\n").unwrap();
        let records = format!("/v1/namespaces/{}/records", &name[1..]);
        eventually("two records", || store.get(&records).lines().len() == 2);
        signal(child.id(), name);
        let Output { status, stdout, .. } = child.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&stdout).starts_with("appended 2 records"), "{name}: {status}");
        drop(stdin);
    }
}
