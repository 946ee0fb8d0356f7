//! From `kubectl apply` to a LogStore that is ready, and the writes that it takes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use logstore_e2e::log_store::find;
use logstore_e2e::report::Report;
use logstore_e2e::{Cluster, LogStore, Scene, progress};

const ROUNDS: usize = 5;
/// Between two looks; much less than what is measured.
const PAUSE: Duration = Duration::from_millis(10);
const BOUND: Duration = Duration::from_secs(120);
/// After a LogStore is ready, its last writes come.
const SETTLING: Duration = Duration::from_secs(10);

/// The LogStore of the first page of the documentation.
const SPEC: &str = "\
copies: 2
storage: {size: 320Mi}
namespaces:
- name: orders
  retention: {maxAgeSeconds: 604800}
- name: audit
";

/// When each thing was first seen, since the answer to the apply.
struct Times {
    stateful_sets: Duration,
    pods_ready: Duration,
    ready: Duration,
}

pub(super) async fn measure(cluster: &'static Cluster, report: &mut Report) -> Result<()> {
    let mut rounds = Vec::new();
    let mut writes = Vec::new();
    for round in 1..=ROUNDS {
        progress::say(&format!("a new LogStore with two copies: round {round} of {ROUNDS}"));
        let scene = Scene::set(cluster, &format!("figures start {round}")).await?;
        let events = scene.log_store("events");
        events.apply(SPEC).await?;
        rounds.push(watch(&events).await?);
        tokio::time::sleep(SETTLING).await;
        writes.extend(count_writes(cluster, &scene).await?);
        scene.strike().await?;
    }
    let seconds =
        |pick: fn(&Times) -> Duration| rounds.iter().map(|times| pick(times).as_secs_f64()).collect::<Vec<_>>();
    let apply = "`kubectl apply` of two copies, two namespaces";
    report.add(&format!("{apply} → StatefulSets"), &spread(&seconds(|times| times.stateful_sets)), "≤ 0.5 s");
    report.add(&format!("{apply} → Ready"), &spread(&seconds(|times| times.ready)), "");
    let last = seconds(|times| times.ready.saturating_sub(times.pods_ready));
    report.add("its last pod is ready → Ready", &spread(&last), "≤ 1 s");
    if let Some(most) = writes.iter().max() {
        report.add("API writes for it, the most of the rounds", &most.to_string(), "≤ 12");
    }
    Ok(())
}

async fn watch(events: &LogStore) -> Result<Times> {
    let begun = Instant::now();
    let (mut stateful_sets, mut pods_ready) = (None, None);
    loop {
        if stateful_sets.is_none() && events.stateful_sets().await?.len() == 2 {
            stateful_sets = Some(begun.elapsed());
        }
        if stateful_sets.is_some() && pods_ready.is_none() {
            let pods = events.pods().await?;
            pods_ready = (pods.len() == 2 && pods.iter().all(is_ready)).then(|| begun.elapsed());
        }
        if let (Some(stateful_sets), Some(pods_ready)) = (stateful_sets, pods_ready)
            && find(&events.status().await?, "Ready").is_ok_and(|ready| ready.status == "True")
        {
            return Ok(Times { stateful_sets, pods_ready, ready: begun.elapsed() });
        }
        ensure!(begun.elapsed() < BOUND, "LogStore {} is not ready after {} s", events.name(), BOUND.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|found| found.type_ == "Ready" && found.status == "True")
}

/// The operator's writes in the scene; none where there is no audit log to count in.
async fn count_writes(cluster: &Cluster, scene: &Scene) -> Result<Option<usize>> {
    let Ok(audit) = cluster.audit() else { return Ok(None) };
    let requests = audit.requests(&cluster.operator.user(cluster).await?)?;
    Ok(Some(
        requests.iter().filter(|request| request.is_write() && request.object.namespace == scene.namespace).count(),
    ))
}

/// The median, with the lowest and the highest.
fn spread(rounds: &[f64]) -> String {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    format!("{:.2} s ({:.2}–{:.2})", sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
}
