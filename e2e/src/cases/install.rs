//! `helm install`.

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use logstore_e2e::Scene;
use logstore_e2e::operator::DEFINITION;

/// On a cluster that knows nothing of logstore: the definition is there, and the operator serves.
pub(crate) async fn helm_install_makes_the_operator_ready(scene: &Scene) -> Result<()> {
    let operator = &scene.cluster.operator;
    operator.remove(scene.cluster).await?;
    operator.install(scene.cluster).await?;

    let definitions: Api<CustomResourceDefinition> = Api::all(scene.cluster.client.clone());
    let conditions = definitions.get(DEFINITION).await?.status.and_then(|status| status.conditions).unwrap_or_default();
    let is_established = conditions.iter().any(|found| found.type_ == "Established" && found.status == "True");
    ensure!(is_established, "{DEFINITION} is not established: {conditions:?}");

    operator.page(scene.cluster, "/readyz").await?;
    let metrics = operator.page(scene.cluster, "/metrics").await?;
    ensure!(metrics.contains("\nprocess_resident_memory_bytes "), "/metrics tells no memory: {metrics}");
    Ok(())
}
