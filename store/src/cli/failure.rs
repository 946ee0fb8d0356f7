//! What went wrong with a command: words for a person, a code for a script.

use std::fmt;
use std::process::ExitCode;

use logstore_client::error::chain;
use logstore_client::{Error, Outcome};

/// The part of the help that explains the exit codes.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused: a store, a limit or the input stands against it, and trying again as it is does not help
  2  wrong arguments
  3  unknown: some records may be stored or not; the message names their lines
  4  unreachable: a store does not answer, and nothing is in doubt";

/// How a command ended, for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Refused for good.
    Refused = 1,
    /// Wrong arguments.
    Usage = 2,
    /// It is not known whether some records are stored.
    Unknown = 3,
    /// A store does not answer.
    Unreachable = 4,
}

/// Why a command did not do all it was told.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// With this code, for this reason.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failed call that stores nothing, so that there is nothing to doubt.
    #[must_use]
    pub fn of_question(error: &Error) -> Self {
        let exit = match error {
            Error::InvalidUrl { .. } | Error::InvalidRequest { .. } => Exit::Usage,
            Error::Refused { .. } => Exit::Refused,
            _ => Exit::Unreachable,
        };
        Self::new(exit, chain(error))
    }

    /// Says more after the message.
    #[must_use]
    pub fn and(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// Ends with another code.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The code of a failed call that may have stored something.
pub(super) fn exit_of_append(error: &Error) -> Exit {
    match (error.outcome(), error) {
        (Outcome::Unknown, _) => Exit::Unknown,
        (Outcome::NotDone, Error::Unreachable { .. }) => Exit::Unreachable,
        (Outcome::NotDone, Error::InvalidUrl { .. } | Error::InvalidRequest { .. }) => Exit::Usage,
        (Outcome::NotDone, _) => Exit::Refused,
    }
}

/// Prints what went wrong, and ends the process with its code.
#[must_use]
#[allow(clippy::print_stderr, reason = "the one place where a command says why it failed")]
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("logstore: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}
