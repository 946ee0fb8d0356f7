//! The contract that store, client, gateway and operator share: names, limits, wire types, error codes, frames.
//!
//! Everything here is a value. Nothing opens a file or a socket, so any part may depend on it.
//!
//! ```text
//! a user's words      name · namespace · read · record · error     docs: the HTTP API
//!                     status                                     a store about itself
//! between our parts   config · fence                          store configuration; writer ↔ store
//!                     local                                   where the stores of `logstore-operator local` listen
//! bytes               frame                                   what one append wrote, on disk and on the wire
//! ```

#![warn(missing_docs)]

pub mod limits;
pub mod name;
pub mod time;

pub mod namespace;
pub mod read;
pub mod record;

pub mod error;

pub mod config;
pub mod fence;
pub mod frame;
pub mod local;
pub mod status;

pub use error::{Code, Problem};
pub use name::NamespaceName;
pub use namespace::{Durability, NamespaceConfig, NamespaceState};
pub use time::Timestamp;

/// Media type of one JSON envelope per line ([`record::Envelope`]).
pub const MEDIA_ENVELOPES: &str = "application/vnd.logstore.records+ndjson";
/// Media type of records in binary ([`record::binary`]).
pub const MEDIA_FRAMES: &str = "application/vnd.logstore.frames";
/// Media type of [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html).
pub const MEDIA_EVENTS: &str = "text/event-stream";
/// Media type of concatenated wire frames ([`frame`]), between writers and stores.
pub const MEDIA_WIRE_FRAMES: &str = "application/vnd.logstore.wire-frames";
/// Media type of an error ([`Problem`], [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
pub const MEDIA_PROBLEM: &str = "application/problem+json";

/// Names of the HTTP headers that carry more than the body says.
pub mod header {
    /// Node id of the store that answers; in every answer.
    pub const NODE: &str = "logstore-node";
    /// Number of this request at this store, for the log; in every answer.
    pub const REQUEST_ID: &str = "logstore-request-id";
    /// Where to read on.
    pub const NEXT: &str = "logstore-next";
    /// The end that readers see: the offset that the next record gets.
    pub const END: &str = "logstore-end";
    /// Records before this offset survive a power loss.
    pub const DURABLE_END: &str = "logstore-durable-end";
    /// The first offset that is still there.
    pub const START: &str = "logstore-start";
    /// Server time of the record.
    pub const TIME: &str = "logstore-time";
    /// Tags of the record: a JSON array of strings, with characters outside ASCII escaped.
    pub const TAGS: &str = "logstore-tags";
    /// Key of the record: a JSON string, with characters outside ASCII escaped.
    pub const KEY: &str = "logstore-key";
    /// Before the name of an index: the record's value in it.
    pub const INDEX_PREFIX: &str = "logstore-index-";
    /// The partition of what was read.
    pub const PARTITION: &str = "logstore-partition";
    /// Identity of an idempotent producer: a UUID, or 32 hexadecimal digits.
    pub const PRODUCER_ID: &str = "producer-id";
    /// The producer's epoch, a `u32`: a higher one fences a lower one.
    pub const PRODUCER_EPOCH: &str = "producer-epoch";
    /// The producer's sequence number of the first record in the request, a `u64`, dense per partition.
    pub const PRODUCER_SEQ: &str = "producer-seq";
}
