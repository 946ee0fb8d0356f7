//! Appends to ten thousand namespaces in turn, against appends to one.

use super::ROUNDS;
use super::report::{Bound, Section};
use super::samples::rounds;
use super::servers::{Server, scratch};
use super::tool::load_one;

const NAMESPACES: usize = 10_000;
const CONNECTIONS: usize = 64;
const ABOUT: &str = "Lone records of 100 B, `written`, 64 connections, closed loop, no producer; to one namespace, and to \
    10,000 in turn, each of which has a log of its own that was appended to before.";

/// Rates, and the memory that is left behind.
pub(crate) fn measure() -> Section {
    let mut section = Section::new("Many namespaces", ABOUT);
    let dir = tempfile::tempdir_in(scratch()).unwrap();
    let store = Server::store(&dir.path().join("store"));
    let append = |arguments: &str| {
        let line = format!("append --connections {CONNECTIONS} --durability written --record-size 100 {arguments}");
        load_one(store.address, &line).operations_per_second
    };
    eprintln!("namespaces: making {NAMESPACES}");
    append(&format!("--namespaces {NAMESPACES} --operations {NAMESPACES}"));
    let [one, many] = rounds(
        "namespaces",
        ROUNDS,
        [&mut || append("--namespace one --warm-up 300ms --duration 2s"), &mut || {
            append(&format!("--namespaces {NAMESPACES} --warm-up 300ms --duration 2s"))
        }],
    );
    let one = section.rate("one namespace", &one);
    let many = section.rate("10,000 namespaces in turn", &many);
    section.judge("10,000 / one", many / one, "", Bound::AtLeast(0.5));
    section.judge("resident memory with 10,000 namespaces", store.resident_mib(), " MiB", Bound::AtMost(256.0));
    section
}
