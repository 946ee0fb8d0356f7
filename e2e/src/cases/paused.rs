//! `paused: true`.

use std::time::Duration;

use anyhow::{Result, ensure};
use logstore_e2e::{LogStore, Scene, wait};

/// Several passes of the operator fit in here.
const A_WHILE: Duration = Duration::from_secs(8);

fn spec(paused: bool, color: &str, namespaces: &str) -> String {
    format!(
        "copies: 2\nstorage: {{size: 320Mi}}\npaused: {paused}\nnamespaces: [{namespaces}]\n\
         podTemplate: {{metadata: {{annotations: {{color: {color}}}}}}}"
    )
}

/// A change of the pods and one of the namespaces wait until the pause is over, and the status says so.
pub(crate) async fn a_pause_holds_a_change_back(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(&spec(false, "red", "{name: orders}")).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    let (pods, urls) = (events.incarnations().await?, events.urls().await?);

    events.apply(&spec(true, "blue", "{name: orders}, {name: audit}")).await?;
    let message = events.becomes("Paused", "True", "HeldBySpec").await?;
    ensure!(message.contains("paused"), "the message does not name the field: {message}");
    events.becomes("Ready", "Unknown", "Paused").await?;
    wait::stays("everything", A_WHILE, async || {
        ensure!(colors(&events).await? == ["red", "red"], "the StatefulSets are {:?}", colors(&events).await?);
        ensure!(events.incarnations().await? == pods, "the pods are {:?}", events.incarnations().await?);
        let found = events.get().await?;
        let observed = found.status.and_then(|status| status.observed_generation);
        ensure!(observed < found.metadata.generation, "the status claims to speak of generation {observed:?}");
        Ok(())
    })
    .await?;
    ensure!(probe.namespace(&urls[0], "audit").await?.is_none(), "the namespace was made during the pause");
    let alive = probe.http("GET", &format!("{}/v1/namespaces", urls[0])).send().await?;
    ensure!(alive.status == 200, "the store does not go on: {alive:?}");

    events.apply(&spec(false, "blue", "{name: orders}, {name: audit}")).await?;
    events.becomes("Paused", "False", "NotPaused").await?;
    events.synced().await?;
    ensure!(colors(&events).await? == ["blue", "blue"], "the StatefulSets are {:?}", colors(&events).await?);
    let replaced = events.incarnations().await?.iter().filter(|now| !pods.contains(now)).count();
    ensure!(replaced == 2, "{replaced} of 2 pods are replaced");
    ensure!(probe.namespace(&urls[0], "audit").await?.is_some(), "the namespace was not made after the pause");
    Ok(())
}

/// What the templates of the StatefulSets say.
async fn colors(events: &LogStore) -> Result<Vec<String>> {
    let sets = events.stateful_sets().await?;
    let color = |set: &k8s_openapi::api::apps::v1::StatefulSet| {
        let annotations = set.spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        annotations.and_then(|annotations| annotations.get("color").cloned()).unwrap_or_default()
    };
    Ok(sets.iter().map(color).collect())
}
