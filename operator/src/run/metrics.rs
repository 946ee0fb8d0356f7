//! What the operator counts, in the Prometheus text form.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PassLabels {
    /// `settled`, `progressing`, `waiting`, `refused`, `failed`, `resting`.
    pub outcome: &'static str,
}

/// A call to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The resource's plural.
    pub resource: String,
    /// `get`, `apply`, `patch`, `delete`, `evict`.
    pub verb: &'static str,
    /// `ok`, `forbidden`, `conflict`, `timeout`, `error`, …
    pub outcome: &'static str,
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Passes by how they ended.
    pub passes: Family<PassLabels, Counter>,
    /// How long passes take.
    pub pass_seconds: Histogram,
    /// Calls to the API server, watches and the Lease apart.
    pub calls: Family<CallLabels, Counter>,
    /// Passes over the namespaces of stores that have ended.
    pub store_passes: Counter,
    /// 1 while this replica acts.
    pub leading: Gauge<u64, AtomicU64>,
    registry: Registry,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let mut metrics = Self {
            passes: Family::default(),
            pass_seconds: Histogram::new(exponential_buckets(0.000_1, 4.0, 10)),
            calls: Family::default(),
            store_passes: Counter::default(),
            leading: Gauge::default(),
            registry,
        };
        let Self { passes, pass_seconds, calls, store_passes, leading, registry } = &mut metrics;
        let registry = registry.sub_registry_with_prefix("logstore_operator");
        registry.register("passes", "Passes over LogStores by how they ended", passes.clone());
        registry.register_with_unit("pass", "How long passes take", Unit::Seconds, pass_seconds.clone());
        registry.register("api_calls", "Calls to the API server, watches and the lease apart", calls.clone());
        registry.register("store_passes", "Passes over the namespaces inside stores", store_passes.clone());
        registry.register("leading", "1 while this replica acts", leading.clone());
        Arc::new(metrics)
    }

    /// As text.
    ///
    /// # Errors
    /// When it cannot be formatted.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// What the kernel says of this process, under the names that Prometheus' own clients use.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(resident) = resident_bytes() else { return Ok(()) };
        let gauge = ConstGauge::new(resident);
        let metric =
            encoder.encode_descriptor("process_resident_memory_bytes", "Resident memory", None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

/// None where there is no such file.
fn resident_bytes() -> Option<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "faults are injected into the store's disk, not into what the kernel says"
    )]
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_metric() {
        let metrics = Metrics::new();
        let outcome = PassLabels { outcome: "settled" };
        metrics.passes.get_or_create(&outcome).inc();
        let text = metrics.text().unwrap();
        assert!(text.contains("logstore_operator_passes_total{outcome=\"settled\"} 1"), "{text}");
        let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<u64>().unwrap() > 1 << 20, "{text}");
    }
}
