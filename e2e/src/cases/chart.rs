//! The chart: test, upgrade, uninstall.

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::Api;
use logstore_e2e::log_store::SOON;
use logstore_e2e::operator::DEFINITION;
use logstore_e2e::records::{check_holds, numbered};
use logstore_e2e::{Scene, wait};

const SPEC: &str = "copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]";

/// `helm test`.
pub(crate) async fn helm_test_appends_and_reads(scene: &Scene) -> Result<()> {
    let told = scene.cluster.operator.helm.test().await?;
    ensure!(told.contains("Succeeded"), "{told}");
    Ok(())
}

/// `helm upgrade` with a changed value: another operator pod, the same stores.
pub(crate) async fn an_upgrade_restarts_no_store(scene: &Scene) -> Result<()> {
    let (operator, cluster) = (&scene.cluster.operator, scene.cluster);
    let events = scene.log_store("events");
    events.apply(SPEC).await?;
    events.synced().await?;
    let (stores, before) = (events.incarnations().await?, operator.pod(cluster).await?.uid());

    operator.helm.upgrade(&operator.values(&["log=debug"])).await?;
    operator.ready(cluster).await?;
    ensure!(operator.pod(cluster).await?.uid() != before, "the operator was not replaced: the value changed nothing");
    // The new one follows changes, so it has looked at everything.
    events.apply(&SPEC.replace("orders", "orders}, {name: audit")).await?;
    ensure!(events.synced().await?.namespaces.desired == 2, "{:?}", events.status().await?.namespaces);
    ensure!(
        events.incarnations().await? == stores,
        "stores were restarted: {:?}, before {stores:?}",
        events.incarnations().await?
    );
    Ok(())
}

/// `helm uninstall`: stores run on, the definition and the resources stay, and the next operator takes them over.
pub(crate) async fn uninstalling_keeps_data_and_definition(scene: &Scene) -> Result<()> {
    let (operator, cluster) = (&scene.cluster.operator, scene.cluster);
    let events = scene.log_store("events");
    events.apply(SPEC).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    let (urls, mut lines) = (events.urls().await?, numbered("order", 200));
    probe.append(&urls, "orders", &lines).await?;
    let (stores, identity) = (events.incarnations().await?, events.get().await?.uid());

    operator.helm.uninstall().await?;
    wait::until("nothing of the release is left", SOON, async || {
        let left = operator.kubectl.run(&["get", "deployments,pods,services,roles,jobs", "--output=name"]).await?;
        ensure!(left.is_empty(), "left: {left}");
        Ok(())
    })
    .await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    definitions.get(DEFINITION).await?;
    ensure!(events.get().await?.uid() == identity, "the LogStore is another one");
    ensure!(events.incarnations().await? == stores, "the stores did not run on");
    lines.extend(numbered("without an operator", 50));
    probe.append(&urls, "orders", &lines[200..]).await?;

    operator.install(cluster).await?;
    events.apply(&SPEC.replace("orders", "orders}, {name: audit")).await?;
    ensure!(events.synced().await?.namespaces.desired == 2, "{:?}", events.status().await?.namespaces);
    ensure!(
        events.incarnations().await? == stores,
        "stores were restarted: {:?}, before {stores:?}",
        events.incarnations().await?
    );
    for url in &urls {
        check_holds(&probe.read_at_least(url, "orders", lines.len()).await?, &lines)?;
    }
    Ok(())
}
