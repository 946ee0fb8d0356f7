//! Whether two exports say the same of the same records.

use std::io;

use xxhash_rust::xxh3::Xxh3;

use super::Lines;
use super::line::{GapLine, LogBegin, Mark, RecordLine};

/// Takes lines in. Addresses in rochefort's file, and the name of the namespace, are left out.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

impl Digest {
    /// What was taken in.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.0.digest128()
    }

    fn take(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        self.0.update(&serde_json::to_vec(line)?);
        self.0.update(b"\n");
        Ok(())
    }
}

impl Lines for Digest {
    fn mark(&mut self, mark: &Mark) -> io::Result<()> {
        match mark {
            Mark::Export(_) | Mark::ExportEnd(_) => Ok(()),
            Mark::Log(begin) => self.take(&LogBegin { address: 0, ..*begin }),
            Mark::Gap(gap) => self.take(&GapLine { address_bytes: 0, ..*gap }),
            Mark::LogEnd(end) => self.take(end),
        }
    }

    fn record(&mut self, record: &RecordLine) -> io::Result<()> {
        self.take(record)
    }
}
