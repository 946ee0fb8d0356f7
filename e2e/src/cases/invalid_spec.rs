//! What the API server lets pass and only the operator can see.

use anyhow::{Result, ensure};
use logstore_e2e::{LogStore, Scene};

const SPEC: &str = "storage: {size: 320Mi}\n";

/// The container's command is the operator's.
pub(crate) async fn a_field_of_the_operator_is_refused_and_stores_go_on(scene: &Scene) -> Result<()> {
    let template = "podTemplate: {spec: {containers: [{name: store, command: [sh]}]}}";
    let message = refused(scene, template).await?;
    ensure!(message.contains("spec.podTemplate.spec.containers[0].command"), "the field is not named: {message}");
    ensure!(message.contains("sh"), "the value is not named: {message}");
    Ok(())
}

/// The definition knows nothing of a pod's fields, so that it stays small.
pub(crate) async fn a_wrong_type_is_refused_with_field_and_value(scene: &Scene) -> Result<()> {
    let message = refused(scene, "podTemplate: {spec: {terminationGracePeriodSeconds: soon}}").await?;
    ensure!(
        message.contains("spec.podTemplate.spec.terminationGracePeriodSeconds"),
        "the field is not named: {message}"
    );
    ensure!(message.contains("soon"), "the value is not named: {message}");
    Ok(())
}

/// A running LogStore gets a change that cannot be followed, goes on as it was, and follows the next one; what the
/// condition said.
async fn refused(scene: &Scene, change: &str) -> Result<String> {
    let notes = scene.log_store("notes");
    notes.apply(SPEC).await?;
    let probe = scene.probe().await?;
    notes.ready().await?;
    probe.reach("http://notes:8000").await?;
    let before = children(&notes).await?;
    let records = "http://notes:8000/v1/namespaces/diary/records";
    probe.http("POST", records).body("before").send().await?.json()?;

    notes.apply(&format!("{SPEC}{change}")).await?;
    let message = notes.becomes("Stalled", "True", "InvalidSpec").await?;
    notes.becomes("Ready", "False", "InvalidSpec").await?;
    probe.http("POST", records).body("meanwhile").send().await?.json()?;
    let all = probe.http("GET", records).header("Accept: text/plain").send().await?;
    ensure!(all.body == "before\nmeanwhile\n", "the store did not go on: {all:?}");
    ensure!(
        children(&notes).await? == before,
        "something was changed: {:?}, before {before:?}",
        children(&notes).await?
    );

    notes.apply(SPEC).await?;
    notes.ready().await?;
    notes.becomes("Stalled", "False", "NotStalled").await?;
    ensure!(
        children(&notes).await? == before,
        "something was changed: {:?}, before {before:?}",
        children(&notes).await?
    );
    Ok(message)
}

/// Pods and generations of StatefulSets.
async fn children(notes: &LogStore) -> Result<(Vec<String>, Vec<Option<i64>>)> {
    let generations = notes.stateful_sets().await?.iter().map(|set| set.metadata.generation).collect();
    Ok((notes.incarnations().await?, generations))
}
