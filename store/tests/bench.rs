//! `logstore bench` against real stores, and against what is none.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr, reason = "a test from outside")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Connection, Store, eventually, signal};
use serde_json::{Value, json};

/// How a load ended.
struct Ended {
    code: i32,
    /// One for each work.
    reports: Vec<Value>,
    stderr: String,
}

fn spawn(address: SocketAddr, line: &str) -> Child {
    let mut command = Command::new(common::binary());
    command.arg("bench").args(line.split_whitespace()).args(["--output", "json"]);
    command.env("LOGSTORE_SERVER", format!("http://{address}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let reports = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Ended { code: output.status.code().expect("it ends by itself"), reports, stderr }
}

fn bench(store: &Store, line: &str) -> Ended {
    wait(spawn(store.address, line))
}

/// The same, where everything is well.
fn well(store: &Store, line: &str) -> Vec<Value> {
    let Ended { code, reports, stderr } = bench(store, line);
    assert_eq!(code, 0, "{line}: {stderr} {reports:?}");
    for report in &reports {
        assert_eq!(report["outcome"], "complete", "{report}");
        for none in ["unanswered", "foreign", "wrong"] {
            assert_eq!(report[none], 0, "{none}: {report}");
        }
        assert_eq!((&report["errors"], &report["refused"]), (&json!({}), &json!({})), "{report}");
    }
    reports
}

/// Records in a namespace; 0 where it is not there.
fn end(store: &Store, namespace: &str) -> u64 {
    let answer = store.get(&format!("/v1/namespaces/{namespace}"));
    if answer.status == 404 { 0 } else { answer.json()["partitions"][0]["end"].as_u64().unwrap() }
}

fn exists(store: &Store, namespace: &str) -> bool {
    store.get(&format!("/v1/namespaces/{namespace}")).status == 200
}

#[test]
fn every_work_ends_and_counts_what_the_store_then_holds() {
    let store = Store::new();
    let works = "append --operations 300 --connections 3";
    let reports = well(&store, works);
    assert_eq!((&reports[0]["records"], end(&store, "bench")), (&json!(300), 300));
    assert_eq!(reports[0]["payload_bytes"], 30_000);
    let reports =
        well(&store, "batch scan read multiget --operations 40 --batch 50 --get 30 --connections 5 --pipeline 4");
    let [batch, scan, read, multiget] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((&batch["operations"], &batch["records"]), (&json!(40), &json!(2_000)));
    assert_eq!(end(&store, "bench"), 2_300);
    assert_eq!(scan["records"], 2_300, "all records, each once");
    assert_eq!((&read["records"], &multiget["records"]), (&json!(40), &json!(40 * 30)));
    let reports = well(&store, "mixed --operations 200 --append-percent 30 --durability written");
    let (appends, reads) = (&reports[0]["appends"]["records"], &reports[0]["reads"]["records"]);
    assert_eq!(appends.as_u64().unwrap() + reads.as_u64().unwrap(), 200);
    assert_eq!(end(&store, "bench"), 2_300 + appends.as_u64().unwrap());
    let before = end(&store, "bench");
    let reports = well(&store, "follow --operations 50 --followers 3 --threads 2");
    assert_eq!((&reports[0]["appends"]["records"], &reports[0]["undelivered"]), (&json!(50), &json!(0)));
    assert_eq!((&reports[0]["records"], end(&store, "bench")), (&json!(150), before + 50));
    assert!(reports[0]["latency_us"]["p50"].as_f64().unwrap() > 0.0);
}

#[test]
fn producers_and_namespaces_in_turn_with_pipelining_lose_and_repeat_nothing() {
    let store = Store::new();
    let line = "append batch scan --namespace many --namespaces 7 --connections 4 --pipeline 16 --producer --batch 10";
    let reports = well(&store, &format!("{line} --operations 500 --record-size 1KiB"));
    let records: Vec<_> = reports.iter().map(|report| report["records"].as_u64().unwrap()).collect();
    let ends: Vec<_> = (0..7).map(|number| end(&store, &format!("many-{number}"))).collect();
    assert_eq!((records, ends.iter().sum::<u64>()), (vec![500, 5_000, 5_500], 5_500));
    assert!(ends.iter().all(|end| *end > 0), "{ends:?}");
}

#[test]
fn a_scan_and_a_warm_up_end_by_their_time_too() {
    let store = Store::new();
    let reports = well(&store, "append --warm-up 200ms --operations 50");
    let warm_up = reports[0]["warm_up"]["appended"].as_u64().unwrap();
    assert_eq!((&reports[0]["records"], end(&store, "bench")), (&json!(50), 50 + warm_up));
    let reports = well(&store, "append --duration 300ms --durability written --pipeline 8");
    assert_eq!(end(&store, "bench"), 50 + warm_up + reports[0]["records"].as_u64().unwrap());
    let reports = well(&store, "scan --operations 1 --connections 1");
    assert_eq!(reports[0]["operations"], 1);
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let store = Store::new();
    let reports = well(&store, "append --rate 200 --duration 1s --durability written --connections 7 --pipeline 8");
    let [operations, not_sent] = ["operations", "not_sent"].map(|name| reports[0][name].as_u64().unwrap());
    assert_eq!(operations + not_sent, 200);
    assert_eq!(end(&store, "bench"), operations);
    let reports = well(&store, "read --rate 500 --operations 100");
    assert_eq!((&reports[0]["operations"], &reports[0]["rate"]), (&json!(100), &json!(500.0)));
}

#[test]
fn a_stall_shows_in_everything_that_was_due_meanwhile() {
    let store = Store::new();
    let child = spawn(store.address, "append --rate 200 --duration 8s --connections 2 --durability written");
    eventually("records", || end(&store, "bench") > 20);
    store.signal("-STOP");
    std::thread::sleep(std::time::Duration::from_secs(1));
    store.signal("-CONT");
    let Ended { code, reports, stderr } = wait(child);
    assert_eq!(code, 0, "{stderr}");
    let late = reports[0]["late"].as_u64().unwrap();
    assert!(late > 100, "200 were due in that second, of which 2 had left: {reports:?}");
}

#[test]
fn refusals_are_counted_and_waited_for_and_cost_no_producer_its_sequence() {
    let store = Store::new();
    let config = json!({"quota": {"max_append_bytes_per_second": 2_000}});
    assert_eq!(store.put("/v1/namespaces/bench", &config).status, 201);
    for line in ["--connections 3", "--connections 2 --pipeline 4 --producer"] {
        let before = end(&store, "bench");
        let Ended { code, reports, stderr } = bench(&store, &format!("append --duration 3s {line}"));
        assert_eq!((code, &reports[0]["outcome"]), (0, &json!("complete")), "{stderr}");
        assert!(reports[0]["refused"]["quota_exceeded"].as_u64().unwrap() > 0, "{reports:?}");
        assert_eq!(end(&store, "bench") - before, reports[0]["records"].as_u64().unwrap(), "{reports:?}");
        assert_eq!((&reports[0]["errors"], &reports[0]["unanswered"]), (&json!({}), &json!(0)));
    }
}

#[test]
fn a_store_that_refuses_for_good_ends_the_load() {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/bench", &json!({"state": "read_only"})).status, 201);
    let Ended { code, reports, stderr } = bench(&store, "append read --duration 600s");
    assert_eq!((code, &reports[0]["outcome"], reports.len()), (1, &json!("stopped"), 1));
    assert!(stderr.contains("namespace_read_only") && stderr.contains("1 works were left out"), "{stderr}");
    let Ended { code, stderr, .. } = bench(&store, "read");
    assert!(code == 1 && stderr.contains("bench holds no records to read; name `append`"), "{stderr}");
    assert_eq!(store.put("/v1/namespaces/parts", &json!({"partitions": 3})).status, 201);
    let Ended { code, stderr, .. } = bench(&store, "append --namespace parts");
    assert!(code == 1 && stderr.contains("parts has 3 partitions"), "{stderr}");
    let Ended { code, stderr, .. } = bench(&Store::ordered(), "append");
    assert!(code == 1 && stderr.contains("one of several copies"), "{stderr}");
}

#[test]
fn records_that_are_not_what_was_written_are_found() {
    let store = Store::new();
    well(&store, "append --operations 10");
    let records = "/v1/namespaces/bench/records";
    let first = store.get(&format!("{records}/0")).body;
    assert!(first.starts_with(b"lsbench "), "{first:?}");
    store.post(records, b"somebody else's");
    let Ended { code, reports, .. } = bench(&store, "scan");
    assert_eq!((code, &reports[0]["foreign"], &reports[0]["wrong"]), (0, &json!(1), &json!(0)));
    let mut wrong = first;
    *wrong.last_mut().unwrap() ^= 1;
    store.post(records, &wrong);
    for work in ["scan", "multiget --get 5000 --operations 1", "read --operations 2000"] {
        let Ended { code, reports, stderr } = bench(&store, work);
        assert!(code == 1 && reports[0]["wrong"].as_u64().unwrap() > 0, "{work}: {reports:?}");
        assert!(stderr.contains("not what was written"), "{stderr}");
    }
}

#[test]
fn a_target_that_is_no_store_is_refused_before_any_load() {
    for answer in [
        &b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let len = stream.read(&mut [0; 4096]).unwrap();
                counted.fetch_add(usize::from(len > 0), Ordering::SeqCst);
                let _ = stream.write_all(answer);
            }
        });
        let Ended { code, reports, stderr } = wait(spawn(address, "append"));
        assert!(code == 4 && reports.is_empty(), "{stderr}");
        assert!(stderr.contains(&address.to_string()) && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.contains("logstore answers"), "{stderr}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "nothing but who it is was asked");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Ended { code, stderr, .. } = wait(spawn(closed, "append"));
    assert!(code == 4 && stderr.contains("failed to connect"), "{stderr}");
    let Ended { code, stderr, .. } = wait(spawn(closed, "append --server https://127.0.0.1:1"));
    assert!(code == 2 && stderr.contains("plain HTTP/1.1"), "{stderr}");
    let Ended { code, stderr, .. } = wait(spawn(closed, "append --server a:1 --server b:1"));
    assert!(code == 2 && stderr.contains("2 stores are named"), "{stderr}");
}

#[test]
fn connections_that_are_ended_with_an_answer_are_opened_again() {
    let store = Store::new();
    let (listener, behind) = (TcpListener::bind("127.0.0.1:0").unwrap(), store.address);
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(|stream| one_request(stream.unwrap(), behind)));
    let Ended { code, reports, stderr } = wait(spawn(address, "append read --operations 60 --connections 1"));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(reports.iter().map(|report| &report["records"]).collect::<Vec<_>>(), [60, 60]);
    assert_eq!(end(&store, "bench"), 60);
}

