//! What the operator costs, and how fast it is: `logstore-e2e figures`, which is `make bench-k8s`.

mod memory;
mod start;

use anyhow::{Context, Result};
use logstore_e2e::report::Report;
use logstore_e2e::{Cluster, progress, scene};

/// Measures on a fresh operator, and writes the section of `docs/benchmarks.md`.
pub(crate) async fn run() -> Result<()> {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::connect().await?));
    cluster.refuse_if_in_use().await?;
    scene::remove_old(cluster).await?;
    cluster.load_images().await?;
    cluster.operator.remove(cluster).await?;
    cluster.operator.install(cluster).await?;
    let mut report = Report::default();
    image(cluster, &mut report)?;
    memory::idle(cluster, &mut report).await?;
    start::measure(cluster, &mut report).await?;
    memory::with_log_stores(cluster, &mut report).await?;
    eprintln!("\n{}", report.section());
    let file = report.write()?;
    progress::say(&format!("written to {}", file.display()));
    scene::all_gone(cluster).await?;
    cluster.operator.remove(cluster).await
}

fn image(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let archive = &cluster.contract.image_archive;
    let about = std::fs::metadata(archive).with_context(|| format!("failed to look at {}", archive.display()))?;
    let megabytes = about.len() as f64 / 1e6;
    report.add("image, both programs", &format!("{megabytes:.1} MB"), "≤ 25 MB");
    Ok(())
}
