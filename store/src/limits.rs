//! The bounds of one process, in one place; `GET /v1/status` shows them, and those that users meet in a request, which
//! stand in [`logstore_api::limits`]. Beyond each bound the caller gets a clear error, or waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use logstore_api::limits::{
    BATCH_RECORDS_MAX, ENVELOPES_BYTES_MAX, ERASURES_OPEN_MAX, GET_RECORDS_MAX, INDICES_MAX, KEY_BYTES_MAX,
    NAMESPACE_NAME_BYTES_MAX, PARTITIONS_MAX, PATCHES_OPEN_MAX, PRODUCER_FRAMES_MAX, PRODUCERS_MAX, READ_BYTES_MAX,
    READ_RECORDS_MAX, RECORD_BYTES_MAX, TAG_BYTES_MAX, TAG_EXPRESSION_BYTES_MAX, TAGS_MAX,
};
use tokio::sync::Semaphore;

/// Bodies of appends that are being read, parsed or written, of all namespaces together, in bytes. Beyond: 503
/// `overloaded`.
pub const APPEND_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// The same for one namespace, so that one cannot take the room of all. Beyond: 429 `namespace_busy`.
pub const NAMESPACE_APPEND_BYTES_IN_FLIGHT: usize = 32 * 1024 * 1024;
/// Answers of reads that are being built or sent, in bytes. Beyond: 503 `overloaded`.
pub const READ_BYTES_IN_FLIGHT: usize = 256 * 1024 * 1024;
/// What followers, and readers of many records in rochefort's way, have been given and not taken yet, in bytes; their own,
/// so that slow ones keep nobody from reading.
pub const FOLLOW_BYTES_IN_FLIGHT: usize = 128 * 1024 * 1024;
/// Those who follow a log as server-sent events. Each costs a connection and, where it is slow, three pieces of what it
/// follows: all of them together less than [`FOLLOW_BYTES_IN_FLIGHT`], unless records are large. Beyond: 503 `overloaded`.
pub const FOLLOWERS_MAX: usize = 1024;
/// Pages that are kept for a moment for other readers of the same, or were made before they were asked for: how many, their
/// bytes together (one more than that may be there), those of one, and for how long. They count in the budgets above.
pub const PAGES_KEPT_MAX: usize = 64;
/// See [`PAGES_KEPT_MAX`].
pub const PAGES_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// See [`PAGES_KEPT_MAX`].
pub const PAGE_KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// See [`PAGES_KEPT_MAX`].
pub const PAGES_KEPT_TIME: Duration = Duration::from_secs(1);
/// A page with fewer bytes is not worth it that the next one is made ahead.
pub const AHEAD_BYTES_MIN: usize = 64 * 1024;
/// What these count in, so that small requests cost something too.
pub const IN_FLIGHT_UNIT: usize = 1024;
/// How long a request waits for its share of these.
pub const IN_FLIGHT_WAIT: Duration = Duration::from_millis(50);
/// Descriptors of files that stay open at the same time, where the process may have as many. Beyond: the one that was used
/// longest ago is closed, unless it is unsynced.
pub const OPEN_FILES_MAX: usize = 1024;
/// Side files of sealed segments in memory, in bytes, of all logs. Beyond: what was used longest ago goes.
pub const SIDE_FILE_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Tags and index values of active segments in memory, in bytes, of all logs. Beyond: the largest are sealed early.
pub const ACTIVE_TABLES_BYTES: usize = 64 * 1024 * 1024;
/// Different tags in a segment. Beyond: an append with a new one is 422 `too_many_tags`.
pub const SEGMENT_TAGS_MAX: usize = 1_000_000;
/// Syncs that run at the same time, of different files. Others wait for them, at most one for each log.
pub const SYNC_THREADS: usize = 4;
/// Connections at the same time; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How long a reader may take nothing of its answer. Beyond: its connection is closed, and what the answer held is free.
pub const STALLED_READER_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for a log that is still being opened, which takes as long as verifying it does. Beyond: 503
/// `recovering`.
pub const OPENING_WAIT: Duration = Duration::from_secs(1);
/// When an append may be tried again that a namespace's size has kept out: retention has looked again by then.
pub const QUOTA_RETRY_SECONDS: u64 = 5;