/// What stands between, takes one request on each connection, as some proxies do after a thousand.
fn one_request(mut stream: TcpStream, behind: SocketAddr) {
    stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let (mut request, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut bytes) {
        request.extend_from_slice(&bytes[..len]);
        let head_end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(request[..head_end].to_vec()).unwrap();
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if request.len() == head_end + length.unwrap_or(0) {
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let once = if head.contains("if-none-match") { &[("If-None-Match", "*")][..] } else { &[] };
            let answer = Connection::open(behind).send(method, path, once, &request[head_end..]).unwrap();
            let kind = answer.header("content-type").unwrap_or("text/plain");
            let (status, len) = (answer.status, answer.body.len());
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(&[head.as_bytes(), &answer.body].concat()).unwrap();
            return;
        }
    }
}

#[test]
fn wrong_options_are_named_and_nothing_is_sent() {
    let store = Store::new();
    for (line, named) in [
        ("append --connections 0", "--connections"),
        ("append --record-size 0", "--record-size"),
        ("append --rate soon", "--rate"),
        ("append --duration 0s", "--duration"),
        ("scan --rate 5", "--rate"),
        ("append --batch 7", "--batch"),
        ("", "<WORK>"),
    ] {
        let Ended { code, stderr, .. } = bench(&store, line);
        assert!(code == 2 && stderr.contains(named), "{line}: {code} {stderr}");
    }
    assert!(!exists(&store, "bench"));
}

