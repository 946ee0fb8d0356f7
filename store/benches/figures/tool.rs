//! The load: `logstore bench`, as it is shipped, in a process of its own.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde::Deserialize;

/// What one work has measured: the fields of `--output json` that figures are made of.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Work {
    pub(crate) operations_per_second: f64,
    pub(crate) payload_bytes_per_second: f64,
    pub(crate) latency_us: Latency,
    outcome: String,
    reason: Option<String>,
    wrong: u64,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Loads a server as this line says, with one thread unless it says another number; what each work has brought. A load
/// that does not come to its end ends the benchmark.
pub(crate) fn load(server: SocketAddr, line: &str) -> Vec<Work> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logstore"));
    command.args(["bench", "--output", "json", "--server", &format!("http://{server}")]);
    if !line.contains("--threads") {
        command.args(["--threads", "1"]);
    }
    let output = command.args(line.split_whitespace()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "logstore bench {line}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let works: Vec<Work> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for Work { outcome, reason, wrong, .. } in &works {
        assert!(outcome == "complete" && *wrong == 0, "logstore bench {line}: {outcome}, {reason:?}, {wrong} wrong");
    }
    works
}

/// The same of a line with one work.
pub(crate) fn load_one(server: SocketAddr, line: &str) -> Work {
    let [work] = <[Work; 1]>::try_from(load(server, line)).expect(line);
    work
}
