//! The store's figures, each against its reference in the same run: `make bench`.
//!
//! Every comparison runs in interleaved rounds, and the median of the rounds counts, so that a machine that is slow for
//! a while is slow for both sides. The load comes from this process, the servers are processes of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on has nothing to say")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its results")]
#![allow(clippy::disallowed_methods, reason = "it measures files")]
#![allow(clippy::cast_possible_truncation, reason = "counts of a few seconds")]

mod copies;
mod disk;
mod find;
mod load;
mod null;
mod report;
mod restart;
mod servers;

use std::time::Duration;

use load::{Load, run as run_load};
use report::{Figure, Report};
use servers::Server;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 64;
const RECORD_BYTES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "null-server") {
        return null::serve();
    }
    let only = std::env::var("ONLY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let mut report = Report::default();
    if wanted("append") {
        appends(&mut report);
    }
    if wanted("copies") {
        copies::measure(&mut report);
    }
    if wanted("restart") {
        restart::measure(&mut report);
    }
    if wanted("find") {
        find::measure(&mut report);
    }
    report.print();
    if only.is_none() {
        report.write("docs/benchmarks.md");
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Lone appends: the store at both levels against the same HTTP stack doing nothing, and against the disk.
fn appends(report: &mut Report) {
    let dir = tempfile::tempdir_in(servers::scratch()).unwrap();
    let null = Server::null();
    let store = Server::store(&dir.path().join("store"));
    let idle_mib = store.resident_mib();
    for (name, durability) in [("written", "written"), ("synced", "synced")] {
        store.put_namespace(name, &format!(r#"{{"durability":"{durability}"}}"#));
    }
    let (mut nothing, mut written, mut synced) = (Vec::new(), Vec::new(), Vec::new());
    let mut disk_allows = Vec::new();
    for round in 0..ROUNDS {
        eprintln!("appends: round {} of {ROUNDS}", round + 1);
        let load = |server: &Server, namespace: &str| {
            let path = format!("/v1/namespaces/{namespace}/records");
            run_load(&Load {
                address: server.address,
                path,
                connections: CONNECTIONS,
                record_bytes: RECORD_BYTES,
                time: ROUND,
            })
        };
        nothing.push(load(&null, "written"));
        written.push(load(&store, "written"));
        synced.push(load(&store, "synced"));
        disk_allows.push(CONNECTIONS as f64 / disk::sync_seconds(dir.path(), RECORD_BYTES + 72));
    }
    let loaded_mib = store.resident_mib();
    let about = format!("{RECORD_BYTES} B appends, {CONNECTIONS} connections");
    let null_rate = report.rate(&format!("{about}: the HTTP stack doing nothing"), &nothing);
    let written_rate = report.rate(&format!("{about}: `written`"), &written);
    let synced_rate = report.rate(&format!("{about}: `synced`"), &synced);
    let allowed = report.rate(&format!("{CONNECTIONS} connections / measured `fdatasync`"), &disk_allows);
    report.ratio("`written` / HTTP stack doing nothing", written_rate / null_rate, "≥ 0.6");
    report.ratio("`synced` / HTTP stack doing nothing", synced_rate / null_rate, "≥ 0.4, or the next line");
    report.ratio(
        "`synced` / what connections and `fdatasync` allow",
        synced_rate / allowed,
        "≥ 0.9, or the line above",
    );
    report.add(Figure::new("resident memory, idle", format!("{idle_mib:.1} MiB"), "≤ 32 MiB"));
    report.add(Figure::new("resident memory, after the load", format!("{loaded_mib:.1} MiB"), ""));
}
