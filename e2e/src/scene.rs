//! A Kubernetes namespace per case. When the case fails, everything in it is written down; then it is removed.

use std::fmt::Write as _;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Resource};

use crate::cluster::{Cluster, LABEL, namespace_manifest};
use crate::contract::report_folder;
use crate::kubectl::Kubectl;
use crate::log_store::LogStore;
use crate::probe::Probe;
use crate::wait;

/// Characters of a case's name that its namespace keeps.
const SLUG_MAX: usize = 44;
/// What Kubernetes adds to a new namespace is there within this time.
const FURNISHED: Duration = Duration::from_secs(20);
/// A namespace with volumes is gone within this time.
const GONE: Duration = Duration::from_secs(150);
/// Lines of the operator's log that are shown at once; all are in the file.
const LOG_LINES_SHOWN: usize = 15;

/// Tells the namespaces of this run from those of another.
static RUN: LazyLock<String> = LazyLock::new(|| format!("{:04x}", Timestamp::now().as_second() & 0xffff));
/// Tells the namespaces of cases whose names begin alike.
static SCENES: AtomicU32 = AtomicU32::new(0);

/// A namespace of the cluster.
#[derive(Clone)]
pub struct Place {
    /// The cluster.
    pub cluster: &'static Cluster,
    /// Its name.
    pub namespace: String,
    /// kubectl, in it.
    pub kubectl: Kubectl,
}

/// The namespaces of a case: it is used like its first one, and mostly has no other.
pub struct Scene {
    case: String,
    place: Place,
    others: Mutex<Vec<Place>>,
}

impl Deref for Scene {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Place {
    /// Makes a namespace that takes only pods of the restricted Pod Security Standard.
    async fn make(cluster: &'static Cluster, namespace: String) -> Result<Self> {
        cluster.kubectl.apply(&namespace_manifest(&namespace, "scene")).await?;
        let place = Self { cluster, kubectl: cluster.kubectl.within(&namespace), namespace };
        wait::until("the namespace has its service account", FURNISHED, async || {
            Ok(place.api::<ServiceAccount>().get("default").await.map(drop)?)
        })
        .await?;
        Ok(place)
    }

    /// A typed view of one kind of object in it.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// A LogStore in it, which need not be there yet.
    #[must_use]
    pub fn log_store(&self, name: &str) -> LogStore {
        LogStore::new(self.clone(), name)
    }

    /// A pod to append, to read and to speak HTTP from.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn probe(&self) -> Result<Probe> {
        Probe::start(self, None).await
    }

