//! Why a call to one store failed, and what that says about its outcome.

use std::time::Duration;

use logstore_api::error::Retry;
use logstore_api::{Code, Problem};

/// Where an error came from.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no address of a store; nothing was sent.
    #[error("{text:?} is no address of a store: {what}")]
    InvalidUrl {
        /// What was given.
        text: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The request cannot be made; nothing was sent.
    #[error("no request to {url} can be made: {what}")]
    InvalidRequest {
        /// What was to be called.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store refused: nothing was done.
    #[error("{url} refused: {} ({})", .problem.detail, .problem.code)]
    Refused {
        /// What was called.
        url: String,
        /// What the store answered.
        problem: Box<Problem>,
        /// How long the store asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The store answered that something failed on the way: it may have been done or not.
    #[error("{url} does not know the outcome: {} ({})", .problem.detail, .problem.code)]
    Unknown {
        /// What was called.
        url: String,
        /// What the store answered.
        problem: Box<Problem>,
    },
    /// No connection was had: nothing was sent.
    #[error("failed to connect to {url}")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The connection ended before the answer did: it may have been done or not.
    #[error("the connection ended before the answer of {url}")]
    Interrupted {
        /// What was called.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// No whole answer came in time: it may have been done or not.
    #[error("no answer of {url} within {after:?}")]
    TimedOut {
        /// What was called.
        url: String,
        /// The time that was given.
        after: Duration,
    },
    /// An answer that no store gives: it may have been done or not.
    #[error("the answer of {url} is not one of a store: {what}")]
    BadAnswer {
        /// What was called.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

/// What is known of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was done.
    NotDone,
    /// It may have been done or not.
    Unknown,
}

impl Error {
    /// What is known of the call.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::InvalidUrl { .. } | Self::InvalidRequest { .. } | Self::Refused { .. } | Self::Unreachable { .. } => {
                Outcome::NotDone
            }
            Self::Unknown { .. } | Self::Interrupted { .. } | Self::TimedOut { .. } | Self::BadAnswer { .. } => {
                Outcome::Unknown
            }
        }
    }

    /// What the store answered, where it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } | Self::Unknown { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the store answered with this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.problem().is_some_and(|problem| problem.code == code.as_str())
    }

    /// Whether the same call may succeed after a while: the store is away, busy, starting or stopping.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InvalidUrl { .. } | Self::InvalidRequest { .. } => false,
            Self::Refused { problem, .. } => problem.retry == Retry::Later,
            Self::Unknown { .. }
            | Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::BadAnswer { .. } => true,
        }
    }

    /// How long the store asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A problem that a store answered, by what it says of the outcome.
    pub(crate) fn from_problem(url: String, problem: Problem, retry_after: Option<Duration>) -> Self {
        let problem = Box::new(problem);
        match problem.retry {
            Retry::Same => Self::Unknown { url, problem },
            Retry::Never | Retry::Later => Self::Refused { url, problem, retry_after },
        }
    }
}

/// An error and its sources on one line, for people.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some libraries repeat their source in their own text.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
