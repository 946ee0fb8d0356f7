//! The task of one copy: sends it every frame in order, and brings it back in when it was away.
//!
//! ```text
//!   fence ──▶ join ──▶ place ◀─┐      the copy was fenced by the takeover, so a lane begins at join
//!     ▲         │        │ └───┘      join: what the copy misses below the window comes from a sibling
//!     └─────────┴────────┘            any failure but a refusal for good: wait, then fence again
//! ```
//!
//! One request is under way at a time. A place whose answer was lost may still be written at any later moment: it does no
//! harm, because the same frame at the same number is the same place.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use logstore_api::error::Retry;
use logstore_api::fence::{FramesQuery, PartitionTail, PlaceQuery, Reign};
use logstore_api::{Code, Durability, NamespaceName};
use tokio::sync::watch;
use uuid::Uuid;

use super::compare::Answered;
use super::error::WriterError;
use super::shared::Shared;
use super::state::{Join, Step};
use super::stretch::Stretch;
use super::takeover::fence_request;
use super::window::Batch;
use crate::Error;
use crate::error::chain;
use crate::patience::Patience;
use crate::store::Store;

/// What does not change during a reign.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) namespace: NamespaceName,
    pub(super) partition: u32,
    pub(super) incarnation: Uuid,
    pub(super) reign: Reign,
    pub(super) durability: Durability,
    pub(super) copies: Vec<Copy>,
}

/// One copy, as the takeover met it.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) store: Store,
    pub(super) node: Uuid,
}

/// The task of one copy.
#[derive(Debug)]
pub(super) struct Lane {
    index: usize,
    terms: Arc<Terms>,
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    patience: Patience,
}

/// What a lane is about to do.
#[derive(Debug)]
enum Stage {
    Fence,
    Join(PartitionTail),
    Place,
}

/// Why a stage did not succeed.
enum Failure {
    /// A call to this copy failed.
    Call(usize, Error),
    /// The writer cannot go on.
    Stop(WriterError),
}

/// What follows from a failed call.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing was done: the same again, later.
    Again,
    /// The copy may be another than it was: ask it where it stands.
    Rejoin,
    /// It will never succeed.
    Stop,
}

impl Lane {
    pub(super) fn new(index: usize, terms: Arc<Terms>, shared: Arc<Shared>, patience: Patience) -> Self {
        let changed = shared.subscribe();
        Self { index, terms, shared, changed, patience }
    }

    /// Serves the copy, whose log ends at `tail`, until the writer is closed or stops.
    pub(super) async fn run(mut self, tail: PartitionTail) {
        let mut fuse = Fuse { shared: Arc::clone(&self.shared), armed: true };
        match self.serve(tail).await {
            Ok(()) => fuse.armed = false,
            Err(error) => self.shared.stop(error),
        }
    }

    async fn serve(&mut self, tail: PartitionTail) -> Result<(), WriterError> {
        let mut stage = Stage::Join(tail);
        while self.shared.look(|state| state.stopped().is_none()) {
            let begun = Instant::now();
            let done = match &stage {
                Stage::Fence => self.fence().await.map(Stage::Join),
                Stage::Join(tail) => self.join(tail).await.map(|()| Stage::Place),
                Stage::Place => match self.shared.look(|state| state.step(self.index)) {
                    Step::Place { batch, confirmed } => self.place_batch(batch, confirmed).await.map(|()| Stage::Place),
                    Step::Wait => self.changed().await.map(|()| Stage::Place),
                    Step::Done => return Ok(()),
                },
            };
            stage = match done {
                Ok(next) => next,
                Err(failure) => self.wait_out(failure, begun, &stage).await?,
            };
        }
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), Failure> {
        // Cannot fail: `shared` holds the sender.
        self.changed.changed().await.map_err(|_| Failure::Stop(WriterError::Closed))
    }

    /// Fences the copy again under the same reign, which changes nothing there: the answer says where it stands.
    async fn fence(&self) -> Result<PartitionTail, Failure> {
        let request = fence_request(&self.terms.namespace, &self.terms.reign);
        let answer = self.store(self.index).fence(&request).await.map_err(|error| Failure::Call(self.index, error))?;
        let (copy, was, is) = (self.url(self.index), self.terms.copies[self.index].node, answer.node);
        if was != is {
            return Err(Failure::Stop(WriterError::OtherStore { copy, was, is }));
        }
        Answered { copy, answer }.tail(Some(self.terms.partition)).map_err(Failure::Stop)
    }

