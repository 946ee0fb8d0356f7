//! The operator under test: its release, its pod, what it logs and measures.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use crate::cluster::{Cluster, namespace_manifest};
use crate::helm::Helm;
use crate::kubectl::Kubectl;
use crate::wait;

/// The namespace of the operator.
pub const NAMESPACE: &str = "logstore-system";
/// The release, which gives the Deployment its name.
pub const RELEASE: &str = "logstore-operator";
/// The definition of LogStore.
pub const DEFINITION: &str = "logstores.logstore.dev";
/// Selects the operator's pods.
const SELECTOR: &str = "app.kubernetes.io/instance=logstore-operator,app.kubernetes.io/component=operator";
/// A second operator waits for the lease of one that was killed.
const TAKEOVER: Duration = Duration::from_secs(60);

/// The operator's release on a cluster.
#[derive(Clone, Debug)]
pub struct Operator {
    /// helm, for its release.
    pub helm: Helm,
    /// kubectl, in its namespace.
    pub kubectl: Kubectl,
    image: String,
}

impl Operator {
    /// The operator that is made of this image.
    #[must_use]
    pub fn new(helm: &str, kubectl: &Kubectl, image: &str) -> Self {
        let helm = Helm::new(helm, NAMESPACE, RELEASE);
        Self { helm, kubectl: kubectl.within(NAMESPACE), image: image.to_owned() }
    }

    /// Values of the chart, as these tests install it: the image that was loaded, with more behind it.
    #[must_use]
    pub fn values(&self, more: &[&str]) -> Vec<String> {
        let (repository, tag) = self.image.rsplit_once(':').unwrap_or((&self.image, "latest"));
        // The registry is a part of the repository here.
        let image =
            ["image.registry=".to_owned(), format!("image.repository={repository}"), format!("image.tag={tag}")];
        image.into_iter().chain(more.iter().map(|value| (*value).to_owned())).collect()
    }

    /// Installs it, in a namespace that takes only pods of the restricted Pod Security Standard.
    ///
    /// # Errors
    /// Where helm fails, or it does not become ready.
    pub async fn install(&self, cluster: &Cluster) -> Result<()> {
        cluster.kubectl.apply(&namespace_manifest(NAMESPACE, "operator")).await?;
        self.helm.install(&self.values(&[])).await?;
        self.ready(cluster).await
    }

    /// Removes everything that installing it has made: the release, the definition with all LogStores, the namespace.
    ///
    /// # Errors
    /// Where helm or kubectl fails.
    pub async fn remove(&self, cluster: &Cluster) -> Result<()> {
        if self.helm.is_installed().await? {
            self.helm.uninstall().await?;
        }
        let definition = ["delete", "customresourcedefinition", DEFINITION, "--ignore-not-found", "--timeout=120s"];
        cluster.kubectl.run(&definition).await?;
        cluster.kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"]).await.map(drop)
    }

    /// Its one pod.
    ///
    /// # Errors
    /// Where there is none, or there are several.
    pub async fn pod(&self, cluster: &Cluster) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
        let mut found = pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let names: Vec<_> = found.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
        ensure!(found.len() == 1, "the operator has the pods {names:?}, not one");
        found.pop().context("no pod")
    }

    /// Its user, as the API server knows it.
    ///
    /// # Errors
    /// Where there is no operator.
    pub async fn user(&self, cluster: &Cluster) -> Result<String> {
        let deployment = self.deployment(cluster).await?;
        let account = deployment.spec.template.spec.and_then(|pod| pod.service_account_name);
        let account = account.context("the operator's Deployment names no service account")?;
        Ok(format!("system:serviceaccount:{NAMESPACE}:{account}"))
    }

    /// When it was installed.
    ///
    /// # Errors
    /// Where there is no operator.
    pub async fn installed(&self, cluster: &Cluster) -> Result<Timestamp> {
        let created = self.deployment(cluster).await?.metadata.creation_timestamp;
        Ok(created.context("a Deployment without a creation time")?.0)
    }

    /// Waits until its one pod is ready.
    ///
    /// # Errors
    /// After a minute.
    pub async fn ready(&self, cluster: &Cluster) -> Result<()> {
        wait::until("the operator is ready", TAKEOVER, async || {
            let status = self.deployment(cluster).await?.status.context("the Deployment has no status")?;
            let (ready, all) = (status.ready_replicas.unwrap_or(0), status.replicas.unwrap_or(0));
            ensure!(ready == 1 && all == 1, "{ready} of {all} pods are ready");
            self.pod(cluster).await.map(drop)
        })
        .await
    }

    /// A page of its own HTTP server, through the API server.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn page(&self, cluster: &Cluster, path: &str) -> Result<String> {
        let pod = self.pod(cluster).await?.metadata.name.context("a pod without a name")?;
        self.kubectl
            .run(&["get", "--raw", &format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy{path}")])
            .await
    }

    /// What it has logged, and what it had logged before its last restart.
    pub async fn logs(&self) -> String {
        let mut logs = String::new();
        for when in ["--previous=true", "--previous=false"] {
            let arguments = ["logs", "--selector", SELECTOR, "--tail=-1", "--timestamps", "--prefix", when];
            if let Ok(ran) = self.kubectl.try_run(&arguments, b"").await {
                logs.push_str(&ran.text());
            }
        }
        logs
    }

    async fn deployment(&self, cluster: &Cluster) -> Result<Deployment> {
        let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), NAMESPACE);
        deployments.get(RELEASE).await.context("failed to get the operator's Deployment")
    }
}
