//! Errors on the wire: one stable code each, from which status, title and advice follow.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the codes are explained.
pub const DOCS: &str = "https://logstore.dev/errors#";

/// When the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not as it is: it will be refused again.
    Never,
    /// At once, with the same identity: its outcome is not known.
    Same,
    /// After a while.
    Later,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $retry:ident $title:literal;)*) => {
        /// What went wrong. The text of a code never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// When to send the same request again.
            #[must_use]
            pub fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// The same sentence for every error of this code.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// A parameter, header or field has a value that cannot be had.
    InvalidArgument "invalid_argument" 400 Never "A value cannot be had";
    /// The body cannot be parsed.
    MalformedBody "malformed_body" 400 Never "The body cannot be parsed";
    /// A query parameter that does not exist.
    UnknownParameter "unknown_parameter" 400 Never "There is no such parameter";
    /// The namespace does not take appends.
    NamespaceReadOnly "namespace_read_only" 403 Never "The namespace is read-only";
    /// The namespace takes neither appends nor reads.
    NamespaceClosed "namespace_closed" 403 Never "The namespace is closed";
    /// Another writer has taken over.
    Fenced "fenced" 403 Never "Another writer has taken over";
    /// The producer came back with a higher epoch.
    ProducerFenced "producer_fenced" 403 Never "The producer has a newer epoch";
    /// No such namespace.
    NamespaceNotFound "namespace_not_found" 404 Never "There is no such namespace";
    /// No such partition.
    PartitionNotFound "partition_not_found" 404 Never "There is no such partition";
    /// No record at this offset.
    RecordNotFound "record_not_found" 404 Never "There is no record at this offset";
    /// No such path.
    NoSuchPath "no_such_path" 404 Never "There is no such path";
    /// The path does not know this method.
    MethodNotAllowed "method_not_allowed" 405 Never "The path does not know this method";
    /// None of the accepted forms can be made.
    NotAcceptable "not_acceptable" 406 Never "None of the accepted forms can be made";
    /// The body did not come in time.
    RequestTimeout "request_timeout" 408 Later "The request did not come in time";
    /// Expected another sequence number.
    SequenceGap "sequence_gap" 409 Never "The producer's sequence has a gap";
    /// The same sequence number with other content.
    IdentityConflict "identity_conflict" 409 Never "The sequence number was used for other content";
    /// A sequence that goes on from one that is forgotten.
    UnknownProducer "unknown_producer" 409 Never "The producer is not known";
    /// Expected another frame number.
    FrameMismatch "frame_mismatch" 409 Never "The frame is not the next one";
    /// The copy holds another frame at this number.
    Diverged "diverged" 409 Never "The copy holds another frame at this number";
    /// The record would have got another offset.
    OffsetMismatch "offset_mismatch" 409 Never "The record would get another offset";
    /// The name is taken.
    NamespaceExists "namespace_exists" 409 Never "The namespace exists";
    /// The configuration contradicts the one in force.
    ConfigConflict "config_conflict" 409 Never "The configuration contradicts the one in force";
    /// The records were removed by retention or trim.
    Trimmed "trimmed" 410 Never "The records are gone";
    /// The record was erased.
    Erased "erased" 410 Never "The record was erased";
    /// The records are damaged on disk.
    Damaged "damaged" 410 Never "The records are damaged";
    /// A condition of the request does not hold.
    PreconditionFailed "precondition_failed" 412 Never "A condition of the request does not hold";
    /// One record is larger than the limit.
    RecordTooLarge "record_too_large" 413 Never "The record is too large";
    /// The batch is larger than the limit.
    BatchTooLarge "batch_too_large" 413 Never "The batch is too large";
    /// The body has a type that the path does not know.
    UnsupportedMediaType "unsupported_media_type" 415 Never "The path does not know this type of body";
    /// Beyond the end of the log.
    BeyondEnd "beyond_end" 416 Later "The offset is beyond the end";
    /// The namespace has writers of its own.
    NotTheWriter "not_the_writer" 421 Never "Appends go through the writer";
    /// Too many tags, or one that is too long.
    TooManyTags "too_many_tags" 422 Never "Too many tags, or one that is too long";
    /// The namespace declares no such index.
    NoSuchIndex "no_such_index" 422 Never "The namespace declares no such index";
    /// The bytes would not fit into what the record has reserved.
    ReservationExceeded "reservation_exceeded" 422 Never "The record has not reserved so much";
    /// The partition keeps as many patches, or erasures that are not carried out, as it can.
    TooManyChanges "too_many_changes" 429 Later "Too many changed records";
    /// The namespace has used up what its quota allows.
    QuotaExceeded "quota_exceeded" 429 Later "The namespace's quota is used up";
    /// The namespace has too much in flight.
    NamespaceBusy "namespace_busy" 429 Later "The namespace has too much in flight";
    /// Our own fault; details are in the log under the request's id.
    Internal "internal" 500 Same "Something failed in the store";
    /// The store has too much in flight.
    Overloaded "overloaded" 503 Later "The store has too much in flight";
    /// The log is being recovered.
    Recovering "recovering" 503 Later "The log is being recovered";
    /// The store is stopping.
    Draining "draining" 503 Later "The store is stopping";
    /// A write or sync failed; appends stay refused until a restart has verified the log.
    Frozen "frozen" 503 Later "The log is frozen after a failed write";
    /// It may have been stored or not: send it again with the same producer identity.
    OutcomeUnknown "outcome_unknown" 503 Same "It is not known whether the append was stored";
    /// The disk is full.
    DiskFull "disk_full" 507 Later "The disk is full";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An error as the wire carries it, [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
///
/// A program looks at `code`, which may be one that it does not know yet (a newer server): then at `status` and `retry`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// A link to the documentation of the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The stable text of a [`Code`].
    pub code: String,
    /// The code's sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do next.
    pub detail: String,
    /// The parameter, header or field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What would be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<serde_json::Value>,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<serde_json::Value>,
    /// When to send the same request again.
    pub retry: Retry,
    /// What some codes add: `line` of a malformed body; `start`, `end`; `from`, `until` and `next` of a damaged
    /// range; the `writer` that took over.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// An error with this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{DOCS}{code}"),
            code: code.as_str().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            field: None,
            expected: None,
            got: None,
            retry: code.retry(),
            more: serde_json::Map::new(),
        }
    }

    /// Names the parameter, header or field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what would be accepted.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<serde_json::Value>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what was there.
    #[must_use]
    pub fn got(mut self, got: impl Into<serde_json::Value>) -> Self {
        self.got = Some(got.into());
        self
    }

    /// Adds a member of the code's own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Whether this is an error of that code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_their_status_is_an_error() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn a_problem_says_code_status_and_what_to_do() {
        let problem = Problem::new(Code::BeyondEnd, "offset 9 is beyond the end 3").field("from").got(9).with("end", 3);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "https://logstore.dev/errors#beyond_end", "code": "beyond_end",
                "title": "The offset is beyond the end", "status": 416, "detail": "offset 9 is beyond the end 3",
                "field": "from", "got": 9, "retry": "later", "end": 3,
            })
        );
    }
}
