//! The writer's knowledge: what comes next, which copy holds what, what is acknowledged. No waiting and no I/O here.
//!
//! ```text
//!             confirmed = base          held(b)             held(a)            end
//! … ─────────────┼────────────────────────┼───────────────────┼─────────────────┼
//!    all have it │ frames that some copy may miss: the window │ not sent to any │ next number
//! ```

use logstore_api::Timestamp;
use logstore_api::fence::PartitionTail;
use logstore_api::frame::{Draft, Numbers, Salt};
use logstore_api::limits::PLACE_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::WriterError;
use super::window::{Batch, Window};

/// An append that every copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Offset of the first record; the others follow it without gaps.
    pub offset: u64,
    /// Records.
    pub count: u64,
    /// Their server time.
    pub time: Timestamp,
}

/// What comes of an append, once it is known.
pub(super) type Fate = Result<Acked, WriterError>;

/// Who waits for a frame, and the room it takes until then.
#[derive(Debug)]
struct Waiter {
    acked: Acked,
    reply: oneshot::Sender<Fate>,
    _room: OwnedSemaphorePermit,
}

/// Everything that the tasks of a writer share.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    epoch: u32,
    next_offset: u64,
    last_time: Timestamp,
    window: Window<Waiter>,
    copies: Vec<CopyState>,
    /// Number of the epoch-start. Until all copies hold it, nothing of this reign is confirmed, and nothing before it
    /// that was not before.
    reign_begins: u64,
    confirmed: u64,
}

#[derive(Debug)]
enum Phase {
    Running,
    Closing,
    Stopped(WriterError),
}

#[derive(Debug)]
struct CopyState {
    /// The number of the frame that it takes next.
    next: u64,
    /// It has answered a place that it holds every frame below this at the asked level. What it says of itself when it is
    /// fenced is no such answer: it may have written frames that it has not synced.
    held: u64,
    /// The last `confirmed` that it has answered to, in its present life as far as that is known.
    told: Option<u64>,
    /// What keeps it from taking part.
    trouble: Option<String>,
}

impl CopyState {
    fn at(next: u64) -> Self {
        Self { next, held: next, told: None, trouble: None }
    }
}

/// Where a writer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterStatus {
    /// Frames below this number are acknowledged.
    pub confirmed: u64,
    /// The frame number that comes next.
    pub next_frame: u64,
    /// The offset that the next record gets.
    pub next_offset: u64,
    /// The copies, in the order in which the writer was given them.
    pub copies: Vec<CopyStatus>,
}

/// Where a copy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyStatus {
    /// It holds every frame below this number.
    pub held: u64,
    /// What keeps it from taking part now.
    pub trouble: Option<String>,
}

/// What the task of a copy does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Places these frames and says what is confirmed.
    Place { batch: Batch, confirmed: u64 },
    /// Waits for a change.
    Wait,
    /// Ends.
    Done,
}

/// Where a copy stands that has just told where its log ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// In the window: what it misses can be placed.
    InWindow,
    /// Before it: a sibling has to give what it misses, up to frame `base`.
    Behind { base: u64 },
}

impl State {
    /// A reign that begins behind the log that `longest` ends; `tails` are those of the copies.
    pub(super) fn new(epoch: u32, longest: PartitionTail, tails: &[PartitionTail]) -> Self {
        Self {
            phase: Phase::Running,
            epoch,
            next_offset: longest.next_offset,
            last_time: Timestamp(longest.last_time),
            window: Window::new(longest.next_frame, longest.last_checksum),
            // That these are held is only said by the answer to the epoch-start; nothing is confirmed before.
            copies: tails.iter().map(|tail| CopyState::at(tail.next_frame)).collect(),
            reign_begins: longest.next_frame,
            confirmed: tails.iter().map(|tail| tail.confirmed.min(longest.next_frame)).max().unwrap_or(0),
        }
    }

