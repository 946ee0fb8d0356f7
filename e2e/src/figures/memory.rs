//! The operator's memory.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::api::ListParams;
use logstore_crds::LogStore;
use logstore_e2e::log_store::find;
use logstore_e2e::report::Report;
use logstore_e2e::{Cluster, Scene, progress, wait};

const LOG_STORES: usize = 100;
/// Their children are written within this time.
const BOUND: Duration = Duration::from_secs(180);
/// After the last event there is nothing more to do.
const SETTLING: Duration = Duration::from_secs(20);

/// Beside nothing but the cluster's own pods.
pub(super) async fn idle(cluster: &Cluster, report: &mut Report) -> Result<()> {
    tokio::time::sleep(SETTLING).await;
    report.add("operator's memory with no LogStore", &format!("{:.1} MiB", resident_mib(cluster).await?), "≤ 24 MiB");
    Ok(())
}

/// With LogStores whose pods fit on no node: all their objects are there, but nothing runs.
pub(super) async fn with_log_stores(cluster: &'static Cluster, report: &mut Report) -> Result<()> {
    progress::say(&format!("{LOG_STORES} LogStores whose pods fit on no node"));
    let scene = Scene::set(cluster, "figures memory").await?;
    let mut manifest = String::new();
    for number in 1..=LOG_STORES {
        let _ = write!(
            manifest,
            "---\napiVersion: logstore.dev/v1alpha1\nkind: LogStore\nmetadata: {{name: store-{number}}}\nspec:\n  storage: \
             {{size: 320Mi}}\n  namespaces: [{{name: orders}}, {{name: audit}}]\n  podTemplate: {{spec: {{nodeSelector: \
             {{logstore.dev/no-such-node: \"true\"}}}}}}\n"
        );
    }
    let begun = Instant::now();
    scene.kubectl.apply(&manifest).await?;
    let log_stores = scene.api::<LogStore>();
    wait::until("all have their children", BOUND, async || {
        let all = log_stores.list(&ListParams::default()).await?.items;
        let written = all
            .iter()
            .filter_map(|store| store.status.as_ref())
            .filter(|status| find(status, "Ready").is_ok_and(|ready| ready.reason == "Initializing"));
        let written = written.count();
        ensure!(written == LOG_STORES, "{written} of {LOG_STORES} say Initializing");
        Ok(())
    })
    .await?;
    let written = begun.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLING).await;
    let memory = resident_mib(cluster).await?;
    report.add(&format!("operator's memory with {LOG_STORES} LogStores"), &format!("{memory:.1} MiB"), "");
    report.add(&format!("`kubectl apply` of {LOG_STORES} → the children of all"), &format!("{written:.1} s"), "");
    scene.strike().await
}

async fn resident_mib(cluster: &Cluster) -> Result<f64> {
    let metrics = cluster.operator.page(cluster, "/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let bytes: f64 = line.context("/metrics tells no process_resident_memory_bytes")?.trim().parse()?;
    Ok(bytes / (1024.0 * 1024.0))
}
