//! Names that meet.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use logstore_e2e::Scene;

const SPEC: &str = "storage: {size: 320Mi}";

/// Each has its own stores and its own records, and outlives the other.
pub(crate) async fn the_same_name_in_two_namespaces_is_two_log_stores(scene: &Scene) -> Result<()> {
    let elsewhere = scene.another().await?;
    let (here, there) = (scene.log_store("notes"), elsewhere.log_store("notes"));
    here.apply(SPEC).await?;
    there.apply(SPEC).await?;
    let probe = scene.probe().await?;
    here.ready().await?;
    there.ready().await?;

    let server = |namespace: &str| format!("http://notes.{namespace}.svc:8000");
    let (ours, theirs) = (server(&scene.namespace), server(&elsewhere.namespace));
    let records = |server: &str| format!("{server}/v1/namespaces/diary/records");
    for (server, text) in [(&ours, "here"), (&theirs, "there")] {
        probe.reach(server).await?;
        let url = &records(server);
        let answer = probe.http("POST", url).body(text).send().await?.json()?;
        ensure!(answer["offset"] == 0, "somebody else was there before: {answer}");
    }
    let before = there.incarnations().await?;
    here.delete().await?;
    here.pods_gone().await?;
    let read = probe.http("GET", &records(&theirs)).header("Accept: text/plain").send().await?;
    ensure!(read.body == "there\n", "{read:?}");
    ensure!(there.incarnations().await? == before, "the other one's pods changed");
    there.ready().await
}

/// A StatefulSet that somebody else made under the name of a child stays as it is, and is named.
pub(crate) async fn a_foreign_stateful_set_is_not_adopted(scene: &Scene) -> Result<()> {
    scene.kubectl.apply(&foreign_stateful_set("notes-a", &scene.cluster.contract.image)).await?;
    let sets = scene.api::<StatefulSet>();
    let before = sets.get("notes-a").await?;
    let notes = scene.log_store("notes");
    notes.apply(SPEC).await?;
    let message = notes.becomes("Stalled", "True", "ForeignObject").await?;
    ensure!(message.contains("StatefulSet") && message.contains("notes-a"), "the object is not named: {message}");
    let after = sets.get("notes-a").await?;
    ensure!(after.metadata.uid == before.metadata.uid, "it is another one");
    ensure!(after.spec == before.spec, "its spec was changed to {:?}", after.spec);
    ensure!(after.metadata.labels == before.metadata.labels, "its labels are {:?}", after.metadata.labels);
    ensure!(after.metadata.owner_references.is_none(), "it has the owners {:?}", after.metadata.owner_references);

    scene.kubectl.run(&["delete", "statefulset", "notes-a"]).await?;
    notes.ready().await?;
    notes.becomes("Stalled", "False", "NotStalled").await.map(drop)
}

/// `x-headless` would need the Service that is the headless one of `x`.
pub(crate) async fn a_name_of_anothers_child_is_refused(scene: &Scene) -> Result<()> {
    let first = scene.log_store("x");
    first.apply(SPEC).await?;
    first.ready().await?;
    let services = scene.api::<Service>();
    let before = services.get("x-headless").await?;

    let second = scene.log_store("x-headless");
    second.apply(SPEC).await?;
    let message = second.becomes("Stalled", "True", "ForeignObject").await?;
    ensure!(message.contains("Service") && message.contains("x-headless"), "the object is not named: {message}");
    let after = services.get("x-headless").await?;
    ensure!((&after.metadata.uid, &after.spec) == (&before.metadata.uid, &before.spec), "the Service was changed");
    first.ready().await
}

/// A pod that has lost its labels is let go by its StatefulSet and stands in the way of the next one: it is named.
pub(crate) async fn a_pod_without_its_labels_is_named(scene: &Scene) -> Result<()> {
    let notes = scene.log_store("notes");
    notes.apply(SPEC).await?;
    notes.ready().await?;
    scene.kubectl.run(&["label", "pod", "notes-a-0", "logstore.dev/name-"]).await?;
    let message = notes.becomes("Stalled", "True", "ForeignObject").await?;
    ensure!(message.contains("Pod") && message.contains("notes-a-0"), "the pod is not named: {message}");

    scene.kubectl.run(&["label", "pod", "notes-a-0", "logstore.dev/name=notes"]).await?;
    notes.ready().await?;
    notes.becomes("Stalled", "False", "NotStalled").await.map(drop)
}

fn foreign_stateful_set(name: &str, image: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}, labels: {{app: foreign}}}}
spec:
  replicas: 0
  serviceName: foreign
  selector: {{matchLabels: {{app: foreign}}}}
  template:
    metadata: {{labels: {{app: foreign}}}}
    spec:
      containers: [{{name: foreign, image: \"{image}\"}}]
"
    )
}
