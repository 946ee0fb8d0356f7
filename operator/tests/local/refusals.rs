//! What cannot start, and what is said about it.

use std::process::{Output, Stdio};

use crate::run::Place;

async fn refused(place: &Place) -> (Option<i32>, String) {
    let Output { status, stdout: _, stderr } =
        place.command().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn an_invalid_file_starts_nothing_and_every_reason_has_a_line() {
    let place = Place::new("copies: 0\ncolour: blue");
    let (code, said) = refused(&place).await;
    assert_eq!(code, Some(2));
    let fields: Vec<&str> = said.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(fields, ["spec.colour", "spec.copies"], "{said}");
    assert!(!place.state().exists());
}

#[tokio::test]
async fn a_second_run_on_the_same_state_is_refused() {
    let place = Place::new("copies: 1");
    let mut run = place.start();
    run.until_ready(1).await;
    let (code, said) = refused(&place).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("is in use by another") && said.contains("--state"), "{said}");
    run.until_ready(1).await;
}

#[tokio::test]
async fn another_number_of_copies_is_refused_on_a_second_start_too() {
    let place = Place::new("copies: 1");
    let mut run = place.start();
    run.until_ready(1).await;
    run.interrupt().await;
    place.write("copies: 2");
    let (code, said) = refused(&place).await;
    assert_eq!(code, Some(2));
    assert!(said.starts_with("spec.copies: was 1, is 2; "), "{said}");
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let place = Place::new("copies: 1");
    let output = place.bare_command().args(["--logstore", "/no/such/logstore"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "logstore-operator: there is no file /no/such/logstore; name the logstore binary with --logstore\n"
    );
}