    /// Brings the copy into the window.
    async fn join(&mut self, tail: &PartitionTail) -> Result<(), Failure> {
        let join = self.shared.update(|state| state.join(self.index, tail));
        match join.map_err(|what| self.diverged(what))? {
            Join::InWindow => Ok(()),
            Join::Behind { base } => self.fill(tail, base).await,
        }
    }

    /// Gives the copy the frames that it misses below the window, from a sibling.
    async fn fill(&mut self, tail: &PartitionTail, base: u64) -> Result<(), Failure> {
        let copy = self.url(self.index);
        let sibling = self.shared.look(|state| state.sibling_of(self.index));
        let sibling = sibling.ok_or(Failure::Stop(WriterError::Lost { copy: copy.clone(), frame: tail.next_frame }))?;
        tracing::info!(copy, from = tail.next_frame, until = base, sibling = self.url(sibling), "filling a copy");
        self.check_seam(sibling, tail).await?;
        let (mut first, mut previous) = (tail.next_frame, tail.last_checksum);
        while first < base {
            let frames = self.frames_of(sibling, first, base).await?;
            let stretch = self.checked(sibling, &frames, first, base)?;
            let confirmed = self.shared.look(|state| state.confirmed_before(first));
            self.place(first, previous, stretch.next, confirmed, frames).await?;
            (first, previous) = (stretch.next, stretch.last_checksum);
        }
        match self.shared.look(|state| state.checksum_before_window()) {
            Some(expected) if expected != previous => Err(self.diverged(format!(
                "filled up to frame {base} it ends with checksum {previous:08x}; expected {expected:08x}"
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that the copy's last frame is the sibling's frame of that number.
    async fn check_seam(&self, sibling: usize, tail: &PartitionTail) -> Result<(), Failure> {
        let Some(last) = tail.next_frame.checked_sub(1) else { return Ok(()) };
        let frames = match self.frames_of(sibling, last, tail.next_frame).await {
            // The sibling dropped it, which it may only do with what is confirmed: then this copy holds the same.
            Err(Failure::Stop(WriterError::CannotFill { .. })) => return Ok(()),
            other => other?,
        };
        let Stretch { last_checksum, .. } = self.checked(sibling, &frames, last, tail.next_frame)?;
        if last_checksum == tail.last_checksum {
            return Ok(());
        }
        let (got, sibling) = (tail.last_checksum, self.url(sibling));
        Err(self.diverged(format!("frame {last} has checksum {got:08x}, and {last_checksum:08x} on {sibling}")))
    }

    async fn frames_of(&self, sibling: usize, from: u64, until: u64) -> Result<Bytes, Failure> {
        let (namespace, partition) = (self.terms.namespace.clone(), self.terms.partition);
        let query = FramesQuery { namespace, partition, from, until: Some(until) };
        self.store(sibling).frames(&query).await.map_err(|error| {
            if error.is(Code::Trimmed) {
                let (copy, sibling) = (self.url(self.index), self.url(sibling));
                return Failure::Stop(WriterError::CannotFill { copy, frame: from, sibling });
            }
            Failure::Call(sibling, error)
        })
    }

    fn checked(&self, sibling: usize, frames: &[u8], from: u64, until: u64) -> Result<Stretch, Failure> {
        let bad = |what| Error::BadAnswer { url: format!("{}/v1/frames", self.url(sibling)), what };
        Stretch::check(frames, from, until).map_err(|what| Failure::Call(sibling, bad(what)))
    }

    async fn place_batch(&mut self, batch: Batch, confirmed: u64) -> Result<(), Failure> {
        let next = batch.next();
        let Batch { first, previous, frames } = batch;
        let body = match frames.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        };
        self.place(first, previous, next, confirmed, body).await
    }

    /// Places frames from `first` up to `next`.
    async fn place(
        &mut self,
        first: u64,
        previous: u32,
        next: u64,
        confirmed: u64,
        frames: Bytes,
    ) -> Result<(), Failure> {
        let Terms { namespace, partition, incarnation, reign, durability, copies: _ } = &*self.terms;
        let query = PlaceQuery {
            namespace: namespace.clone(),
            partition: *partition,
            incarnation: *incarnation,
            epoch: reign.epoch,
            writer: reign.writer,
            frame: first,
            previous,
            confirmed,
            durability: *durability,
        };
        let placed = self.store(self.index).place(&query, frames).await;
        let answer = placed.map_err(|error| Failure::Call(self.index, error))?;
        if answer.next_frame < next {
            let what = format!("frames before {next} were placed, and it holds those before {}", answer.next_frame);
            let url = format!("{}/v1/place", self.url(self.index));
            return Err(Failure::Call(self.index, Error::BadAnswer { url, what }));
        }
        self.shared.update(|state| state.placed(self.index, next, confirmed));
        if let Some(away) = self.patience.restore() {
            tracing::info!(copy = self.url(self.index), ?away, "a copy takes part again");
        }
        Ok(())
    }

    /// Waits after a failure, and says what comes next; ends the writer where waiting does not help.
    async fn wait_out(&mut self, failure: Failure, begun: Instant, stage: &Stage) -> Result<Stage, WriterError> {
        let (copy, error) = match failure {
            Failure::Stop(error) => return Err(error),
            Failure::Call(copy, error) => (self.url(copy), error),
        };
        let next = match judge(&error) {
            Verdict::Stop => return Err(WriterError::of_call(&copy, error)),
            Verdict::Again if matches!(stage, Stage::Place) => Stage::Place,
            // Where the copy stood when it was asked is out of date by now.
            Verdict::Again | Verdict::Rejoin => Stage::Fence,
        };
        let text = chain(&error);
        if !self.patience.is_troubled() {
            tracing::warn!(copy, error = text, "a copy does not take part");
        }
        self.shared.update(|state| state.troubled(self.index, text));
        match self.patience.next_wait(begun, error.retry_after()) {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(after) => return Err(WriterError::Away { copy, after, source: Arc::new(error) }),
        }
        Ok(next)
    }

    fn diverged(&self, what: String) -> Failure {
        Failure::Stop(WriterError::Diverged { copy: self.url(self.index), what })
    }

    fn store(&self, copy: usize) -> &Store {
        &self.terms.copies[copy].store
    }

    fn url(&self, copy: usize) -> String {
        self.store(copy).url().to_owned()
    }
}

fn judge(error: &Error) -> Verdict {
    match error {
        Error::InvalidUrl { .. } | Error::InvalidRequest { .. } => Verdict::Stop,
        // The copy has less than it had: it was restarted.
        Error::Refused { .. } if error.is(Code::FrameMismatch) => Verdict::Rejoin,
        Error::Refused { problem, .. } if problem.retry == Retry::Later => Verdict::Again,
        Error::Refused { .. } => Verdict::Stop,
        Error::Unknown { .. }
        | Error::Unreachable { .. }
        | Error::Interrupted { .. }
        | Error::TimedOut { .. }
        | Error::BadAnswer { .. } => Verdict::Rejoin,
    }
}

/// Stops the writer when a lane ends otherwise than by its end: dropped with its writer, or by a panic.
struct Fuse {
    shared: Arc<Shared>,
    armed: bool,
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.armed {
            self.shared.stop(WriterError::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::State;
    use super::*;

    #[tokio::test]
    async fn a_lane_that_panics_stops_the_writer() {
        let tail = PartitionTail {
            partition: 0,
            first_frame: 0,
            next_frame: 0,
            last_epoch: 0,
            last_checksum: 0,
            next_offset: 0,
            last_time: 0,
            confirmed: 0,
        };
        let shared = Arc::new(Shared::new(State::new(1, tail, &[tail]), 1));
        let fuse = Fuse { shared: Arc::clone(&shared), armed: true };
        let lane = tokio::spawn(async move {
            let _fuse = fuse;
            panic!("as told");
        });
        assert!(lane.await.is_err());
        assert!(matches!(shared.look(|state| state.stopped().cloned()), Some(WriterError::Closed)));
    }
}
