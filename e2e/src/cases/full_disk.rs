//! A claim that is full.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use logstore_e2e::{Probe, Scene, wait};
use serde_json::{Value, json};

/// Each append; with it the claim is full after about thirty.
const RECORD_BYTES: usize = 8 * 1024 * 1024;
/// Many more than fit.
const RECORDS_MAX: u64 = 100;
/// The store looks at its disk again and again.
const ROOM_SEEN: Duration = Duration::from_secs(30);

const RECORDS: &str = "http://notes:8000/v1/namespaces/diary/records";

/// Appends are answered 507, reads go on, and after a trim appends go on; the store is not restarted.
pub(crate) async fn a_full_claim_refuses_appends_until_a_trim(scene: &Scene) -> Result<()> {
    let class = scene.cluster.contract.limited_storage_class()?;
    let notes = scene.log_store("notes");
    notes
        .apply(&format!(
            "\
storage: {{size: 320Mi, storageClassName: {class}}}
namespaces: [{{name: diary, rotation: {{maxSegmentBytes: 16777216}}}}]
"
        ))
        .await?;
    let probe = scene.probe().await?;
    notes.synced().await?;
    probe.reach("http://notes:8000").await?;
    let pods = notes.incarnations().await?;

    let count = fill(&probe).await?;
    let small = probe.http("POST", RECORDS).body("small").send().await?;
    ensure!(small.status == 507, "a full store still takes records: {small:?}");
    let last = probe.http("GET", &format!("{RECORDS}/{}", count - 1)).header("Range: bytes=0-15").send().await?;
    ensure!(last.status == 206 && last.body == "0123456789abcdef", "reads do not go on: {last:?}");

    let keep_from = count - 4;
    let trim = "http://notes:8000/v1/namespaces/diary/trim";
    let trimmed = probe.http("POST", trim).body(&json!({"before": keep_from}).to_string()).send().await?.json()?;
    ensure!(trimmed["start"] == keep_from && trimmed["end"] == count, "{trimmed}");
    let appended = wait::until("appends go on", ROOM_SEEN, async || {
        probe.http("POST", RECORDS).body("after").send().await?.json()
    })
    .await?;
    ensure!(appended["offset"] == count, "the next offset should be {count}: {appended}");
    let after = probe.http("GET", &format!("{RECORDS}/{count}")).send().await?;
    ensure!(after.body == "after", "{after:?}");
    let gone = probe.http("GET", &format!("{RECORDS}/0")).send().await?;
    ensure!(gone.status == 410 && problem(&gone.body)?["code"] == "trimmed", "{gone:?}");
    ensure!(notes.incarnations().await? == pods, "the store was restarted");
    notes.ready().await
}

/// Appends until the store refuses with a problem that says why; how many records it took.
async fn fill(probe: &Probe) -> Result<u64> {
    for count in 0..RECORDS_MAX {
        let answer = probe.http("POST", RECORDS).body_of(RECORD_BYTES).send().await?;
        match answer.status {
            200 => {}
            507 => {
                ensure!(answer.header("content-type") == "application/problem+json", "{answer:?}");
                let problem = problem(&answer.body)?;
                ensure!(problem["code"] == "disk_full" && problem["retry"] == "later", "{problem}");
                ensure!(count > 10, "it was full after {count} records");
                return Ok(count);
            }
            _ => bail!("record {count}: {answer:?}"),
        }
    }
    bail!("the claim of 320Mi took {RECORDS_MAX} records of {RECORD_BYTES} bytes: volumes of this class do not end")
}

fn problem(body: &str) -> Result<Value> {
    serde_json::from_str(body).with_context(|| format!("not a problem: {body}"))
}
