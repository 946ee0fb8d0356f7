//! The table that `make bench` prints and keeps.

use std::fmt::Write as _;
use std::process::Command;

/// One line of the table.
pub(crate) struct Figure {
    what: String,
    value: String,
    wanted: String,
}

impl Figure {
    /// A figure, and what is wanted of it (nothing, where it is only told).
    pub(crate) fn new(what: impl Into<String>, value: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), wanted: wanted.into() }
    }
}

/// All lines.
#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds a line.
    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds the median of rounds, with their spread; the median.
    pub(crate) fn rate(&mut self, what: &str, rounds: &[f64]) -> f64 {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, median, high) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        self.add(Figure::new(what, format!("{median:.0}/s ({low:.0}–{high:.0})"), ""));
        median
    }

    /// Adds a ratio.
    pub(crate) fn ratio(&mut self, what: &str, value: f64, wanted: &str) {
        self.add(Figure::new(what, format!("**{value:.2}**"), wanted));
    }

    fn table(&self) -> String {
        let mut table = String::from("| what | figure | wanted |\n|---|---|---|\n");
        for Figure { what, value, wanted } in &self.figures {
            let _ = writeln!(table, "| {what} | {value} | {wanted} |");
        }
        table
    }

    /// Shows the table.
    pub(crate) fn print(&self) {
        println!("{}", self.table());
    }

    /// Keeps the table, with where it comes from. Sections of others, which begin with a heading, stay.
    pub(crate) fn write(&self, path: &str) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let path = format!("{root}/{path}");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let sections = before.find("\n## ").map_or("", |start| &before[start..]);
        let text = format!(
            "# Benchmarks\n\nWritten by `make bench`; do not edit. Each comparison ran in interleaved rounds in one run on one \
             machine, servers and load on the same cores; a figure is the median of its rounds, with the lowest and highest \
             beside it. Ratios carry over to other machines, rates do not.\n\n{}\nMachine: {}. Commit: {}.\n{sections}",
            self.table(),
            machine(),
            commit(root),
        );
        std::fs::write(path, text).unwrap();
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn commit(root: &str) -> String {
    let git = Command::new("git").args(["-C", root, "describe", "--always", "--dirty"]).output();
    git.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
