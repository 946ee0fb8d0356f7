//! Why a writer stopped, and what that says about what was appended.

use std::sync::Arc;
use std::time::Duration;

use logstore_api::Code;
use logstore_api::fence::Reign;
use uuid::Uuid;

use crate::Error;
use crate::records::InvalidRecords;

/// Why a writer could not begin, or stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriterError {
    /// A writer needs a copy to write to.
    #[error("a writer was given no copies")]
    NoCopies,
    /// Two addresses lead to one store: it would hold every record once, not twice.
    #[error("{first} and {second} are the same store (node {node}); give each copy once")]
    SameStore {
        /// One address.
        first: String,
        /// The other.
        second: String,
        /// The store.
        node: Uuid,
    },
    /// The copies hold different lives of the namespace's name.
    #[error("the namespace is another one on {second} (incarnation {second_is}) than on {first} ({first_is})")]
    OtherIncarnation {
        /// A copy.
        first: String,
        /// What it holds.
        first_is: Uuid,
        /// The copy that differs.
        second: String,
        /// What that one holds.
        second_is: Uuid,
    },
    /// The store at a copy's address is another one than before.
    #[error("another store answers at {copy}: node {is}, before {was}")]
    OtherStore {
        /// The copy.
        copy: String,
        /// Who answered at first.
        was: Uuid,
        /// Who answers now.
        is: Uuid,
    },
    /// Another writer has taken over.
    #[error("{copy} is fenced: {} has taken over", describe(.winner.as_ref()))]
    Fenced {
        /// The copy that said so.
        copy: String,
        /// Who, where the copy named it.
        winner: Option<Reign>,
    },
    /// A copy's namespace has no partition of this number.
    #[error("there is no partition {partition} on {copy}; the namespace has {count}")]
    NoSuchPartition {
        /// The copy.
        copy: String,
        /// What was asked for.
        partition: u32,
        /// How many there are.
        count: usize,
    },
    /// The namespace has several partitions, and a writer writes one.
    #[error("the namespace has {count} partitions on {copy}; say which one to write")]
    WhichPartition {
        /// The copy.
        copy: String,
        /// How many there are.
        count: usize,
    },
    /// Epochs are numbers of 32 bits.
    #[error("no epoch is left after {0}")]
    EpochsExhausted(u32),
    /// A copy was away, or refused for want of space or time, for too long.
    #[error("{copy} did not take part for {after:.1?}")]
    Away {
        /// The copy.
        copy: String,
        /// How long.
        after: Duration,
        /// What happened last.
        #[source]
        source: Arc<Error>,
    },
    /// A copy refused for good.
    #[error("{copy} does not take part")]
    Refused {
        /// The copy.
        copy: String,
        /// What it answered.
        #[source]
        source: Arc<Error>,
    },
    /// A copy holds frames that are not those of the others. Nothing was changed there.
    #[error("{copy} has diverged from the other copies: {what}")]
    Diverged {
        /// The copy.
        copy: String,
        /// How.
        what: String,
    },
    /// A copy misses frames that the others have dropped already, so they cannot fill it.
    #[error("{copy} ends before frame {frame}, which {sibling} does not keep any more; it must be repaired first")]
    CannotFill {
        /// The copy.
        copy: String,
        /// The first frame that it misses.
        frame: u64,
        /// Who was asked for it.
        sibling: String,
    },
    /// A copy lost frames that it had, and no other copy has them any more.
    #[error("{copy} ends before frame {frame} now, and no other copy holds it")]
    Lost {
        /// The copy.
        copy: String,
        /// The first frame that it misses.
        frame: u64,
    },
    /// It was closed or dropped.
    #[error("the writer is closed")]
    Closed,
}

impl WriterError {
    /// What a call that will not succeed says about the writer.
    pub(super) fn of_call(copy: &str, error: Error) -> Self {
        let copy = copy.to_owned();
        match error.problem() {
            Some(problem) if error.is(Code::Fenced) => {
                let winner = problem.more.get("writer").and_then(|reign| serde_json::from_value(reign.clone()).ok());
                Self::Fenced { copy, winner }
            }
            Some(problem) if error.is(Code::Diverged) => Self::Diverged { copy, what: problem.detail.clone() },
            _ => Self::Refused { copy, source: Arc::new(error) },
        }
    }
}

fn describe(winner: Option<&Reign>) -> String {
    match winner {
        Some(Reign { epoch, writer, label }) if label.is_empty() => format!("writer {writer} of epoch {epoch}"),
        Some(Reign { epoch, writer, label }) => format!("{label:?} (writer {writer} of epoch {epoch})"),
        None => "another writer".to_owned(),
    }
}

/// Why an append was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The records are over a bound: nothing was sent to any copy.
    #[error(transparent)]
    Invalid(#[from] InvalidRecords),
    /// A trim beyond the end: nothing was sent to any copy.
    #[error("cannot trim before offset {before}: the log ends at {end}")]
    BeyondEnd {
        /// What was asked.
        before: u64,
        /// The offset that the next record gets.
        end: u64,
    },
    /// The writer had stopped before: nothing was sent to any copy.
    #[error("the writer has stopped")]
    Stopped(#[source] WriterError),
    /// The writer stopped while the append was out: it may appear or not.
    #[error("the writer stopped before all copies had answered")]
    Unknown(#[source] WriterError),
}

impl WriteError {
    /// Why the writer stopped, where it has.
    #[must_use]
    pub fn writer_error(&self) -> Option<&WriterError> {
        match self {
            Self::Stopped(error) | Self::Unknown(error) => Some(error),
            Self::Invalid(_) | Self::BeyondEnd { .. } => None,
        }
    }
}
