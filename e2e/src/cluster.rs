//! The cluster under test.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use kube::config::KubeConfigOptions;
use kube::{Client, Config, ResourceExt};
use logstore_crds::LogStore;

use crate::audit::AuditLog;
use crate::command;
use crate::contract::{Contract, report_folder, repository};
use crate::kubectl::Kubectl;
use crate::operator::{NAMESPACE, Operator};
use crate::progress;

/// On every namespace that the tests make; its value says for what.
pub const LABEL: &str = "logstore.dev/e2e";

/// The cluster under test, and what is known of it.
#[derive(Clone)]
pub struct Cluster {
    /// The surroundings.
    pub contract: Contract,
    /// A client with all rights.
    pub client: Client,
    /// kubectl, for the cluster as a whole.
    pub kubectl: Kubectl,
    /// The operator under test.
    pub operator: Operator,
    /// The audit log since the run began, where there is one.
    audit: Option<AuditLog>,
}

impl Cluster {
    /// Connects.
    ///
    /// # Errors
    /// Where the surroundings are not told, or the API server does not answer.
    pub async fn connect() -> Result<Self> {
        let contract = Contract::read()?;
        let config =
            Config::from_kubeconfig(&KubeConfigOptions::default()).await.context("failed to read KUBECONFIG")?;
        let client = Client::try_from(config).context("failed to make a client")?;
        let version = client.apiserver_version().await.context("the API server of KUBECONFIG does not answer")?;
        progress::say(&format!("cluster: Kubernetes {}", version.git_version));
        let kubectl = Kubectl::new(&contract.kubectl);
        let operator = Operator::new(&contract.helm, &kubectl, &contract.image);
        let audit = contract.audit_log().ok().map(AuditLog::open).transpose()?;
        Ok(Self { contract, client, kubectl, operator, audit })
    }

    /// Makes sure that nobody else's operator and LogStores are here: these tests replace the one and would delete the
    /// others.
    ///
    /// # Errors
    /// Names what is here.
    pub async fn refuse_if_in_use(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let ours = namespaces.list(&ListParams::default().labels(LABEL)).await?;
        let ours: Vec<String> = ours.iter().map(ResourceExt::name_any).collect();
        let is_foreign = self.operator.helm.is_installed().await? && !ours.contains(&NAMESPACE.to_owned());
        ensure!(
            !is_foreign,
            "this cluster has an operator in {NAMESPACE} that these tests did not install: take another cluster"
        );
        let foreign: Vec<String> = self
            .log_stores()
            .await?
            .into_iter()
            .filter(|(place, _)| !ours.contains(place))
            .map(|(place, name)| format!("{place}/{name}"))
            .collect();
        ensure!(
            foreign.is_empty(),
            "this cluster has LogStores that these tests did not make, for example {}: take another cluster",
            foreign[0]
        );
        Ok(())
    }

    /// Namespace and name of each LogStore; none where the definition is not there yet.
    async fn log_stores(&self) -> Result<Vec<(String, String)>> {
        match Api::<LogStore>::all(self.client.clone()).list_metadata(&ListParams::default()).await {
            Ok(list) => {
                Ok(list.iter().map(|found| (found.namespace().unwrap_or_default(), found.name_any())).collect())
            }
            // A path that the API server does not know at all.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(error).context("failed to list LogStores"),
        }
    }

    /// Gives all nodes the image under test, and the image of the probe.
    ///
    /// # Errors
    /// Where one cannot be built or loaded.
    pub async fn load_images(&self) -> Result<()> {
        let archive = self.contract.image_archive.display().to_string();
        ensure!(self.contract.image_archive.exists(), "there is no image at {archive}: run `make image`");
        let probe = report_folder()?.join("probe.tar").display().to_string();
        let build = repository().join("e2e/probe/build").display().to_string();
        command::run(&build, &[&probe], b"").await?.ok()?;
        for archive in [&archive, &probe] {
            progress::say(&format!("loading {archive}"));
            command::run_contract(&self.contract.load, archive).await.context("E2E_LOAD failed")?;
        }
        Ok(())
    }

    /// The audit log since the run began.
    ///
    /// # Errors
    /// [`Skipped`](crate::Skipped) where the surroundings offer none.
    pub fn audit(&self) -> Result<&AuditLog> {
        self.contract.audit_log()?;
        self.audit.as_ref().context("the audit log was not opened")
    }
}

/// A namespace of the tests, which takes only pods of the restricted Pod Security Standard.
#[must_use]
pub fn namespace_manifest(name: &str, role: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    {LABEL}: {role}\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}
