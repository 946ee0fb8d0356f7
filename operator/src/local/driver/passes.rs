//! The passes over the namespaces: one at a time, beside the loop, so that a store that hangs holds nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::super::backoff::Backoff;
use super::super::copies::Copies;
use crate::build::CopyName;
use crate::build::namespaces::DesiredNamespaces;
use crate::settle::{Settled, settle};

/// When a pass is made though nothing has changed here: somebody may have changed a namespace over HTTP.
const PASS_EVERY: Duration = Duration::from_secs(300);
/// Further away than any run lasts.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The passes of a run.
#[derive(Debug)]
pub(super) struct Passes {
    under_way: JoinSet<Settled>,
    due: Instant,
    backoff: Backoff,
    settled: Option<Settled>,
    /// The processes that served when the last pass was begun. Another one has not been asked yet.
    asked: BTreeMap<CopyName, u32>,
}

impl Passes {
    pub(super) fn new() -> Self {
        Self {
            under_way: JoinSet::new(),
            due: Instant::now(),
            backoff: Backoff::of_passes(),
            settled: None,
            asked: BTreeMap::new(),
        }
    }

    /// The declaration has changed: do not wait.
    pub(super) fn hasten(&mut self) {
        self.due = Instant::now();
        self.backoff.reset();
    }

    /// Begins a pass, unless one is under way or none is due. Before the first store serves there is nobody to ask.
    pub(super) fn begin_if_due(&mut self, desired: &DesiredNamespaces, copies: &Copies) {
        let serving = copies.serving();
        if serving != self.asked {
            self.hasten();
        }
        let is_early = serving.is_empty() && self.asked.is_empty();
        if is_early || !self.under_way.is_empty() || Instant::now() < self.due {
            return;
        }
        self.asked = serving;
        // Whatever comes up meanwhile makes it earlier.
        self.due = far_future();
        let (desired, stores) = (desired.clone(), copies.stores());
        self.under_way.spawn(async move { settle(&desired, &stores).await });
    }

    /// Waits for the end of the pass that is under way; none where there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Settled, JoinError>> {
        self.under_way.join_next().await
    }

    /// Takes what a pass has come to, and says when the next one is due.
    pub(super) fn conclude(&mut self, settled: Result<Settled, JoinError>) {
        let is_complete = settled.as_ref().is_ok_and(Settled::is_complete);
        let wait = if is_complete { PASS_EVERY } else { self.backoff.after(Duration::ZERO) };
        self.due = self.due.min(Instant::now() + wait);
        match settled {
            Ok(settled) => self.settled = Some(settled),
            Err(error) => tracing::error!(%error, "a pass over the namespaces has failed"),
        }
        if is_complete {
            self.backoff.reset();
        }
    }

    /// What the last pass has come to.
    pub(super) fn settled(&self) -> Option<&Settled> {
        self.settled.as_ref()
    }

    /// When the next pass is due; none while one is under way.
    pub(super) fn due_at(&self) -> Option<Instant> {
        (self.under_way.is_empty() && !self.asked.is_empty()).then_some(self.due)
    }
}

/// A time that does not come.
pub(super) fn far_future() -> Instant {
    Instant::now() + FAR
}
