//! Following a log as it grows, across restarts of its store.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use logstore_api::limits::WAIT_SECONDS_MAX;
use logstore_api::record::Envelope;
use logstore_api::{Code, NamespaceName};

use crate::error::{Error, chain};
use crate::patience::{Patience, Retries};
use crate::store::{ReadFrom, ReadOptions, Store};

/// How a log is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowOptions {
    /// How much each read brings, and how long the store holds one that has nothing to bring: the longest poll where left
    /// out, because a log is not followed by asking without a pause.
    pub read: ReadOptions,
    /// How long to go on while the store is away.
    pub retries: Retries,
}

/// The records of a namespace from a place on, for ever.
///
/// A store that is away is tried again; so is one that came back and does not yet know how much of its log is
/// acknowledged, and therefore shows less than before.
#[derive(Debug)]
pub struct Follow {
    store: Store,
    name: NamespaceName,
    options: FollowOptions,
    from: ReadFrom,
    records: VecDeque<Envelope>,
    patience: Patience,
}

impl Follow {
    /// Begins at `from`. Nothing is sent yet: `end` and `-N` are found by the first [`Follow::next`].
    #[must_use]
    pub fn new(store: Store, name: NamespaceName, from: ReadFrom, mut options: FollowOptions) -> Self {
        options.read.wait.get_or_insert(Duration::from_secs(WAIT_SECONDS_MAX));
        let patience = Patience::new(options.retries);
        Self { store, name, options, from, records: VecDeque::new(), patience }
    }

    /// Waits for the next record. May be dropped and called again; no record is lost by that.
    ///
    /// # Errors
    /// Where the store refuses (`trimmed`, `damaged`, `namespace_not_found`, …), or was away for too long. It may be
    /// called again after each, or after [`Follow::seek`].
    pub async fn next(&mut self) -> Result<Envelope, Error> {
        loop {
            match self.records.pop_front() {
                Some(record) => return Ok(record),
                None => self.fetch().await?,
            }
        }
    }

    /// Waits for records, and gives all that came together: one at least.
    ///
    /// # Errors
    /// As [`Follow::next`].
    pub async fn next_batch(&mut self) -> Result<Vec<Envelope>, Error> {
        while self.records.is_empty() {
            self.fetch().await?;
        }
        Ok(std::mem::take(&mut self.records).into())
    }

    /// Reads once, so that there are records; or waits, where the store is away.
    async fn fetch(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        match self.store.read(&self.name, self.from, &self.options.read).await {
            Ok(answer) => {
                self.recovered();
                self.from = ReadFrom::Offset(answer.next);
                self.records = answer.records.into();
                Ok(())
            }
            Err(error) => self.wait_out(error, begun).await,
        }
    }

    /// The place of the record that [`Follow::next`] gives next.
    #[must_use]
    pub fn position(&self) -> ReadFrom {
        self.records.front().map_or(self.from, |record| ReadFrom::Offset(record.offset))
    }

    /// Goes on at another place.
    pub fn seek(&mut self, from: ReadFrom) {
        self.records.clear();
        self.from = from;
    }

    async fn wait_out(&mut self, error: Error, begun: Instant) -> Result<(), Error> {
        if !error.is_transient() {
            return Err(error);
        }
        let first = !self.patience.is_troubled();
        let Ok(wait) = self.patience.next_wait(begun, error.retry_after()) else {
            self.patience.restore();
            return Err(error);
        };
        if first && !error.is(Code::BeyondEnd) {
            tracing::warn!(namespace = %self.name, error = chain(&error), "cannot follow, trying again");
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn recovered(&mut self) {
        if let Some(away) = self.patience.restore() {
            tracing::info!(namespace = %self.name, ?away, "following again");
        }
    }
}