#[test]
fn a_signal_ends_the_load_with_partial_results() {
    for (work, with) in
        [("append scan", "-INT"), ("mixed", "-TERM"), ("follow", "-INT"), ("append --rate 100", "-TERM")]
    {
        let store = Store::new();
        let child = spawn(store.address, &format!("{work} --duration 600s --namespace gone --cleanup"));
        eventually("records", || end(&store, "gone") > 20);
        signal(child.id(), with);
        let Ended { code, reports, stderr } = wait(child);
        assert_eq!((code, reports.len()), (1, 1), "{stderr}");
        assert_eq!((&reports[0]["outcome"], &reports[0]["reason"]), (&json!("interrupted"), &json!("interrupted")));
        assert!(reports[0]["operations"].as_u64().unwrap() > 0, "{reports:?}");
        assert!(stderr.contains("did not come to its end"), "{stderr}");
        assert!(!exists(&store, "gone"), "it is cleaned up all the same");
    }
}

#[test]
fn a_store_that_dies_or_hangs_ends_the_load_with_partial_results() {
    for (work, fate) in
        [("append", "-KILL"), ("append --pipeline 16 --producer", "-KILL"), ("append", "-STOP"), ("follow", "-KILL")]
    {
        let store = Store::new();
        let child = spawn(store.address, &format!("{work} --duration 600s --timeout 2s"));
        eventually("records", || end(&store, "bench") > 20);
        store.signal(fate);
        let Ended { code, reports, stderr } = wait(child);
        assert_eq!((code, &reports[0]["outcome"]), (4, &json!("stopped")), "{work}: {stderr}");
        assert!(reports[0]["operations"].as_u64().unwrap() > 0, "{reports:?}");
        assert!(stderr.contains(&store.address.to_string()), "{stderr}");
    }
}

