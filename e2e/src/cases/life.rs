//! A LogStore is deleted, and applied again.

use anyhow::{Result, ensure};
use logstore_e2e::log_store::SOON;
use logstore_e2e::records::{check_holds, numbered};
use logstore_e2e::{Scene, wait};

const SPEC: &str = "copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]";

/// Everything but the claims goes, and the claims bring the records back.
pub(crate) async fn a_deleted_log_store_comes_back_with_its_data(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(SPEC).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    let (urls, lines) = (events.urls().await?, numbered("order", 500));
    probe.append(&urls, "orders", &lines).await?;

    events.delete().await?;
    events.pods_gone().await?;
    wait::until("all children but the claims are gone", SOON, async || {
        let kinds = "statefulsets,services,configmaps,poddisruptionbudgets,serviceaccounts";
        let left = scene.kubectl.run(&["get", kinds, "--selector=logstore.dev/name=events", "--output=name"]).await?;
        ensure!(left.is_empty(), "left: {left}");
        Ok(())
    })
    .await?;
    let claims = events.claims().await?;
    ensure!(claims == ["data-events-a-0", "data-events-b-0"], "the claims are {claims:?}");

    events.apply(SPEC).await?;
    events.synced().await?;
    for url in &urls {
        check_holds(&probe.read_at_least(url, "orders", lines.len()).await?, &lines)?;
    }
    let more = probe.append(&urls, "orders", &["more".to_owned()]).await?;
    ensure!(more[0].offset == lines.len() as u64, "the next record is at offset {}", more[0].offset);
    Ok(())
}