    /// Gives a frame its place behind all others.
    pub(super) fn push(
        &mut self,
        mut draft: Draft,
        now: Timestamp,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Fate>, WriterError> {
        match &self.phase {
            Phase::Running => {}
            Phase::Closing => return Err(WriterError::Closed),
            Phase::Stopped(error) => return Err(error.clone()),
        }
        let time = now.max(self.last_time);
        let numbers =
            Numbers { number: self.window.end(), base_offset: self.next_offset, time_us: time.0, epoch: self.epoch };
        let checksum = draft.seal(numbers, Salt::WIRE, 0);
        let acked = Acked { offset: self.next_offset, count: draft.view().header().offset_count(), time };
        let (reply, fate) = oneshot::channel();
        self.next_offset += acked.count;
        self.last_time = time;
        self.window.push(draft.into_bytes().into(), checksum, Waiter { acked, reply, _room: room });
        Ok(fate)
    }

    /// What the task of this copy does next.
    pub(super) fn step(&self, copy: usize) -> Step {
        if matches!(self.phase, Phase::Stopped(_)) {
            return Step::Done;
        }
        let CopyState { next, held, told, trouble: _ } = &self.copies[copy];
        let batch = self.window.batch(*next, PLACE_BYTES_MAX).expect("a copy takes steps only inside the window");
        let confirmed = self.confirmed_before(batch.first);
        let to_tell = self.confirmed > self.reign_begins && *told != Some(confirmed);
        if !batch.frames.is_empty() || held < next || to_tell {
            return Step::Place { batch, confirmed };
        }
        match self.phase {
            Phase::Closing if self.confirmed == self.window.end() => Step::Done,
            _ => Step::Wait,
        }
    }

    /// A copy answered that it holds what it was sent, up to `next`.
    pub(super) fn placed(&mut self, copy: usize, next: u64, confirmed: u64) {
        self.copies[copy] = CopyState { next, held: next, told: Some(confirmed), trouble: None };
        self.advance();
    }

    /// A copy said, fenced by this reign, where its log ends. What is wrong with that is the error's text.
    pub(super) fn join(&mut self, copy: usize, tail: &PartitionTail) -> Result<Join, String> {
        let (next, base, end) = (tail.next_frame, self.window.base(), self.window.end());
        if next > end {
            return Err(format!("it holds frames up to {next}; this writer has placed none from {end} on"));
        }
        if let Some(expected) = self.window.checksum_before(next)
            && expected != tail.last_checksum
        {
            let got = tail.last_checksum;
            return Err(format!("before frame {next} it holds checksum {got:08x}; expected {expected:08x}"));
        }
        let copy = &mut self.copies[copy];
        (copy.next, copy.held) = (next, copy.held.min(next));
        // It may have forgotten what it was told.
        copy.told = None;
        Ok(if next < base { Join::Behind { base } } else { Join::InWindow })
    }

    /// Another copy that holds everything below the window, as far as is known.
    pub(super) fn sibling_of(&self, copy: usize) -> Option<usize> {
        (0..self.copies.len()).find(|sibling| *sibling != copy && self.copies[*sibling].next >= self.window.base())
    }

    /// Wire checksum of the frame before the window.
    pub(super) fn checksum_before_window(&self) -> Option<u32> {
        self.window.checksum_before(self.window.base())
    }

    /// Whether all copies hold the log that this reign begins with.
    pub(super) fn is_level(&self) -> bool {
        self.copies.iter().all(|copy| copy.next >= self.reign_begins)
    }

    pub(super) fn troubled(&mut self, copy: usize, trouble: String) {
        self.copies[copy].trouble = Some(trouble);
    }

    /// Takes no more; the tasks end when every copy has everything and knows it.
    pub(super) fn close(&mut self) {
        if matches!(self.phase, Phase::Running) {
            self.phase = Phase::Closing;
            // Each copy is told once more: one that was restarted since may have forgotten it unnoticed.
            self.copies.iter_mut().for_each(|copy| copy.told = None);
        }
    }

    /// Ends the reign; the first reason stays. What is out is unknown.
    pub(super) fn stop(&mut self, error: WriterError) {
        if self.stopped().is_none() {
            for waiter in self.window.drop_below(self.window.end()) {
                // Whoever waited may have gone.
                let _ = waiter.reply.send(Err(error.clone()));
            }
            self.phase = Phase::Stopped(error);
        }
    }

    pub(super) fn stopped(&self) -> Option<&WriterError> {
        match &self.phase {
            Phase::Stopped(error) => Some(error),
            Phase::Running | Phase::Closing => None,
        }
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// What a copy is told with frames from `first` on: no more than it holds before it takes them.
    pub(super) fn confirmed_before(&self, first: u64) -> u64 {
        self.confirmed.min(first)
    }

    pub(super) fn status(&self) -> WriterStatus {
        let copies = self.copies.iter();
        WriterStatus {
            confirmed: self.confirmed,
            next_frame: self.window.end(),
            next_offset: self.next_offset,
            copies: copies.map(|copy| CopyStatus { held: copy.held, trouble: copy.trouble.clone() }).collect(),
        }
    }

    /// Acknowledges what all copies hold. A copy that came back with less takes nothing back.
    fn advance(&mut self) {
        let least = self.copies.iter().map(|copy| copy.held).min().unwrap_or(0);
        if least <= self.reign_begins || least <= self.confirmed {
            return;
        }
        self.confirmed = least;
        for Waiter { acked, reply, _room } in self.window.drop_below(least) {
            let _ = reply.send(Ok(acked));
        }
    }
}

#[cfg(test)]
mod tests;
