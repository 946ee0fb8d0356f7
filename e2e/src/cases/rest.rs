//! Where nothing happens, the operator does nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use logstore_e2e::audit::Request;
use logstore_e2e::{Scene, progress, wait};

/// After the last change: Services and claims get their last marks from others.
const SETTLING: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(120);

/// LogStores in all kinds of states, for two minutes: the Lease is renewed, and nothing else is asked of the API server.
pub(crate) async fn at_rest_the_operator_only_renews_its_lease(scene: &Scene) -> Result<()> {
    let audit = scene.cluster.audit()?;
    let user = scene.cluster.operator.user(scene.cluster).await?;
    let spec = "storage: {size: 320Mi}\nnamespaces: [{name: orders}]\n";
    let (one, two) = (scene.log_store("one"), scene.log_store("two"));
    let (stopped, paused, refused) =
        (scene.log_store("stopped"), scene.log_store("paused"), scene.log_store("refused"));
    one.apply(spec).await?;
    two.apply(&format!("copies: 2\n{spec}")).await?;
    stopped.apply(&format!("{spec}stopped: true")).await?;
    paused.apply(&format!("{spec}paused: true")).await?;
    refused.apply(&format!("{spec}podTemplate: {{spec: {{hostname: mine}}}}")).await?;
    one.synced().await?;
    two.synced().await?;
    stopped.becomes("Ready", "True", "Stopped").await?;
    paused.becomes("Paused", "True", "HeldBySpec").await?;
    refused.becomes("Stalled", "True", "InvalidSpec").await?;
    tokio::time::sleep(SETTLING).await;

    let begin = Timestamp::now();
    let in_window = || -> Result<Vec<Request>> {
        Ok(audit.requests(&user)?.into_iter().filter(|request| request.received >= begin).collect())
    };
    wait::stays("the rest", REST, async || {
        let asked = in_window()?;
        let unrest: Vec<String> = asked
            .iter()
            .filter(|request| !is_renewal(request) && !request.continues_a_watch())
            .map(ToString::to_string)
            .collect();
        ensure!(unrest.is_empty(), "the operator asked:\n{}", unrest.join("\n"));
        Ok(())
    })
    .await?;
    let asked = in_window()?;
    let renewals = asked.iter().filter(|request| is_renewal(request)).count();
    let watches = asked.len() - renewals;
    progress::say(&format!("{renewals} requests for the Lease, {watches} watches gone on with, nothing else"));
    ensure!(renewals > 0, "not even the Lease was renewed: is the audit log the right one?");
    Ok(())
}

fn is_renewal(request: &Request) -> bool {
    request.object.resource == "leases" && request.object.api_group == "coordination.k8s.io"
}
