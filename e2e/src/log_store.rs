//! One LogStore in a scene: what a user does with it, and what becomes of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::ListParams;
use logstore_crds::{LogStore as Resource, LogStoreStatus};

use crate::command::Ran;
use crate::scene::Place;
use crate::wait;

/// Volumes are made, pods scheduled and stores started within this time, also while other cases run beside.
pub const SOON: Duration = Duration::from_secs(120);

/// A LogStore by its name, which need not be there yet.
#[derive(Clone)]
pub struct LogStore {
    /// Where it is.
    pub place: Place,
    name: String,
}

impl LogStore {
    pub(crate) fn new(place: Place, name: &str) -> Self {
        Self { place, name: name.to_owned() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl apply` with these lines under `spec`.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn apply(&self, spec: &str) -> Result<()> {
        self.place.kubectl.apply(&self.manifest(spec)).await.map(drop)
    }

    /// The same, however it may end.
    ///
    /// # Errors
    /// Where kubectl cannot be run.
    pub async fn try_apply(&self, spec: &str) -> Result<Ran> {
        self.place.kubectl.try_apply(&self.manifest(spec)).await
    }

    fn manifest(&self, spec: &str) -> String {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        format!("apiVersion: logstore.dev/v1alpha1\nkind: LogStore\nmetadata:\n  name: {}\nspec:\n{spec}", self.name)
    }

    /// `kubectl delete`, until it is gone.
    ///
    /// # Errors
    /// Where kubectl fails.
    pub async fn delete(&self) -> Result<()> {
        self.place.kubectl.run(&["delete", "logstore", &self.name, "--timeout=60s"]).await.map(drop)
    }

    /// The resource as it is.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn get(&self) -> Result<Resource> {
        self.place
            .api::<Resource>()
            .get(&self.name)
            .await
            .with_context(|| format!("failed to get LogStore {}", self.name))
    }

    /// Its status; the empty one where it has none yet.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn status(&self) -> Result<LogStoreStatus> {
        Ok(self.get().await?.status.unwrap_or_default())
    }

    /// One of its conditions.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn condition(&self, condition: &str) -> Result<Condition> {
        find(&self.status().await?, condition)
    }

    /// Waits until it is ready in its present generation.
    ///
    /// # Errors
    /// After two minutes.
    pub async fn ready(&self) -> Result<()> {
        wait::until(&format!("LogStore {} is ready", self.name), SOON, async || {
            let found = self.get().await?;
            let (wanted, status) = (found.metadata.generation, found.status.unwrap_or_default());
            let observed = status.observed_generation;
            let Condition { status: is, reason, message, observed_generation, .. } = find(&status, "Ready")?;
            ensure!(observed == wanted, "the status is of generation {observed:?}, the resource of {wanted:?}");
            ensure!(observed_generation == wanted, "Ready is of generation {observed_generation:?}");
            ensure!(is == "True" && reason == "AllPodsReady", "Ready is {is}, {reason}: {message}");
            Ok(())
        })
        .await
    }

    /// Waits until a condition has this status and reason; its message.
    ///
    /// # Errors
    /// After two minutes, with what the condition was.
    pub async fn becomes(&self, condition: &str, status: &str, reason: &str) -> Result<String> {
        wait::until(&format!("{condition} of LogStore {} is {status}, {reason}", self.name), SOON, async || {
            let found = self.condition(condition).await?;
            ensure!(
                found.status == status && found.reason == reason,
                "{condition} is {}, {}: {}",
                found.status,
                found.reason,
                found.message
            );
            Ok(found.message)
        })
        .await
    }

    /// Waits until all declared namespaces are on all copies, in the present generation.
    ///
    /// # Errors
    /// After two minutes.
    pub async fn synced(&self) -> Result<LogStoreStatus> {
        self.ready().await?;
        let status = self.status().await?;
        let synced = find(&status, "NamespacesSynced")?;
        ensure!(
            synced.status == "True",
            "NamespacesSynced is {}, {}: {}",
            synced.status,
            synced.reason,
            synced.message
        );
        let (desired, have) = (status.namespaces.desired, status.namespaces.synced);
        ensure!(have == desired, "{have} of {desired} namespaces are synced, and NamespacesSynced is True");
        Ok(status)
    }

    /// Where each copy's store is reached, in the order of the copies.
    ///
    /// # Errors
    /// Where the status does not say so.
    pub async fn urls(&self) -> Result<Vec<String>> {
        let copies = self.status().await?.endpoints.copies;
        ensure!(!copies.is_empty(), "status.endpoints.copies is empty");
        Ok(copies.into_iter().map(|copy| copy.url).collect())
    }

    /// Name of a copy's pod.
    #[must_use]
    pub fn pod_name(&self, copy: &str) -> String {
        format!("{}-{copy}-0", self.name)
    }

    /// A copy's pod.
    ///
    /// # Errors
    /// Where it is not there.
    pub async fn pod(&self, copy: &str) -> Result<Pod> {
        let name = self.pod_name(copy);
        self.place.api::<Pod>().get(&name).await.with_context(|| format!("failed to get pod {name}"))
    }

    /// Its pods, by name.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        Ok(self.place.api::<Pod>().list(&self.children()).await?.items)
    }

    /// The identities of its pods: they change when a pod is replaced. Containers that restart in place count too.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn incarnations(&self) -> Result<Vec<String>> {
        Ok(self.pods().await?.iter().map(incarnation).collect())
    }

    /// Its StatefulSets, by name.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn stateful_sets(&self) -> Result<Vec<StatefulSet>> {
        Ok(self.place.api::<StatefulSet>().list(&self.children()).await?.items)
    }

    /// Names of its claims.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn claims(&self) -> Result<Vec<String>> {
        let claims = self.place.api::<PersistentVolumeClaim>().list(&self.children()).await?;
        Ok(claims.iter().map(ResourceExt::name_any).collect())
    }

    /// Waits until none of its pods is left.
    ///
    /// # Errors
    /// Names those that are left.
    pub async fn pods_gone(&self) -> Result<()> {
        wait::until(&format!("no pod of LogStore {} is left", self.name), SOON, async || {
            let left: Vec<String> = self.pods().await?.iter().map(ResourceExt::name_any).collect();
            ensure!(left.is_empty(), "left: {}", left.join(", "));
            Ok(())
        })
        .await
    }

    fn children(&self) -> ListParams {
        ListParams::default().labels(&format!("logstore.dev/name={}", self.name))
    }
}

/// A condition of a status.
///
/// # Errors
/// Where there is none.
pub fn find(status: &LogStoreStatus, condition: &str) -> Result<Condition> {
    let found = status.conditions.iter().find(|found| found.type_ == condition);
    found.cloned().with_context(|| format!("there is no condition {condition} yet"))
}

/// What changes when a pod is replaced, or its container starts anew.
fn incarnation(pod: &Pod) -> String {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let restarts: i32 = statuses.into_iter().flatten().map(|container| container.restart_count).sum();
    format!("{} {} restarts {restarts}", pod.name_any(), pod.uid().unwrap_or_default())
}
