//! When passes are made: one at a time, beside the loop that asks for them, so that a store that hangs holds nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::{Settled, Stores, settle};
use crate::backoff::Backoff;
use crate::build::CopyName;
use crate::build::namespaces::DesiredNamespaces;

/// When a pass is made though nothing has changed here: somebody may have changed a namespace over HTTP.
const PASS_EVERY: Duration = Duration::from_secs(300);
/// Further away than any run lasts.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The passes over the namespaces of one `LogStore`. `Server` tells one process or pod of a copy from the next.
#[derive(Debug)]
pub(crate) struct Passes<Server> {
    under_way: JoinSet<Settled>,
    /// Of all that share these, so many are under way at once.
    permits: Arc<Semaphore>,
    due: Instant,
    backoff: Backoff,
    settled: Option<Settled>,
    /// What served when the last pass was begun. Another one has not been asked yet.
    asked: BTreeMap<CopyName, Server>,
}

impl<Server: PartialEq> Passes<Server> {
    pub(crate) fn new() -> Self {
        Self::within(Arc::new(Semaphore::new(1)))
    }

    /// Passes that wait for one of these permits.
    pub(crate) fn within(permits: Arc<Semaphore>) -> Self {
        Self {
            permits,
            under_way: JoinSet::new(),
            due: Instant::now(),
            backoff: Backoff::of_passes(),
            settled: None,
            asked: BTreeMap::new(),
        }
    }

    /// The declaration has changed: do not wait.
    pub(crate) fn hasten(&mut self) {
        self.due = Instant::now();
        self.backoff.reset();
    }

    /// Begins a pass, unless one is under way or none is due. Before the first store serves there is nobody to ask.
    pub(crate) fn begin_if_due(
        &mut self,
        desired: &DesiredNamespaces,
        serving: BTreeMap<CopyName, Server>,
        stores: impl FnOnce() -> Stores,
    ) {
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
        let (desired, stores) = (desired.clone(), stores());
        let permits = Arc::clone(&self.permits);
        self.under_way.spawn(async move {
            // They are never closed; without one the pass would be made all the same.
            let _permit = permits.acquire().await;
            settle(&desired, &stores).await
        });
    }

    /// Waits for the end of the pass that is under way; none where there is none.
    pub(crate) async fn next(&mut self) -> Option<Result<Settled, JoinError>> {
        self.under_way.join_next().await
    }

    /// Takes what a pass has come to, and says when the next one is due.
    pub(crate) fn conclude(&mut self, settled: Result<Settled, JoinError>) {
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
    pub(crate) fn settled(&self) -> Option<&Settled> {
        self.settled.as_ref()
    }

    /// What served when the last pass was begun.
    pub(crate) fn asked(&self) -> &BTreeMap<CopyName, Server> {
        &self.asked
    }

    /// When the next pass is due; none while one is under way.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        (self.under_way.is_empty() && !self.asked.is_empty()).then_some(self.due)
    }
}

/// A time that does not come.
pub(crate) fn far_future() -> Instant {
    Instant::now() + FAR
}
