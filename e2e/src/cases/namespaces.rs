//! The namespaces inside the stores follow the resource.

use anyhow::{Context, Result, ensure};
use logstore_e2e::log_store::SOON;
use logstore_e2e::records::{check_holds, numbered};
use logstore_e2e::{LogStore, Probe, Scene, wait};
use serde_json::{Value, json};

const HEAD: &str = "copies: 2\nstorage: {size: 320Mi}\nnamespaces:\n- {name: orders}\n";

/// A new entry is on every copy; so is a change of one.
pub(crate) async fn one_is_added_and_its_retention_changed(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    events.apply(HEAD).await?;
    let probe = scene.probe().await?;
    ensure!(events.synced().await?.namespaces.desired == 1, "one namespace is declared");
    let pods = events.incarnations().await?;

    events.apply(&format!("{HEAD}- {{name: audit, retention: {{maxAgeSeconds: 600}}}}\n")).await?;
    ensure!(events.synced().await?.namespaces.desired == 2, "two namespaces are declared");
    on_all_copies(&events, &probe, "audit", |audit| {
        ensure!(audit["state"] == "active", "{audit}");
        ensure!(audit["config"]["retention"] == json!({"max_age_seconds": 600}), "{audit}");
        Ok(())
    })
    .await?;

    let changed = "- {name: audit, retention: {maxBytes: 536870912}, durability: Written}\n";
    events.apply(&format!("{HEAD}{changed}")).await?;
    events.synced().await?;
    on_all_copies(&events, &probe, "audit", |audit| {
        ensure!(audit["config"]["retention"] == json!({"max_bytes": 536_870_912}), "{audit}");
        ensure!(audit["config"]["durability"] == "written", "{audit}");
        Ok(())
    })
    .await?;
    ensure!(events.incarnations().await? == pods, "a namespace is no reason to restart a store");
    Ok(())
}

/// Partitions are for life, whatever the order of the entries; names of indices are only added; a quota may change.
pub(crate) async fn partitions_stay_and_indices_and_quota_follow(scene: &Scene) -> Result<()> {
    let events = scene.log_store("events");
    let with = |entries: &str| format!("copies: 2\nstorage: {{size: 320Mi}}\nnamespaces: [{entries}]\n");
    events.apply(&with("{name: orders}, {name: trades, partitions: 3, indices: [price]}")).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    on_all_copies(&events, &probe, "trades", |trades| {
        ensure!(trades["config"]["partitions"] == 3, "{trades}");
        ensure!(trades["partitions"].as_array().map(Vec::len) == Some(3), "{trades}");
        Ok(())
    })
    .await?;

    for (changed, rule) in
        [("partitions: 4, indices: [price]", "partitions cannot"), ("partitions: 3", "indices can only")]
    {
        let refused = events.try_apply(&with(&format!("{{name: orders}}, {{name: trades, {changed}}}"))).await?;
        ensure!(refused.code != Some(0) && refused.stderr.contains(rule), "{changed}: {refused:?}");
    }

    let quota = "quota: {maxRecordBytes: 100}";
    events
        .apply(&with(&format!("{{name: trades, partitions: 3, indices: [price, size], {quota}}}, {{name: orders}}")))
        .await?;
    events.synced().await?;
    on_all_copies(&events, &probe, "trades", |trades| {
        ensure!(trades["config"]["indices"] == json!(["price", "size"]), "{trades}");
        ensure!(trades["config"]["quota"] == json!({"max_record_bytes": 100}), "{trades}");
        Ok(())
    })
    .await
}

/// `whenRemoved` of the entry that is not there any more decides.
pub(crate) async fn removed_ones_are_kept_closed_or_deleted(scene: &Scene) -> Result<()> {
    let kept = "- {name: kept, whenRemoved: Retain}\n";
    let events = scene.log_store("events");
    events.apply(&format!("{HEAD}{kept}- {{name: gone, whenRemoved: Delete}}\n")).await?;
    let probe = scene.probe().await?;
    events.synced().await?;
    let (urls, lines) = (events.urls().await?, numbered("record", 20));
    for namespace in ["kept", "gone"] {
        probe.append(&urls, namespace, &lines).await?;
    }

    events.apply(HEAD).await?;
    let status = wait::until("the status says that one is retained", SOON, async || {
        let status = events.synced().await?;
        ensure!(status.namespaces.retained == ["kept"], "{:?}", status.namespaces);
        Ok(status)
    })
    .await?;
    ensure!((status.namespaces.desired, status.namespaces.retained_count) == (1, 1), "{:?}", status.namespaces);
    on_all_copies(&events, &probe, "kept", |kept| {
        ensure!(kept["state"] == "closed", "{kept}");
        Ok(())
    })
    .await?;
    for url in &urls {
        ensure!(probe.namespace(url, "gone").await?.is_none(), "{url} still has the namespace gone");
        let closed = probe.http("GET", &format!("{url}/v1/namespaces/kept/records")).send().await?;
        ensure!(closed.status == 403 && closed.body.contains("namespace_closed"), "{closed:?}");
    }

    // Whoever puts the entry back has the data back.
    events.apply(&format!("{HEAD}{kept}")).await?;
    ensure!(events.synced().await?.namespaces.retained.is_empty(), "nothing is retained any more");
    for url in &urls {
        check_holds(&probe.read_at_least(url, "kept", lines.len()).await?, &lines)?;
    }
    Ok(())
}

/// What was made over HTTP belongs to who made it.
pub(crate) async fn what_a_user_created_is_left_alone(scene: &Scene) -> Result<()> {
    let notes = scene.log_store("notes");
    let head = "storage: {size: 320Mi}\n";
    notes.apply(&format!("{head}namespaces: [{{name: declared, whenRemoved: Delete}}]")).await?;
    let probe = scene.probe().await?;
    notes.synced().await?;
    probe.reach("http://notes:8000").await?;
    let own = "http://notes:8000/v1/namespaces/own";
    let config = json!({"retention": {"max_age_seconds": 77}});
    probe.http("PUT", own).header("Content-Type: application/json").body(&config.to_string()).send().await?.json()?;
    probe.http("POST", &format!("{own}/records")).body("mine").send().await?.json()?;
    let before = described(&probe, own).await?;

    // Entries come and go, and defaults change.
    notes.apply(&format!("{head}namespaceDefaults: {{durability: Written}}\nnamespaces: [{{name: other}}]")).await?;
    let status = notes.synced().await?;
    wait::until("the declared one is gone", SOON, async || {
        let declared = probe.namespace("http://notes:8000", "declared").await?;
        ensure!(declared.is_none(), "{declared:?}");
        Ok(())
    })
    .await?;
    ensure!(described(&probe, own).await? == before, "{} was {before}", described(&probe, own).await?);
    ensure!(status.namespaces.desired == 1 && status.namespaces.retained.is_empty(), "{:?}", status.namespaces);
    let mine = probe.http("GET", &format!("{own}/records/0")).send().await?;
    ensure!(mine.body == "mine", "{mine:?}");
    Ok(())
}

async fn described(probe: &Probe, namespace: &str) -> Result<Value> {
    probe.http("GET", namespace).send().await?.json()
}

/// What every copy answers about a namespace is as it should be.
async fn on_all_copies(
    events: &LogStore,
    probe: &Probe,
    namespace: &str,
    check: impl Fn(&Value) -> Result<()>,
) -> Result<()> {
    for url in events.urls().await? {
        let described = probe.namespace(&url, namespace).await?.with_context(|| format!("{url} has no {namespace}"))?;
        check(&described).with_context(|| format!("the copy at {url}"))?;
    }
    Ok(())
}
