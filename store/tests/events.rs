//! Following a log as server-sent events.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use common::{Answer, Connection, Start, Store, damage};
use serde_json::{Value, json};

const RECORDS: &str = "/v1/namespaces/orders/records";

/// A reader of events, as the specification has it.
struct Events {
    connection: Connection,
    head: Answer,
    text: String,
}

#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<u64>,
    kind: String,
    data: String,
}

impl Events {
    fn open(store: &Store, query: &str, last: Option<u64>) -> Self {
        let mut connection = Connection::open(store.address);
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        let request = format!("GET {RECORDS}{query} HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n{last}\r\n");
        connection.write(request.as_bytes()).unwrap();
        let head = connection.head().unwrap();
        Self { connection, head, text: String::new() }
    }

    /// The next event, without comments; `None` at the end.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) =
                self.text.split_once("\n\n").map(|(block, rest)| (block.to_owned(), rest.to_owned()))
            {
                self.text = rest;
                let mut event = Event::default();
                let mut lines = Vec::new();
                for line in block.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("id", id) => event.id = id.parse().ok(),
                        ("event", kind) => event.kind = kind.to_owned(),
                        ("data", data) => lines.push(data.to_owned()),
                        (name, _) => assert!(name.starts_with(':'), "{block:?}"),
                    }
                }
                event.data = lines.join("\n");
                if !lines.is_empty() {
                    return Some(event);
                }
                continue;
            }
            let chunk = self.connection.chunk().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn take(&mut self, count: usize) -> Vec<(u64, String)> {
        (0..count).map(|_| self.next().unwrap()).map(|event| (event.id.unwrap(), event.data)).collect()
    }
}

fn record(id: u64, data: &str) -> Event {
    Event { id: Some(id), kind: String::new(), data: data.to_owned() }
}

#[test]
fn records_come_as_events_and_go_on_when_more_are_appended() {
    let store = Store::new();
    store.append(b"one");
    store.append(b"two\nlines\n");
    store.append(b"with\r\nreturn");
    store.append(b"");
    let mut events = Events::open(&store, "", None);
    assert_eq!(events.head.status, 200);
    assert_eq!(events.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.head.header("logstore-start"), Some("0"));
    assert_eq!(events.next(), Some(record(0, "one")));
    assert_eq!(events.next(), Some(record(1, "two\nlines\n")));
    assert_eq!(events.next(), Some(Event { kind: "record_b64".into(), ..record(2, "d2l0aA0KcmV0dXJu") }));
    assert_eq!(events.next(), Some(record(3, "")));
    store.append(b"news");
    assert_eq!(events.next(), Some(record(4, "news")));
    let mut late = Events::open(&store, "?from=-1", None);
    assert_eq!(late.next(), Some(record(4, "news")));
}

#[test]
fn a_reader_that_was_cut_off_goes_on_behind_the_last_event() {
    let store = Store::new();
    for number in 0..5 {
        store.append(format!("{number}").as_bytes());
    }
    let mut events = Events::open(&store, "?from=start", Some(2));
    assert_eq!(events.take(2), [(3, "3".into()), (4, "4".into())]);
    assert_eq!(Events::open(&store, "", Some(9)).head.status, 416);
    let odd = store.send("GET", RECORDS, &[("Accept", "text/event-stream"), ("Last-Event-ID", "x")], b"");
    assert_eq!((odd.problem(), &odd.json()["field"]), ((400, "invalid_argument".into()), &json!("Last-Event-ID")));
    let ends = store.send("GET", &format!("{RECORDS}?limit=5"), &[("Accept", "text/event-stream")], b"");
    assert_eq!(ends.problem(), (400, "unknown_parameter".into()));
    assert_eq!(Events::open(&store, "?from=6", None).head.status, 416);
}

/// A refusal ends the EventSource of a browser for ever, and one that comes back after a trim got it.
#[test]
fn a_reader_who_comes_back_after_a_trim_is_told_and_goes_on() {
    let store = Store::new();
    let append = |number: u64| {
        let query = if number.is_multiple_of(2) { "?tag=even" } else { "" };
        assert_eq!(store.post(&format!("{RECORDS}{query}"), format!("{number}").as_bytes()).status, 200);
    };
    let trim = |before: u64| {
        let body = json!({"before": before}).to_string();
        assert_eq!(store.post("/v1/namespaces/orders/trim", body.as_bytes()).status, 200);
    };
    let is_told = |events: &mut Events, start: u64| {
        assert_eq!(events.head.status, 200);
        let first = events.next().unwrap();
        let problem: Value = serde_json::from_str(&first.data).unwrap();
        assert_eq!((first.id, first.kind.as_str(), &problem["code"]), (Some(start - 1), "error", &json!("trimmed")));
        assert_eq!(problem["start"], start);
    };
    (0..13).for_each(append);
    trim(10);
    let mut events = Events::open(&store, "", Some(2));
    is_told(&mut events, 10);
    assert_eq!(events.take(3), [(10, "10".into()), (11, "11".into()), (12, "12".into())]);
    let mut even = Events::open(&store, "?tags=even", Some(2));
    is_told(&mut even, 10);
    assert_eq!(even.take(2), [(10, "10".into()), (12, "12".into())]);
    assert_eq!(Events::open(&store, "", Some(9)).take(1), [(10, "10".into())], "nothing is gone that was not had");
    assert_eq!(Events::open(&store, "?from=3", None).head.status, 410);
    trim(13);
    let mut empty = Events::open(&store, "", Some(2));
    is_told(&mut empty, 13);
    append(13);
    assert_eq!(empty.take(1), [(13, "13".into())]);
}

