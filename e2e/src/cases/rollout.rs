//! A change of the pods, while the operator is killed.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use logstore_e2e::log_store::SOON;
use logstore_e2e::{LogStore, Scene, wait};

const COPIES: [&str; 3] = ["a", "b", "c"];

fn spec(color: &str) -> String {
    format!(
        "copies: 3\nstorage: {{size: 320Mi}}\nnamespaces: [{{name: orders}}]\n\
         podTemplate: {{metadata: {{annotations: {{color: {color}}}}}}}"
    )
}

/// The operator is killed when the first of three copies is replaced. The next one finishes: each copy once, and each
/// only when the one before it is ready.
pub(crate) async fn an_operator_killed_in_the_middle_finishes_copy_by_copy(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(&spec("red")).await?;
    events.ready().await?;
    let before = identities(&events).await?;

    events.apply(&spec("blue")).await?;
    let first = wait::until("the first copy is replaced", SOON, async || {
        let now = events.pod("a").await?;
        ensure!(now.uid().as_ref() != Some(&before[0]), "it is the same pod");
        Ok(now.uid())
    })
    .await?;
    let operator = &scene.cluster.operator;
    let killed = operator.pod(scene.cluster).await?.name_any();
    operator.kubectl.run(&["delete", "pod", &killed, "--force", "--grace-period=0"]).await?;
    let last = events.pod("c").await?.uid();
    ensure!(last.as_ref() == Some(&before[2]), "the rollout was over before the operator was killed");

    events.ready().await?;
    operator.ready(scene.cluster).await?;
    let mut earlier: Option<Timestamp> = None;
    for (copy, old) in COPIES.iter().zip(&before) {
        let pod = events.pod(copy).await?;
        ensure!(pod.uid().as_ref() != Some(old), "copy {copy} is not replaced, and the LogStore is ready");
        ensure!(
            pod.annotations().get("color").is_some_and(|color| color == "blue"),
            "copy {copy} is of the old template"
        );
        let created = pod.creation_timestamp().context("a pod without a creation time")?.0;
        ensure!(
            earlier.is_none_or(|ready| ready <= created),
            "copy {copy} was replaced at {created}, and the copy before it was ready at {earlier:?}"
        );
        earlier = Some(ready_since(&pod)?);
    }
    ensure!(events.pod("a").await?.uid() == first, "copy a was replaced twice");
    Ok(())
}

async fn identities(events: &LogStore) -> Result<Vec<String>> {
    let identities: Vec<String> = events.pods().await?.iter().filter_map(ResourceExt::uid).collect();
    ensure!(identities.len() == COPIES.len(), "there are {} pods", identities.len());
    Ok(identities)
}

fn ready_since(pod: &Pod) -> Result<Timestamp> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|found| found.type_ == "Ready" && found.status == "True");
    let since = ready.and_then(|ready| ready.last_transition_time.as_ref());
    Ok(since.with_context(|| format!("pod {} is not ready", pod.name_any()))?.0)
}
