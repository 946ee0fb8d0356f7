//! A section of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::contract::repository;

/// The section's heading.
const HEADING: &str = "## On Kubernetes";

/// A table of figures.
#[derive(Clone, Debug, Default)]
pub struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Adds a figure, and what is wanted of it (nothing, where it is only told).
    pub fn add(&mut self, what: &str, figure: &str, wanted: &str) {
        self.lines.push(format!("| {what} | {figure} | {wanted} |"));
    }

    /// The section as it is written.
    #[must_use]
    pub fn section(&self) -> String {
        let mut text = format!(
            "{HEADING}\n\nWritten by `make bench-k8s`; do not edit. On the cluster of `make cluster-up`, three nodes and the \
             control plane on one machine.\n\n| what | figure | wanted |\n|---|---|---|\n"
        );
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(text, "\nMachine: {}. Commit: {}.\n", machine(), commit());
        text
    }

    /// Puts the section into the document, in the place of the one before it.
    ///
    /// # Errors
    /// Where the document cannot be read or written.
    pub fn write(&self) -> Result<PathBuf> {
        let file = repository().join("docs/benchmarks.md");
        let document = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let document = with_section(&document, HEADING, &self.section());
        std::fs::write(&file, document).with_context(|| format!("failed to write {}", file.display()))?;
        Ok(file)
    }
}

/// The document with this section, which ends before the next heading of its level; at the end where there was none.
fn with_section(document: &str, heading: &str, section: &str) -> String {
    let is_heading = |line: &str| line.starts_with("## ");
    let mut before = String::new();
    let mut after = String::new();
    let mut lines = document.split_inclusive('\n');
    for line in lines.by_ref().take_while(|line| line.trim_end() != heading) {
        before.push_str(line);
    }
    for line in lines.skip_while(|line| !is_heading(line)) {
        after.push_str(line);
    }
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}\n\n{}\n{gap}{after}", before.trim_end(), section.trim_end())
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn commit() -> String {
    let git = Command::new("git").arg("-C").arg(repository()).args(["describe", "--always", "--dirty"]).output();
    git.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_added_at_the_end() {
        assert_eq!(with_section("# A\n\ntext\n", "## B", "## B\n\nnew\n"), "# A\n\ntext\n\n## B\n\nnew\n");
    }

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let document = "# A\n\ntext\n\n## B\n\nold\n### C\nold\n\n## D\n\nrest\n";
        assert_eq!(with_section(document, "## B", "## B\n\nnew\n"), "# A\n\ntext\n\n## B\n\nnew\n\n## D\n\nrest\n");
        let again = with_section("# A\n\n## B\n\nold\n", "## B", "## B\n\nnew\n");
        assert_eq!(with_section(&again, "## B", "## B\n\nnew\n"), again);
    }
}
