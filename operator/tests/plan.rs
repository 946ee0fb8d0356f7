//! `plan`, `crd` and their refusals, as a user sees them. The objects of the examples are compared whole.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the seam for faults is the store's; this reads files of the repository")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use std::io::Write;

fn operator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logstore-operator"));
    command.env_remove("LOGSTORE_IMAGE");
    command
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn plan_of_text(text: &str) -> Output {
    let command = operator()
        .args(["plan", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn assert_is_committed(example: &str) {
    let file = repository("docs/examples").join(example);
    let output = operator().arg("plan").arg("-f").arg(file).args(["--image", "logstore:test"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let planned = String::from_utf8(output.stdout).unwrap();
    let snapshot = repository("operator/tests/plan").join(example);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&snapshot, &planned).unwrap();
    }
    let committed = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert!(
        planned == committed,
        "{} is not what {example} becomes; look at the difference after: UPDATE_GENERATED=1 cargo test -p logstore-operator --test plan\n{planned}",
        snapshot.display()
    );
}

#[test]
fn two_copies_become_these_objects() {
    assert_is_committed("events.yaml");
}

#[test]
fn one_copy_becomes_these_objects() {
    assert_is_committed("single.yaml");
}

#[test]
fn crd_prints_the_committed_definition() {
    let output = operator().arg("crd").output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, std::fs::read(repository("crds/logstore.dev_logstores.yaml")).unwrap());
}

#[test]
fn an_invalid_file_ends_with_every_reason_on_a_line_of_its_own() {
    let output = plan_of_text(
        "{apiVersion: logstore.dev/v1alpha1, kind: LogStore, metadata: {name: events}, spec: {copies: 0, storage: {size: 10}, colour: blue}}",
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    let fields: Vec<&str> = said.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(fields, ["spec.colour", "spec.copies", "spec.storage.size"], "{said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = operator().args(["plan", "-f", "/no/such/file.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("logstore-operator: failed to read /no/such/file.yaml: "), "{said}");
}