#[test]
fn records_that_are_wanted_come_and_the_others_do_not() {
    let store = Store::new();
    let put = store.send("PUT", "/v1/namespaces/orders", &[], br#"{"indices":["price"]}"#);
    assert_eq!(put.status, 201, "{put:?}");
    let append = |query: &str, text: &str| {
        assert_eq!(store.post(&format!("{RECORDS}?{query}"), text.as_bytes()).status, 200);
    };
    append("tag=paid&index.price=5", "zero");
    append("tag=open&index.price=6", "one");
    let mut paid = Events::open(&store, "?tags=paid", None);
    let mut dear = Events::open(&store, "?index=price&min=6&max=8", None);
    let mut behind = Events::open(&store, "?tags=paid", Some(0));
    assert_eq!(paid.take(1), [(0, "zero".into())]);
    assert_eq!(dear.take(1), [(1, "one".into())]);
    append("tag=open&index.price=9", "two");
    append("tag=paid&index.price=8", "three");
    assert_eq!(paid.take(1), [(3, "three".into())]);
    assert_eq!(dear.take(1), [(3, "three".into())]);
    assert_eq!(behind.take(1), [(3, "three".into())]);
    assert_eq!(Events::open(&store, "?index=prise", None).head.status, 422);
}

#[test]
fn a_stop_ends_the_events_and_none_is_lost_by_it() {
    let mut store = Store::new();
    store.append(b"one");
    let mut events = Events::open(&store, "", None);
    assert_eq!(events.next(), Some(record(0, "one")));
    assert!(store.stop().success());
    assert_eq!(events.next(), None, "the body ends as one that is whole");
}

#[test]
fn damage_is_an_event_and_the_rest_goes_on() {
    let store = Store::new();
    for number in 0..6 {
        store.append(format!("record {number}").as_bytes());
    }
    let store = store.restart(&Start::default());
    damage(&store.logs("orders")[0], &[b"record 0", b"record 3"]);
    let mut events = Events::open(&store, "", None);
    let first = events.next().unwrap();
    let problem: Value = serde_json::from_str(&first.data).unwrap();
    assert_eq!((first.id, first.kind.as_str(), &problem["code"]), (Some(0), "error", &json!("damaged")));
    assert_eq!(events.take(2), [(1, "record 1".into()), (2, "record 2".into())]);
    let second = events.next().unwrap();
    assert_eq!((second.id, second.kind.as_str()), (Some(3), "error"), "who is cut off here goes on behind the damage");
    assert_eq!(events.take(2), [(4, "record 4".into()), (5, "record 5".into())]);
}

#[test]
fn a_trim_that_is_faster_than_the_reader_is_told() {
    let store = Store::new();
    let large = "x".repeat(1_000_000);
    for _ in 0..40 {
        store.append(large.as_bytes());
    }
    // Nothing is read: the first events fill what lies between, and the rest waits in the log.
    let mut events = Events::open(&store, "", None);
    store.post("/v1/namespaces/orders/trim", br#"{"before":39}"#);
    let mut last = None;
    loop {
        let event = events.next().unwrap();
        if event.kind == "error" {
            let problem: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!((event.id, &problem["code"], &problem["start"]), (Some(38), &json!("trimmed"), &json!(39)));
            break;
        }
        assert!(event.id < Some(39), "the reader was slower than the trim");
        last = event.id;
    }
    assert!(last < Some(38), "{last:?}");
    assert_eq!(events.next().unwrap().id, Some(39));
}

#[test]
fn events_end_with_the_namespace() {
    let store = Store::new();
    store.append(b"one");
    let mut events = Events::open(&store, "", None);
    assert_eq!(events.next(), Some(record(0, "one")));
    store.put("/v1/namespaces/orders", &json!({"state": "closed"}));
    store.put("/v1/namespaces/orders", &json!({"state": "active"}));
    store.append(b"two");
    assert_eq!(events.next(), Some(record(1, "two")));
    assert_eq!(store.send("DELETE", "/v1/namespaces/orders", &[], b"").status, 204);
    let last = events.next().unwrap();
    let problem: Value = serde_json::from_str(&last.data).unwrap();
    assert_eq!((last.kind.as_str(), &problem["code"]), ("error", &json!("namespace_not_found")));
    assert_eq!(events.next(), None);
}

#[test]
fn a_reader_that_takes_nothing_holds_little_and_keeps_nobody_from_reading() {
    let store = Store::new();
    let body = vec!["x".repeat(10_000); 1_000].join("\n");
    (0..5).for_each(|_| assert_eq!(store.post(&format!("{RECORDS}?split=lines"), body.as_bytes()).status, 200));
    let before = resident(&store);
    let idle: Vec<Events> = (0..20).map(|_| Events::open(&store, "", None)).collect();
    for _ in 0..3 {
        assert_eq!(store.get(&format!("{RECORDS}?limit=1000")).lines().len(), 838, "8 MiB");
    }
    let grown = resident(&store).saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "{} followers of 50 MB each took {grown} bytes", idle.len());
    store.append(b"on");
}

fn resident(store: &Store) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", store.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
