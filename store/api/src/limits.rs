//! Every bound that a user can meet, in one place. Sizes are bytes.

/// A namespace name, in bytes of UTF-8.
pub const NAMESPACE_NAME_BYTES_MAX: usize = 249;
/// One record: its data, or its reserved space where that is larger.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One append, in records.
pub const BATCH_RECORDS_MAX: usize = 100_000;
/// One append, encoded as a frame: the largest record, with what stands around it.
pub const FRAME_BYTES_MAX: usize = RECORD_BYTES_MAX + 48 + 32 + 8 + META_BYTES_MAX + 1 + 16 + 8;
/// The body of an append of envelopes, which base64 and JSON blow up, or of binary records with their metadata.
pub const ENVELOPES_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;
/// Key, tags and index values of one record, encoded.
pub const META_BYTES_MAX: usize = 65_535;
/// Tags of one record.
pub const TAGS_MAX: usize = 64;
/// One tag.
pub const TAG_BYTES_MAX: usize = 255;
/// The key of a record.
pub const KEY_BYTES_MAX: usize = 1024;
/// A tag expression, in bytes.
pub const TAG_EXPRESSION_BYTES_MAX: usize = 4096;
/// How deep parentheses and NOT stand in each other in a tag expression.
pub const TAG_EXPRESSION_DEPTH_MAX: usize = 32;
/// Tags in a tag expression.
pub const TAG_EXPRESSION_TERMS_MAX: usize = 64;
/// How long one answer looks for records that fit, in milliseconds; then it says where to go on.
pub const SELECT_MILLIS_MAX: u64 = 1_000;
/// Named i64 indices of a namespace.
pub const INDICES_MAX: usize = 8;
/// The name of an index.
pub const INDEX_NAME_BYTES_MAX: usize = 63;
/// Partitions of a namespace.
pub const PARTITIONS_MAX: u32 = 64;
/// Bytes of one patch of a record: what it replaces, at most the largest record.
pub const PATCH_BYTES_MAX: usize = RECORD_BYTES_MAX;
/// Patches of one record that a reader lays over it; the next one is a whole new payload, which replaces them.
pub const PATCHES_MAX: usize = 64;
/// Patches that a partition keeps for records that are still there; those that a whole new payload has replaced do not
/// count. Every segment begins with where they stand.
pub const PATCHES_OPEN_MAX: usize = 100_000;
/// Erased records of a partition whose bytes are not gone from its files yet.
pub const ERASURES_OPEN_MAX: usize = 50_000;
/// Records in one call of `records/get`.
pub const GET_RECORDS_MAX: usize = 100_000;
/// The body of a call of `records/get`.
pub const GET_BODY_BYTES_MAX: usize = 32 * GET_RECORDS_MAX;

/// Records in one read where the request does not say.
pub const READ_RECORDS_DEFAULT: usize = 1_000;
/// Records in one read, at most.
pub const READ_RECORDS_MAX: usize = 100_000;
/// Bytes of data in one read where the request does not say.
pub const READ_BYTES_DEFAULT: usize = 8 * 1024 * 1024;
/// Bytes of data in one read, at most. An answer is built in memory, so that its headers can say where it ends.
pub const READ_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest long poll, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Namespaces in one page of a list.
pub const LIST_MAX: usize = 10_000;

/// A segment file where the configuration does not say (Kafka's is 1 GiB; a smaller one bounds recovery and makes
/// retention finer).
pub const SEGMENT_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// The smallest segment that can be asked for.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// The largest segment that can be asked for: positions inside a segment fit 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Milliseconds until records are synced that nobody waits for, where the configuration does not say.
pub const SYNC_INTERVAL_MS_DEFAULT: u64 = 200;
/// The least that can be asked for.
pub const SYNC_INTERVAL_MS_MIN: u64 = 10;
/// The most that can be asked for.
pub const SYNC_INTERVAL_MS_MAX: u64 = 60_000;

/// Idempotent producers that a partition remembers; the one that was idle longest is forgotten first.
pub const PRODUCERS_MAX: usize = 1_024;
/// Frames of each producer that a partition remembers with their offsets.
pub const PRODUCER_FRAMES_MAX: usize = 128;

/// One request between a writer and a store: frames of one place, or of one answer to `GET /v1/frames`.
pub const PLACE_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// What a writer calls itself, in bytes.
pub const WRITER_LABEL_BYTES_MAX: usize = 256;
