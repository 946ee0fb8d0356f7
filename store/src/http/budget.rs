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

/// The share of a body that is arriving, which grows with it.
#[derive(Debug)]
pub struct Growing<'a> {
    budgets: &'a Budgets,
    namespace: Option<&'a Arc<Semaphore>>,
    share: Share,
    bytes: usize,
}

impl Growing<'_> {
    /// What it is for, by now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it one for so many bytes.
    pub async fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        let Share { node, namespace } = &mut self.share;
        if let (Some(permit), Some(semaphore)) = (namespace, self.namespace) {
            enlarge(permit, semaphore, units(bytes, NAMESPACE_APPEND_BYTES_IN_FLIGHT))
                .await
                .ok_or_else(namespace_busy)?;
        }
        let units = units(bytes, APPEND_BYTES_IN_FLIGHT);
        enlarge(node, &self.budgets.append, units).await.ok_or_else(overloaded)?;
        self.bytes = bytes;
        Ok(())
    }

    /// What it has become.
    pub fn into_share(self) -> Share {
        self.share
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
    /// A share for the first bytes of an append's body: of the store's budget, and of a namespace's own, which is less, so
    /// that one cannot take the room of all.
    pub async fn append<'a>(
        &'a self,
        namespace: Option<&'a Arc<Semaphore>>,
        bytes: usize,
    ) -> Result<Growing<'a>, Problem> {
        let of_namespace = match namespace {
            None => None,
            Some(semaphore) => Some(
                permit(semaphore, units(bytes, NAMESPACE_APPEND_BYTES_IN_FLIGHT)).await.ok_or_else(namespace_busy)?,
            ),
        };
        let node = permit(&self.append, units(bytes, APPEND_BYTES_IN_FLIGHT)).await.ok_or_else(overloaded)?;
        Ok(Growing { budgets: self, namespace, share: Share { node, namespace: of_namespace }, bytes })
    }

    /// A share for the answer of a read.
    pub async fn read(&self, bytes: usize) -> Result<Share, Problem> {
        let node = permit(&self.read, units(bytes, READ_BYTES_IN_FLIGHT)).await.ok_or_else(overloaded)?;
        Ok(Share { node, namespace: None })
    }

    /// Whether so much is left that a page can be made which nobody has asked for yet.
    #[must_use]
    pub fn is_read_at_rest(&self) -> bool {
        self.read.available_permits() > READ_BYTES_IN_FLIGHT / IN_FLIGHT_UNIT / 2
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

async fn permit(semaphore: &Arc<Semaphore>, units: u32) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(semaphore).try_acquire_many_owned(units) {
        return Some(permit);
    }
    let acquired = tokio::time::timeout(IN_FLIGHT_WAIT, Arc::clone(semaphore).acquire_many_owned(units)).await;
    acquired.ok()?.ok()
}

async fn enlarge(held: &mut OwnedSemaphorePermit, semaphore: &Arc<Semaphore>, units: u32) -> Option<()> {
    let lacking = units.saturating_sub(u32::try_from(held.num_permits()).unwrap_or(u32::MAX));
    if lacking > 0 {
        held.merge(permit(semaphore, lacking).await?);
    }
    Some(())
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
        let all = budgets.append(None, usize::MAX).await.unwrap();
        assert_eq!(budgets.append(None, 1).await.unwrap_err().code, "overloaded");
        assert!(budgets.read(1).await.is_ok(), "reads have a budget of their own");
        drop(all);
        assert!(budgets.append(None, 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_grows_in_both_budgets_or_is_refused_by_the_one_that_has_no_more() {
        let budgets = Budgets::default();
        let namespace = limits::namespace_budget();
        let left = || (budgets.append.available_permits(), namespace.available_permits());
        let (all_node, all_namespace) = left();
        let mut share = budgets.append(Some(&namespace), 100).await.unwrap();
        for (bytes, units) in [(IN_FLIGHT_UNIT, 1), (10 * IN_FLIGHT_UNIT, 10), (20 * IN_FLIGHT_UNIT, 20)] {
            share.grow_to(bytes).await.unwrap();
            assert_eq!((share.bytes(), left()), (bytes, (all_node - units, all_namespace - units)));
        }
        share.grow_to(NAMESPACE_APPEND_BYTES_IN_FLIGHT).await.unwrap();
        assert_eq!(left().1, 0, "one alone may have all");
        let mut other = budgets.append(None, 1).await.unwrap();
        assert_eq!(other.grow_to(APPEND_BYTES_IN_FLIGHT).await.unwrap_err().code, "overloaded");
        let share = share.into_share().into_permit();
        let busy = limits::namespace_budget();
        let mut small = budgets.append(Some(&busy), 1).await.unwrap();
        let _rest = budgets.append(Some(&busy), NAMESPACE_APPEND_BYTES_IN_FLIGHT / 2).await.unwrap();
        assert_eq!(small.grow_to(NAMESPACE_APPEND_BYTES_IN_FLIGHT).await.unwrap_err().code, "namespace_busy");
        drop((share, small, other));
        assert_eq!(left().1, all_namespace);
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
        let all = budgets.append(Some(&busy), NAMESPACE_APPEND_BYTES_IN_FLIGHT).await.unwrap();
        assert_eq!(budgets.append(Some(&busy), 1).await.unwrap_err().code, "namespace_busy");
        assert!(budgets.append(Some(&other), 1).await.is_ok());
        drop(all);
        assert!(budgets.append(Some(&busy), 1).await.is_ok());
    }
}
