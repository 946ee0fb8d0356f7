//! Results, as sections of the document about benchmarks: each measure has one, with where and how it was taken.

use std::fmt::Write as _;
use std::process::Command;

use super::samples::Samples;

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// It is only told.
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// One section: a heading, how it was measured, and a table.
#[derive(Debug)]
pub(crate) struct Section {
    title: &'static str,
    about: &'static str,
    rows: String,
}

impl Section {
    /// One without rows.
    pub(crate) fn new(title: &'static str, about: &'static str) -> Self {
        Self { title, about, rows: String::new() }
    }

    /// Adds a line in words.
    pub(crate) fn tell(&mut self, what: &str, figure: &str) {
        self.row(what, figure, "", "");
    }

    /// Adds rates, per second; their median.
    pub(crate) fn rate(&mut self, what: &str, samples: &Samples) -> f64 {
        self.tell(what, &format!("{} /s", samples.tell(|rate| format!("{rate:.0}"))));
        samples.median()
    }

    /// Adds throughputs, given in bytes per second; their median.
    pub(crate) fn throughput(&mut self, what: &str, samples: &Samples) -> f64 {
        self.tell(what, &format!("{} MiB/s", samples.tell(|rate| format!("{:.0}", rate / f64::from(1 << 20)))));
        samples.median()
    }

    /// Adds times, given in seconds; their median.
    pub(crate) fn time(&mut self, what: &str, samples: &Samples) -> f64 {
        self.tell(what, &samples.tell(time));
        samples.median()
    }

    /// Adds a figure that something is wanted of, such as a ratio.
    pub(crate) fn judge(&mut self, what: &str, value: f64, unit: &str, bound: Bound) {
        let round = |value: f64| if value >= 10.0 { format!("{value:.0}{unit}") } else { format!("{value:.2}{unit}") };
        let (wanted, is_reached) = match bound {
            Bound::None => (String::new(), None),
            Bound::AtLeast(least) => (format!("≥ {}", round(least)), Some(value >= least)),
            Bound::AtMost(most) => (format!("≤ {}", round(most)), Some(value <= most)),
        };
        let reached = is_reached.map_or("", |is_reached| if is_reached { "yes" } else { "**no**" });
        self.row(what, &format!("**{}**", round(value)), &wanted, reached);
    }

    fn row(&mut self, what: &str, figure: &str, wanted: &str, reached: &str) {
        let _ = writeln!(self.rows, "| {what} | {figure} | {wanted} | {reached} |");
    }

    /// The section as it stands in the document.
    fn text(&self, command: &str) -> String {
        let Self { title, about, rows } = self;
        let (machine, commit) = (machine(), commit());
        format!(
            "## {title}\n\n{about}\n\n| what | figure | wanted | reached |\n|---|---|---|---|\n{rows}\n\
             `{command}` at {commit} on {machine}.\n"
        )
    }

    /// Shows it, and puts it into the document in place of the one before. All else there stays.
    pub(crate) fn publish(&self, command: &str) {
        let text = self.text(command);
        eprintln!("\n{text}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
        let document = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, replaced(&document, self.title, &text)).unwrap();
    }
}

/// The document with this section instead of the one of the same title, or behind all others.
fn replaced(document: &str, title: &str, text: &str) -> String {
    let heading = format!("## {title}\n");
    let Some(start) = document.find(&heading) else { return format!("{}\n\n{text}", document.trim_end()) };
    let rest = &document[start + heading.len()..];
    let after = rest.find("\n## ").map_or("", |end| &rest[end..]);
    format!("{}{text}{after}", &document[..start])
}

fn time(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn commit() -> String {
    let git = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]).output();
    git.map_or_else(
        |_| "an unknown commit".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
