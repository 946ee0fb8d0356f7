//! Records, from a pod.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use logstore_e2e::records::{check_acknowledged, check_equal, check_holds, numbered};
use logstore_e2e::stream::append_through;
use logstore_e2e::{Scene, wait};

/// A plain HTTP client needs the Service's name and nothing else.
pub(crate) async fn one_copy_over_its_service_with_plain_http(scene: &Scene) -> Result<()> {
    let notes = scene.log_store("notes");
    notes.apply("storage: {size: 320Mi}").await?;
    let probe = scene.probe().await?;
    notes.ready().await?;
    probe.reach("http://notes:8000").await?;

    let records = "http://notes:8000/v1/namespaces/diary/records";
    let first = probe.http("POST", records).body("hello").send().await?.json()?;
    ensure!(first["offset"] == 0 && first["count"] == 1 && first["durability"] == "synced", "{first}");
    let batch = probe.http("POST", &format!("{records}?split=lines")).body("one\ntwo\n").send().await?.json()?;
    ensure!(batch["offset"] == 1 && batch["count"] == 2 && batch["durable_end"] == 3, "{batch}");

    let all = probe.http("GET", records).header("Accept: text/plain").send().await?;
    ensure!(all.status == 200 && all.body == "hello\none\ntwo\n", "HTTP {}: {:?}", all.status, all.body);
    ensure!(all.header("logstore-next") == "3" && all.header("logstore-durable-end") == "3", "{all:?}");
    let one = probe.http("GET", &format!("{records}/1")).send().await?;
    ensure!(one.status == 200 && one.body == "one", "HTTP {}: {:?}", one.status, one.body);

    // The address in the status is the same Service, by its whole name.
    let http = notes.status().await?.endpoints.http.context("status.endpoints.http is empty")?;
    ensure!(http == format!("http://notes.{}.svc:8000", scene.namespace), "status.endpoints.http is {http}");
    let last = probe.http("GET", &format!("{http}/v1/namespaces/diary/records/2")).send().await?;
    ensure!(last.status == 200 && last.body == "two", "HTTP {}: {:?}", last.status, last.body);
    Ok(())
}

/// Appended once, on both copies; and a single copy takes nothing by itself.
pub(crate) async fn two_copies_hold_the_same_records_at_the_same_offsets(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply("copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]").await?;
    let probe = scene.probe().await?;
    events.synced().await?;

    let urls = events.urls().await?;
    let lines = numbered("order", 2_500);
    let acknowledged = probe.append(&urls, "orders", &lines).await?;
    ensure!(acknowledged[0].offset == 0, "the first record is at offset {}", acknowledged[0].offset);
    for url in &urls {
        let copy = probe.read_at_least(url, "orders", lines.len()).await?;
        check_holds(&copy, &lines).with_context(|| format!("the copy at {url}"))?;
    }

    let alone = probe.http("POST", &format!("{}/v1/namespaces/orders/records", urls[1])).body("alone").send().await?;
    ensure!(alone.status == 421 && alone.body.contains("not_the_writer"), "HTTP {}: {}", alone.status, alone.body);
    Ok(())
}

/// Ten thousand records, `synced`; after three thousand, a pod is deleted by force. What was acknowledged is on both
/// copies afterwards, where it was said to be.
pub(crate) async fn acknowledged_records_survive_a_force_deleted_pod(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply("copies: 2\nstorage: {size: 320Mi}\nnamespaces: [{name: orders}]").await?;
    let probe = scene.probe().await?;
    events.synced().await?;

    let urls = events.urls().await?;
    let lines = numbered("order", 10_000);
    let victim = events.pod("b").await?.uid();
    let name = events.pod_name("b");
    let streamed = append_through(&probe, &urls, "orders", &lines, 3_000, async |going| {
        scene.kubectl.run(&["delete", "pod", &name, "--force", "--grace-period=0"]).await?;
        going.check(&lines)
    })
    .await?;
    ensure!(streamed.code == Some(0), "the append ended with {:?}: {}", streamed.code, streamed.stderr);
    ensure!(streamed.count() == lines.len(), "{} of {} are acknowledged", streamed.count(), lines.len());

    wait::until("copy b has another pod", logstore_e2e::log_store::SOON, async || {
        let now = events.pod("b").await?.uid();
        ensure!(now != victim, "the pod is still {now:?}");
        Ok(())
    })
    .await?;
    events.ready().await?;
    let mut copies = Vec::new();
    for url in &urls {
        let copy = probe.read_at_least(url, "orders", lines.len()).await?;
        check_acknowledged(&streamed.acknowledged, &lines, &copy).with_context(|| format!("the copy at {url}"))?;
        copies.push(copy);
    }
    check_equal(&copies[0], &copies[1])?;
    probe.append(&urls, "orders", &["afterwards".to_owned()]).await.map(drop)
}
