//! Bytes in flight: over a bound a request is told to come back, and memory never grows without one.

use std::sync::Arc;

use logstore_api::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{
    APPEND_BYTES_IN_FLIGHT, FOLLOW_BYTES_IN_FLIGHT, FOLLOWERS_MAX, IN_FLIGHT_UNIT, IN_FLIGHT_WAIT,
    NAMESPACE_APPEND_BYTES_IN_FLIGHT, READ_BYTES_IN_FLIGHT,
};
use crate::log::work::Held;

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
    node: OwnedSemaphorePermit,
    namespace: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Gives back what is more than so many bytes of it.
    #[must_use]
    pub fn shrunk(mut self, bytes: usize) -> Self {
        let less = self.node.num_permits().saturating_sub(bytes.div_ceil(IN_FLIGHT_UNIT).max(1));
        drop(self.node.split(less));
        self
    }

    /// For whoever holds it on.
    pub fn into_permit(self) -> Held {
        let Self { node, namespace } = self;
        Held::new(std::iter::once(node).chain(namespace))
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            append: Arc::new(Semaphore::new(APPEND_BYTES_IN_FLIGHT / IN_FLIGHT_UNIT)),
            read: Arc::new(Semaphore::new(READ_BYTES_IN_FLIGHT / IN_FLIGHT_UNIT)),
            follow: Arc::new(Semaphore::new(FOLLOW_BYTES_IN_FLIGHT / IN_FLIGHT_UNIT)),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        }
    }
}

impl Budgets {
    /// A share for the body of an append.
    pub async fn append(&self, bytes: usize) -> Result<Share, Problem> {
        let node = permit(&self.append, bytes, APPEND_BYTES_IN_FLIGHT).await.ok_or_else(overloaded)?;
        Ok(Share { node, namespace: None })
    }

    /// The same in a namespace's own budget, which is less, so that one cannot take the room of all.
    pub async fn append_to(&self, budget: Option<&Arc<Semaphore>>, bytes: usize) -> Result<Share, Problem> {
        let namespace = match budget {
            None => None,
            Some(semaphore) => {
                let permit = permit(semaphore, bytes, NAMESPACE_APPEND_BYTES_IN_FLIGHT).await;
                Some(permit.ok_or_else(namespace_busy)?)
            }
        };
        Ok(Share { namespace, ..self.append(bytes).await? })
    }

    /// A share for the answer of a read.
    pub async fn read(&self, bytes: usize) -> Result<Share, Problem> {
        let node = permit(&self.read, bytes, READ_BYTES_IN_FLIGHT).await.ok_or_else(overloaded)?;
        Ok(Share { node, namespace: None })
    }

    /// A share for what a follower is given. It waits as long as it takes; `None` when there will be none.
    pub async fn follow(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.follow).acquire_many_owned(units(bytes, FOLLOW_BYTES_IN_FLIGHT)).await.ok()?;
        Some(Share { node: permit, namespace: None })
    }

    /// A place among the followers.
    pub fn follower(&self) -> Result<Share, Problem> {
        let permit = Arc::clone(&self.followers).try_acquire_owned();
        permit.map(|permit| Share { node: permit, namespace: None }).map_err(|_| {
            let detail = format!("{FOLLOWERS_MAX} readers follow logs of this store as events already; read with wait= instead, or try again later");
            Problem::new(Code::Overloaded, detail)
        })
    }
}

/// One that is larger than the whole is admitted alone.
fn units(bytes: usize, whole: usize) -> u32 {
    u32::try_from(bytes.min(whole).div_ceil(IN_FLIGHT_UNIT).max(1)).unwrap_or(u32::MAX)
}

async fn permit(semaphore: &Arc<Semaphore>, bytes: usize, whole: usize) -> Option<OwnedSemaphorePermit> {
    let units = units(bytes, whole);
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(units) {
        return Some(permit);
    }
    let acquired = tokio::time::timeout(IN_FLIGHT_WAIT, Arc::clone(semaphore).acquire_many_owned(units)).await;
    acquired.ok()?.ok()
}

fn overloaded() -> Problem {
    let detail = "the store has as many bytes of such requests in flight as it may; try again later, GET /v1/status names the bound";
    Problem::new(Code::Overloaded, detail)
}

fn namespace_busy() -> Problem {
    let detail = format!(
        "the namespace has {NAMESPACE_APPEND_BYTES_IN_FLIGHT} bytes of appends in flight already; try again later, or send less at once"
    );
    Problem::new(Code::NamespaceBusy, detail).expected(NAMESPACE_APPEND_BYTES_IN_FLIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

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
    async fn what_is_not_needed_of_a_share_is_given_back() {
        let budgets = Budgets::default();
        let left = || budgets.follow.available_permits();
        let all = left();
        let share = budgets.follow(10 * IN_FLIGHT_UNIT).await.unwrap();
        assert_eq!(left(), all - 10);
        let share = share.shrunk(IN_FLIGHT_UNIT + 1);
        assert_eq!(left(), all - 2);
        let share = share.shrunk(usize::MAX);
        assert_eq!(left(), all - 2);
        let share = share.shrunk(0);
        assert_eq!(left(), all - 1);
        drop(share);
        assert_eq!(left(), all);
    }

    #[tokio::test]
    async fn followers_are_counted() {
        let budgets = Budgets::default();
        let mut all: Vec<_> = (0..FOLLOWERS_MAX).map(|_| budgets.follower().unwrap()).collect();
        assert_eq!(budgets.follower().unwrap_err().code, "overloaded");
        all.pop();
        assert!(budgets.follower().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_namespace_does_not_take_the_room_of_the_others() {
        let budgets = Budgets::default();
        let [busy, other] = [(); 2].map(|()| limits::namespace_budget());
        let all = budgets.append_to(Some(&busy), NAMESPACE_APPEND_BYTES_IN_FLIGHT).await.unwrap();
        assert_eq!(budgets.append_to(Some(&busy), 1).await.unwrap_err().code, "namespace_busy");
        assert!(budgets.append_to(Some(&other), 1).await.is_ok());
        drop(all);
        assert!(budgets.append_to(Some(&busy), 1).await.is_ok());
    }
}
