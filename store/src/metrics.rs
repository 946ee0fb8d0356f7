//! What the store counts, in the Prometheus text form.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::space::{Room, SpaceGauge};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `append`, `read`, …
    pub call: &'static str,
    /// `ok`, or the code of the error.
    pub outcome: String,
}

/// All metrics. Counting costs an atomic addition.
#[derive(Debug)]
pub struct Metrics {
    /// Requests by call and outcome.
    pub requests: Family<Outcome, Counter>,
    /// Records appended.
    pub records: Counter,
    /// Bytes of payload appended.
    pub payload_bytes: Counter,
    /// Frames and other answers that went through the line.
    pub frames: Counter,
    /// How long syncs take.
    pub sync_seconds: Histogram,
    /// Appends refused because the disk is full.
    pub disk_full: Counter,
    /// Logs frozen by a failed write or sync.
    pub frozen: Counter,
    /// Bytes of torn tails that were cut and kept.
    pub quarantined_bytes: Counter,
    /// Damaged ranges that were noticed.
    pub holes: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Namespaces.
    pub namespaces: Gauge,
    /// Free bytes on the disk.
    pub disk_free: Gauge<u64, AtomicU64>,
    /// 1 while less than a tenth of the disk is free.
    pub disk_low: Gauge,
    /// Room that the reserve takes.
    pub reserve: Gauge<u64, AtomicU64>,
    /// Segments that went because the disk had less room than it should.
    pub dropped_for_room: Counter,
    /// Bytes in the quarantine.
    pub quarantine: Gauge<u64, AtomicU64>,
    /// Namespaces whose logs were not opened yet since the start.
    pub recovering: Gauge,
    /// Descriptors of files that are open.
    pub open_files: Gauge<u64, AtomicU64>,
    registry: Registry,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("logstore");
        let mut metrics = Self {
            requests: Family::default(),
            records: Counter::default(),
            payload_bytes: Counter::default(),
            frames: Counter::default(),
            // From 50 µs (a fast NVMe disk) to 6.5 s.
            sync_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 18)),
            disk_full: Counter::default(),
            frozen: Counter::default(),
            quarantined_bytes: Counter::default(),
            holes: Counter::default(),
            connections: Gauge::default(),
            namespaces: Gauge::default(),
            disk_free: Gauge::default(),
            disk_low: Gauge::default(),
            reserve: Gauge::default(),
            dropped_for_room: Counter::default(),
            quarantine: Gauge::default(),
            recovering: Gauge::default(),
            open_files: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests by call and outcome", metrics.requests.clone());
        registry.register("records", "Records appended", metrics.records.clone());
        registry.register_with_unit("payload", "Payload appended", Unit::Bytes, metrics.payload_bytes.clone());
        registry.register("frames", "Answers sent in the order of the log", metrics.frames.clone());
        registry.register_with_unit("sync", "Duration of syncs", Unit::Seconds, metrics.sync_seconds.clone());
        registry.register("disk_full", "Appends refused because the disk is full", metrics.disk_full.clone());
        registry.register("frozen", "Logs frozen by a failed write or sync", metrics.frozen.clone());
        let quarantined = metrics.quarantined_bytes.clone();
        registry.register_with_unit("quarantined", "Torn tails that were cut off and kept", Unit::Bytes, quarantined);
        registry.register("holes", "Damaged ranges that were noticed", metrics.holes.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("namespaces", "Namespaces", metrics.namespaces.clone());
        registry.register_with_unit("disk_free", "Free room on the disk", Unit::Bytes, metrics.disk_free.clone());
        registry.register("disk_low", "1 while less than a tenth of the disk is free", metrics.disk_low.clone());
        registry.register_with_unit("reserve", "Room that the reserve takes", Unit::Bytes, metrics.reserve.clone());
        let dropped = metrics.dropped_for_room.clone();
        registry.register("segments_dropped_for_room", "Segments removed to keep min_free_bytes free", dropped);
        let quarantine = metrics.quarantine.clone();
        registry.register_with_unit("quarantine", "Files in the quarantine", Unit::Bytes, quarantine);
        registry.register("recovering", "Namespaces not opened yet since the start", metrics.recovering.clone());
        registry.register("open_files", "Files of logs that are open", metrics.open_files.clone());
        metrics.registry = registry;
        Arc::new(metrics)
    }

    /// Shows what there is of room.
    pub fn show_space(&self, space: &SpaceGauge) {
        self.disk_free.set(space.free_and_total().0);
        self.disk_low.set(i64::from(space.room() != Room::Plenty));
        self.reserve.set(space.reserve().len());
    }

    /// Counts a request.
    pub fn count(&self, call: &'static str, outcome: &str) {
        self.requests.get_or_create(&Outcome { call, outcome: outcome.to_owned() }).inc();
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
