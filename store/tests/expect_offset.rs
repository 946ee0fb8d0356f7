//! Conditional appends: only where the first record gets the offset that the sender expects.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::Store;
use serde_json::json;

const RECORDS: &str = "/v1/namespaces/orders/records";

#[test]
fn an_append_that_would_land_elsewhere_is_refused_with_where() {
    let store = Store::new();
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=0&split=lines"), b"a\nb").json()["offset"], 0);
    for wrong in ["0", "1", "3", "18446744073709551615"] {
        let answer = store.post(&format!("{RECORDS}?expect_offset={wrong}"), b"x");
        assert_eq!(answer.problem(), (409, "offset_mismatch".into()), "{wrong}");
        let problem = answer.json();
        assert_eq!((&problem["expected"], problem["got"].to_string()), (&json!(2), wrong.to_owned()));
        assert_eq!(problem["field"], "expect_offset");
    }
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=2"), b"c").json()["offset"], 2);
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=x"), b"c").problem().0, 400);
    assert_eq!(store.texts("start"), ["a", "b", "c"]);
}

/// Every round has one winner, and nobody's record is lost or stands twice.
#[test]
fn of_many_that_expect_the_same_offset_one_is_stored() {
    const ROUNDS: u64 = 20;
    let store = Store::new();
    for round in 0..ROUNDS {
        let path = format!("{RECORDS}?expect_offset={round}");
        let won = std::thread::scope(|scope| {
            let rivals: Vec<_> = (0..8)
                .map(|rival| {
                    let (store, path) = (&store, &path);
                    scope.spawn(move || store.post(path, format!("{round} {rival}").as_bytes()).status)
                })
                .collect();
            let statuses: Vec<_> = rivals.into_iter().map(|rival| rival.join().unwrap()).collect();
            assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
            statuses.iter().filter(|status| **status == 200).count()
        });
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(store.texts("start").len() as u64, ROUNDS);
}

/// The answer of the first attempt was lost; the record stands where it was expected, though that is the end no more.
#[test]
fn a_retry_with_an_identity_is_known_before_its_offset_is_compared() {
    let store = Store::new();
    let producer =
        [("Producer-Id", "00112233445566778899aabbccddeeff"), ("Producer-Epoch", "0"), ("Producer-Seq", "0")];
    let send = || store.send("POST", &format!("{RECORDS}?expect_offset=0"), &producer, b"x");
    assert_eq!(send().json()["duplicate"], false);
    let again = send();
    assert_eq!((again.status, &again.json()["duplicate"], &again.json()["offset"]), (200, &json!(true), &json!(0)));
}

#[test]
fn an_expected_offset_is_one_partitions() {
    let store = Store::new();
    store.put("/v1/namespaces/orders", &json!({"partitions": 2}));
    let unsaid = store.post(&format!("{RECORDS}?expect_offset=0"), b"x");
    assert_eq!((unsaid.problem().0, &unsaid.json()["field"]), (400, &json!("partition")));
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=0&partition=1"), b"x").status, 200);
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=0&partition=1"), b"x").status, 409);
    assert_eq!(store.post(&format!("{RECORDS}?expect_offset=0&partition=0"), b"x").status, 200);
}
