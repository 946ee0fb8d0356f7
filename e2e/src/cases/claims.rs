//! What becomes of the claims when a LogStore is deleted.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::DeleteParams;
use logstore_e2e::log_store::SOON;
use logstore_e2e::{LogStore, Scene, wait};

/// Long enough for the garbage collector to have come.
const A_WHILE: Duration = Duration::from_secs(10);

fn spec(when_deleted: &str) -> String {
    format!("copies: 2\nstorage: {{size: 320Mi, whenDeleted: {when_deleted}}}\nnamespaces: [{{name: orders}}]")
}

/// `whenDeleted: Delete`.
pub(crate) async fn when_deleted_delete_takes_the_claims(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(&spec("Delete")).await?;
    events.ready().await?;
    let claims = events.claims().await?;
    ensure!(claims == ["data-events-a-0", "data-events-b-0"], "the claims are {claims:?}");
    follow(&events, true).await?;

    events.delete().await?;
    wait::until("the claims are gone", SOON, async || {
        let left = events.claims().await?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
    .await
}

/// Whoever changes their mind before the deletion keeps the data.
pub(crate) async fn when_deleted_can_be_changed_back_to_retain(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(&spec("Delete")).await?;
    events.ready().await?;
    follow(&events, true).await?;
    events.apply(&spec("Retain")).await?;
    events.ready().await?;
    follow(&events, false).await?;

    events.delete().await?;
    events.pods_gone().await?;
    wait::stays("the claims", A_WHILE, async || {
        let claims = events.claims().await?;
        ensure!(claims == ["data-events-a-0", "data-events-b-0"], "the claims are {claims:?}");
        Ok(())
    })
    .await
}

/// Waits until the claims belong to the LogStore, or until they do not: they follow it by an owner reference.
async fn follow(events: &LogStore, wanted: bool) -> Result<()> {
    let uid = events.get().await?.metadata.uid.unwrap_or_default();
    wait::until("each claim has the owner that it should have", SOON, async || {
        for name in events.claims().await? {
            let claim = events.place.api::<PersistentVolumeClaim>().get(&name).await?;
            let owners = claim.metadata.owner_references.unwrap_or_default();
            let is_owned = owners.iter().any(|owner| owner.uid == uid);
            ensure!(is_owned == wanted, "{name} has the owners {owners:?}");
        }
        Ok(())
    })
    .await
}

/// Claims that somebody deletes while stores use them stay until their pods end: it is said, and no rollout ends them.
pub(crate) async fn deleted_claims_are_told_and_no_rollout_ends_their_pods(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(&spec("Retain")).await?;
    events.ready().await?;
    let pods = events.incarnations().await?;
    for name in events.claims().await? {
        scene.api::<PersistentVolumeClaim>().delete(&name, &DeleteParams::default()).await?;
    }
    // One is deleted after the other, and each is told when it is seen.
    wait::until("both claims are told", SOON, async || {
        let message = events.becomes("Stalled", "True", "ClaimDeleted").await?;
        ensure!(message.contains("data-events-a-0, data-events-b-0"), "{message}");
        Ok(())
    })
    .await?;

    events.apply(&format!("{}\npodTemplate: {{metadata: {{annotations: {{changed: now}}}}}}", spec("Retain"))).await?;
    wait::stays("the pods", A_WHILE, async || {
        let now = events.incarnations().await?;
        ensure!(now == pods, "a pod was replaced, and its data is gone: {now:?}");
        Ok(())
    })
    .await
}
