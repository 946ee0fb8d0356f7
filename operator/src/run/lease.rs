//! Leader election over a Lease: of all replicas of the operator, one acts.
//!
//! As in client-go, a replica trusts no clock but its own: it takes a Lease over when it has seen nobody renew it for as
//! long as it lasts. Who holds it renews it well before, and stops acting when it could not, before anybody else can
//! begin. Each write names the version that it has read, so of two that take a Lease at once only one succeeds.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use logstore_client::error::chain;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::api::said;

/// How long a Lease lasts without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// Who could not renew it for so long acts no more. Others begin at [`DURATION`] at the earliest.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked at while somebody else holds it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes part in an election.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// A call on the Lease that has failed.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("the API server did not answer in time")]
    TimedOut,
    #[error("{}", said(.0))]
    Api(kube::Error),
}

/// The last renewal that was seen, and when it was seen first.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    at: Instant,
}

impl Seen {
    fn of(lease: &Lease, before: Option<&Self>) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let (holder, renewed) = (spec.holder_identity.filter(|holder| !holder.is_empty()), spec.renew_time);
        match before {
            Some(before) if before.holder == holder && before.renewed == renewed => before.clone(),
            _ => Self { holder, renewed, at: Instant::now() },
        }
    }

    /// Whether nobody holds it, or nobody renews it, or it is held by this replica's own name.
    fn is_free_for(&self, identity: &str, lasts: Duration) -> bool {
        self.holder.as_deref().is_none_or(|holder| holder == identity) || self.at.elapsed() > lasts
    }
}

impl Elector {
    /// For a Lease that is made when it is missing. `identity` tells this replica from all others.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, identity: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name, identity }
    }

    /// Waits until this replica holds the Lease.
    pub async fn acquire(&self) {
        let mut seen: Option<Seen> = None;
        loop {
            match self.try_to_acquire(&mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!("failed to look at lease {}: {}; trying again", self.name, chain(&error)),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn try_to_acquire(&self, seen: &mut Option<Seen>) -> Result<bool, LeaseError> {
        let Some(lease) = self.read().await? else {
            return took(call(self.api.create(&PostParams::default(), &self.taken(None))).await);
        };
        let lasts = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts = lasts.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs);
        let now = Seen::of(&lease, seen.as_ref());
        if seen.as_ref().and_then(|seen| seen.holder.as_ref()) != now.holder.as_ref() {
            tracing::info!("lease {} is held by {}", self.name, now.holder.as_deref().unwrap_or("nobody"));
        }
        let is_free = now.is_free_for(&self.identity, lasts);
        *seen = Some(now);
        if is_free { took(self.write(&self.taken(Some(lease))).await) } else { Ok(false) }
    }

    /// Keeps the Lease. Returns when it is lost, or could not be renewed in time.
    pub async fn keep(&self) {
        let mut renewed = Instant::now();
        let mut wait = RENEW_EVERY;
        loop {
            sleep(wait).await;
            let begun = Instant::now();
            // An attempt that hangs must not outlast the deadline.
            let renewal = timeout_at(renewed + RENEW_DEADLINE, self.renew()).await;
            wait = match renewal.unwrap_or(Err(LeaseError::TimedOut)) {
                Ok(true) => {
                    renewed = begun;
                    RENEW_EVERY
                }
                Ok(false) => {
                    tracing::error!("lease {} was taken by another replica", self.name);
                    return;
                }
                Err(error) => {
                    tracing::warn!("failed to renew lease {}: {}", self.name, chain(&error));
                    if renewed.elapsed() + LOOK_EVERY >= RENEW_DEADLINE {
                        tracing::error!("lease {} could not be renewed within {RENEW_DEADLINE:?}", self.name);
                        return;
                    }
                    LOOK_EVERY
                }
            };
        }
    }

    async fn renew(&self) -> Result<bool, LeaseError> {
        match self.read().await? {
            Some(lease) if self.holds(&lease) => took(self.write(&self.taken(Some(lease))).await),
            Some(_) => Ok(false),
            // Somebody deleted it; making it anew tells whether another replica was faster.
            None => took(call(self.api.create(&PostParams::default(), &self.taken(None))).await),
        }
    }

    /// Lets others take it at once.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.read().await?.filter(|lease| self.holds(lease)) else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.write(&lease).await.map(|_| ())
        };
        if let Err(error) = released.await {
            tracing::warn!("failed to release lease {}: {}; it runs out by itself", self.name, chain(&error));
        }
    }

    fn holds(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.identity)
    }

    /// The Lease as held by this replica, at the version that was read.
    fn taken(&self, lease: Option<Lease>) -> Lease {
        let metadata = lease.as_ref().map(|lease| lease.metadata.clone());
        let before = lease.and_then(|lease| lease.spec).unwrap_or_default();
        let is_ours = before.holder_identity.as_ref() == Some(&self.identity);
        let now = MicroTime(Timestamp::now());
        let transitions = before.lease_transitions.unwrap_or(0) + i32::from(!is_ours);
        Lease {
            metadata: metadata.unwrap_or_else(|| ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: before.acquire_time.filter(|_| is_ours).or_else(|| Some(now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        call(self.api.get_opt(&self.name)).await
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        call(self.api.replace(&self.name, &PostParams::default(), lease)).await
    }
}

async fn call<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, LeaseError> {
    timeout(CALL_TIMEOUT, call).await.map_err(|_| LeaseError::TimedOut)?.map_err(LeaseError::Api)
}

/// Whether a write has won against those of others.
fn took(written: Result<Lease, LeaseError>) -> Result<bool, LeaseError> {
    match written {
        Ok(_) => Ok(true),
        Err(LeaseError::Api(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: i64) -> Lease {
        Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        }
    }

    /// Two nodes whose clocks are hours apart must agree all the same.
    #[tokio::test(start_paused = true)]
    async fn a_lease_is_free_when_nobody_was_seen_to_renew_it() {
        let first = Seen::of(&lease("other", 0), None);
        assert!(!first.is_free_for("me", DURATION));
        sleep(DURATION).await;
        let renewed = Seen::of(&lease("other", 1), Some(&first));
        assert!(!renewed.is_free_for("me", DURATION), "a renewal begins the time anew");
        sleep(DURATION + Duration::from_millis(1)).await;
        assert!(Seen::of(&lease("other", 1), Some(&renewed)).is_free_for("me", DURATION));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_released_or_is_our_own_is_free_at_once() {
        assert!(Seen::of(&lease("", 0), None).is_free_for("me", DURATION));
        assert!(Seen::of(&lease("me", 0), None).is_free_for("me", DURATION));
    }
}
