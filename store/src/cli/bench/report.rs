//! What a work has measured: an object with names that stay for programs, and text for people.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use logstore_api::Durability;
use serde::Serialize;

use super::options::Kind;
use super::tally::Measures;
pub(super) use text::grouped;

/// The results of one work. Docs: `docs/reference/cli.md`, which names every field.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) work: Kind,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    pub(super) server: String,
    pub(super) server_version: String,
    pub(super) tool_version: &'static str,
    pub(super) namespace: String,
    pub(super) namespaces: usize,
    pub(super) seed: u64,
    #[serde(flatten)]
    pub(super) shape: Shape,
    pub(super) seconds: f64,
    pub(super) operations: u64,
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
    pub(super) operations_per_second: f64,
    pub(super) records_per_second: f64,
    pub(super) payload_bytes_per_second: f64,
    pub(super) latency_us: Option<Latency>,
    /// Of `mixed` and `follow`, beside what is above.
    pub(super) appends: Option<Part>,
    pub(super) reads: Option<Part>,
    pub(super) late: Option<u64>,
    pub(super) not_sent: Option<u64>,
    pub(super) undelivered: Option<u64>,
    pub(super) warm_up: WarmUp,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) unanswered: u64,
    pub(super) foreign: u64,
    pub(super) wrong: u64,
}

/// How the load was meant to be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shape {
    pub(super) connections: usize,
    pub(super) pipeline: usize,
    pub(super) threads: usize,
    /// Requests a second of an open loop; a closed one where it is missing.
    pub(super) rate: Option<f64>,
    /// Of works that append.
    pub(super) durability: Option<Durability>,
    pub(super) record_bytes: Option<usize>,
    pub(super) producer: Option<bool>,
    pub(super) records_per_request: Option<u64>,
    pub(super) append_percent: Option<u64>,
    pub(super) followers: Option<u64>,
}

/// How a work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Complete,
    /// Results are of what was done before a signal.
    Interrupted,
    /// Results are of what was done before something went wrong.
    Stopped,
}

/// What came before anything was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct WarmUp {
    pub(super) seconds: f64,
    pub(super) operations: u64,
    pub(super) appended: u64,
    pub(super) read: u64,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
}

/// One kind of requests of a work that has two.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Part {
    pub(super) operations: u64,
    pub(super) records: u64,
    pub(super) payload_bytes: u64,
    pub(super) latency_us: Option<Latency>,
}

impl Latency {
    /// `None` of nothing.
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        // A bucket is told by its upper end, which must not pass the longest that was seen.
        let max = histogram.max();
        let quantile = |quantile| micros(histogram.value_at_quantile(quantile).min(max));
        (!histogram.is_empty()).then(|| Self {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: micros(max),
            mean: histogram.mean() / 1e3,
        })
    }
}

impl Part {
    pub(super) fn of(measures: &Measures) -> Self {
        let Measures { latencies, operations, records, payload_bytes } = measures;
        let latency_us = Latency::of(latencies);
        Self { operations: *operations, records: *records, payload_bytes: *payload_bytes, latency_us }
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).map_or_else(|error| error.to_string(), |json| json + "\n")
    }

    /// Counts per second of what was measured.
    pub(super) fn rates(&mut self) {
        let per_second = |count: u64| if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 };
        self.operations_per_second = per_second(self.operations);
        self.records_per_second = per_second(self.records);
        self.payload_bytes_per_second = per_second(self.payload_bytes);
    }
}

/// Seconds of a duration, as JSON has them.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_do_not_pass_the_longest() {
        let mut histogram = Measures::default().latencies;
        assert_eq!(Latency::of(&histogram), None);
        histogram.saturating_record(123_456_789);
        let latency = Latency::of(&histogram).unwrap();
        assert!(latency.p999 <= latency.max && latency.p50 > 123_000.0, "{latency:?}");
    }
}
