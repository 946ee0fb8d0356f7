//! Filling a new log with frames that keep their offsets and times: what an import does in place of appends.

use logstore_api::frame::Draft;
use logstore_api::{Durability, Problem, Timestamp};

use super::Writer;
use crate::log::producers::Remembered;
use crate::log::shared::Shared;
use crate::log::state::LogState;
use crate::log::work::frozen;

/// Bytes that are collected before they are written.
const STAGED_BYTES_MAX: u64 = 1024 * 1024;

impl Writer {
    /// Begins an empty log behind what it once held.
    pub fn begin_at(&mut self, shared: &Shared, state: LogState) {
        assert!(self.active.is_none() && self.staged.is_empty(), "only an empty log can begin elsewhere");
        shared.trim(state.trim_start);
        self.staged_tail = state.tail;
        self.state = state;
    }

    /// Takes a frame with a time of its own. It is written with others; a failure freezes the log.
    pub fn load(&mut self, shared: &Shared, draft: Draft, time: Timestamp) -> Result<(), Problem> {
        self.make_room(shared, draft.frame_len() as u64, true)?;
        let numbers = self.next_numbers(time);
        self.stage(shared, draft, numbers, 0, Durability::Written, None);
        if self.staged_bytes >= STAGED_BYTES_MAX {
            self.flush(shared);
        }
        if shared.is_frozen() { Err(frozen()) } else { Ok(()) }
    }

    /// Passes over offsets whose records are gone: they become a hole between two segments.
    pub fn pass_over(&mut self, shared: &Shared, offsets: u64, address_bytes: u64) {
        self.flush(shared);
        self.state.tail.next_offset += offsets;
        self.state.tail.address_sum += address_bytes;
        self.staged_tail = self.state.tail;
        self.must_roll = true;
    }

    /// Ends the filling. The producers are those that the log shall remember; what its frames do not tell of them stands
    /// in the snapshot of a new segment.
    pub fn end_load(&mut self, shared: &Shared, producers: &[Remembered]) -> Result<(), Problem> {
        self.flush(shared);
        let producers = self.state.producers.of(producers);
        if self.state.producers != producers {
            self.state.producers = producers;
            self.must_roll = true;
        }
        let nowhere = self.active.is_none() && self.state != LogState::default();
        if self.must_roll || nowhere { self.roll(shared) } else { Ok(()) }
    }
}
