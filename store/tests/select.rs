//! Reads that bring only the records that fit: tags and index ranges over HTTP, in pages, with waiting, across restarts.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::time::Duration;

use common::{Start, Store};

const RECORDS: &str = "/v1/namespaces/orders/records";
const NOTHING: [&str; 0] = [];

/// Ten records; the even ones have the tag `even`, every third `a b`.
fn tagged() -> Store {
    let store = Store::new();
    for number in 0..10 {
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        let third = if number % 3 == 0 { "&tag=a+b" } else { "" };
        let answer = store.post(&format!("{RECORDS}?tag={parity}{third}"), number.to_string().as_bytes());
        assert_eq!(answer.status, 200);
    }
    store
}

fn texts(store: &Store, query: &str) -> Vec<String> {
    let answer = store.send("GET", &format!("{RECORDS}?{query}"), &[("accept", "text/plain")], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().map(str::to_owned).collect()
}

#[test]
fn records_are_found_by_their_tags() {
    let store = tagged();
    let check = |store: &Store| {
        assert_eq!(texts(store, "tags=even"), ["0", "2", "4", "6", "8"]);
        assert_eq!(texts(store, "tags=even+AND+%22a+b%22"), ["0", "6"]);
        assert_eq!(texts(store, "tags=even+AND+NOT+%22a+b%22&order=desc"), ["8", "4", "2"]);
        assert_eq!(texts(store, "tags=%22a+b%22+OR+odd&from=4&until=8"), ["5", "6", "7"]);
        assert_eq!(texts(store, "tags=none"), NOTHING);
        assert_eq!(texts(store, "tags=NOT+none&limit=2"), ["0", "1"]);
        assert_eq!(texts(store, "tags=even&limit=0"), NOTHING);
    };
    check(&store);
    let store = store.restart(&Start::default());
    check(&store);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let store = tagged();
    let page = |query: &str| {
        let answer = store.get(&format!("{RECORDS}?tags=even&{query}"));
        let offsets: Vec<u64> = answer.lines().iter().map(|line| line["offset"].as_u64().unwrap()).collect();
        (offsets, answer.header("logstore-next").unwrap().to_owned())
    };
    assert_eq!(page("limit=2"), (vec![0, 2], "3".into()));
    assert_eq!(page("from=3&limit=2"), (vec![4, 6], "7".into()));
    assert_eq!(page("from=7&limit=2"), (vec![8], "10".into()));
    assert_eq!(page("order=desc&limit=2"), (vec![8, 6], "6".into()));
    assert_eq!(page("order=desc&limit=2&until=6"), (vec![4, 2], "2".into()));
    assert_eq!(page("order=desc&limit=2&until=2"), (vec![0], "0".into()));
    assert_eq!(page("max_bytes=0"), (vec![0], "2".into()), "one is always sent");
}

#[test]
fn what_cannot_be_asked_is_refused_by_name() {
    let store = tagged();
    let refused = |query: &str| {
        let answer = store.get(&format!("{RECORDS}?{query}"));
        (answer.problem(), answer.json())
    };
    let ((status, code), problem) = refused("tags=even+AND+(odd");
    assert_eq!(
        (status, &*code, &problem["field"], &problem["position"]),
        (400, "invalid_argument", &"tags".into(), &9.into())
    );
    assert_eq!(refused("index=price&min=1").0, (422, "no_such_index".into()));
    assert_eq!(refused("index=price&min=2&max=1").0, (400, "invalid_argument".into()));
    assert_eq!(refused("min=2").0, (400, "invalid_argument".into()));
    assert_eq!(refused("tags=even&wait=1s&order=desc").0, (400, "invalid_argument".into()));
}

#[test]
fn a_wait_holds_until_something_fits() {
    let store = tagged();
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| texts(&store, "tags=late&wait=30s"));
        std::thread::sleep(Duration::from_millis(100));
        for tag in ["even", "late"] {
            assert_eq!(store.post(&format!("{RECORDS}?tag={tag}"), tag.as_bytes()).status, 200);
        }
        waiting.join().unwrap()
    });
    assert_eq!(waiting, ["late"]);
    let begun = std::time::Instant::now();
    assert_eq!(texts(&store, "tags=never&wait=200ms"), NOTHING);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}
