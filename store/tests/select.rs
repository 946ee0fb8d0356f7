//! Reads that bring only the records that fit: tags and index ranges over HTTP, in pages, with waiting, across restarts.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::time::{Duration, Instant};

use common::{Start, Store};
use serde_json::json;

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
    let begun = Instant::now();
    assert_eq!(texts(&store, "tags=never&wait=200ms"), NOTHING);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

/// Records at the prices 0, 10, … 90, and one without.
fn priced() -> Store {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/orders", &json!({"indices": ["other", "price"]})).status, 201);
    for price in (0..100).step_by(10) {
        append_at(&store, price);
    }
    store.append(b"without");
    store
}

fn append_at(store: &Store, price: i64) {
    let answer = store.post(&format!("{RECORDS}?index.price={price}"), price.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn records_are_found_by_a_range_of_an_index() {
    let store = priced();
    let check = |store: &Store| {
        assert_eq!(texts(store, "index=price&min=15&max=25"), ["20"]);
        assert_eq!(texts(store, "index=price&min=10&max=20"), ["10", "20"]);
        assert_eq!(texts(store, "index=price&min=15&max=15"), NOTHING);
        assert_eq!(texts(store, "index=price&min=80"), ["80", "90"]);
        assert_eq!(texts(store, "index=price&max=-1"), NOTHING);
        assert_eq!(texts(store, "index=price&min=10&max=45&limit=1"), ["10"], "the first");
        assert_eq!(texts(store, "index=price&min=10&max=45&limit=1&order=desc"), ["40"], "the last");
        assert_eq!(texts(store, "index=price").len(), 10);
        assert_eq!(texts(store, "index=other"), NOTHING);
    };
    check(&store);
    let store = store.restart(&Start::default());
    check(&store);
    // A value again, and lower than the last: all that fit are found, in the order of the log.
    for price in [20, 5, 20] {
        append_at(&store, price);
    }
    assert_eq!(texts(&store, "index=price&min=1&max=20"), ["10", "20", "20", "5", "20"]);
    let store = store.crash(&Start::default());
    assert_eq!(texts(&store, "index=price&min=1&max=20&order=desc"), ["20", "5", "20", "20", "10"]);
}

#[test]
fn a_range_is_held_until_its_highest_value_has_been_passed() {
    let store = priced();
    let begun = Instant::now();
    assert_eq!(texts(&store, "index=price&min=70&max=80&wait=30s"), ["70", "80"], "90 has passed it already");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(texts(&store, "index=price&min=70&max=90&wait=300ms"), ["70", "80", "90"], "the time is over");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    std::thread::scope(|scope| {
        let first_last = scope.spawn(|| texts(&store, "index=price&min=90&max=100&wait=30s&order=desc&limit=1"));
        let waiting = scope.spawn(|| texts(&store, "index=price&min=90&max=100&wait=30s"));
        for price in [100, 100] {
            std::thread::sleep(Duration::from_millis(100));
            append_at(&store, price);
        }
        assert!(!waiting.is_finished(), "more at 100 may come");
        append_at(&store, 101);
        assert_eq!(waiting.join().unwrap(), ["90", "100", "100"]);
        assert_eq!(first_last.join().unwrap(), ["100"]);
    });
}
