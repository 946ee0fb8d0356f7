//! The process: crashes under load, orderly stops, roots that cannot be used, a full disk, the admin port.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Connection, Start, Store, eventually};

const RECORDS: &str = "/v1/namespaces/orders/records";

/// What clients were told was stored, by offset.
fn load_until(store: &Store, stop: &AtomicBool, clients: usize, tag: usize) -> BTreeMap<u64, String> {
    let acknowledged = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    let mut connection = Connection::open(store.address);
                    for number in 0.. {
                        let record = format!("{tag}-{client}-{number}");
                        match connection.send("POST", RECORDS, &[], record.as_bytes()) {
                            Ok(answer) if answer.status == 200 => {
                                acknowledged.push((answer.json()["offset"].as_u64().unwrap(), record));
                            }
                            _ => break,
                        }
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let count = acknowledged.len();
    let by_offset: BTreeMap<u64, String> = acknowledged.into_iter().collect();
    assert_eq!(by_offset.len(), count, "no offset was given twice");
    by_offset
}

#[test]
fn nothing_acknowledged_is_lost_or_moved_by_kills_under_load() {
    let mut store = Store::new();
    let mut acknowledged = BTreeMap::new();
    for round in 0..4 {
        let stop = AtomicBool::new(false);
        let told = std::thread::scope(|scope| {
            let load = scope.spawn(|| load_until(&store, &stop, 4, round));
            std::thread::sleep(Duration::from_millis(150));
            store.signal("-KILL");
            load.join().unwrap()
        });
        assert!(!told.is_empty());
        for (offset, record) in told {
            assert!(acknowledged.insert(offset, record).is_none(), "offset {offset} was given in an earlier life");
        }
        store = store.crash(&Start::default());
        let texts = store.texts("start");
        for (offset, record) in &acknowledged {
            assert_eq!(texts.get(usize::try_from(*offset).unwrap()), Some(record), "offset {offset}");
        }
    }
}

#[test]
fn sigterm_finishes_what_is_under_way_and_the_next_start_trusts_the_end() {
    let mut store = Store::new();
    store.append(b"one");
    let mut waiting = Connection::open(store.address);
    waiting.write(format!("GET {RECORDS}?from=end&wait=60s HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    assert!(store.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "a long poll holds nothing up");
    assert_eq!(waiting.answer().unwrap().status, 200);
    assert!(store.root.join("CLEAN").exists());
    let again = Store::on(&store.root, &Start::default());
    assert!(!store.root.join("CLEAN").exists(), "it is gone before anything is written");
    assert_eq!(again.texts("start"), ["one"]);
}

fn fails_to_start(root: &std::path::Path, start: &Start) -> String {
    fails(&mut Store::command(root, start))
}

fn fails(command: &mut std::process::Command) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn a_second_server_on_the_same_root_is_refused() {
    let store = Store::new();
    let stderr = fails_to_start(&store.root, &Start::default());
    assert!(stderr.contains("still holds LOCK") && stderr.contains("is in use by another store"), "{stderr}");
    assert!(stderr.contains(&format!("pid {}", store.pid())), "{stderr}");
    assert_eq!(store.append(b"the first goes on"), 0);
}

#[test]
fn a_successor_waits_for_the_lock() {
    let mut store = Store::new();
    store.append(b"one");
    store.signal("-STOP");
    let root = store.root.clone();
    let successor = std::thread::spawn(move || Store::on(&root, &Start::default()));
    std::thread::sleep(Duration::from_millis(500));
    store.signal("-KILL");
    assert!(!store.wait().success());
    assert_eq!(successor.join().unwrap().texts("start"), ["one"]);
}

#[test]
fn roots_and_ports_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let stderr = fails_to_start(&file.join("below"), &Start::default());
    assert!(stderr.contains("as the root") && stderr.contains("file/below"), "{stderr}");
    let stderr = fails_to_start(std::path::Path::new("/proc/logstore"), &Start::default());
    assert!(stderr.contains("/proc/logstore as the root"), "{stderr}");
    let store = Store::new();
    let mut taken = std::process::Command::new(common::binary());
    taken.args(["serve", "--listen", &store.address.to_string(), "--root"]).arg(dir.path().join("other"));
    let stderr = fails(&mut taken);
    assert!(stderr.contains(&format!("failed to listen on {}", store.address)), "{stderr}");
}

/// A store whose standard output was on a full disk, or went to a process that had ended, panicked at its start.
#[test]
fn a_standard_output_that_takes_nothing_keeps_no_store_from_serving() {
    let (reader, closed_pipe) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for output in [Stdio::from(full), Stdio::from(closed_pipe)] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Store::command(&dir.path().join("root"), &Start::default());
        let mut child = command.stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.rsplit("address=").next().unwrap().trim();
        assert!(line.contains("failed to write to standard output"), "{line}");
        let answer = Connection::open(address.parse().unwrap()).send("POST", RECORDS, &[], b"one").unwrap();
        assert_eq!(answer.status, 200);
        common::signal(child.id(), "-TERM");
        assert!(child.wait().unwrap().success());
    }
}

/// A tmpfs of its own, in a mount namespace that goes with the process.
fn on_small_disk(root: &std::path::Path, mib: u32) -> Option<Start> {
    let script = format!("mount -t tmpfs -o size={mib}m none \"$0\" && exec \"$@\"");
    let mut wrapper: Vec<String> =
        ["unshare", "--mount", "--map-root-user", "sh", "-c", &script].map(String::from).to_vec();
    wrapper.push(root.display().to_string());
    let mut probe = wrapper.clone();
    probe.push("true".into());
    let works = std::process::Command::new(&probe[0]).args(&probe[1..]).stderr(Stdio::null()).status();
    works.is_ok_and(|status| status.success()).then_some(Start { wrapper, ..Start::default() })
}

/// A file of a name that is kept for directories kept every start from succeeding, and the error named no file.
#[test]
fn files_of_reserved_names_are_cleared_away_like_directories() {
    let mut store = Store::new();
    store.append(b"one");
    assert!(store.stop().success());
    let namespaces = store.root.join("ns");
    let names = [".new-abc", ".deleted-abc"].map(|name| namespaces.join(name));
    names.iter().for_each(|name| std::fs::write(name, "x").unwrap());
    let (code, said, _) = common::run_on(&store.root, &["verify"]);
    assert!(code == 0 && said.contains("the next start would remove ns/.new-abc"), "{said}");
    let store = store.start_again(&Start::default());
    assert_eq!(store.texts("start"), ["one"]);
    assert!(names.iter().all(|name| !name.exists()));
    let dir = tempfile::tempdir().unwrap();
    let mounted = dir.path().join("root/ns/.new-abc");
    std::fs::create_dir_all(&mounted).unwrap();
    let Some(start) = on_small_disk(&mounted, 1) else {
        eprintln!("no mount namespaces here: not tried with what cannot be removed");
        return;
    };
    let stderr = fails_to_start(&dir.path().join("root"), &start);
    assert!(stderr.contains("failed to list the namespaces: ") && stderr.contains("/ns/.new-abc: "), "{stderr}");
}

#[test]
fn a_full_disk_refuses_appends_while_reads_and_trims_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(start) = on_small_disk(dir.path(), 24) else {
        eprintln!("no mount namespaces here: not tried on a real full disk");
        return;
    };
    let store = Store::on(dir.path(), &start);
    let record = vec![7; 1024 * 1024];
    let full = (0..100).map(|_| store.post(RECORDS, &record)).find(|answer| answer.status != 200).unwrap();
    assert_eq!(full.problem(), (507, "disk_full".into()));
    let end = store.get("/v1/namespaces/orders").json()["partitions"][0]["end"].as_u64().unwrap();
    assert!(end >= 4, "{end}");
    assert_eq!(store.get(&format!("{RECORDS}/0")).body, record);
    let trim = store.post("/v1/namespaces/orders/trim", format!("{{\"before\":{end}}}").as_bytes());
    assert_eq!(trim.json()["start"], end);
    eventually("room again", || store.post(RECORDS, &record).status == 200);
}