#[test]
fn a_cleanup_removes_what_the_load_has_made_and_nothing_else() {
    let store = Store::new();
    assert_eq!(store.put("/v1/namespaces/c-1", &json!({})).status, 201);
    let line = "append --namespace c --namespaces 3 --operations 30 --connections 1";
    let Ended { code, stderr, .. } = bench(&store, &format!("{line} --cleanup"));
    assert!(code == 0 && stderr.contains("are removed: 2"), "{stderr}");
    assert_eq!([0, 1, 2].map(|number| exists(&store, &format!("c-{number}"))), [false, true, false]);
    assert_eq!(end(&store, "c-1"), 10, "what was appended to it stays");
    let Ended { code, stderr, .. } = bench(&store, line);
    assert!(code == 0 && stderr.contains("stay: 2 (c-0…)"), "{stderr}");
    assert!(exists(&store, "c-0") && exists(&store, "c-2"));
    let Ended { code, stderr, .. } = bench(&store, &format!("{line} --cleanup"));
    assert!(
        code == 0 && stderr.is_empty() && exists(&store, "c-0"),
        "those of an earlier run are not its own: {stderr}"
    );
}

#[test]
fn text_is_for_people_and_names_what_was_done() {
    let store = Store::new();
    let url = format!("http://{}", store.address);
    let line = ["bench", "append", "--operations", "20", "--server", &url, "--seed", "7"];
    let (code, stdout, stderr) = common::run(&line, b"");
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(code, 0, "{stderr}");
    for wanted in
        ["append: 20 operations, 20 records in ", &url, "logstore 0.1.0", "closed loop", "synced", "seed 7", "p99.9 "]
    {
        assert!(stdout.contains(wanted), "{wanted}: {stdout}");
    }
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "no bar in a pipe: {stderr}");
}
