//! A LogStore with two copies, as the first page of the documentation shows it.

use anyhow::{Context, Result, ensure};
use logstore_e2e::Scene;

/// `kubectl apply`, `kubectl wait`, `kubectl get`.
pub(crate) async fn a_log_store_becomes_ready_and_shows_its_columns(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events
        .apply(
            "\
copies: 2
storage: {size: 320Mi}
namespaces:
- name: orders
  retention: {maxAgeSeconds: 604800}
- name: audit
",
        )
        .await?;
    scene.kubectl.run(&["wait", "--for=condition=Ready", "logstore/events", "--timeout=120s"]).await?;

    let status = events.synced().await?;
    ensure!((status.copies, status.pods, status.ready_pods) == (2, 2, 2), "{status:?}");
    ensure!(status.namespaces.desired == 2, "{:?}", status.namespaces);
    ensure!(
        status.image.as_deref() == Some(scene.cluster.contract.image.as_str()),
        "status.image is {:?}",
        status.image
    );
    ensure!(status.endpoints.http.is_none(), "two copies have the one address {:?}", status.endpoints.http);
    let names: Vec<&str> = status.endpoints.copies.iter().map(|copy| copy.name.as_str()).collect();
    ensure!(names == ["a", "b"], "status.endpoints.copies names {names:?}");

    let table = scene.kubectl.run(&["get", "lgs"]).await?;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let [head, row] = &rows[..] else { anyhow::bail!("not one LogStore:\n{table}") };
    ensure!(head == &["NAME", "READY", "REASON", "COPIES", "PODS", "AGE"], "{table}");
    ensure!(row.starts_with(&["events", "True", "AllPodsReady", "2", "2"]), "{table}");

    let wide = scene.kubectl.run(&["get", "lgs", "--output=wide"]).await?;
    let wide_head = wide.lines().next().context("an empty table")?;
    for column in ["SIZE", "IMAGE", "MESSAGE"] {
        ensure!(wide_head.contains(column), "--output=wide has no column {column}:\n{wide}");
    }
    ensure!(wide.contains("320Mi"), "{wide}");
    Ok(())
}
