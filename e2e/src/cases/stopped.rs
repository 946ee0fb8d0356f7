//! `stopped: true` and back.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use logstore_e2e::Scene;
use logstore_e2e::records::{check_holds, numbered};

const SPEC: &str = "copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]\n";

/// No pod runs, everything else is kept, and the records are there when it runs again.
pub(crate) async fn a_stopped_log_store_runs_nothing_and_comes_back(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(SPEC).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    let (urls, lines) = (events.urls().await?, numbered("order", 100));
    probe.append(&urls, "orders", &lines).await?;
    let identities =
        async || -> Result<Vec<_>> { Ok(events.stateful_sets().await?.iter().map(ResourceExt::uid).collect()) };
    let sets = identities().await?;

    events.apply(&format!("{SPEC}stopped: true")).await?;
    events.pods_gone().await?;
    events.becomes("Ready", "True", "Stopped").await?;
    events.becomes("Reconciling", "False", "Settled").await?;
    let status = events.status().await?;
    ensure!((status.pods, status.ready_pods) == (0, 0), "{} of {} pods are ready", status.ready_pods, status.pods);
    ensure!(identities().await? == sets, "the StatefulSets are not the same any more");
    ensure!(events.claims().await?.len() == 2, "the claims are {:?}", events.claims().await?);

    events.apply(&format!("{SPEC}stopped: false")).await?;
    events.synced().await?;
    for url in &urls {
        check_holds(&probe.read_at_least(url, "orders", lines.len()).await?, &lines)?;
    }
    Ok(())
}
