//! Lone appends: the store at both levels against the same HTTP stack doing nothing, and against the disk.

use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::load_one;
use super::{ROUNDS, disk};

const CONNECTIONS: usize = 64;
const RECORD_BYTES: usize = 100;
const ABOUT: &str = "Lone records of 100 B with `POST /v1/namespaces/{ns}/records`, 64 connections, closed loop, no \
    producer. The null server is the same HTTP stack, which reads the request and answers as a store does, without an \
    engine behind it.";

/// Rates one by one, then with 16 requests in flight on each connection.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Lone appends", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let null = Server::null(&dir.path().join("null"));
    let store = Server::store(&dir.path().join("store"));
    let idle_mib = store.resident_mib();
    let rate = |server: &Server, level: &str, pipeline: usize| {
        let line = format!(
            "append --connections {CONNECTIONS} --pipeline {pipeline} --durability {level} --namespace {level} \
             --record-size {RECORD_BYTES} --warm-up 500ms --duration 2s"
        );
        load_one(server.address, &line).operations_per_second
    };
    let [nothing, written, synced, syncs] = rounds(
        "append",
        ROUNDS,
        [
            &mut || rate(&null, "written", 1),
            &mut || rate(&store, "written", 1),
            &mut || rate(&store, "synced", 1),
            &mut || CONNECTIONS as f64 / disk::sync_seconds(dir.path(), RECORD_BYTES),
        ],
    );
    let nothing = section.rate("null server", &nothing);
    let written = section.rate("`written`", &written);
    let synced = section.rate("`synced`", &synced);
    let syncs = section.rate("64 connections / measured `fdatasync`", &syncs);
    section.judge("`written` / null server", written / nothing, "", Bound::AtLeast(0.8));
    section.judge("`synced` / `written`", synced / written, "", Bound::AtLeast(0.75));
    section.judge("`synced` / the lower of null server and `fdatasync`", synced / nothing.min(syncs), "", Bound::None);
    let [nothing, written] =
        rounds("append, pipelined", ROUNDS, [&mut || rate(&null, "written", 16), &mut || rate(&store, "written", 16)]);
    let nothing = section.rate("16 deep: null server", &nothing);
    let written = section.rate("16 deep: `written`", &written);
    section.judge("16 deep: `written` / null server", written / nothing, "", Bound::AtLeast(0.7));
    section.judge("resident memory, idle", idle_mib, " MiB", Bound::AtMost(32.0));
    section.judge("resident memory, after the load", store.resident_mib(), " MiB", Bound::AtMost(256.0));
    section
}