#[test]
fn the_admin_port_tells_life_readiness_and_counts() {
    let start = Start { arguments: vec!["--admin".into(), "127.0.0.1:0".into()], ..Start::default() };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let mut command = Store::command(&root, &start);
    let mut child = command.env("LOGSTORE_LOG", "info").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("admin port"))).unwrap();
    let address = line.rsplit("127.0.0.1:").next().unwrap().trim();
    let mut admin = Connection::open(format!("127.0.0.1:{address}").parse().unwrap());
    assert_eq!(admin.send("GET", "/livez", &[], b"").unwrap().status, 200);
    assert_eq!(admin.send("GET", "/readyz", &[], b"").unwrap().json(), serde_json::json!({"ready": true}));
    let metrics = admin.send("GET", "/metrics", &[], b"").unwrap();
    assert!(metrics.text().contains("logstore_namespaces 0") && metrics.text().ends_with("# EOF\n"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_head_that_cannot_be_parsed_is_answered() {
    let store = Store::new();
    let many: String = (0..150).map(|number| format!("X-{number}: 1\r\n")).collect();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        ("GET /a b HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (long, 414),
    ] {
        let mut connection = Connection::open(store.address);
        connection.write(head.as_bytes()).unwrap();
        assert_eq!(connection.answer().unwrap().status, status, "{}", &head[..20.min(head.len())]);
    }
}

#[test]
fn who_has_said_all_and_closed_that_side_gets_the_answer() {
    let store = Store::new();
    for number in 0..20 {
        let mut connection = Connection::open(store.address);
        connection
            .write(format!("POST {RECORDS} HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab").as_bytes())
            .unwrap();
        connection.shut_down();
        assert_eq!(connection.answer().unwrap().json()["offset"], number);
    }
}

#[test]
fn while_a_store_drains_new_connections_are_refused() {
    let mut store = Store::new();
    store.append(b"one");
    let mut slow = Connection::open(store.address);
    slow.write(format!("POST {RECORDS} HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    store.signal("-TERM");
    eventually("the refusal", || std::net::TcpStream::connect(store.address).is_err());
    slow.write(b"under way").unwrap();
    assert_eq!(slow.answer().unwrap().json()["offset"], 1, "what is under way is finished");
    assert!(store.wait().success());
}
