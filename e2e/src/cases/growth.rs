//! Volumes that grow, and those that cannot.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use logstore_e2e::{Scene, wait};

/// The driver grows a volume at the next look of the kubelet.
const GROWN: Duration = Duration::from_secs(90);

/// `storage.size` is raised: the claim, the volume and the StatefulSet follow while the pod runs on.
pub(crate) async fn a_volume_grows_while_its_pod_runs(scene: &Scene) -> Result<()> {
    let class = scene.cluster.contract.limited_storage_class()?;
    let notes = scene.log_store("notes");
    let spec = |size: &str| format!("storage: {{size: {size}, storageClassName: {class}}}");
    notes.apply(&spec("320Mi")).await?;
    notes.ready().await?;
    let pods = notes.incarnations().await?;

    notes.apply(&spec("400Mi")).await?;
    wait::until("the volume has 400Mi", GROWN, async || {
        let claim = scene.api::<PersistentVolumeClaim>().get("data-notes-a-0").await?;
        let capacity = claim.status.unwrap_or_default().capacity.unwrap_or_default();
        ensure!(capacity["storage"].0 == "400Mi", "the volume has {}", capacity["storage"].0);
        Ok(())
    })
    .await?;
    notes.becomes("Reconciling", "False", "Settled").await?;
    let stateful_sets = notes.stateful_sets().await?;
    let templates = stateful_sets[0].spec.volume_claim_templates.clone().unwrap_or_default();
    let asked = templates[0].spec.clone().and_then(|spec| spec.resources?.requests).unwrap_or_default();
    ensure!(asked["storage"].0 == "400Mi", "the StatefulSet asks for {}", asked["storage"].0);
    ensure!(notes.incarnations().await? == pods, "the store was restarted");
    notes.ready().await
}

/// Where the class does not let volumes grow, a person must know; the store goes on.
pub(crate) async fn a_volume_that_cannot_grow_is_said(scene: &Scene) -> Result<()> {
    let like = scene.cluster.contract.limited_storage_class()?;
    let classes: Api<StorageClass> = Api::all(scene.cluster.client.clone());
    let name = format!("{}-fixed", scene.namespace);
    let like = classes.get(like).await.with_context(|| format!("there is no storage class {like}"))?;
    let fixed = StorageClass {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        allow_volume_expansion: Some(false),
        ..like
    };
    classes.create(&PostParams::default(), &fixed).await?;
    let shown = stays_small(scene, &name).await;
    classes.delete(&name, &DeleteParams::default()).await?;
    shown
}

async fn stays_small(scene: &Scene, class: &str) -> Result<()> {
    let notes = scene.log_store("notes");
    let spec = |size: &str| format!("storage: {{size: {size}, storageClassName: {class}}}");
    notes.apply(&spec("320Mi")).await?;
    notes.ready().await?;
    let pods = notes.incarnations().await?;
    notes.apply(&spec("400Mi")).await?;
    let message = notes.becomes("Stalled", "True", "StorageClassNotExpandable").await?;
    ensure!(message.contains("data-notes-a-0 cannot grow to 400Mi"), "{message}");
    ensure!(notes.stateful_sets().await?.len() == 1, "the StatefulSet is gone");
    ensure!(notes.incarnations().await? == pods, "the store was restarted");
    Ok(())
}
