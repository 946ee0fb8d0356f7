//! An image that cannot be pulled.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use logstore_e2e::log_store::SOON;
use logstore_e2e::{LogStore, Scene, wait};

const SPEC: &str = "copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]\n";

/// One copy stands still, the other serves on, the condition quotes the kubelet, and the next apply mends it.
pub(crate) async fn an_image_that_cannot_be_pulled_stalls_until_it_is_fixed(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(SPEC).await?;
    events.synced().await?;
    let before = events.incarnations().await?;

    events.apply(&format!("{SPEC}image: {{tag: does-not-exist}}")).await?;
    events.becomes("Stalled", "True", "ImagePullFailed").await?;
    let mut said = BTreeSet::new();
    let message = wait::until("the condition quotes the kubelet", SOON, async || {
        said.extend(waiting_messages(&events).await?);
        let message = events.condition("Stalled").await?.message;
        ensure!(said.iter().any(|said| message.contains(said)), "the condition: {message}; the kubelet: {said:?}");
        Ok(message)
    })
    .await?;
    ensure!(message.contains(":does-not-exist"), "the message does not name the image: {message}");
    let untouched = events.incarnations().await?.iter().filter(|now| before.contains(now)).count();
    ensure!(untouched == 1, "{untouched} of 2 pods are left alone: one must serve on");

    events.apply(SPEC).await?;
    events.ready().await?;
    events.becomes("Stalled", "False", "NotStalled").await.map(drop)
}

/// Why the kubelet lets the stores' containers wait, in its own words.
async fn waiting_messages(events: &LogStore) -> Result<Vec<String>> {
    let pods = events.pods().await?;
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(statuses.filter_map(|status| status.state?.waiting?.message).filter(|message| !message.is_empty()).collect())
}
