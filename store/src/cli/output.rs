//! Standard output, whose reader may go away.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncWriteExt, Stdout};

use super::failure::{Exit, Failure};

/// What comes after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Somebody reads on.
    Reads,
    /// Nobody does: `| head` has seen enough.
    Gone,
}

/// Standard output. What is written is there when the call returns.
#[derive(Debug)]
pub(super) struct Output(Stdout);

impl Output {
    pub(super) fn new() -> Self {
        Self(tokio::io::stdout())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<Reader, Failure> {
        match self.try_write(bytes).await {
            Ok(()) => Ok(Reader::Reads),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(Failure::new(Exit::Refused, format!("failed to write to standard output: {error}"))),
        }
    }

    async fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}
