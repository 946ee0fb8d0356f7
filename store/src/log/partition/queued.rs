//! Work between the queue and its answer: one write for all that come at the same time.

use std::sync::Arc;

use logstore_api::Problem;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

use super::{Partition, Thread};
use crate::log::work::Done;

/// What a partition answers.
type Answer = Result<Done, Box<Problem>>;

/// Work in the queue. It is written when this is awaited or dropped, whichever comes first.
#[derive(Debug)]
#[must_use = "where it is dropped at once, nobody learns what became of it"]
pub struct Queued {
    pub(super) turn: Turn,
    pub(super) answer: oneshot::Receiver<Answer>,
}

/// Whoever drops it leads: work in the queue never waits for somebody who has gone away.
#[derive(Debug)]
pub(super) struct Turn(pub(super) Arc<Partition>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lead(Thread::OfRequests);
    }
}

impl Queued {
    /// Leads now.
    pub fn lead(self) -> oneshot::Receiver<Answer> {
        let Self { turn, answer } = self;
        drop(turn);
        answer
    }

    /// Lets the other requests that are ready come first, so that the first who leads afterwards writes for all of them;
    /// then waits for the answer.
    pub async fn answered(self) -> Result<Answer, RecvError> {
        tokio::task::yield_now().await;
        self.lead().await
    }
}