    /// The same on a certain node.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn probe_on(&self, node: &str) -> Result<Probe> {
        Probe::start(self, Some(node)).await
    }

    /// Everything that is in it, for a person.
    async fn describe(&self) -> String {
        let mut text = format!("\n======== namespace {}\n", self.namespace);
        for arguments in [
            &[
                "get",
                "logstores,statefulsets,pods,services,configmaps,poddisruptionbudgets,persistentvolumeclaims",
                "--output=wide",
            ][..],
            &["get", "logstores", "--output=yaml"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "pods"],
            &["get", "statefulsets", "--output=yaml"],
        ] {
            self.note(&mut text, arguments).await;
        }
        for pod in self.pod_names().await {
            for when in ["--previous=true", "--previous=false"] {
                self.note(&mut text, &["logs", &pod, "--all-containers", "--timestamps", "--tail=300", when]).await;
            }
        }
        text
    }

    async fn pod_names(&self) -> Vec<String> {
        let names = self.kubectl.try_run(&["get", "pods", "--output=name"], b"").await;
        names.map(|ran| ran.text().lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    async fn note(&self, text: &mut String, arguments: &[&str]) {
        let said = match self.kubectl.try_run(arguments, b"").await {
            Ok(ran) => ran.text() + &ran.stderr,
            Err(error) => format!("{error:#}"),
        };
        let _ = writeln!(text, "\n---- kubectl {}\n{said}", arguments.join(" "));
    }
}

impl Scene {
    /// Makes the scene of a case.
    ///
    /// # Errors
    /// Where the namespace cannot be made.
    pub async fn set(cluster: &'static Cluster, case: &str) -> Result<Self> {
        let place = Place::make(cluster, namespace_name(case)).await?;
        Ok(Self { case: case.to_owned(), place, others: Mutex::new(Vec::new()) })
    }

    /// A further namespace.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub async fn another(&self) -> Result<Place> {
        let place = Place::make(self.cluster, format!("{}-2", self.namespace)).await?;
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(place.clone());
        Ok(place)
    }

    /// Writes down everything that may tell why the case failed; the file, and what is worth showing at once.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub async fn write_down(&self, error: &str) -> Result<(PathBuf, String)> {
        let mut text = format!("{}\n\n{error}\n", self.case);
        for place in self.places() {
            text.push_str(&place.describe().await);
        }
        let nodes = self.cluster.kubectl.try_run(&["get", "nodes", "--output=wide"], b"").await?.text();
        let log = self.cluster.operator.logs().await;
        let _ = write!(text, "\n======== nodes\n{nodes}\n======== the operator's log\n{log}");
        let folder = report_folder()?.join("failures");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.txt", self.namespace));
        std::fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
        Ok((file, self.in_short(&log).await))
    }

    /// The resources with their conditions, and the end of the operator's log on this scene.
    async fn in_short(&self, log: &str) -> String {
        let mut text = String::new();
        for place in self.places() {
            let columns = "custom-columns=NAME:.metadata.name,REASONS:.status.conditions[*].reason,MESSAGES:.status.conditions[*].message";
            place.note(&mut text, &["get", "logstores", "--output", columns]).await;
            place.note(&mut text, &["get", "pods", "--output=wide"]).await;
        }
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&self.namespace)).collect();
        let _ = writeln!(
            text,
            "---- the operator, about this scene\n{}",
            lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
        );
        text
    }

    /// Removes it. Volumes take their time: [`all_gone`] waits for it.
    ///
    /// # Errors
    /// Where kubectl fails.
    pub async fn strike(&self) -> Result<()> {
        for place in self.places() {
            place
                .cluster
                .kubectl
                .run(&["delete", "namespace", &place.namespace, "--wait=false", "--ignore-not-found"])
                .await?;
        }
        Ok(())
    }

    fn places(&self) -> Vec<Place> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.place).chain(others.iter()).cloned().collect()
    }
}

/// Removes what earlier runs left, whether they were asked to keep it or did not come to their end.
///
/// # Errors
/// Where something of it stays.
pub async fn remove_old(cluster: &Cluster) -> Result<()> {
    let scenes = format!("{LABEL}=scene");
    cluster.kubectl.run(&["delete", "namespace", "--selector", &scenes, "--wait=false"]).await?;
    all_gone(cluster).await
}

/// Waits until no scene is left that is being removed.
///
/// # Errors
/// Names what is left.
pub async fn all_gone(cluster: &Cluster) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    wait::until("all scenes are removed", GONE, async || {
        let left = namespaces.list(&ListParams::default().labels(LABEL)).await?;
        let left: Vec<String> = left
            .iter()
            .filter(|namespace| namespace.metadata.deletion_timestamp.is_some())
            .map(ResourceExt::name_any)
            .collect();
        ensure!(left.is_empty(), "{} are left, for example {}", left.len(), left[0]);
        Ok(())
    })
    .await
}

fn namespace_name(case: &str) -> String {
    format!("e2e-{}-{}-{}", slug(case), *RUN, SCENES.fetch_add(1, Ordering::Relaxed))
}

/// A case's name as a part of other names.
fn slug(case: &str) -> String {
    let words: Vec<String> = case
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let slug: String = words.join("-").chars().take(SLUG_MAX).collect();
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_named_after_its_case() {
        assert_eq!(slug("records::two_copies"), "records-two-copies");
        assert_eq!(
            slug("rules::storage.size must be a quantity from 1Mi to 1Ei"),
            "rules-storage-size-must-be-a-quantity-from-1"
        );
        assert!(namespace_name(&"x".repeat(200)).len() <= 63);
    }
}
