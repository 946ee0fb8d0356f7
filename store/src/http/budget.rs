//! Bytes in flight: over a bound a request is told to come back, and memory never grows without one.

use std::sync::Arc;
use std::time::Duration;

use logstore_api::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies of appends that are being read, parsed or written, of all namespaces together.
const APPEND_BYTES: usize = 64 * 1024 * 1024;
/// Answers of reads that are being built or sent.
const READ_BYTES: usize = 256 * 1024 * 1024;
/// What followers have been given and not taken yet; their own, so that slow ones keep nobody from reading.
const FOLLOW_BYTES: usize = 128 * 1024 * 1024;
/// Those who follow a log as server-sent events. Each costs a connection and, where it is slow, three pieces of what it
/// follows: all of them together less than [`FOLLOW_BYTES`], unless records are large.
const FOLLOWERS_MAX: usize = 1024;
/// How long a request waits for its share.
const PATIENCE: Duration = Duration::from_millis(50);
/// What is counted, so that small requests cost something too.
const UNIT: usize = 1024;

/// The shares.
#[derive(Debug)]
pub struct Budgets {
    append: Arc<Semaphore>,
    read: Arc<Semaphore>,
    follow: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// A share, given back when dropped.
#[derive(Debug)]
pub struct Share {
    permit: OwnedSemaphorePermit,
}

impl Share {
    /// For whoever holds it on.
    pub fn into_permit(self) -> OwnedSemaphorePermit {
        self.permit
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            append: Arc::new(Semaphore::new(APPEND_BYTES / UNIT)),
            read: Arc::new(Semaphore::new(READ_BYTES / UNIT)),
            follow: Arc::new(Semaphore::new(FOLLOW_BYTES / UNIT)),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }
}

impl Budgets {
    /// A share for the body of an append.
    pub async fn append(&self, bytes: usize) -> Result<Share, Problem> {
        share(&self.append, bytes, APPEND_BYTES).await
    }

    /// A share for the answer of a read.
    pub async fn read(&self, bytes: usize) -> Result<Share, Problem> {
        share(&self.read, bytes, READ_BYTES).await
    }

    /// A share for what a follower is given. It waits as long as it takes; `None` when there will be none.
    pub async fn follow(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.follow).acquire_many_owned(units(bytes, FOLLOW_BYTES)).await.ok()?;
        Some(Share { permit })
    }

    /// A place among the followers.
    pub fn follower(&self) -> Result<Share, Problem> {
        let permit = Arc::clone(&self.followers).try_acquire_owned();
        permit.map(|permit| Share { permit }).map_err(|_| {
            let detail = format!("{FOLLOWERS_MAX} readers follow logs of this store as events already; read with wait= instead, or try again later");
            Problem::new(Code::Overloaded, detail)
        })
    }
}

/// One that is larger than the whole is admitted alone.
fn units(bytes: usize, whole: usize) -> u32 {
    u32::try_from(bytes.min(whole).div_ceil(UNIT).max(1)).unwrap_or(u32::MAX)
}

async fn share(semaphore: &Arc<Semaphore>, bytes: usize, whole: usize) -> Result<Share, Problem> {
    let units = units(bytes, whole);
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(units) {
        return Ok(Share { permit });
    }
    match tokio::time::timeout(PATIENCE, Arc::clone(semaphore).acquire_many_owned(units)).await {
        Ok(Ok(permit)) => Ok(Share { permit }),
        _ => {
            let detail = format!("the store has {whole} bytes of such requests in flight already; try again later");
            Err(Problem::new(Code::Overloaded, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn over_the_bound_a_request_is_sent_away_and_one_too_large_is_admitted_alone() {
        let budgets = Budgets::default();
        let all = budgets.append(usize::MAX).await.unwrap();
        assert_eq!(budgets.append(1).await.unwrap_err().code, "overloaded");
        assert!(budgets.read(1).await.is_ok(), "reads have a budget of their own");
        drop(all);
        assert!(budgets.append(1).await.is_ok());
    }

    #[tokio::test]
    async fn followers_are_counted() {
        let budgets = Budgets::default();
        let mut all: Vec<_> = (0..FOLLOWERS_MAX).map(|_| budgets.follower().unwrap()).collect();
        assert_eq!(budgets.follower().unwrap_err().code, "overloaded");
        all.pop();
        assert!(budgets.follower().is_ok());
    }
}
