//! Many logs in a process that may open few files.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test from outside")]

mod common;

use common::{Connection, Start, Store, eventually};

/// What the process may open; a quarter of it is for logs.
const LIMIT: usize = 128;
const NAMESPACES: usize = 300;

/// Others may end in `.log` too, such as where the output of the test goes.
fn open_logs(store: &Store) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", store.pid())).unwrap().filter_map(Result::ok);
    let log = |target: std::path::PathBuf| {
        target.starts_with(&store.root) && target.extension().is_some_and(|extension| extension == "log")
    };
    descriptors.filter(|name| std::fs::read_link(name.path()).is_ok_and(log)).count()
}

fn path(number: usize) -> String {
    format!("/v1/namespaces/log-{number}/records")
}

#[test]
fn more_logs_than_descriptors_are_written_and_read() {
    let limited = format!("ulimit -n {LIMIT} && exec \"$@\"");
    let wrapper = ["sh", "-c", &limited, "sh"].map(String::from).to_vec();
    let start = Start { wrapper, ..Start::default() };
    let mut store = Store::with(&start);
    for round in 0..2 {
        let mut connection = Connection::open(store.address);
        for number in 0..NAMESPACES {
            let text = format!("{round}-{number}");
            // Every second log is unsynced for a while, and cannot be closed then.
            let level = if number % 2 == 0 { "synced" } else { "written" };
            let path = format!("{}?durability={level}", path(number));
            let answer = connection.send("POST", &path, &[], text.as_bytes()).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        eventually("few open logs", || open_logs(&store) <= LIMIT / 4);
        for number in 0..NAMESPACES {
            let answer = connection.send("GET", &path(number), &[("Accept", "text/plain")], b"").unwrap();
            let texts: Vec<String> = (0..=round).map(|round| format!("{round}-{number}\n")).collect();
            assert_eq!(answer.text(), texts.concat());
            assert!(open_logs(&store) <= LIMIT / 4 + 2);
        }
        drop(connection);
        // Once with the marks of an orderly stop, once without.
        store = if round == 0 { store.restart(&start) } else { store.crash(&start) };
    }
    let answer = store.get(&path(NAMESPACES - 1));
    assert_eq!(answer.lines().len(), 2, "{answer:?}");
}
