//! The command line of the load.

mod check;

use std::time::Duration;

use logstore_api::limits::{BATCH_RECORDS_MAX, GET_RECORDS_MAX, RECORD_BYTES_MAX};
use logstore_api::{Durability, NamespaceName};

use super::super::duration;
use super::super::target::Target;

const CONNECTIONS_MAX: u64 = 10_000;
const PIPELINE_MAX: u64 = 1_024;
const THREADS_MAX: u64 = 64;
const NAMESPACES_MAX: u64 = 100_000;
const RATE_MAX: f64 = 10_000_000.0;
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Threads where nothing is said: the load shares the machine with the store that it measures.
const THREADS_DEFAULT: usize = 2;

/// What is given, and left out where it is not: an option that nothing uses is refused.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// What to do, one after the other
    #[arg(required = true, value_enum, value_name = "WORK")]
    pub(super) works: Vec<Kind>,
    #[command(flatten)]
    pub(super) target: Target,
    /// The namespace; with --namespaces the beginning of their names
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub(super) namespace: NamespaceName,
    /// Use so many namespaces in turn, NAME-0 and so on [default: 1, called NAME]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, NAMESPACES_MAX))]
    pub(super) namespaces: Option<u64>,
    /// Connections [default: 16]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, CONNECTIONS_MAX))]
    pub(super) connections: Option<u64>,
    /// Requests in flight on each connection (HTTP/1.1 pipelining) [default: 1]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, PIPELINE_MAX))]
    pub(super) pipeline: Option<u64>,
    /// Threads that load [default: 2, or the number of cores where there are fewer]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, THREADS_MAX))]
    pub(super) threads: Option<u64>,
    /// Bytes of each record: 100, 4KiB, 1MiB [default: 100]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(super) record_size: Option<usize>,
    /// Records of each request of `batch` [default: 100]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, BATCH_RECORDS_MAX as u64))]
    pub(super) batch: Option<u64>,
    /// Records of each request of `multiget` [default: 100]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, GET_RECORDS_MAX as u64))]
    pub(super) get: Option<u64>,
    /// Of 100 requests of `mixed` so many append, the others read [default: 50]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, 99))]
    pub(super) append_percent: Option<u64>,
    /// Followers of `follow` [default: 4]
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, CONNECTIONS_MAX))]
    pub(super) followers: Option<u64>,
    /// When an append is acknowledged [default: synced]
    #[arg(long, value_enum)]
    pub(super) durability: Option<Level>,
    /// Each connection appends as an idempotent producer
    #[arg(long)]
    pub(super) producer: bool,
    /// How long each work goes on [default: 10s, where --operations is not given; `scan` to the end]
    #[arg(long, value_name = "DURATION", value_parser = time)]
    pub(super) duration: Option<Duration>,
    /// Requests of each work; with --duration what comes first
    #[arg(long, value_name = "N", value_parser = |text: &str| count(text, u64::MAX))]
    pub(super) operations: Option<u64>,
    /// Load for so long before anything is measured
    #[arg(long, value_name = "DURATION", value_parser = time)]
    pub(super) warm_up: Option<Duration>,
    /// Requests a second, sent when they are due, whatever the answers do (open loop); latency counts from when a
    /// request was due [default: the next request is sent after the answer (closed loop)]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How long an answer may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = time)]
    pub(super) timeout: Duration,
    /// What records and offsets follow from; by chance where left out, and told
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
    /// Delete the namespaces that this command has created; others stay in any case
    #[arg(long)]
    pub(super) cleanup: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Append lone records
    Append,
    /// Append many records with each request
    Batch,
    /// Read one record, at an offset chosen by chance
    Read,
    /// Read everything from the start, checked
    Scan,
    /// Read many records at offsets chosen by chance with each request
    Multiget,
    /// Wait for records that one connection appends; how long they take to come
    Follow,
    /// Append and read in shares
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Level {
    /// When it survives a power loss
    Synced,
    /// When it survives the end of the process
    Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// An object for each work, on a line of its own
    Json,
}

impl Kind {
    pub(super) fn appends(self) -> bool {
        matches!(self, Self::Append | Self::Batch | Self::Follow | Self::Mixed)
    }

    /// Wants records to be there.
    pub(super) fn needs_records(self) -> bool {
        matches!(self, Self::Read | Self::Scan | Self::Multiget)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Batch => "batch",
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Multiget => "multiget",
            Self::Follow => "follow",
            Self::Mixed => "mixed",
        }
    }
}

impl Options {
    pub(super) fn durability(&self) -> Durability {
        match self.durability {
            Some(Level::Written) => Durability::Written,
            Some(Level::Synced) | None => Durability::Synced,
        }
    }

    pub(super) fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or(THREADS_DEFAULT.min(cores), |threads| usize::try_from(threads).unwrap_or(1))
    }
}

fn count(text: &str, max: u64) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| (1..=max).contains(count));
    count.ok_or_else(|| if max == u64::MAX { "give 1 or more".to_owned() } else { format!("give 1 to {max}") })
}

fn size(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1024), ("MiB", 1024 * 1024), ("", 1)];
    let parse = |(unit, factor): (&str, usize)| text.strip_suffix(unit)?.parse::<usize>().ok()?.checked_mul(factor);
    let size = units.into_iter().find_map(parse).filter(|size| (1..=RECORD_BYTES_MAX).contains(size));
    size.ok_or_else(|| format!("give 1 to {RECORD_BYTES_MAX} bytes, such as 100, 4KiB or 1MiB"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
    rate.ok_or_else(|| format!("give requests a second: more than 0, at most {RATE_MAX}"))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    let is_fine = !time.is_zero() && time <= DURATION_MAX;
    if is_fine { Ok(time) } else { Err("give more than 0s, at most 168h".to_owned()) }
}