/// Descriptors that files may take in this process.
#[must_use]
pub fn open_files_max() -> usize {
    crate::disk::pool::open_files_max(process_files())
}

/// Connections that are served: as many as the limit of open files allows beside the logs' own.
#[must_use]
pub fn connections_max() -> usize {
    usize::try_from(process_files() / 2).unwrap_or(usize::MAX).min(CONNECTIONS_MAX)
}

/// The limit of open files that the process has.
fn process_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What the appends of one namespace may have in flight, in units.
#[must_use]
pub fn namespace_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(NAMESPACE_APPEND_BYTES_IN_FLIGHT / IN_FLIGHT_UNIT))
}

/// Those that a request meets.
fn of_requests() -> impl Iterator<Item = (&'static str, usize)> {
    [
        ("namespace_name_bytes", NAMESPACE_NAME_BYTES_MAX),
        ("record_bytes", RECORD_BYTES_MAX),
        ("batch_records", BATCH_RECORDS_MAX),
        ("batch_body_bytes", ENVELOPES_BYTES_MAX),
        ("tags_per_record", TAGS_MAX),
        ("tag_bytes", TAG_BYTES_MAX),
        ("key_bytes", KEY_BYTES_MAX),
        ("tag_expression_bytes", TAG_EXPRESSION_BYTES_MAX),
        ("indices_per_namespace", INDICES_MAX),
        ("read_records", READ_RECORDS_MAX),
        ("read_bytes", READ_BYTES_MAX),
        ("get_records", GET_RECORDS_MAX),
    ]
    .into_iter()
}

/// The bounds in force, by name; the unit is part of the name.
#[must_use]
pub fn in_force() -> BTreeMap<String, u64> {
    let bounds = [
        ("append_bytes_in_flight", APPEND_BYTES_IN_FLIGHT),
        ("namespace_append_bytes_in_flight", NAMESPACE_APPEND_BYTES_IN_FLIGHT),
        ("read_bytes_in_flight", READ_BYTES_IN_FLIGHT),
        ("follow_bytes_in_flight", FOLLOW_BYTES_IN_FLIGHT),
        ("followers", FOLLOWERS_MAX),
        ("pages_kept", PAGES_KEPT_MAX),
        ("pages_kept_bytes", PAGES_KEPT_BYTES),
        ("in_flight_wait_milliseconds", usize::try_from(IN_FLIGHT_WAIT.as_millis()).unwrap_or(usize::MAX)),
        ("opening_wait_milliseconds", usize::try_from(OPENING_WAIT.as_millis()).unwrap_or(usize::MAX)),
        ("stalled_reader_milliseconds", usize::try_from(STALLED_READER_MAX.as_millis()).unwrap_or(usize::MAX)),
        ("connections", connections_max()),
        ("open_files", open_files_max()),
        ("side_file_cache_bytes", SIDE_FILE_CACHE_BYTES),
        ("active_tables_bytes", ACTIVE_TABLES_BYTES),
        ("tags_per_segment", SEGMENT_TAGS_MAX),
        ("sync_threads", SYNC_THREADS),
        ("patches_open_per_partition", PATCHES_OPEN_MAX),
        ("erasures_open_per_partition", ERASURES_OPEN_MAX),
        ("partitions_per_namespace", PARTITIONS_MAX as usize),
        ("producers_per_partition", PRODUCERS_MAX),
        ("producer_frames_remembered", PRODUCER_FRAMES_MAX),
    ];
    let named = |(name, bound): (&str, usize)| (name.to_owned(), bound as u64);
    bounds.into_iter().chain(of_requests()).map(named).collect()
}
