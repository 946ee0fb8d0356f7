//! The store's figures, each against its reference in the same run: `make bench`.
//!
//! Every comparison runs in interleaved rounds, and the median of the rounds counts, so that a machine that is slow for
//! a while is slow for both sides. Servers, references and load are processes that share the cores; the load is
//! `logstore bench`. `ONLY=name` takes one measure again and leaves the sections of the others as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on has nothing to say")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its results")]
#![allow(clippy::disallowed_methods, reason = "it measures files")]
#![allow(clippy::cast_possible_truncation, reason = "counts of a few seconds")]

mod append;
mod batch;
mod copies;
mod disk;
mod find;
mod fio;
mod follow;
mod latency;
mod multiget;
mod namespaces;
mod null;
mod report;
mod restart;
mod samples;
mod scan;
mod servers;
mod size;
mod tool;

use report::Section;

/// Rounds of a comparison, unless it says another number.
const ROUNDS: usize = 5;

/// Takes one measure.
type Measure = fn() -> Section;

/// What can be measured by name.
const MEASURES: [(&str, Measure); 11] = [
    ("append", append::measure),
    ("latency", latency::measure),
    ("batch", batch::measure),
    ("scan", scan::measure),
    ("multiget", multiget::measure),
    ("follow", follow::measure),
    ("copies", copies::measure),
    ("restart", restart::measure),
    ("find", find::measure),
    ("namespaces", namespaces::measure),
    ("size", size::measure),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, root] = arguments.as_slice()
        && first == "null-server"
    {
        return null::serve(root.into());
    }
    let only = std::env::var("ONLY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only.split_whitespace().any(|only| only == name));
    let chosen: Vec<_> = MEASURES.into_iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let names = MEASURES.map(|(name, _)| name).join(", ");
        eprintln!("ONLY={} names no measure; there are {names}", only.unwrap_or_default());
        std::process::exit(2);
    }
    for (name, measure) in chosen {
        measure().publish(&format!("make bench ONLY={name}"));
    }
}
