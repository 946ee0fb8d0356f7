//! A node dies, with all its processes at once, and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use logstore_e2e::command::run_contract;
use logstore_e2e::records::{check_acknowledged, check_equal, numbered};
use logstore_e2e::stream::append_through;
use logstore_e2e::{Scene, Skipped};

/// How long the node stays away, while an append waits for it.
const AWAY: Duration = Duration::from_secs(5);

/// In the middle of an append to two copies. While it is away the other copy is read; afterwards every acknowledged
/// record is on both.
pub(crate) async fn a_node_dies_and_comes_back_with_its_records(scene: &Scene) -> Result<()> {
    let (down, up) = scene.cluster.contract.node_commands()?;
    let events = scene.log_store("events");
    events.apply("copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]").await?;
    events.synced().await?;

    // The operator stays alive, and the probe.
    let operator = node_of(&scene.cluster.operator.pod(scene.cluster).await?)?;
    let (a, b) = (events.pod("a").await?, events.pod("b").await?);
    let (victim, survivor) = if node_of(&b)? == operator { (a, b) } else { (b, a) };
    let (dies, stays) = (node_of(&victim)?, node_of(&survivor)?);
    if dies == stays || dies == operator {
        return Err(Skipped(format!("the copies and the operator are all on node {dies}")).into());
    }
    let probe = scene.probe_on(&stays).await?;
    let address =
        |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("a pod without an address");
    let (lost, left) = (address(&victim)?, address(&survivor)?);

    let urls = events.urls().await?;
    let lines = numbered("order", 10_000);
    let streamed = append_through(&probe, &urls, "orders", &lines, 3_000, async |going| {
        run_contract(down, &dies).await.context("E2E_NODE_DOWN failed")?;
        going.check(&lines)?;
        let silent = probe.http("GET", &format!("http://{lost}:8000/v1/namespaces")).within_seconds(3).send().await;
        ensure!(silent.is_err(), "the store on node {dies} still answers: {silent:?}");
        let alive = probe.read(&format!("http://{left}:8000"), "orders").await?;
        ensure!(alive.len() >= 2_000, "the copy that is left shows {} records", alive.len());
        tokio::time::sleep(AWAY).await;
        run_contract(up, &dies).await.context("E2E_NODE_UP failed").map(drop)
    })
    .await?;
    ensure!(streamed.code == Some(0), "the append ended with {:?}: {}", streamed.code, streamed.stderr);

    // The API server may not even have noticed, so the stores themselves are asked.
    for url in &urls {
        probe.reach(url).await?;
    }
    events.ready().await?;
    let mut copies = Vec::new();
    for url in &urls {
        let copy = probe.read_at_least(url, "orders", streamed.count()).await?;
        check_acknowledged(&streamed.acknowledged, &lines, &copy).with_context(|| format!("the copy at {url}"))?;
        copies.push(copy);
    }
    check_equal(&copies[0], &copies[1])?;
    probe.append(&urls, "orders", &["afterwards".to_owned()]).await.map(drop)
}

fn node_of(pod: &Pod) -> Result<String> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).context("a pod that is on no node")
}
